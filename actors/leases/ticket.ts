import { z } from 'zod'
import { signable } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Identity, Trust } from '../runtime/identity.ts'
import { LATEST, LENGTH_MS_MAX } from './term.ts'

export const instantSchema = z.int().min(0).max(LATEST)
export const lengthSchema = z.int().min(0).max(LENGTH_MS_MAX)

export const termSchema = z
  .strictObject({ start: instantSchema, end: instantSchema })
  .refine((term) => term.start < term.end, {
    message: 'a term ends after it starts',
  })

/** What a site lends under: part of its offer, signed into each ticket. */
export const conditionsSchema = z.strictObject({
  /** A recall with this notice is binding; otherwise it is advice until the term ends. */
  recallable: z.boolean(),
  noticeMs: lengthSchema,
  /** How long after the end the site lets running work go on before it ends the machine anyway. */
  graceMs: lengthSchema,
})
export type Conditions = Readonly<z.infer<typeof conditionsSchema>>

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
  signature: z.string().max(200),
})
export type Ticket = Readonly<z.infer<typeof ticketSchema>>

export function issueTicket(record: Omit<Ticket, 'signature' | 'broker'>, broker: Identity): Ticket {
  const unsigned = { ...record, broker: broker.name }
  return { ...unsigned, signature: broker.sign(signable('ticket', unsigned)) }
}

/** Why a ticket is not to be relied on; undefined if it may be. */
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
  const { signature, ...unsigned } = ticket
  if (ticket.broker !== expected.broker) return `it is from ${ticket.broker}, not from ${expected.broker}`
  if (ticket.holder !== expected.holder) return `it was issued to ${ticket.holder}, not to ${expected.holder}`
  if (expected.site !== undefined && ticket.site !== expected.site) return `it is for the site ${ticket.site}`
  if (ticket.term.end <= expected.now) return 'its term has ended'
  if (!trust.verify(ticket.broker, signable('ticket', unsigned), signature))
    return `it is not signed by ${ticket.broker}`
  return undefined
}
