import { z } from 'zod'
import { canonical, digest } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import { type Envelope, instantSchema } from '../runtime/envelope.ts'
import type { ActorName, Trust } from '../runtime/identity.ts'
import { requestProof, requestProofSchema, shownHeadSchema, verifyProof } from '../runtime/proof.ts'

/** What a site has ordered, as it signed it: the head of its message, and what its hash stands for besides. */
export const recallOrderSchema = z.strictObject({
  units: z.int().min(1).max(1_000_000),
  reason: z.string().max(2_000),
  /** When it was ordered, where it was told again. */
  orderedAt: instantSchema.optional(),
  proof: shownHeadSchema,
})

export type RecallOrder = Readonly<z.infer<typeof recallOrderSchema>>

/** A recall as its broker passes it on. */
interface PassedOn {
  readonly recallId: string
  readonly by: Instant
  readonly order?: RecallOrder | undefined
}

export interface ShownOrder {
  readonly at: Instant
  /** A site numbers its orders of one type: one that is passed on again shows none above that. */
  readonly number: number
}

/** The order of a message `recall-units`. */
export const recallOrderOf = (
  envelope: Envelope,
  { units, reason, orderedAt }: Omit<RecallOrder, 'proof'>,
): RecallOrder => ({
  ...{ units, reason },
  ...(orderedAt !== undefined && { orderedAt }),
  proof: requestProof(envelope),
})

/** A site that tells an order again says when it gave it first: its own notice has run from then. */
export const firstSaidAt = (
  { orderedAt }: Pick<RecallOrder, 'orderedAt'>,
  { sentAt }: Pick<Envelope, 'sentAt'>,
): Instant => Math.min(orderedAt ?? sentAt, sentAt)

/**
 * When the site ordered what its broker passes on, and the number of the message in which it said so last, if that is shown. A notice runs from then: by the word of its broker
 * alone a holder could be told at once to go.
 */
export function shownOrder(
  { recallId, by, order }: PassedOn,
  { type, site, broker }: { readonly type: string; readonly site: ActorName; readonly broker: ActorName },
  trust: Trust,
): ShownOrder | undefined {
  const head = requestProofSchema.safeParse(order?.proof).data
  if (order === undefined || head === undefined) return undefined
  const { proof, ...said } = order
  const isIt =
    head.from === site &&
    head.to === broker &&
    head.kind === 'recall-units' &&
    head.bodyHash === digest(canonical({ recallId, type, by, ...said }))
  return isIt && verifyProof(proof, trust) ? { at: firstSaidAt(order, head), number: head.number } : undefined
}
