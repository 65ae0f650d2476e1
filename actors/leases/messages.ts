import { z } from 'zod'
import { conditionsSchema, instantSchema, lengthSchema, termSchema, ticketSchema } from './ticket.ts'

/**
 * The conversation. Requests are numbered per lease and peer; updates tell the whole state of their
 * subject, so that a lost one is made good by the next.
 *
 *   service manager          broker                     site authority
 *        │                     │ ◀────── delegation ───────────┤   what the site lends
 *        ├────── ticket ──────▶│                               │
 *        │ ◀── ticket-update ──┤                               │
 *        ├───────────────────── redeem ───────────────────────▶│
 *        │ ◀────────────────── lease-update ───────────────────┤   once per change of a unit
 *        ├── extend-ticket ───▶│                               │
 *        │ ◀── ticket-update ──┤                               │
 *        ├───────────────────── extend-lease ─────────────────▶│
 *        │ ◀────────────────── lease-update ───────────────────┤
 *        │ ◀───── recall ──────┤ ◀───────── recall ────────────┤   give units back by a time
 *        ├──── recall-plan ───▶│                               │
 *        ├───────────────────── vacate ───────────────────────▶│   these units are no longer used
 *        ├───────────────────── close ────────────────────────▶│
 *        │ ◀────────────────── lease-update (closed) ──────────┤   the site's final word
 *        ├───── relinquish ───▶│                               │
 *        │ ◀── ticket-update ──┤ (closed)                      │
 */
const properties = z.record(z.string().max(100), z.string().max(4_000))
const id = z.string().min(1).max(80)
const sentence = z.string().max(2_000)
const instant = instantSchema
const length = lengthSchema.min(1)
const count = z.int().min(0).max(1_000_000)

/** What the site says of one unit. */
export const UNIT_REPORTS = ['coming', 'active', 'suspect', 'ended'] as const

export const bodies = {
  // site authority → broker
  delegation: z.strictObject({
    type: id,
    units: count,
    vector: z.record(z.string().max(60), z.int()),
    conditions: conditionsSchema,
    /** Recalls that this offer has taken into account. */
    settledRecalls: z.array(id).max(1_000),
    reason: sentence,
  }),
  'recall-units': z.strictObject({
    recallId: id,
    type: id,
    units: count.min(1),
    by: instant,
    reason: sentence,
  }),

  // service manager → broker
  ticket: z.strictObject({
    type: id,
    units: count.min(1),
    durationMs: length,
    start: instant,
    properties,
  }),
  'extend-ticket': z.strictObject({ predecessor: id, units: count.min(1), durationMs: length }),
  'recall-plan': z.strictObject({ recallId: id, units: count, by: instant, reason: sentence }),
  relinquish: z.strictObject({ reason: sentence }),

  // broker → service manager
  'ticket-update': z.strictObject({
    /** extension-refused leaves the ticket as it was. */
    outcome: z.enum(['granted', 'refused', 'extension-refused', 'closed']),
    ticket: ticketSchema.nullable(),
    reason: sentence,
    /** What would work instead. */
    earliest: instant.nullable(),
    unitsNow: count,
  }),
  recall: z.strictObject({
    recallId: id,
    units: count.min(1),
    by: instant,
    binding: z.boolean(),
    reason: sentence,
  }),

  // service manager → site authority
  redeem: z.strictObject({ ticket: ticketSchema, properties }),
  'extend-lease': z.strictObject({ ticket: ticketSchema, victims: z.array(id).max(100_000) }),
  vacate: z.strictObject({ units: z.array(id).max(100_000), reason: sentence }),
  close: z.strictObject({ reason: sentence }),

  // site authority → service manager
  'lease-update': z.strictObject({
    state: z.enum(['pending', 'active', 'closing', 'closed']),
    term: termSchema,
    /** The ticket the lease stands on. */
    ticketId: id,
    units: z.array(
      z.strictObject({
        id,
        name: z.string().max(255),
        report: z.enum(UNIT_REPORTS),
        vector: z.record(z.string().max(60), z.int()),
        facts: properties,
        reason: sentence,
      }),
    ),
    image: z.string().max(80),
    reason: sentence,
    /** Set when an extension was not accepted; the lease goes on to its old end. */
    extensionRefused: sentence.nullable(),
  }),
} as const

export type MessageKind = keyof typeof bodies
export type Body<K extends MessageKind> = Readonly<z.infer<(typeof bodies)[K]>>

export const isMessageKind = (kind: string): kind is MessageKind => Object.hasOwn(bodies, kind)

const schemas: { readonly [K in MessageKind]: z.ZodType<Body<K>> } = bodies

/** The body in its form, or the sentence that says where it is not. */
export function readBody<K extends MessageKind>(
  kind: K,
  body: unknown,
): { readonly ok: true; readonly body: Body<K> } | { readonly ok: false; readonly reason: string } {
  const parsed = schemas[kind].safeParse(body)
  if (parsed.success) return { ok: true, body: parsed.data }
  const issue = parsed.error.issues[0]!
  return { ok: false, reason: `${kind}: ${issue.path.join('.') || 'body'}: ${issue.message}` }
}
