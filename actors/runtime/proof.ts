import { z } from 'zod'
import { signable } from './canonical.ts'
import { type Envelope, envelopeSchema } from './envelope.ts'
import type { Trust } from './identity.ts'

/**
 * That somebody asked for something: the head of his signed message, without the body that its hash stands
 * for. Whoever has the body can show that it is the one; whoever has not can still show who asked, whom,
 * about what and when.
 */
export type RequestProof = Readonly<Record<string, string | number>>

/** The head of a message has fewer fields, also of a later protocol: a hundred of them travel together. */
const HEAD_FIELDS_MAX = 32

/** A head as peers show it in what they say, before anybody looks whether it is one. */
export const shownHeadSchema = z
  .record(z.string().max(20), z.union([z.string().max(200), z.int()]))
  .refine(
    (head) => Object.keys(head).length <= HEAD_FIELDS_MAX,
    `expected the head of a message, with at most ${HEAD_FIELDS_MAX} fields`,
  )

export const requestProofSchema = z.strictObject(envelopeSchema.shape).omit({ body: true })

export function requestProof({ body: _, ...head }: Envelope): RequestProof {
  const said = Object.entries(head).filter(([, value]) => value !== undefined)
  return Object.fromEntries(said) as Record<string, string | number>
}

/** Whether its sender signed it, with a key that was his at the time. False for what is no proof at all. */
export function verifyProof(proof: unknown, trust: Trust): boolean {
  const read = requestProofSchema.safeParse(proof)
  if (!read.success) return false
  const { signature, ...head } = read.data
  const { from, key, sentAt } = head
  const text = signable('message', head)
  if (key === undefined) return trust.verify(from, text, signature, sentAt)
  return trust.hasKey(from, key, sentAt) && trust.verifyBy(key, text, signature)
}
