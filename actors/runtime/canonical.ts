import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { inOrder, ODD } from './ordered.ts'

/**
 * RFC 8785: one text for one value, whatever the order of its keys. What signatures and hashes are over.
 *
 *   value ──plain──▶ its keys put in order ──▶ JSON.stringify ──▶ text       three times as fast
 *         └─odd─────▶ the package canonicalize ─────────────────▶ text, or it has none
 */
export function canonical(value: unknown): string {
  const ordered = inOrder(value)
  const fast = ordered === ODD ? undefined : JSON.stringify(ordered)
  // Only a text that was cut in the middle of a character is written so, or one that says so itself.
  if (fast !== undefined && !fast.includes('\\ud')) return fast
  const text = canonicalize(value)
  if (text === undefined) throw new Error('a value without canonical form was to be hashed')
  return text
}

/**
 * What a signature is over: the canonical form under the word for what it is, so that a signature on one
 * kind of thing is never good for another.
 */
export const signable = (what: Signed, value: unknown): string => `sublet ${what}\n${canonical(value)}`

/** What there are signatures on. */
export type Signed =
  | 'message'
  | 'acknowledgement'
  | 'ticket'
  | 'claim'
  | 'signed claim'
  | 'checkpoint'
  | 'call'

/** SHA-256 of a text, base64url. */
export const digest = (text: string): string => hash('sha256', text, 'base64url')

/** Of the bytes of an ssh key, as `ssh-keygen -l` prints it. */
export const fingerprint = (key: Buffer): string =>
  `SHA256:${hash('sha256', key, 'base64').replace(/=+$/, '')}`
