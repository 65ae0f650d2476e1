import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { guarded } from '../../adapters/exec/guard.ts'
import { remoteCommand } from '../../adapters/exec/remote-command.ts'
import { WITH_FILE } from '../../adapters/gridengine/commands.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { hostText } from '../../adapters/gridengine/hosts.ts'
import { gridenginePrivileges } from '../../adapters/gridengine/privileges.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { openpbsPrivileges } from '../../adapters/openpbs/privileges.ts'
import { lineFor, type Privileges } from '../../adapters/privileges.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmPrivileges } from '../../adapters/slurm/privileges.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { torquePrivileges } from '../../adapters/torque/privileges.ts'
import { wrapper } from '../../deploy/rights/wrapper.ts'

const dir = mkdtempSync(join(tmpdir(), 'sublet-rights-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const bin = join(dir, 'bin')
const log = join(dir, 'log')
/** Programs that note what they were run with, each word in a line of its own between angles. */
mkdirSync(bin)
for (const program of [
  'qmgr',
  'qstat',
  'pbsnodes',
  'qrerun',
  'qdel',
  'qrls',
  'id',
  'scontrol',
  'qconf',
  'rm',
  'touch',
]) {
  if (program === 'rm') continue
  const file = join(bin, program)
  const reads = program === 'qmgr' ? '[ $# -eq 0 ] && cat >>' : ': >>'
  writeFileSync(
    file,
    `#!/bin/sh\n{ printf '%s' "\${0##*/}"; printf '<%s>' "$@"; echo "\${PBS_DEFAULT+ $PBS_DEFAULT}"; } >>'${log}'\n${reads}'${log}'\nexit 0\n`,
  )
  chmodSync(file, 0o755)
}
beforeEach(() => rmSync(log, { force: true }))

const ran = (): string => (existsSync(log) ? readFileSync(log, 'utf8') : '')
const script = (name: string, privileges: Privileges): string => {
  const file = join(dir, name)
  writeFileSync(file, wrapper({ privileges, title: `test of ${name}`, path: `${bin}:/usr/bin:/bin` }))
  chmodSync(file, 0o755)
  return file
}

const torque = torquePrivileges(torqueConfig.parse({ server: 'head', properties: ['fast'] }), 'vm[0-9]+')
const torqueFile = script('torque', torque)

/** As sshd runs a forced command. */
function over(file: string, line: string, input: string | Buffer = '', shell = '/bin/sh') {
  const done = spawnSync(shell, [file], {
    input,
    env: { SSH_ORIGINAL_COMMAND: line, HOME: dir, PATH: '/nowhere' },
    encoding: 'utf8',
  })
  return { code: done.status, err: done.stderr, out: done.stdout }
}
const sent = (
  argv: readonly [string, ...string[]],
  input = '',
  env: Readonly<Record<string, string>> = torque.env,
) => remoteCommand(argv, { inputBytes: Buffer.byteLength(input), timeoutMs: 5000, env })
const send = (argv: readonly [string, ...string[]], input = '', file = torqueFile) =>
  over(file, sent(argv, input), input)

const create = 'create node vm01 np=2,properties="sublet_lease-7f3a_unit-1_10.77.0.11,fast"'

describe('what is on the list runs, with the words it came with', () => {
  test.each<readonly [string, ...string[]]>([
    ['qstat', '-x', '-t'],
    ['id', '-un'],
    ['pbsnodes', '-x', 'own.site'],
    ['qmgr', '-c', create],
    ['qmgr', '-c', 'delete node vm01'],
    ['pbsnodes', '-o', '-N', 'sublet: lease ends [was: it’s a “new” fan; $(reboot) `x` * ?]', 'vm01'],
    ['pbsnodes', '-c', '-N', '', 'vm2'],
    ['qrerun', '-f', '17[3].head.site'],
  ])('%s %s %s', (program, ...words) => {
    expect(send([program, ...words])).toMatchObject({ code: 0, err: '' })
    expect(ran()).toBe(`${program}${words.map((word) => `<${word}>`).join('')} head\n`)
  })

  test('also a note with a single quote, which is quoted in three parts', () => {
    expect(send(['pbsnodes', '-o', '-N', "sublet: it's 'theirs'", 'vm1'])).toMatchObject({ code: 0 })
    expect(ran()).toBe("pbsnodes<-o><-N><sublet: it's 'theirs'><vm1> head\n")
  })

  test('also in bash', () => {
    const line = sent(['pbsnodes', '-o', '-N', "sublet: it's", 'vm1'])
    expect(over(torqueFile, line, '', '/bin/bash')).toMatchObject({ code: 0, err: '' })
    expect(ran()).toBe("pbsnodes<-o><-N><sublet: it's><vm1> head\n")
  })

  test('also with its input, which is looked at first', () => {
    const input = `set server scheduling = False\ndelete node vm01\n${create}\nset server scheduling = True\n`
    expect(send(['qmgr'], input)).toMatchObject({ code: 0, err: '' })
    expect(ran()).toBe(`qmgr<> head\n${input}`)
  })

  test('also through sudo, which hands the words over, and no environment', () => {
    const words = guarded(['qmgr', '-c', 'delete node vm01'])
    expect(spawnSync('/bin/sh', [torqueFile, ...words], { env: {}, encoding: 'utf8' })).toMatchObject({
      status: 0,
    })
    expect(ran()).toBe('qmgr<-c><delete node vm01> head\n')
    const input = `delete node vm01\n${create}\n`
    const told = spawnSync('/bin/sh', [torqueFile, ...guarded(['qmgr'])], {
      env: {},
      input,
      encoding: 'utf8',
    })
    expect(told).toMatchObject({ status: 0, stderr: '' })
    expect(ran()).toContain(`qmgr<> head\n${input}`)
  })

  test('a program that is not there is told as ever', () => {
    const lines = torquePrivileges(torqueConfig.parse({ bin: '/opt/none' }), 'vm[0-9]+')
    const file = script('missing', lines)
    const done = over(file, sent(['/opt/none/qstat', '-x', '-t'], '', lines.env))
    expect(done).toMatchObject({ code: 127, err: 'sublet: this program is not on this machine\n' })
  })
})

describe('what is not on the list is refused with a sentence and 126, and nothing has run', () => {
  const refused = (done: { code: number | null; err: string }): void => {
    expect(done.err).toMatch(/^sublet-rights: .+\n$/)
    expect(done.code).toBe(126)
    expect(ran()).toBe('')
    expect(existsSync(join(dir, 'hit'))).toBe(false)
  }

  test.each<readonly [string, readonly [string, ...string[]]]>([
    ['another program', ['touch', 'hit']],
    ['a path to it', ['/bin/sh', '-c', 'touch hit']],
    ['a listed program by a path', ['/tmp/qmgr', '-c', 'delete node vm01']],
    ['a shell', ['sh', '-c', 'touch hit']],
    ['another order', ['qmgr', '-c', 'set server managers += me@head']],
    ['a node of the admin’s', ['qmgr', '-c', 'delete node own']],
    ['a name that only begins like ours', ['qmgr', '-c', 'delete node vm01.site']],
    ['all nodes', ['qmgr', '-c', 'delete node @default']],
    ['two orders in one', ['qmgr', '-c', 'delete node vm01; delete node own']],
    ['two orders in two lines', ['qmgr', '-c', 'delete node vm01\ndelete node own']],
    ['a line before it', ['qmgr', '-c', 'delete node own\ndelete node vm01']],
    ['a line end after it', ['qmgr', '-c', 'delete node vm01\n']],
    ['a substitution', ['qmgr', '-c', 'delete node vm$(touch hit)']],
    ['backquotes', ['qmgr', '-c', 'delete node vm`touch hit`']],
    ['a pattern of files', ['pbsnodes', '-o', '-N', 'sublet: x', 'vm*']],
    ['an option for a name', ['pbsnodes', '-o', '-N', 'sublet: x', '-a']],
    ['an option for a name to be looked at', ['pbsnodes', '-x', '-c']],
    ['a path for a name', ['pbsnodes', '-x', '../../etc/passwd']],
    ['a name in another script', ['qmgr', '-c', 'delete node vm０１']],
    ['a name with a mark that joins', ['qmgr', '-c', 'delete node vm1\u0301']],
    ['a blank that is none', ['qmgr', '-c', 'delete\u00a0node vm1']],
    ['one word more', ['qmgr', '-c', 'delete node vm01', '-a']],
    ['one word less', ['qmgr', '-c']],
    ['words run together', ['qmgr', '-c delete node vm01']],
    ['a note of nobody’s', ['pbsnodes', '-o', '-N', 'broken fan', 'vm01']],
    ['a note of two lines', ['pbsnodes', '-o', '-N', 'sublet: x\ny', 'vm01']],
    ['a control character', ['pbsnodes', '-o', '-N', 'sublet: \u001b[2J', 'vm01']],
    ['a name thirty thousand long', ['qmgr', '-c', `delete node vm${'1'.repeat(30_000)}x`]],
    ['a line longer than any', ['qmgr', '-c', `delete node vm${'1'.repeat(60_000)}`]],
    ['nothing for a word', ['qmgr', '-c', '']],
  ])('%s', (_, argv) => {
    expect(lineFor(torque, argv, '') === undefined || argv.join('').length > 32_768).toBe(true)
    refused(send(argv))
  })

  test.each([
    ['a line of one’s own', 'touch hit'],
    ['nothing', ''],
    ['only a blank', ' '],
    ['a command after a good one', `${sent(['id', '-un'])}; touch hit`],
    ['a command in a second line', `${sent(['id', '-un'])}\ntouch hit`],
    ['one after an ampersand', `${sent(['id', '-un'])} & touch hit`],
    ['a pipe', `${sent(['id', '-un'])} | touch hit`],
    ['a redirection', `${sent(['id', '-un'])} >hit`],
    ['a quote that is not closed', `${sent(['id', '-un'])} 'x`],
    ['a quote within a word', sent(['id', '-un']).replace('-un', "-u'n'")],
    ['double quotes', sent(['id', '-un']).replace('-un', '"-un"')],
    ['a backslash', sent(['id', '-un']).replace('-un', '\\-un')],
    ['a tab between words', sent(['id', '-un']).replace(' -un', '\t-un')],
    ['two blanks between words', sent(['id', '-un']).replace(' -un', '  -un')],
    ['a blank at the end', `${sent(['id', '-un'])} `],
    ['no exec', sent(['id', '-un']).replace('exec ', '')],
    ['another script of the same shape', sent(['id', '-un']).replace('exec 3<&0', 'touch hit; exec 3<&0')],
    ['another look of the same shape', sent(['id', '-un']).replace('command -v', 'touch hit; command -v')],
    ['a setting that is not listed', sent(['id', '-un'], '', { LD_PRELOAD: '/tmp/x.so' })],
    ['a listed setting with another value', sent(['id', '-un'], '', { ...torque.env, PBS_DEFAULT: 'other' })],
    ['an option of env', sent(['id', '-un']).replace('exec env', 'exec env -S')],
    ['a limit that is no number', sent(['id', '-un']).replace(' sublet 0 10 ', ' sublet 0 1x ')],
    [
      'a number of bytes that is an order',
      sent(['id', '-un']).replace(' sublet 0 10 ', " sublet 'a[$(touch hit)]' 10 "),
    ],
  ])('%s', (_, line) => refused(over(torqueFile, line)))

  test('bytes that are no text', () => {
    const line = Buffer.concat([Buffer.from(sent(['id', '-un'])), Buffer.from([0x20, 0xff, 0xfe])])
    // As the environment would hold them: handed over by printf.
    const octal = [...line].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('')
    const set = `SSH_ORIGINAL_COMMAND=$(printf %b '${octal}'); export SSH_ORIGINAL_COMMAND; exec /bin/sh '${torqueFile}'`
    const done = spawnSync('/bin/sh', ['-c', set], { encoding: 'utf8', env: {} })
    refused({ code: done.status, err: done.stderr })
  })

  test.each([
    ['another order', 'delete node own\n'],
    ['one order more', `delete node vm01\n${create}\nset server managers += me@head\n`],
    ['one order less', 'delete node vm01\n'],
    ['another sequence', `${create}\ndelete node vm01\n`],
    ['an empty line between', `delete node vm01\n\n${create}\n`],
    ['the scheduler left switched off', `set server scheduling = False\ndelete node vm01\n${create}\n`],
    ['a substitution', `delete node vm$(touch hit)\n${create}\n`],
    ['a NUL', `delete node vm01\n${create}\n\0`],
    ['a pattern of files', `delete node vm*\n${create}\n`],
    ['more than may be', 'x'.repeat(70_000)],
    ['nothing', ''],
  ])('of input: %s', (_, input) => refused(send(['qmgr'], input)))

  test('input for a command that takes none, and less than was announced', () => {
    refused(send(['id', '-un'], 'x'))
    refused(over(torqueFile, sent(['qmgr'], `delete node vm01\n${create}\n`), 'delete node vm01\n'))
  })

  test('words that no guard stands before, and an environment that would change the script', () => {
    const bare = spawnSync('/bin/sh', [torqueFile, 'id', '-un'], { encoding: 'utf8', env: {} })
    refused({ code: bare.status, err: bare.stderr })
    const evil = {
      ENV: '/tmp/x',
      IFS: 'x',
      PATH: '/nowhere',
      told: 'touch',
      GREP_OPTIONS: '-v',
      spool: '/etc/passwd',
    }
    const line = sent(['qmgr', '-c', 'delete node own'])
    const done = spawnSync('/bin/sh', [torqueFile], {
      encoding: 'utf8',
      env: { ...evil, SSH_ORIGINAL_COMMAND: line },
    })
    refused({ code: done.status, err: done.stderr })
  })
})

describe('for the other batch systems', () => {
  test('Slurm: a reason with its words, and no node of others', () => {
    const lines = slurmPrivileges(slurmConfig.parse({ partition: 'dyn' }), 'vm[0-9]+')
    const file = script('slurm', lines)
    const drain = [
      'scontrol',
      'update',
      'NodeName=vm7',
      'State=DRAIN',
      'Reason=sublet: lease ends; $HOME',
    ] as const
    expect(over(file, sent(drain, '', lines.env))).toMatchObject({ code: 0, err: '' })
    expect(ran()).toBe('scontrol<update><NodeName=vm7><State=DRAIN><Reason=sublet: lease ends; $HOME>\n')
    for (const argv of [
      ['scontrol', 'update', 'NodeName=c1', 'State=DRAIN', 'Reason=sublet: x'],
      ['scontrol', 'update', 'NodeName=vm[1-9],c1', 'State=DRAIN', 'Reason=sublet: x'],
      ['scontrol', 'update', 'PartitionName=dyn', 'State=DOWN'],
      ['scontrol', 'update', 'JobId=7', 'StartTime=now+3', 'UserId=0'],
      ['scontrol', 'shutdown'],
    ] as const)
      expect(over(file, sent(argv, '', lines.env)).code).toBe(126)
  })

  test('OpenPBS: as many ended jobs as there are', () => {
    const lines = openpbsPrivileges(openpbsConfig.parse({}), 'vm[0-9]+')
    const file = script('openpbs', lines)
    const ids = Array.from({ length: 20 }, (_, at) => `${at}.head`)
    const look = ['qstat', '-x', '-f', '-F', 'json'] as const
    expect(over(file, sent([...look, ...ids], '', lines.env))).toMatchObject({ code: 0 })
    expect(over(file, sent([...look, ...ids, '--version'], '', lines.env)).code).toBe(126)
  })

  test('GridEngine: a host of ours from a file, and no other', () => {
    const lines = gridenginePrivileges(gridengineConfig.parse({ queue: 'dyn' }), 'vm[0-9]+')
    const file = script('gridengine', lines)
    const add = ['sh', '-c', WITH_FILE, 'sh', 'qconf', '-Ae'] as const
    const sending = (input: string) =>
      over(file, remoteCommand(add, { inputBytes: input.length, timeoutMs: 5000, env: lines.env }), input)
    expect(sending(hostText('vm3', 'sublet=lease-1/unit-1'))).toMatchObject({ code: 0, err: '' })
    expect(ran()).toMatch(/^qconf<-Ae><.*>\n$/)
    expect(sending(hostText('own', 'sublet=lease-1/unit-1')).code).toBe(126)
    expect(sending(`${hostText('vm3', 'sublet=lease-1/unit-1')}hostname own\n`).code).toBe(126)
    const other = ['sh', '-c', 'touch hit', 'sh', 'qconf', '-Ae'] as const
    expect(over(file, remoteCommand(other, { inputBytes: 0, timeoutMs: 5000, env: lines.env })).code).toBe(
      126,
    )
  })
})
