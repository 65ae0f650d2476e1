import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fingerprint } from '../../actors/runtime/canonical.ts'
import { systemClock } from '../../actors/runtime/clock.ts'
import { sshExecutor } from '../../adapters/exec/ssh.ts'
import { eventually } from './eventually.ts'
import { executorLaw } from './executor.ts'
import { runningWith } from './processes.ts'
import { noSshd, type SshServer, sshServer } from './ssh-server.ts'

const deps = { clock: systemClock }

executorLaw(
  'the ssh executor',
  async () => {
    const server = await sshServer()
    const executor = sshExecutor(server.config, deps)
    const close = async (): Promise<void> => {
      await executor.close()
      await server.close()
    }
    return { executor, runningWith, close }
  },
  noSshd,
)

describe.skipIf(noSshd !== undefined)(`the ssh executor against sshd${noSshd ? ` (${noSshd})` : ''}`, () => {
  let server: SshServer
  beforeAll(async () => {
    server = await sshServer()
  })
  afterAll(async () => {
    await server?.close()
  })
  const soon = (): AbortSignal => AbortSignal.timeout(8000)
  const hello = ['echo', 'hello'] as const

  test('a machine with another host key is never spoken to', async () => {
    const other = fingerprint(Buffer.from('some other key'))
    const executor = sshExecutor(server.configured({ hostKey: other }), deps)
    const refused = { code: 'ssh-host-key', message: expect.stringContaining('SHA256:') }
    await expect(executor.run(hello, { signal: soon() })).rejects.toMatchObject(refused)
    await executor.close()
  })

  test('the fingerprint of the agreed key will do', async () => {
    const key = Buffer.from(server.config.hostKey.split(' ')[1] ?? '', 'base64')
    const executor = sshExecutor(server.configured({ hostKey: fingerprint(key) }), deps)
    expect(await executor.run(hello, { signal: soon() })).toMatchObject({ stdout: 'hello\n' })
    await executor.close()
  })

  test('where nothing listens it is ssh-unreachable, and so is a login that is refused', async () => {
    const nowhere = sshExecutor(server.configured({ port: 1 }), deps)
    await expect(nowhere.run(hello, { signal: soon() })).rejects.toMatchObject({ code: 'ssh-unreachable' })
    const stranger = sshExecutor(server.configured({ user: 'nobody-of-that-name' }), deps)
    await expect(stranger.run(hello, { signal: soon() })).rejects.toMatchObject({
      code: 'ssh-unreachable',
      message: expect.stringContaining('login refused'),
    })
  })

  test('a lost connection rejects what was under way, ends it over there, and the next run opens a new one', async () => {
    const executor = sshExecutor(server.config, deps)
    const lost = executor
      .run(['sleep', '7123.25'], { signal: soon(), timeoutMs: 20_000 })
      .catch((error: unknown) => error)
    await eventually(async () => (await runningWith('7123.25')) > 0, 4000)
    server.cutConnections()
    expect(await lost).toMatchObject({ code: 'ssh-unreachable' })
    await eventually(async () => (await runningWith('7123.25')) === 0, 4000)
    expect(await executor.run(hello, { signal: soon() })).toMatchObject({ stdout: 'hello\n' })
    await executor.close()
  })

  test('small commands are quick: no delay for small packets', async () => {
    const executor = sshExecutor(server.config, deps)
    // With the delay for small packets no single one could be done in less than 40 ms, on whatever machine.
    await eventually(async () => {
      const began = systemClock.monotonic()
      await executor.run(hello, { signal: soon() })
      return systemClock.monotonic() - began < 35
    }, 15_000)
    await executor.close()
  })

  test('what a finished command left running lives on', async () => {
    const executor = sshExecutor(server.config, deps)
    await executor.run(['sh', '-c', 'sleep 1.7421 >/dev/null 2>&1 </dev/null &'], { signal: soon() })
    // The far side's own helpers, which carry the same words, go with the command.
    await eventually(async () => (await runningWith('1.7421')) === 1, 1200)
    expect(await runningWith('1.7421')).toBe(1)
    await executor.close()
    await eventually(async () => (await runningWith('1.7421')) === 0, 5000)
  })
})
