import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'

/** RFC 8785: one text for one value, whatever the order of its keys. What signatures and hashes are over. */
export function canonical(value: unknown): string {
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
