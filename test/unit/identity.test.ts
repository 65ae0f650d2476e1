import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  ed25519Identity,
  ed25519Trust,
  generateKeys,
  type Identity,
  type KeyRing,
  pemOf,
  publicKeyOf,
  type TrustedKey,
} from '../../actors/runtime/identity.ts'
import { STRANGERS_MAX, STRANGERS_NAME_MAX } from '../../actors/runtime/strangers.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'

interface Kind {
  readonly identity: (name: string) => Identity
  readonly trust: (keys: Record<string, readonly TrustedKey[]>) => KeyRing
}

let made = 0

const KINDS: Record<string, Kind> = {
  'of Ed25519': {
    identity: (name) => ed25519Identity(name, generateKeys().privateKey),
    trust: (keys) => ed25519Trust(keys),
  },
  'of the simulator': {
    identity: (name) => cheapIdentity(name, cheapKey(name, String(++made))),
    trust: (keys) => cheapTrust(Object.keys(keys), keys),
  },
}

describe.each(Object.entries(KINDS))('a key %s', (_, { identity, trust }) => {
  test('is 43 characters, and its signature is checked by it alone', () => {
    const [a, b] = [identity('a'), identity('a')]
    const ring = trust({ a: [{ key: a.key }] })
    expect(a.key).toMatch(/^[\w-]{43}$/)
    const signature = a.sign('text')
    expect(ring.verifyBy(a.key, 'text', signature)).toBe(true)
    expect(ring.verify('a', 'text', signature)).toBe(true)
    for (const [key, text] of [
      [b.key, 'text'],
      [a.key, 'other'],
      ['', 'text'],
      [`${a.key}=`, 'text'],
      ['x'.repeat(43), 'text'],
    ] as const)
      expect(ring.verifyBy(key, text, signature)).toBe(false)
    expect(ring.verify('b', 'text', signature)).toBe(false)
    expect(ring.verify('a', 'text', b.sign('text'))).toBe(false)
  })

  test('is good within its time, and overlaps with the one that follows', () => {
    const [old, young] = [identity('a'), identity('a')]
    const ring = trust({
      a: [
        { key: old.key, notAfter: 200 },
        { key: young.key, notBefore: 100 },
      ],
    })
    const at = (now: number) => [old, young].map(({ key }) => ring.doubtKey('a', key, now))
    expect(at(99)).toEqual([undefined, 'message-key-expired'])
    expect(at(100)).toEqual([undefined, undefined])
    expect(at(200)).toEqual(['message-key-expired', undefined])
    expect([ring.hasKey('a', old.key, 199), ring.hasKey('a', old.key, 200)]).toEqual([true, false])
    expect(ring.doubtKey('a', identity('a').key, 150)).toBe('message-unknown-key')
    expect(ring.doubtKey('b', old.key, 150)).toBe('message-unknown-peer')
    const signature = old.sign('text')
    expect([150, 250, undefined].map((now) => ring.verify('a', 'text', signature, now))).toEqual([
      ...[true, false, true],
    ])
  })

  test('is trusted from when it is set, and no more when it is taken away', () => {
    const a = identity('a')
    const ring = trust({})
    expect([ring.knows('a'), ring.keysOf('a')]).toEqual([false, []])
    ring.set('a', [{ key: a.key }])
    expect([ring.knows('a'), ring.hasKey('a', a.key, 0)]).toEqual([true, true])
    ring.set('a', [])
    expect([ring.knows('a'), ring.verify('a', 'x', a.sign('x'))]).toEqual([false, false])
  })

  test('that is not trusted is remembered until it is', () => {
    const a = identity('a')
    const ring = trust({})
    ring.remember('a', a.key, 1)
    ring.remember('a', a.key, 5)
    expect(ring.strangers()).toEqual([{ name: 'a', key: a.key, firstAt: 1, lastAt: 5, times: 2 }])
    ring.set('a', [{ key: a.key }])
    expect(ring.strangers()).toEqual([])
  })
})

describe('the memory of strangers', () => {
  test('has a bound, and one name does not push out the others', () => {
    const ring = ed25519Trust({})
    ring.remember('honest', 'key', 0)
    for (let i = 0; i < 1_000; i++) ring.remember('flood', `key ${i}`, i)
    const names = (): string[] => ring.strangers().map(({ name }) => name)
    expect(names()).toEqual(['honest', ...Array(STRANGERS_NAME_MAX).fill('flood')])
    for (let i = 0; i < 1_000; i++) ring.remember(`other ${i}`, 'key', i)
    expect(ring.strangers()).toHaveLength(STRANGERS_MAX)
    expect(names().at(-1)).toBe('other 999')
  })
})

describe('a key', () => {
  test('is the same in a PEM of either half and as base64url', () => {
    const { privateKey, publicKey } = generateKeys()
    const key = publicKeyOf(publicKey)
    expect([publicKeyOf(privateKey), ed25519Identity('a', privateKey).key]).toEqual([key, key])
    expect(pemOf(key)).toBe(publicKey)
    const signature = ed25519Identity('a', privateKey).sign('text')
    for (const spelling of [key, publicKey])
      expect(ed25519Trust({ a: spelling }).verify('a', 'text', signature)).toBe(true)
  })

  test('of another kind, or none at all, is refused with a cure', () => {
    const other = generateKeyPairSync('x25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    for (const text of [other.publicKey, 'nothing', ''])
      expect(() => publicKeyOf(text)).toThrow(expect.objectContaining({ code: 'key-invalid' }))
    expect(() => pemOf('short')).toThrow(expect.objectContaining({ code: 'key-invalid' }))
  })
})
