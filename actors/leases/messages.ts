import { z } from 'zod'
import { instantSchema } from '../runtime/envelope.ts'
import { cut } from '../runtime/plain.ts'
import { shownHeadSchema } from '../runtime/proof.ts'
import { claimSchema } from './claim.ts'
import { conditionsSchema } from './conditions.ts'
import { recallOrderSchema } from './recall-order.ts'
import { vectorSchema } from './resources.ts'
import { lengthSchema, termSchema } from './term.ts'
import { ticketSchema } from './ticket.ts'

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
 *        ├───────────────────── modify-lease ─────────────────▶│   other properties, in place
 *        │ ◀────────────────── lease-update ───────────────────┤
 *        ├───────────────────── vacate ───────────────────────▶│   these units are no longer used
 *        ├───────────────────── close ────────────────────────▶│
 *        │ ◀────────────────── lease-update (closed) ──────────┤   the site's final word
 *        ├── return-extension ▶│                               │   a ticket that the site did not take
 *        ├───── relinquish ───▶│                               │
 *        │ ◀── ticket-update ──┤ (closed)                      │
 *        │                     ├────── tickets-returned ──────▶│   honour them no more
 *
 * Besides, anybody may ask what there is (query, query-answer), and who was restored from an older store asks all
 * others what they hold that concerns it (holdings-query, holdings).
 */
