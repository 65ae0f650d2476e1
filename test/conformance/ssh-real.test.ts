import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fingerprint } from '../../actors/runtime/canonical.ts'
import { systemClock } from '../../actors/runtime/clock.ts'
import { type SshConfig, sshExecutor } from '../../adapters/exec/ssh.ts'
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

describe.skipIf(noSshd !== undefined)(`an old sshd${noSshd ? ` (${noSshd})` : ''}`, () => {
  const soon = (): AbortSignal => AbortSignal.timeout(8000)
  const hello = ['echo', 'hello'] as const

  /** What `ssh-keygen` and sshd of Debian can still be told to do, asked with `algorithms`. */
  async function withOld(
    settings: readonly string[],
    act: (server: SshServer, ask: (over?: Partial<SshConfig>) => Promise<string>) => Promise<void>,
  ): Promise<void> {
    const server = await sshServer({ keys: 'rsa', settings })
    try {
      await act(server, async (over = {}) => {
        const executor = sshExecutor(server.configured(over), deps)
        try {
          return (await executor.run(hello, { signal: soon() })).stdout
        } finally {
          await executor.close()
        }
      })
    } finally {
      await server.close()
    }
  }
  const FOR_5_3 = ['diffie-hellman-group14-sha1', 'ssh-rsa', 'hmac-sha1']
  const fingerprintOf = (server: SshServer): string =>
    fingerprint(Buffer.from(server.config.hostKey.split(' ')[1] ?? '', 'base64'))

  test('one that speaks nothing of today is refused with what it offers, and let in by the line that says so', () =>
    withOld(
      [
        'HostKeyAlgorithms ssh-rsa',
        'KexAlgorithms diffie-hellman-group1-sha1,diffie-hellman-group14-sha1',
        'Ciphers 3des-cbc,aes128-cbc',
        'MACs hmac-md5,hmac-sha1',
      ],
      async (server, ask) => {
        const named = 'diffie-hellman-group14-sha1, ssh-rsa, aes128-cbc, hmac-sha1'
        const hostKey = fingerprintOf(server)
        for (const over of [{}, { hostKey }])
          await expect(ask(over)).rejects.toMatchObject({
            code: 'ssh-algorithms',
            message: expect.stringContaining(
              'as key exchange only diffie-hellman-group1-sha1, diffie-hellman-group14-sha1',
            ),
            cure: expect.stringContaining(`ssh.algorithms: [${named}]`),
          })
        const algorithms = named.split(', ')
        for (const over of [{ algorithms }, { algorithms, hostKey }]) expect(await ask(over)).toBe('hello\n')
        // Each of them is needed: none lets in another.
        for (const left of algorithms)
          await expect(ask({ algorithms: algorithms.filter((name) => name !== left) })).rejects.toMatchObject(
            {
              code: 'ssh-algorithms',
              cure: expect.stringContaining(left),
            },
          )
      },
    ))

  test('what OpenSSH 5.3 offers needs its key exchange, host key and integrity check to be allowed, and nothing else', () =>
    withOld(
      [
        'HostKeyAlgorithms ssh-rsa',
        'KexAlgorithms diffie-hellman-group-exchange-sha256,diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha1,diffie-hellman-group1-sha1',
        'Ciphers aes128-ctr,aes192-ctr,aes256-ctr,aes128-cbc,3des-cbc,aes192-cbc,aes256-cbc',
        'MACs hmac-md5,hmac-sha1,umac-64@openssh.com,hmac-sha1-96,hmac-md5-96',
      ],
      async (_, ask) => {
        await expect(ask()).rejects.toMatchObject({
          code: 'ssh-algorithms',
          cure: expect.stringContaining(`ssh.algorithms: [${FOR_5_3.join(', ')}]`),
        })
        expect(await ask({ algorithms: FOR_5_3 })).toBe('hello\n')
      },
    ))

  test('what OpenSSH 7.4 offers needs nothing, with an RSA host key and an RSA key of ours', () =>
    withOld(
      [
        'HostKeyAlgorithms rsa-sha2-512,rsa-sha2-256,ssh-rsa',
        'KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha1',
        'Ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com,aes128-cbc',
        'MACs umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha1',
      ],
      async (server, ask) => {
        for (const over of [{}, { hostKey: fingerprintOf(server) }]) expect(await ask(over)).toBe('hello\n')
      },
    ))

  test('a host key is not signed for with SHA-1 because only its fingerprint was agreed', () =>
    withOld(['HostKeyAlgorithms ssh-rsa'], async (server, ask) => {
      const hostKey = fingerprintOf(server)
      await expect(ask({ hostKey })).rejects.toMatchObject({ code: 'ssh-algorithms' })
      expect(await ask({ hostKey, algorithms: ['ssh-rsa'] })).toBe('hello\n')
    }))

  test('a server that makes up its groups holds nothing: they are never asked for', () =>
    withOld(['KexAlgorithms diffie-hellman-group-exchange-sha256'], async (_, ask) => {
      await expect(ask()).rejects.toMatchObject({
        code: 'ssh-algorithms',
        message: expect.stringContaining('as key exchange only diffie-hellman-group-exchange-sha256'),
        cure: expect.stringContaining('Nothing of that can be allowed'),
      })
    }))
})
