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
