import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { farHead } from '../../adapters/exec/far-head.ts'
import { netnsDoor } from '../../adapters/exec/netns-door.ts'
import { type SshConfig, sshExecutor } from '../../adapters/exec/ssh.ts'
import type { Executor } from '../../adapters/executor.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridenginePrivileges } from '../../adapters/gridengine/privileges.ts'
import { wrapper } from '../../deploy/rights/wrapper.ts'
import { type BatchBench, batchSystemLaw } from './batch-system.ts'
import { gridengineSkip, never, openLab, title } from './gridengine-bench.ts'
import { lawBench, lawConfig } from './gridengine-law.ts'
import { sshServer } from './ssh-server.ts'

/** On the head, an ordinary user who is a manager of GridEngine. */
const USER = { name: 'sublet-lent', uid: 54_323 }

interface Open {
  readonly bench: BatchBench
  readonly exec: Executor
  /** Commands of the admin's, on the head. */
  readonly admin: (line: string) => Promise<string>
}

/** A GridEngine whose head is reached by its sshd only, by a key that may run the wrapper and nothing else. */
async function open(runId: string): Promise<Open> {
  const lab = await openLab(runId)
  const passwd = join(lab.dir, 'passwd')
  // GridEngine asks for the name of the group, too: Debian’s `nogroup`.
  const line = `${USER.name}:*:${USER.uid}:65534::/:/bin/sh`
  writeFileSync(passwd, `${readFileSync('/etc/passwd', 'utf8').trimEnd()}\n${line}\n`)
  const admin = (command: string): Promise<string> => lab.shell(command, never)
  await admin(`mount --bind ${passwd} /etc/passwd`)
  await admin(`qconf -am ${USER.name}`)

  const config = lawConfig(lab)
  const forced = join(lab.dir, 'sublet-rights')
  const privileges = gridenginePrivileges(config, 'g[0-9]+')
  writeFileSync(forced, wrapper({ privileges, title: 'a test', path: '/usr/sbin:/usr/bin:/sbin:/bin' }))
  chmodSync(forced, 0o755)
  const door = netnsDoor(`sublet-${runId}`)
  const server = await sshServer({
    forced,
    user: USER.name,
    through: [...lab.throughHead(), 'sh', '-c', 'mkdir -p /run/sshd && exec "$@"', 'sh'],
    connect: door.connect,
  })
  const head = (ssh: SshConfig) => farHead(sshExecutor(ssh, { clock: systemClock, connect: door.connect }))
  const exec = head(server.config)
  const bench = lawBench(lab, config, {
    exec,
    // Nobody listens there.
    unreachable: () => gridengine(config, head(server.configured({ port: 1 })), { clock: systemClock }),
    close: async () => {
      await exec.close()
      await server.close()
      await door.close()
    },
  })
  return { bench, exec, admin }
}

batchSystemLaw(
  title('GridEngine 8.1.9 over ssh, as a manager with a key that may run the wrapper only'),
  async () => (await open('lawr')).bench,
  { skip: gridengineSkip },
)

describe.skipIf(gridengineSkip !== undefined)(
  title('with a key to GridEngine’s head'),
  { timeout: 60_000 },
  () => {
    let at: Open
    beforeAll(async () => {
      at = await open('sshg')
    }, 120_000)
    afterAll(() => at?.bench.close(), 60_000)

    const env = (): Readonly<Record<string, string>> => ({ LC_ALL: 'C' })
    const run = (...argv: readonly [string, ...string[]]) => at.exec.run(argv, { signal: never, env: env() })

    test.each<readonly [string, readonly [string, ...string[]]]>([
      ['another manager', ['/usr/lib/gridengine/qconf', '-am', 'eve']],
      ['the end of an execution host that is the admin’s', ['/usr/lib/gridengine/qconf', '-de', 'static1']],
      ['the end of qmaster', ['/usr/lib/gridengine/qconf', '-km']],
      ['a program', ['id']],
    ])('%s is refused by the wrapper, and nothing of it is done', async (_, argv) => {
      const done = await run(...argv)
      expect(done).toMatchObject({ exitCode: 126, stdout: '' })
      expect(done.stderr).toMatch(/^sublet-rights: /)
      expect(await at.admin('qconf -sm')).not.toContain('eve')
      expect(await at.admin('qconf -sel')).toContain('static1')
    })

    test('the same is refused by GridEngine of one who is no manager', async () => {
      await at.admin(`qconf -dm ${USER.name}`)
      const [name = ''] = at.bench.names
      await expect(at.bench.system.expect(at.bench.node(name), never)).rejects.toMatchObject({
        code: 'middleware-refused',
      })
      await at.admin(`qconf -am ${USER.name}`)
    })
  },
)
