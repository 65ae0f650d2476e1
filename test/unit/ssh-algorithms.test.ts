import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ssh2, { type Algorithms } from 'ssh2'
import { afterAll, expect, test } from 'vitest'
import { fingerprint } from '../../actors/runtime/canonical.ts'
import { systemClock } from '../../actors/runtime/clock.ts'
import { disagreement, offered, weaknessOf } from '../../adapters/exec/algorithms.ts'
import { offerIn } from '../../adapters/exec/offer.ts'
import { sshConfig, sshExecutor } from '../../adapters/exec/ssh.ts'

const dir = mkdtempSync(join(tmpdir(), 'sublet-ssh-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
  type: 'pkcs1',
  format: 'pem',
})
const key = ssh2.utils.parseKey(pem.toString())
if (key instanceof Error) throw key
const publicKey = key.getPublicSSH()
writeFileSync(join(dir, 'key'), pem)

/** A server that speaks `algorithms` only and answers every command with `hello`. */
async function speaking(
  algorithms: Algorithms,
  act: (port: number) => Promise<void>,
  meddle: (client: ssh2.Connection) => void = () => undefined,
): Promise<void> {
  const server = new ssh2.Server({ hostKeys: [pem.toString()], algorithms }, (client) => {
    client.on('error', () => undefined)
    meddle(client)
    client.on('authentication', (asked) => asked.accept())
    client.on('session', (accept) => {
      accept().on('exec', (take) => {
        const channel = take()
        channel.write('hello\n')
        channel.exit(0)
        channel.end()
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await act((server.address() as AddressInfo).port)
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
}

async function ask(
  port: number,
  over: { hostKey?: string; algorithms?: readonly string[] } = {},
): Promise<string> {
  const config = sshConfig.parse({
    ...{ host: '127.0.0.1', port, user: 'ann', privateKeyFile: join(dir, 'key') },
    ...{ hostKey: `ssh-rsa ${publicKey.toString('base64')}`, ...over },
  })
  const executor = sshExecutor(config, { clock: systemClock })
  try {
    return (await executor.run(['echo'], { signal: AbortSignal.timeout(8000) })).stdout
  } finally {
    await executor.close()
  }
}

const OLD: Algorithms = {
  kex: ['diffie-hellman-group1-sha1'],
  serverHostKey: ['ssh-rsa'],
  cipher: ['3des-cbc'],
  hmac: ['hmac-md5'],
}

test('a server that speaks only what is old is spoken to only with all of it allowed by name', () =>
  speaking(OLD, async (port) => {
    const names = ['diffie-hellman-group1-sha1', 'ssh-rsa', '3des-cbc', 'hmac-md5']
    const offers =
      /it offers as key exchange only diffie-hellman-group1-sha1(, [\w.@-]+)*; as host key only ssh-rsa; as cipher only 3des-cbc; as integrity check \(MAC\) only hmac-md5/
    for (const hostKey of [undefined, fingerprint(publicKey)]) {
      const pinned = hostKey === undefined ? {} : { hostKey }
      await expect(ask(port, pinned)).rejects.toMatchObject({
        code: 'ssh-algorithms',
        message: expect.stringMatching(offers),
        cure: expect.stringContaining(`ssh.algorithms: [${names.join(', ')}]`),
      })
      expect(await ask(port, { ...pinned, algorithms: names })).toBe('hello\n')
    }
    await expect(ask(port, { algorithms: names.slice(0, 2) })).rejects.toMatchObject({
      message: expect.stringContaining(
        'it offers as cipher only 3des-cbc; as integrity check (MAC) only hmac-md5',
      ),
      cure: expect.stringContaining(`[${names.join(', ')}]`),
    })
  }))

test('a fingerprint alone lets in no signature with SHA-1', () =>
  speaking({ serverHostKey: ['ssh-rsa'] }, async (port) => {
    const hostKey = fingerprint(publicKey)
    await expect(ask(port, { hostKey })).rejects.toMatchObject({
      code: 'ssh-algorithms',
      cure: expect.stringContaining('ssh.algorithms: [ssh-rsa]'),
    })
    expect(await ask(port, { hostKey, algorithms: ['ssh-rsa'] })).toBe('hello\n')
  }))

test('an RSA host key that signs with SHA-2 needs nothing', () =>
  speaking({ serverHostKey: ['rsa-sha2-256', 'ssh-rsa'] }, async (port) => {
    for (const hostKey of [`ssh-rsa ${publicKey.toString('base64')}`, fingerprint(publicKey)])
      expect(await ask(port, { hostKey })).toBe('hello\n')
  }))

test('our own key signs nothing with SHA-1 for a server that names nothing newer', () => {
  const signed: string[] = []
  // OpenSSH before 7.2 tells of no signatures; the server of the library does, and has to be kept from it.
  const mute = (client: object): void => {
    let kex: object | null | undefined
    Object.defineProperty(Reflect.get(client, '_protocol'), '_kex', {
      get: () => kex,
      set(made: object | null | undefined) {
        if (made)
          Object.defineProperty(made, 'remoteExtInfoEnabled', { get: () => false, set: () => undefined })
        kex = made
      },
    })
    Reflect.get(client, 'prependListener').call(client, 'authentication', (asked: ssh2.AuthContext) => {
      if (asked.method === 'publickey' && asked.signature !== undefined) signed.push(asked.hashAlgo ?? 'sha1')
    })
  }
  return speaking(
    {},
    async (port) => {
      await expect(ask(port)).rejects.toMatchObject({
        code: 'ssh-algorithms',
        message: expect.stringContaining('with SHA-1 only'),
        cure: expect.stringContaining('ssh.algorithms: [ssh-rsa]'),
      })
      expect(signed).toEqual([])
      expect(await ask(port, { algorithms: ['ssh-rsa'] })).toBe('hello\n')
      expect(signed).toEqual(['sha1'])
    },
    mute,
  )
})

test('an agreed key of an old kind is refused before anything is dialled', async () => {
  await expect(ask(1, { hostKey: 'ssh-dss AAAA' })).rejects.toMatchObject({
    code: 'ssh-algorithms',
    cure: expect.stringContaining('ssh.algorithms: [ssh-dss]'),
  })
})

test('a key file that holds no key is a mistake of the configuration', async () => {
  writeFileSync(join(dir, 'none'), 'no key\n')
  const config = sshConfig.parse({
    ...{ host: '127.0.0.1', port: 1, user: 'ann', privateKeyFile: join(dir, 'none') },
    hostKey: fingerprint(publicKey),
  })
  const ran = sshExecutor(config, { clock: systemClock }).run(['echo'], { signal: AbortSignal.timeout(8000) })
  await expect(ran).rejects.toMatchObject({
    code: 'config-invalid',
    message: expect.stringContaining('no private key'),
  })
})

test('nothing that is offered unasked has a weakness, and what is allowed comes last', () => {
  const unasked = Object.values(offered([], undefined)).flat()
  expect(unasked.filter((name) => /sha1|cbc|md5|group-exchange|^ssh-(rsa|dss)$/.test(name))).toEqual([])
  expect(offered(['hmac-sha1'], undefined).hmac.at(-1)).toBe('hmac-sha1')
  expect(offered([], 'ssh-rsa').serverHostKey).toEqual(['rsa-sha2-512', 'rsa-sha2-256'])
  expect(offered(['ssh-rsa'], 'ssh-rsa').serverHostKey.at(-1)).toBe('ssh-rsa')
  expect(weaknessOf('ssh-rsa')).toContain('SHA-1')
})

test('the configuration takes names of old algorithms only', () => {
  const config = { host: 'head', user: 'u', privateKeyFile: 'k', hostKey: `ssh-rsa ${'A'.repeat(8)}` }
  for (const name of ['aes128-ctr', 'all', ''])
    expect(sshConfig.safeParse({ ...config, algorithms: [name] }).success).toBe(false)
  expect(sshConfig.parse(config).algorithms).toEqual([])
})

test('what nobody can allow has another cure, and a hostile name is not printed as it is', () => {
  const offer = {
    ...{ kex: ['curve25519-sha256'], serverHostKey: ['ssh-ed25519'], cipher: ['aes128-gcm@openssh.com'] },
    hmac: [],
  }
  expect(disagreement({ offer, allowed: [], agreed: undefined })).toBeUndefined()
  const strange = { ...offer, cipher: ['\u001b[2Jarcfour'] }
  expect(disagreement({ offer: strange, allowed: [], agreed: undefined })).toEqual({
    offers: 'as cipher only ??2Jarcfour; as integrity check (MAC) only nothing',
    allow: undefined,
  })
})

test('a first packet is read only when it is whole, and one that lies of its lengths ends the reading', () => {
  const list = (names: string): Buffer => Buffer.concat([uint32(names.length), Buffer.from(names)])
  const body = Buffer.concat([
    ...[
      Buffer.from([4, 20]),
      Buffer.alloc(16),
      list('a,b'),
      list('c'),
      list('d'),
      list('e'),
      list('f,g'),
      list('h'),
    ],
    Buffer.alloc(4),
  ])
  const whole = Buffer.concat([Buffer.from('motd\r\nSSH-2.0-OpenSSH_5.3\r\n'), uint32(body.length), body])
  expect(offerIn(whole)).toEqual({ kex: ['a', 'b'], serverHostKey: ['c'], cipher: ['d'], hmac: ['f', 'g'] })
  for (let length = 0; length < whole.length; length++)
    expect(offerIn(whole.subarray(0, length))).toBeUndefined()
  const lying = Buffer.concat([
    Buffer.from('SSH-2.0-x\r\n'),
    uint32(22),
    Buffer.from([4, 20]),
    Buffer.alloc(16),
    uint32(0xffffffff),
  ])
  expect(offerIn(lying)).toEqual({ kex: [], serverHostKey: [], cipher: [], hmac: [] })
})

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
