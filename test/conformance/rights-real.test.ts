import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { sshExecutor } from '../../adapters/exec/ssh.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { torquePrivileges } from '../../adapters/torque/privileges.ts'
import { wrapper } from '../../deploy/rights/wrapper.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'
import { openTorqueBench, type TorqueBench } from '../emulated/torque/bench.ts'
import { type BatchBench, batchSystemLaw } from './batch-system.ts'
import { eventually } from './eventually.ts'
import { noSshd, type SshServer, sshServer } from './ssh-server.ts'

/** Nobody else has it, so that what it left behind can be counted. */
const ACCOUNT = { name: 'sublet-lent', uid: 54_321 }
const WRAPPER = join(tmpdir(), `sublet-rights-${process.pid}`)

/** Sublet’s user is one that has no rights but those of its key, and is a manager of Torque. */
async function withKey(): Promise<{ bench: TorqueBench & BatchBench; server: SshServer }> {
  const server = await sshServer({
    account: ACCOUNT,
    forced: WRAPPER,
    // Whom the emulated server takes it for, as the real one would by trqauthd.
    env: { EMULATED_USER: ACCOUNT.name },
  })
  const ssh = sshExecutor(server.config, { clock: systemClock })
  const bench = await openTorqueBench('6.1.3', ({ PATH }) => {
    const privileges = torquePrivileges(torqueConfig.parse({}), 'n[0-9]+')
    writeFileSync(WRAPPER, wrapper({ privileges, title: 'a test', path: PATH ?? '' }))
    chmodSync(WRAPPER, 0o755)
    return ssh
  })
  bench.server.managers.add(ACCOUNT.name)
  chmodSync(bench.dir, 0o755)
  const close = async (): Promise<void> => {
    await bench.close()
    await ssh.close()
    await server.close()
    rmSync(WRAPPER, { force: true })
  }
  return { bench: { ...bench, close }, server }
}

const skip = noSshd ?? (cannotBeRoot ? 'an account of its own needs root' : undefined)
const title = `Torque 6.1.3, emulated, over ssh with a key that may run the wrapper only ${AS_ROOT}`

batchSystemLaw(title, async () => (await withKey()).bench, {
  skip,
  untold: ['collecting', 'events'],
})

describe.skipIf(skip !== undefined)(`with that key ${AS_ROOT}`, () => {
  let open: Awaited<ReturnType<typeof withKey>>
  beforeAll(async () => {
    open = await withKey()
  })
  afterAll(() => open.bench.close())

  /** What a person with the key in her hands would try. */
  const ssh = (...words: readonly string[]) => {
    const { port, user, privateKeyFile } = open.server.config
    const options = ['-p', String(port), '-i', privateKeyFile, '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR']
    const known = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-F', 'none']
    return spawnSync('ssh', [...options, ...known, `${user}@127.0.0.1`, ...words], {
      encoding: 'utf8',
      input: '',
    })
  }

  test.each([
    ['a command', ['id']],
    ['a shell', []],
    ['a command of Torque’s that is not listed', ['qmgr', '-c', "'set server managers += me@head'"]],
    ['a listed one as a person would type it', ['qstat', '-x', '-t']],
    ['two', ['id', ';', 'touch', '/tmp/hit']],
  ])('%s is refused', (_, words) => {
    expect(ssh(...words)).toMatchObject({ status: 126, stdout: '' })
    expect(ssh(...words).stderr).toMatch(/^sublet-rights: /)
  })

  test('what Sublet sends is refused if it is not listed', async () => {
    const exec = sshExecutor(open.server.config, { clock: systemClock })
    const file = join(open.bench.dir, 'hit')
    const { signal } = new AbortController()
    expect(await exec.run(['touch', file], { signal })).toMatchObject({ exitCode: 126 })
    expect(await exec.run(['qmgr', '-c', 'delete node static1'], { signal })).toMatchObject({ exitCode: 126 })
    expect(existsSync(file)).toBe(false)
    expect(open.bench.server.nodes.has('static1')).toBe(true)
    await exec.close()
  })

  test('no port is forwarded', () => {
    const { port, user, privateKeyFile } = open.server.config
    const known = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-F', 'none']
    const to = ['-W', `127.0.0.1:${port}`, `${user}@127.0.0.1`]
    const done = spawnSync(
      'ssh',
      ['-p', String(port), '-i', privateKeyFile, '-o', 'BatchMode=yes', ...known, ...to],
      {
        encoding: 'utf8',
      },
    )
    expect(done.status).not.toBe(0)
    expect(done.stdout).toBe('')
  })

  test('a command past its time is ended there', async () => {
    const exec = sshExecutor(open.server.config, { clock: systemClock })
    const hang = join(open.bench.dir, 'hang')
    const env = { LC_ALL: 'C', TZ: 'UTC0' }
    const running = (): string => execFileSync('ps', ['-eo', 'uid=,args='], { encoding: 'utf8' })
    const left = (): boolean => new RegExp(`^ *${ACCOUNT.uid} (?!sshd).*sleep 7200`, 'm').test(running())
    writeFileSync(hang, '')
    try {
      const asked = exec.run(['qstat', '-x', '-t'], {
        signal: new AbortController().signal,
        timeoutMs: 1500,
        env,
      })
      const failed = expect(asked).rejects.toMatchObject({ code: 'exec-timeout' })
      await eventually(async () => left(), 5000)
      await failed
      await eventually(async () => !left(), 5000)
      expect(left()).toBe(false)
    } finally {
      rmSync(hang)
      await exec.close()
    }
  })
})
