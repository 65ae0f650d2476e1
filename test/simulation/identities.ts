import { digest } from '../../actors/runtime/canonical.ts'
import { type Identity, type KeyRing, keyRing, type TrustedKey } from '../../actors/runtime/identity.ts'
import { own } from '../../actors/runtime/plain.ts'

/** What a name signs with unless another word is given: as long as a real key, and its own secret. */
export const cheapKey = (name: string, word = ''): string => digest(`key of ${name} ${word}`)

/** Signatures that cost nothing and still fail for a changed text or another key. */
export const cheapIdentity = (name: string, key = cheapKey(name)): Identity => ({
  ...{ name, key },
  sign: (text) => digest(`${key}\n${text}`),
})

/** Each name has the key of its identity, unless others are given. */
export const cheapTrust = (
  names: readonly string[],
  keys: Readonly<Record<string, readonly TrustedKey[]>> = {},
): KeyRing =>
  keyRing(
    names.map((name) => [name, own(keys, name) ?? [{ key: cheapKey(name) }]]),
    (key, text, signature) => digest(`${key}\n${text}`) === signature,
  )
