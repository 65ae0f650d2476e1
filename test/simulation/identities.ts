import { digest } from '../../actors/runtime/canonical.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'

/** Signatures that cost nothing and still fail for a changed text or another name. */
export const cheapIdentity = (name: string): Identity => ({
  name,
  sign: (text) => digest(`${name}\n${text}`),
})

export const cheapTrust = (names: readonly string[]): Trust => ({
  knows: (name) => names.includes(name),
  verify: (name, text, signature) => names.includes(name) && digest(`${name}\n${text}`) === signature,
})