const properties = z.record(z.string().max(100), z.string().max(4_000))
const id = z.string().min(1).max(80)
const sentence = z.string().max(2_000)
const instant = instantSchema
const length = lengthSchema.min(1)
const count = z.int().min(0).max(1_000_000)
/** The head of a message, as its sender signed it: that he said something. */
const proof = shownHeadSchema
/** What a site calls a unit. Nothing in it takes more room where it travels: a thousand of them are told in one message. */
const plainWord = z
  .string()
  .regex(/^[^\p{Cc}"\\]*$/u, 'expected no control characters, quotes or backslashes')
const unitName = { id: plainWord.min(1).max(80), name: plainWord.max(255) }

/** The site wants a unit empty by then, for its host is to be worked on; the notice runs from when that was ordered. */
const wanted = { leaveBy: instant.nullish(), leaveOrderedAt: instant.nullish() }

/** What the site says of one unit. */
export const UNIT_REPORTS = ['coming', 'active', 'suspect', 'ended'] as const

/** Leases on one page of holdings. */
export const HOLDINGS_MAX = 100

/** Pages that one peer is listened to: more leases than two actors may speak of. */
export const HOLDINGS_PAGES_MAX = 2_500

/** Tickets that one message tells of as given back. */
export const RETURNED_MAX = 500

/** Recalls of one type that an offer names. */
export const RECALLS_MAX = 1_000

/** Tickets of one type of which units were given back, as an offer names them. */
export const BACK_MAX = 1_000

export const bodies = {
  // site authority → broker
  delegation: z.strictObject({
    type: id,
    units: count,
    vector: vectorSchema,
    conditions: conditionsSchema,
    /** The longest term that the site takes a ticket for, in milliseconds; earlier programs did not say. */
    termMsMax: length.optional(),
    /** Recalls that this offer has taken into account. */
    settledRecalls: z.array(id).max(RECALLS_MAX),
    /** Recalls that the site still has before it, all of them; said by one that was restored and may have forgotten some. */
    openRecalls: z.array(id).max(RECALLS_MAX).optional(),
    /** Tickets of which the site counts so many units no more: they were given back for a recall. */
    back: z
      .array(z.strictObject({ ticketId: id, units: count.min(1) }))
      .max(BACK_MAX)
      .optional(),
    reason: sentence,
    /** What tickets are drawn from (protocol 2); absent when nothing is lent. */
    claim: claimSchema.optional(),
  }),
  'recall-units': z.strictObject({
    recallId: id,
    type: id,
    units: count.min(1),
    by: instant,
    reason: sentence,
    /** When it was ordered, where it is told again: the notice runs from then. */
    orderedAt: instant.optional(),
  }),

  // broker → site authority
  'tickets-returned': z.strictObject({
    tickets: z
      .array(
        z.strictObject({
          ...{ ticketId: id, leaseId: id, until: instant },
          /** The head of the message by which its holder gave it back, as he signed it. */
          proof: proof.optional(),
        }),
      )
      .min(1)
      .max(RETURNED_MAX),
  }),

  // service manager → broker
  ticket: z.strictObject({
    type: id,
    units: count.min(1),
    durationMs: length,
    start: instant,
    properties,
  }),
  'extend-ticket': z.strictObject({
    predecessor: id,
    /** From the boundary on; more than are held, and the lease grows. */
    units: count.min(1),
    durationMs: length,
    /** Fewer will do, down to this many; absent: they will not. */
    unitsMin: count.min(1).optional(),
  }),
  'recall-plan': z.strictObject({ recallId: id, units: count, by: instant, reason: sentence }),
  relinquish: z.strictObject({ reason: sentence }),
  /** Nothing but the ticket, so that the hash of the body, which is signed, says to the site which one it is. */
  'return-extension': z.strictObject({ ticketId: id }),

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
    /** What the site has ordered, as it signed it: the notice runs from when it did. */
    order: recallOrderSchema.optional(),
  }),

  // service manager → site authority
  redeem: z.strictObject({ ticket: ticketSchema, properties }),
  'extend-lease': z.strictObject({ ticket: ticketSchema, victims: z.array(id).max(100_000) }),
  /** In place, without an end or a start of anything. The empty string takes a property away. */
  'modify-lease': z.strictObject({ modificationId: id, properties }),
  /** Of these units some may be for a recall: they are not replaced. */
  vacate: z.strictObject({
    units: z.array(id).max(100_000),
    reason: sentence,
    recalled: z.array(id).max(100_000).optional(),
  }),
  close: z.strictObject({ reason: sentence }),

  // site authority → service manager
  'lease-update': z.strictObject({
    state: z.enum(['pending', 'active', 'closing', 'closed']),
    term: termSchema,
    /** The ticket the lease stands on. */
    ticketId: id,
    units: z.array(
      z.strictObject({
        ...unitName,
        report: z.enum(UNIT_REPORTS),
        vector: vectorSchema,
        facts: properties,
        reason: sentence,
        ...wanted,
      }),
    ),
    image: z.string().max(80),
    reason: sentence,
    /** Set when an extension was not accepted; the lease goes on to its old end. */
    extensionRefused: sentence.nullable(),
    /**
     * Most machines of the site were dead at one time: it takes that for a power cut, and sets up again what the lease
     * lacks, until then at the latest.
     */
    restoring: instant.nullish(),
    /** How the latest modification went; `failed` are units that kept what they had. */
    modified: z
      .strictObject({ modificationId: id, refused: sentence.nullable(), failed: z.array(id).max(100_000) })
      .nullish(),
  }),

  // anybody → broker or site authority, and back
  query: z.strictObject({
    about: z.enum(['types', 'availability']),
    type: id.optional(),
    units: count.min(1).optional(),
    durationMs: length.optional(),
    after: instant.optional(),
    latest: instant.optional(),
  }),
  'query-answer': z.strictObject({
    types: z
      .array(
        z.strictObject({
          site: id,
          type: id,
          vector: vectorSchema,
          units: count,
          free: count,
          conditions: conditionsSchema,
          /** Nothing is lent beyond; null: until further notice. */
          until: instant.nullable(),
          /** The longest term there is; absent if the site did not say. */
          termMsMax: length.optional(),
        }),
      )
      .max(1_000),
    /** The first start that would work; null if none was asked for, or none would. */
    earliest: instant.nullable(),
    unitsNow: count,
    /** Units that are free, from each instant on. */
    profile: z.array(z.strictObject({ from: instant, free: count })).max(500),
    refused: sentence.nullable(),
  }),

  // whoever was restored from an older store → each peer, and back
  'holdings-query': z.strictObject({
    page: count,
    /** The last lease of the page before; said to whoever has said that he can go on from there. */
    after: z.strictObject({ leaseId: id, isOver: z.boolean() }).optional(),
  }),
  holdings: z.strictObject({
    page: count,
    pages: count.min(1),
    /**
     * He may hold what he does not name: he was restored himself and has not recovered, or was asked for a page by its
     * number alone. False, where there are several pages: the next one is found by `after`, and none is left out.
     */
    unsure: z.boolean().optional(),
    holdings: z
      .array(
        z.strictObject({
          leaseId: id,
          /** In the words of the one who answers. */
          state: z.string().max(60),
          closed: z.boolean(),
          ticket: ticketSchema.nullable(),
          next: ticketSchema.nullable(),
          properties,
          units: z
            .array(
              z.strictObject({
                ...unitName,
                report: z.enum(UNIT_REPORTS),
                facts: properties,
                ...wanted,
              }),
            )
            .max(1_000),
          /** Units that go where the next ticket begins. */
          victims: z.array(unitName.id).max(1_000).optional(),
          /** Of one that was given back: the head of the message by which its holder said so. */
          proof: proof.optional(),
        }),
      )
      .max(HOLDINGS_MAX),
  }),
} as const

export type MessageKind = keyof typeof bodies
export type Body<K extends MessageKind> = Readonly<z.infer<(typeof bodies)[K]>>

export const isMessageKind = (kind: string): kind is MessageKind => Object.hasOwn(bodies, kind)

const schemas: { readonly [K in MessageKind]: z.ZodType<Body<K>> } = bodies

/** Characters of what is said of a body that is not in its form. */
export const FLAW_CHARS_MAX = 200

/** The body in its form, or the sentence that says where it is not. */
export function readBody<K extends MessageKind>(
  kind: K,
  body: unknown,
): { readonly ok: true; readonly body: Body<K> } | { readonly ok: false; readonly reason: string } {
  const parsed = schemas[kind].safeParse(body)
  if (parsed.success) return { ok: true, body: parsed.data }
  const issue = parsed.error.issues[0]!
  // It names keys as they came, which may be as long as a body.
  const reason = cut(`${kind}: ${issue.path.join('.') || 'body'}: ${issue.message}`, FLAW_CHARS_MAX)
  return { ok: false, reason }
}
