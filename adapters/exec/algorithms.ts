import type { CipherAlgorithm, KexAlgorithm, MacAlgorithm, ServerHostKeyAlgorithm } from 'ssh2'
import { z } from 'zod'

/** What a connection is agreed on, by the names of the library. */
interface Lists {
  kex: KexAlgorithm[]
  serverHostKey: ServerHostKeyAlgorithm[]
  cipher: CipherAlgorithm[]
  hmac: MacAlgorithm[]
}
type Kind = keyof Lists

/**
 * Spoken unasked, the best first. The library’s own lists have SHA-1 in them, and key exchange with groups that the server
 * makes up (group-exchange): to check such a group holds the whole process for seconds, of 8192 bits for minutes, before
 * it is known whose server it is. So do the largest of the fixed groups for a part of a second.
 */
const TODAY: Readonly<Lists> = {
  kex: [
    'curve25519-sha256@libssh.org',
    'curve25519-sha256',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group14-sha256',
    'diffie-hellman-group16-sha512',
  ],
  serverHostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
    'chacha20-poly1305@openssh.com',
  ],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
}

/** What old sshds speak and a configuration may allow by name, the better first; and what is wrong with each. */
const OLD: { readonly [K in Kind]: readonly (readonly [Lists[K][number], string])[] } = {
  kex: [
    ['diffie-hellman-group14-sha1', 'it relies on SHA-1'],
    ['diffie-hellman-group1-sha1', 'its group of 1024 bits can be broken'],
  ],
  serverHostKey: [
    ['ssh-rsa', 'its signatures are of SHA-1, which can be forged'],
    ['ssh-dss', 'its keys of 1024 bits can be broken'],
  ],
  cipher: [
    ['aes256-cbc', 'its mode, CBC, lets parts of what is said be found out'],
    ['aes192-cbc', 'its mode, CBC, lets parts of what is said be found out'],
    ['aes128-cbc', 'its mode, CBC, lets parts of what is said be found out'],
    ['3des-cbc', 'its blocks are short, and its mode, CBC, lets parts of what is said be found out'],
  ],
  hmac: [
    ['hmac-sha1-etm@openssh.com', 'it relies on SHA-1'],
    ['hmac-sha1', 'it relies on SHA-1'],
    ['hmac-sha1-96', 'it relies on SHA-1, cut short'],
    ['hmac-md5', 'it relies on MD5'],
  ],
}

const KINDS = ['kex', 'serverHostKey', 'cipher', 'hmac'] as const satisfies readonly Kind[]
const IN_WORDS: Readonly<Record<Kind, string>> = {
  kex: 'key exchange',
  serverHostKey: 'host key',
  cipher: 'cipher',
  hmac: 'integrity check (MAC)',
}

const OLD_ONES: readonly (readonly [string, string])[] = [
  ...OLD.kex,
  ...OLD.serverHostKey,
  ...OLD.cipher,
  ...OLD.hmac,
]
const NAMES = OLD_ONES.map(([name]) => name)

/** Old algorithms that one machine may be spoken to with, each by its name. */
export const algorithms = z
  .array(z.enum(NAMES, { error: `expected the name of an old algorithm, one of ${NAMES.join(', ')}` }))
  .max(NAMES.length)
  .default([])

/** Why it is not offered unasked. */
export const weaknessOf = (algorithm: string): string =>
  OLD_ONES.find(([name]) => name === algorithm)?.[1] ?? 'it is not known'

/** Today’s, then those that are allowed. `agreed`: the kind of the host key, where it is known. */
export function offered(allowed: readonly string[], agreed: string | undefined): Lists {
  const both = <T extends string>(today: readonly T[], old: readonly (readonly [T, string])[]): T[] => [
    ...today,
    ...old.map(([name]) => name).filter((name) => allowed.includes(name)),
  ]
  return {
    kex: both(TODAY.kex, OLD.kex),
    serverHostKey: both(TODAY.serverHostKey, OLD.serverHostKey).filter(
      (name) => agreed === undefined || keyOf(name) === agreed,
    ),
    cipher: both(TODAY.cipher, OLD.cipher),
    hmac: both(TODAY.hmac, OLD.hmac),
  }
}

/** A key of kind `ssh-rsa` signs with SHA-1 or, newer, with SHA-2. */
const keyOf = (algorithm: string): string => (algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm)

/** What a server says of itself before anything is agreed on. */
export type Offer = Readonly<Record<Kind, readonly string[]>>

export interface Disagreement {
  /** What it offers instead, kind by kind, in words. */
  readonly offers: string
  /** Names that would have to be allowed, one of each kind; undefined if nothing that can be allowed would do. */
  readonly allow: readonly string[] | undefined
}

/** GCM and ChaCha20 check what they carry themselves. */
const NEEDS_NO_MAC = /-gcm@|^chacha20-/

/** Where a server and we have nothing in common; undefined if we have. */
export function disagreement({
  offer,
  allowed,
  agreed,
}: {
  readonly offer: Offer
  readonly allowed: readonly string[]
  readonly agreed: string | undefined
}): Disagreement | undefined {
  const ours: Offer = offered(allowed, agreed)
  const common = (kind: Kind): string | undefined => ours[kind].find((name) => offer[kind].includes(name))
  const checksItself = NEEDS_NO_MAC.test(common('cipher') ?? '')
  const apart = KINDS.filter((kind) => common(kind) === undefined && !(kind === 'hmac' && checksItself))
  if (apart.length === 0) return undefined
  const canBe = (kind: Kind, name: string): boolean =>
    offer[kind].includes(name) && (kind !== 'serverHostKey' || agreed === undefined || name === agreed)
  const allow = apart.flatMap(
    (kind) => OLD[kind].map(([name]) => name).find((name) => canBe(kind, name)) ?? [],
  )
  return {
    offers: apart.map((kind) => `as ${IN_WORDS[kind]} only ${inWords(offer[kind])}`).join('; '),
    allow: allow.length === apart.length ? allow : undefined,
  }
}

const SAID_MAX = 20

/** Said by somebody who is not known yet. */
const inWords = (names: readonly string[]): string =>
  names
    .slice(0, SAID_MAX)
    .map((name) => name.replaceAll(/[^\w@.+-]/g, '?').slice(0, 60))
    .join(', ') || 'nothing'
