import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { remoteCommand } from '../../adapters/exec/remote-command.ts'
import { type RightsAsk, rightsOf } from '../../deploy/rights/rights.ts'
import { loadConfig } from '../../deploy/settings/settings-file.ts'

const dir = mkdtempSync(join(tmpdir(), 'sublet-rights-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const BIN = new URL('../../deploy/bin.js', import.meta.url).pathname
const file = join(dir, 'site.yaml')
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1Jk0m4Yy0Q2oHcmwyPqv2mOBz3a5wH5yJx6Jc3f0ab guest'
writeFileSync(join(dir, 'key.pub'), `${KEY}\n`)
writeFileSync(
  file,
  `name: here
serviceManager: { broker: far }
peers: [{ name: far, role: broker, key: '${'A'.repeat(43)}', url: 'https://far.example.org:7000' }]
guests:
  - name: grid
    batch:
      kind: torque
      ssh: { host: head, user: sublet, privateKeyFile: ${join(dir, 'key')}, hostKey: 'SHA256:${'A'.repeat(43)}' }
    join: { kind: ssh-torque, server: head, ssh: { privateKeyFile: ${join(dir, 'key')} } }
    controller: by-hand
`,
)

const ASK: RightsAsk = {
  user: 'sublet',
  as: 'root',
  nodes: 'vm[0-9]+',
  wrapper: '/usr/local/sbin/sublet-rights',
  path: '/usr/bin:/bin',
}

function rights(over: Partial<RightsAsk> = {}) {
  const { settings } = loadConfig(file)
  return rightsOf(settings, settings.guests[0]!, { ...ASK, ...over })
}

describe('rights', () => {
  test('are a list, a wrapper, one line of sudoers, one key that may do nothing else', () => {
    const { list, sudoers, authorizedKeys, wrapper } = rights()
    expect(list.filter(({ right }) => right === 'change').map(({ verb }) => verb)).toContain('drain')
    expect(sudoers).toBe(
      'Defaults!/usr/local/sbin/sublet-rights !requiretty\nsublet ALL=(root) NOPASSWD: /usr/local/sbin/sublet-rights\n',
    )
    expect(authorizedKeys).toBe(`restrict,command="exec /usr/local/sbin/sublet-rights" ${KEY}\n`)
    expect(wrapper).toContain("'delete node vm[0-9]+'")
  })

  test('of a Slurm over ssh name the key of its head', () => {
    const slurm = join(dir, 'slurm.yaml')
    const text = readFileSync(file, 'utf8')
      .replace('kind: torque', 'kind: slurm\n      partition: dyn')
      .replace('kind: ssh-torque, server: head', 'kind: ssh-slurmd')
    writeFileSync(slurm, text)
    const { settings } = loadConfig(slurm)
    const { authorizedKeys, wrapper } = rightsOf(settings, settings.guests[0]!, ASK)
    expect(authorizedKeys).toBe(`restrict,command="exec /usr/local/sbin/sublet-rights" ${KEY}\n`)
    expect(wrapper).toContain("'SLURM_CONF=/etc/slurm/slurm.conf'")
  })

  test('a choice of names stays one within what it stands in', () => {
    expect(rights({ nodes: 'vm[0-9]+|node[0-9]{3}' }).wrapper).toContain(
      "'delete node (vm[0-9]+|node[0-9]{3})'",
    )
  })

  test.each([
    ['n[1-2].a', '(n1[.]a|n2[.]a)'],
    ['cloud_[1-2]', '(cloud_1|cloud_2)'],
    ['gpu[1-4]', '(gpu1|gpu2|gpu3|gpu4)'],
    ['c.[1-600]', '(c[.]([123456789]|[123456789][0-9]|[12345][0-9][0-9]|600))'],
  ])('of listed names %j are the names themselves', (names, nodes) => {
    const slurm = join(dir, 'listed.yaml')
    const text = readFileSync(file, 'utf8')
      .replace(
        'kind: torque',
        `kind: slurm\n      partition: dyn\n      nodes: listed\n      names: '${names}'`,
      )
      .replace('kind: ssh-torque, server: head', 'kind: ssh-slurmd, nodes: listed')
    writeFileSync(slurm, text)
    const { settings } = loadConfig(slurm)
    const { nodes: _, ...ask } = ASK
    expect(rightsOf(settings, settings.guests[0]!, ask).nodes).toBe(nodes)
  })

  test.each([
    '.*',
    'vm.*',
    'vm[0-9]*',
    '-a',
    '(vm|-a)',
    '[.]x',
    'vm[^x]',
    'vm[0-z]',
    "vm'",
    'vm 1',
    'vm\n1',
    'vm$(x)',
    '',
    'vm|',
    '(|x)',
    'vm\\d',
    'vm(',
    '+',
    'vm[;]',
  ])('a pattern that more could be like is refused: %j', (nodes) => {
    expect(() => rights({ nodes })).toThrow('expected a pattern of names such as vm[0-9]+')
  })

  test.each<Partial<RightsAsk>>([
    { user: 'sublet ALL=(ALL) ALL' },
    { as: 'root\nALL' },
    { as: '#0' },
    { wrapper: '/bin/x, /bin/sh' },
    { wrapper: 'x' },
    { path: "/bin'; touch hit; '" },
    { path: '.:/bin' },
  ])('what would become more of sudoers or the script is refused: %j', (over) => {
    expect(() => rights(over)).toThrow(/^expected /)
  })

  test('without a site in the configuration the names have to be said', () => {
    const { nodes: _, ...ask } = ASK
    const { settings } = loadConfig(file)
    expect(() => rightsOf(settings, settings.guests[0]!, ask)).toThrow('how are its nodes named?')
  })

  test('the wrapper that the command prints is one', () => {
    const run = (...more: string[]) =>
      spawnSync(process.execPath, [BIN, 'rights', '--config', file, '--nodes', 'vm[0-9]+', ...more], {
        encoding: 'utf8',
      })
    const printed = run('--form', 'wrapper', '--path', '/usr/bin:/bin')
    expect(printed).toMatchObject({ status: 0, stderr: '' })
    const wrapper = join(dir, 'wrapper')
    writeFileSync(wrapper, printed.stdout)
    const env = { LC_ALL: 'C', TZ: 'UTC0' }
    const asked = (argv: readonly [string, ...string[]]) =>
      spawnSync('/bin/sh', [wrapper], {
        env: { SSH_ORIGINAL_COMMAND: remoteCommand(argv, { inputBytes: 0, timeoutMs: 5000, env }) },
        encoding: 'utf8',
      })
    expect(asked(['id', '-un'])).toMatchObject({ status: 0, stderr: '' })
    expect(asked(['id', '-u'])).toMatchObject({
      status: 126,
      stderr: 'sublet-rights: this command is not on the list; see “sublet rights --form list”\n',
    })
    const how = run()
    expect(how.stdout).toContain('# 3. sublet check middleware')
    expect(how.stdout).toContain(`restrict,command="exec /usr/local/sbin/sublet-rights" ${KEY}\n`)
    expect(JSON.parse(run('--json').stdout)).toMatchObject({
      guest: 'grid',
      batch: 'torque',
      nodes: 'vm[0-9]+',
    })
    expect(run('--form', 'list').stdout).toContain('delete node vm[0-9]+')
  })
})
