import { z } from 'zod'
import { signable } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import { instantSchema } from '../runtime/envelope.ts'
import type { Identity, Trust } from '../runtime/identity.ts'
import { shownHeadSchema } from '../runtime/proof.ts'
import { CHAIN_MAX, claimSchema, keySchema } from './claim.ts'
import { conditionsSchema } from './conditions.ts'
import { vectorSchema } from './resources.ts'
import { termSchema } from './term.ts'

/**
 * What makes a ticket the last link of a chain of claims (protocol 2). A ticket without it rests on the word of
 * its broker alone.
 */
export const proofSchema = z.strictObject({
  /** The hash of the claim that the ticket is drawn from. */
  parent: z.string().max(80),
  brokerKey: keySchema,
  /** Whoever redeems shows that it has this key. */
  holderKey: keySchema,
  /** The most that one unit may be. */
  vector: vectorSchema,
  /** The request that is granted, as its holder signed it: head and signature of the message, without its body. */
  request: shownHeadSchema,
})
export type Proof = Readonly<z.infer<typeof proofSchema>>

/** The broker's soft claim on units of a type at a site over a term; the site makes it hard. */
export const ticketSchema = z.strictObject({
  id: z.string().max(80),
  leaseId: z.string().max(80),
  holder: z.string().max(80),
  broker: z.string().max(80),
  site: z.string().max(80),
  type: z.string().max(80),
  units: z.int().min(1).max(1_000_000),
  term: termSchema,
  /** An extension starts at the end of the ticket it names; null for the first. */
  predecessor: z.string().max(80).nullable(),
  conditions: conditionsSchema,
  issuedAt: instantSchema,
  proof: proofSchema.optional(),
  /** The claims it is drawn from, root first. Only while it travels; the signature covers `proof.parent` instead. */
  chain: z.array(claimSchema).min(1).max(CHAIN_MAX).optional(),
  signature: z.string().max(200),
})
export type Ticket = Readonly<z.infer<typeof ticketSchema>>

export const ticketText = ({ signature: _, chain: __, ...unsigned }: Ticket): string =>
  signable('ticket', unsigned)

/** With a proof, the key that it names has to be the broker's. */
export function issueTicket(record: Omit<Ticket, 'signature' | 'broker'>, broker: Identity): Ticket {
  const unsigned = { ...record, broker: broker.name, signature: '' }
  return { ...unsigned, signature: broker.sign(ticketText(unsigned)) }
}

/** As stores keep it: the claims were checked, and are found again by `proof.parent`. */
export function withoutChain(ticket: Ticket): Ticket {
  const { chain: _, ...kept } = ticket
  return kept
}

/** Why a ticket is not to be relied on; undefined if it may be. What it is drawn from, `doubtChain` looks at. */
export function doubtTicket(
  ticket: Ticket,
  expected: {
    readonly holder: string
    readonly site?: string
    readonly broker: string
    readonly now: Instant
  },
  trust: Trust,
): string | undefined {
  const { broker, holder, site, proof } = ticket
  if (broker !== expected.broker) return `it is from ${broker}, not from ${expected.broker}`
  if (holder !== expected.holder) return `it was issued to ${holder}, not to ${expected.holder}`
  if (expected.site !== undefined && site !== expected.site) return `it is for the site ${site}`
  if (ticket.term.end <= expected.now) return 'its term has ended'
  const signed =
    proof === undefined
      ? trust.verify(broker, ticketText(ticket), ticket.signature, expected.now)
      : trust.hasKey(broker, proof.brokerKey, expected.now) &&
        trust.verifyBy(proof.brokerKey, ticketText(ticket), ticket.signature)
  return signed ? undefined : `it is not signed by ${broker}`
}
