import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { prefixed } from '../../adapters/exec/prefixed.ts'
import { type Rights, rightsOf } from '../../deploy/rights/rights.ts'
import { loadConfig } from '../../deploy/settings/settings-file.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'

const isReal = process.env.SUBLET_REAL === '1'
const skip = !isReal || cannotBeRoot

/** Whoever runs Sublet; an account that every machine has, and that may do nothing. */
const USER = 'nobody'

/** sudo reads the rules of this test alone beside those of the machine, in a mount namespace of its own. */
const AS_USER = [
  ...(['unshare', '--mount', '--propagation', 'private', 'sh', '-c'] as const),
  'mount --bind "$1" /etc/sudoers.d && shift && exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"',
  'sh',
] as const

describe.skipIf(skip)(`the line of sudoers, by the real sudo ${AS_ROOT}`, () => {
  const { signal } = new AbortController()
  let dir = ''
  let rules = ''
  let rights: Rights

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'sublet-sudo-'))
    chmodSync(dir, 0o755)
    rules = join(dir, 'sudoers.d')
    mkdirSync(rules, { mode: 0o755 })
    const config = join(dir, 'site.yaml')
    writeFileSync(
      config,
      `name: here
serviceManager: { broker: far }
peers: [{ name: far, role: broker, key: '${'A'.repeat(43)}', url: 'https://far.example.org:7000' }]
guests:
  - name: grid
    batch: { kind: torque }
    join: { kind: ssh-torque, server: head, ssh: { privateKeyFile: ${join(dir, 'key')} } }
    controller: by-hand
`,
    )
    const { settings } = loadConfig(config)
    const [guest] = settings.guests
    if (guest === undefined) throw new Error('the configuration has no guest')
    const ask = { user: USER, as: 'root', nodes: 'vm[0-9]+', path: '/usr/bin:/bin' }
    rights = rightsOf(settings, guest, { ...ask, wrapper: join(dir, 'sublet-rights') })
    writeFileSync(join(dir, 'sublet-rights'), rights.wrapper, { mode: 0o755 })
    writeFileSync(join(rules, 'sublet'), rights.sudoers, { mode: 0o440 })
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  const visudo = (text: string) => {
    const file = join(dir, 'looked-at')
    writeFileSync(file, text, { mode: 0o440 })
    const done = spawnSync('visudo', ['-cf', file], { encoding: 'utf8' })
    rmSync(file)
    return done
  }

  /** As guests[].batch.through has it. */
  const through = (...words: readonly string[]) =>
    prefixed(localExecutor({ clock: systemClock }), [...AS_USER, rules, 'sudo', '-n', ...words])

  test('visudo finds no fault with it, and would with another', () => {
    expect(visudo(rights.sudoers)).toMatchObject({ status: 0, stdout: expect.stringContaining('parsed OK') })
    expect(visudo(rights.sudoers.replace('NOPASSWD:', 'NOPASSWORD:')).status).not.toBe(0)
  })

  test('a command of the list runs as the user that is named, without a password', async () => {
    const done = await through(join(dir, 'sublet-rights')).run(['id', '-un'], { signal })
    expect(done).toMatchObject({ exitCode: 0, stdout: 'root\n', stderr: '' })
    // Without the rule the same is refused, so that it is the rule which lets it in.
    const empty = join(dir, 'empty')
    mkdirSync(empty, { mode: 0o755 })
    const words = [...AS_USER.slice(1), empty, 'sudo', '-n', join(dir, 'sublet-rights'), 'id', '-un']
    expect(spawnSync(AS_USER[0], words, { encoding: 'utf8' }).status).toBe(1)
  })

  test('a command that is not on the list is refused by the wrapper, and has not run', async () => {
    const hit = join(dir, 'hit')
    const exec = through(join(dir, 'sublet-rights'))
    for (const argv of [
      ['touch', hit],
      ['qmgr', '-c', 'delete node head'],
      ['sh', '-c', `touch ${hit}`],
    ] as const) {
      const done = await exec.run(argv, { signal })
      expect(done).toMatchObject({ exitCode: 126, stdout: '' })
      expect(done.stderr).toMatch(/^sublet-rights: /)
    }
    expect(existsSync(hit)).toBe(false)
  })

  test.each([
    ['another program', ['id']],
    ['a shell', ['sh', '-c', 'id']],
    ['the wrapper’s own shell', ['sh', '/WRAPPER']],
  ])('%s is refused by sudo itself', (_, words) => {
    const argv = words.map((word) => word.replace('/WRAPPER', join(dir, 'sublet-rights')))
    const done = spawnSync(AS_USER[0], [...AS_USER.slice(1), rules, 'sudo', '-n', ...argv], {
      encoding: 'utf8',
    })
    expect(done).toMatchObject({ status: 1, stdout: '' })
    expect(done.stderr).toContain('password is required')
  })
})
