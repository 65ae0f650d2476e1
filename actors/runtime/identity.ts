import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import type { Instant } from './clock.ts'
import { SubletError } from './errors.ts'
import { type Stranger, Strangers } from './strangers.ts'

/** An actor's name on the network, such as `broker-a`. */
export type ActorName = string

/** A public key: the 32 bytes of Ed25519 as base64url, 43 characters. A key is who somebody is; a name is how he is called. */
export type PublicKey = string

/** Signs as one actor. */
export interface Identity {
  readonly name: ActorName
  /** What its signatures are checked with. Another one after a key was changed: read it for each signature. */
  readonly key: PublicKey
  /** The key is of no use from then on. */
  readonly notAfter?: Instant | undefined
  sign(text: string): string
}

/** A key that a name may sign with in [notBefore, notAfter); without them, always. */
export interface TrustedKey {
  readonly key: PublicKey
  readonly notBefore?: Instant | undefined
  readonly notAfter?: Instant | undefined
}

/** Why a key is not one that its name may sign with. */
export type KeyDoubt = 'message-unknown-peer' | 'message-unknown-key' | 'message-key-expired'

/**
 * Knows the keys of the actors that are trusted. A name has several while one follows another:
 *
 *   key A   ────────────────────────┤ notAfter
 *   key B            notBefore ├──────────────────────
 *                              both are good
 */
export interface Trust {
  knows(name: ActorName): boolean
  keysOf(name: ActorName): readonly TrustedKey[]
  /** Why the name may not sign with this key now; undefined if it may. */
  doubtKey(name: ActorName, key: PublicKey, now: Instant): KeyDoubt | undefined
  /** Whether the name may sign with this key now. */
  hasKey(name: ActorName, key: PublicKey, now: Instant): boolean
  /** Whether a key of the name made the signature, one that is good now if `now` is given. False for an unknown name. */
  verify(name: ActorName, text: string, signature: string, now?: Instant): boolean
  /** Whether this key made the signature, whoever has it. */
  verifyBy(key: PublicKey, text: string, signature: string): boolean
  /** Remembers one that showed a key which is not trusted, for a person to look at; bounded. */
  remember(name: ActorName, key: PublicKey, now: Instant): void
  /** Those that were remembered and are not trusted since. */
  strangers(): readonly Stranger[]
}

/** A trust whose keys can be changed while actors run. */
export interface KeyRing extends Trust {
  /** The keys of the name from now on; none makes it unknown. */
  set(name: ActorName, keys: readonly TrustedKey[]): void
}

export interface KeyPair {
  /** PKCS#8 PEM. Secret: a file of mode 0600, never a value in a message, log or property. */
  readonly privateKey: string
  /** SPKI PEM. */
  readonly publicKey: string
}

export function generateKeys(): KeyPair {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
}

/** The public key of a PEM, be it of a public or of a private key. */
export function publicKeyOf(pem: string): PublicKey {
  try {
    const { crv, x } = createPublicKey(pem).export({ format: 'jwk' })
    if (crv === 'Ed25519' && x !== undefined) return x
  } catch (error) {
    throw new SubletError('key-invalid', 'the text is not the PEM of a key', { cause: error })
  }
  throw new SubletError('key-invalid', 'the PEM is of another kind of key than Ed25519')
}

/** The SPKI PEM of a public key. */
export function pemOf(key: PublicKey): string {
  const object = keyObject(key)
  if (object === undefined) throw new SubletError('key-invalid', `“${key.slice(0, 80)}” is not a public key`)
  return object.export({ type: 'spki', format: 'pem' }) as string
}

/** Ed25519 over the UTF-8 of the text; signatures are base64url. `privateKey` is a PEM. */
export function ed25519Identity(name: ActorName, privateKey: string, notAfter?: Instant): Identity {
  const secret = createPrivateKey(privateKey)
  return {
    ...{ name, key: publicKeyOf(privateKey), notAfter },
    sign: (text) => sign(null, Buffer.from(text), secret).toString('base64url'),
  }
}

/** Keys as base64url or PEM; one alone is good always. */
export function ed25519Trust(keys: Readonly<Record<ActorName, string | readonly TrustedKey[]>>): KeyRing {
  const read = (key: string): PublicKey => (key.startsWith('-----') ? publicKeyOf(key) : key)
  const ring = Object.entries(keys).map(([name, some]): [ActorName, readonly TrustedKey[]] => [
    name,
    typeof some === 'string' ? [{ key: read(some) }] : some.map((one) => ({ ...one, key: read(one.key) })),
  ])
  return keyRing(ring, verifyEd25519)
}

/** A trust over any way of signing. `check` says whether a key made a signature. */
export function keyRing(
  given: Iterable<readonly [ActorName, readonly TrustedKey[]]>,
  check: (key: PublicKey, text: string, signature: string) => boolean,
): KeyRing {
  const keys = new Map<ActorName, readonly TrustedKey[]>(given)
  const strangers = new Strangers()
  const keysOf = (name: ActorName): readonly TrustedKey[] => keys.get(name) ?? []
  const doubtKey = (name: ActorName, key: PublicKey, now: Instant): KeyDoubt | undefined => {
    if (!keys.has(name)) return 'message-unknown-peer'
    const known = keysOf(name).filter((one) => one.key === key)
    if (known.some((one) => isGood(one, now))) return undefined
    return known.length > 0 ? 'message-key-expired' : 'message-unknown-key'
  }
  return {
    ...{ keysOf, doubtKey, verifyBy: check },
    knows: (name) => keys.has(name),
    hasKey: (name, key, now) => doubtKey(name, key, now) === undefined,
    verify: (name, text, signature, now) =>
      keysOf(name).some((one) => (now === undefined || isGood(one, now)) && check(one.key, text, signature)),
    remember: (name, key, now) => strangers.remember(name, key, now),
    strangers: () => strangers.all().filter(({ name, key }) => !keysOf(name).some((one) => one.key === key)),
    set(name, trusted) {
      if (trusted.length === 0) keys.delete(name)
      else keys.set(name, trusted)
    },
  }
}

const isGood = ({ notBefore = -Infinity, notAfter = Infinity }: TrustedKey, now: Instant): boolean =>
  notBefore <= now && now < notAfter

function verifyEd25519(key: PublicKey, text: string, signature: string): boolean {
  const object = keyObject(key)
  const bytes = Buffer.from(signature, 'base64url')
  // One signature has one spelling: decoding forgives much, so it is spelled again and compared.
  if (object === undefined || bytes.length !== 64 || bytes.toString('base64url') !== signature) return false
  return verify(null, Buffer.from(text), object, bytes)
}

/** Keys that were read already: reading one costs as much as a tenth of a check. */
const KEYS_READ_MAX = 1_000
const keysRead = new Map<PublicKey, KeyObject>()

/** Undefined for what is not a key in its one spelling. */
function keyObject(key: PublicKey): KeyObject | undefined {
  const read = keysRead.get(key)
  if (read !== undefined) return read
  const bytes = Buffer.from(key, 'base64url')
  if (bytes.length !== 32 || bytes.toString('base64url') !== key) return undefined
  const object = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key }, format: 'jwk' })
  if (keysRead.size >= KEYS_READ_MAX) keysRead.clear()
  keysRead.set(key, object)
  return object
}
