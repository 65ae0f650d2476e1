import { z } from 'zod'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import { own } from '../runtime/plain.ts'
import { textField } from './story-words.ts'
import type { UsageBy } from './usage-by.ts'

/**
 * Node-seconds in a span of time:
 *
 *   granted   units of tickets, over their terms up to now, less        the broker's ledger
 *             what was promised back from then on
 *   to come   likewise, of what of their terms is still to come
 *   held      from assigned to torn down                               the site's
 *   joined    from joined to left in the guest's middleware            the service manager's
 */
export interface Usage {
  readonly name: string
  readonly grantedS: number
  /** Promised within the span and after now. */
  readonly toComeS: number
  readonly heldS: number
  readonly joinedS: number
}

export interface Span {
  readonly from: Instant
  readonly to: Instant
}

const granted = z.object({
  ticketId: z.string().optional(),
  ticket: z.object({ holder: z.string() }).optional(),
  units: z.number(),
  site: z.string(),
  term: z.object({ start: z.number(), end: z.number() }),
})
const adopted = z.object({
  ticket: granted.omit({ ticket: true }).extend({ id: z.string(), holder: z.string().optional() }),
})
const promisedBack = z.object({
  units: z.number(),
  from: z.number(),
  of: z.number().optional(),
  /** By ticket. */
  off: z.record(z.string(), z.number()).optional(),
  /** ... and of these, those that were gone already at the last promise. */
  since: z.object({ from: z.number(), off: z.record(z.string(), z.number()) }).optional(),
})
const assigned = z.object({ leaseId: z.string(), holder: z.string().optional() })
const requested = z.object({ guest: z.string().optional(), queue: z.string().optional() })

/** What only the ledger of one role tells. */
export const TOLD_BY = { granted: 'broker', held: 'site', joined: 'service manager' } as const
export type Told = keyof typeof TOLD_BY

const TELLING: Readonly<Record<string, Told>> = {
  ...{
    asked: 'granted',
    'offer changed': 'granted',
    'ticket granted': 'granted',
    'ticket adopted': 'granted',
  },
  ...{ offered: 'held', 'unit assigned': 'held' },
  ...{ requested: 'joined', ticketed: 'joined', 'unit joined': 'joined' },
}

/** What is known of a lease from all ledgers. */
interface Owner {
  guest: string
  /** Counts for the guest where the holder's own ledger is not there. */
  holder: string
  queue: string
  site: string
}

interface Grant {
  readonly ticketId: string | undefined
  readonly leaseId: string
  readonly units: number
  readonly start: Instant
  end: Instant
  /** Units that its holder gives back before its end, of so many. */
  back: z.infer<typeof promisedBack> | undefined
}

/** Lines of earlier programs do not say how many of each ticket. */
function backOf({ ticketId, units }: Grant, back: z.infer<typeof promisedBack>): Grant['back'] {
  if (back.off === undefined || ticketId === undefined) return back
  return { ...back, units: own(back.off, ticketId) ?? 0, of: units }
}

/** Unit-milliseconds of a ticket in a span. */
function grantedIn({ ticketId, units, start, end, back }: Grant, span: Span): number {
  const whole = units * within(start, end, span)
  if (back === undefined) return whole
  // Those that leave where an extension begins with fewer may be the ones that are given back.
  const less = Math.min(units, Math.max(0, back.units - Math.max(0, (back.of ?? units) - units)))
  const gone = Math.min(less, (back.since && ticketId && own(back.since.off, ticketId)) || 0)
  const without = (count: number, from: Instant): number => count * within(Math.max(start, from), end, span)
  return whole - without(gone, back.since?.from ?? back.from) - without(less - gone, back.from)
}

interface Sum {
  grantedMs: number
  toComeMs: number
  heldMs: number
  joinedMs: number
}

/** The part of [start, end) that lies in the span. */
const within = (start: Instant, end: Instant, { from, to }: Span): Millis =>
  Math.max(0, Math.min(end, to) - Math.max(start, from))

/**
 * Reads the lines of all actors, in any order of actors, each actor's in its own. A ticket counts until it was
 * closed; what is still held or joined counts up to `now`.
 */
export class UsageCount {
  readonly #owners = new Map<string, Owner>()
  readonly #grants = new Map<string, Grant[]>()
  readonly #held = new Map<string, { leaseId: string; from: Instant; to: Instant | undefined }>()
  readonly #joined = new Map<string, { leaseId: string; from: Instant; to: Instant | undefined }[]>()
  readonly #leaseOfUnit = new Map<string, string>()
  readonly #told = new Set<Told>()

  read(entries: Iterable<LedgerEntry>): void {
    for (const entry of entries) this.#line(entry)
  }

  /** What the ledgers that were read tell of; of the rest nothing is known. */
  get told(): ReadonlySet<Told> {
    return this.#told
  }

  sum(by: UsageBy, span: Span, now: Instant): readonly Usage[] {
    const sums = new Map<string, Sum>()
    const of = (leaseId: string): Sum => {
      const owner = this.#owners.get(leaseId)
      const name = owner?.[by] || (by === 'guest' && owner?.holder) || '(unknown)'
      const sum = sums.get(name) ?? { grantedMs: 0, toComeMs: 0, heldMs: 0, joinedMs: 0 }
      sums.set(name, sum)
      return sum
    }
    for (const grants of this.#grants.values())
      for (const grant of grants) {
        const sum = of(grant.leaseId)
        sum.grantedMs += grantedIn(grant, { from: span.from, to: Math.min(span.to, now) })
        sum.toComeMs += grantedIn(grant, { from: Math.max(span.from, now), to: span.to })
      }
    for (const { leaseId, from, to } of this.#held.values())
      of(leaseId).heldMs += within(from, to ?? now, span)
    for (const stays of this.#joined.values())
      for (const { leaseId, from, to } of stays) of(leaseId).joinedMs += within(from, to ?? now, span)
    return [...sums]
      .map(([name, { grantedMs, toComeMs, heldMs, joinedMs }]) => ({
        ...{ name, grantedS: grantedMs / 1_000, toComeS: toComeMs / 1_000 },
        ...{ heldS: heldMs / 1_000, joinedS: joinedMs / 1_000 },
      }))
      .filter(({ grantedS, toComeS, heldS, joinedS }) => grantedS + toComeS + heldS + joinedS > 0)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  #line(entry: LedgerEntry): void {
    const { kind, subject, at, actor, data } = entry
    const told = TELLING[kind]
    if (told !== undefined) this.#told.add(told)
    switch (kind) {
      case 'requested': {
        const read = requested.safeParse(data)
        const owner = this.#owner(subject)
        owner.guest = (read.success ? read.data.guest : undefined) ?? owner.guest
        owner.queue = (read.success ? read.data.queue : undefined) ?? owner.queue
        return
      }
      case 'ticket granted':
        return this.#grant(subject, granted.safeParse(data).data)
      // By a broker that has forgotten, in a restore, that it granted it.
      case 'ticket adopted': {
        const ticket = adopted.safeParse(data).data?.ticket
        const holder = ticket?.holder
        if (holder !== undefined) this.#owner(subject).holder = holder
        return this.#grant(subject, ticket && { ...ticket, ticketId: ticket.id, ticket: undefined })
      }
      // Its holder never used it. Lines of older stores do not name the last ticket.
      case 'extension unused': {
        const grants = this.#grants.get(subject) ?? []
        const ticketId = textField(entry, 'ticketId')
        const unused = ticketId === undefined ? -1 : grants.findIndex((one) => one.ticketId === ticketId)
        if (ticketId === undefined) grants.pop()
        else if (unused >= 0) grants.splice(unused, 1)
        return
      }
      case 'recall planned': {
        const back = promisedBack.safeParse(data).data
        if (back !== undefined)
          for (const grant of this.#grants.get(subject) ?? []) grant.back = backOf(grant, back)
        return
      }
      case 'ticket closed':
        for (const grant of this.#grants.get(subject) ?? [])
          grant.end = Math.max(grant.start, Math.min(grant.end, at))
        return
      case 'unit assigned': {
        const read = assigned.safeParse(data)
        if (!read.success) return
        const owner = this.#owner(read.data.leaseId)
        owner.site = actor
        owner.holder = read.data.holder ?? owner.holder
        this.#leaseOfUnit.set(subject, read.data.leaseId)
        this.#held.set(subject, { leaseId: read.data.leaseId, from: at, to: undefined })
        return
      }
      case 'unit ended': {
        const held = this.#held.get(subject)
        if (held !== undefined) held.to ??= at
        return
      }
      case 'unit joined':
        return this.#join(subject, at, data)
      case 'unit left':
      case 'unit lost': {
        const stay = this.#joined.get(subject)?.at(-1)
        if (stay !== undefined) stay.to ??= at
      }
    }
  }

  #grant(leaseId: string, ticket: z.infer<typeof granted> | undefined): void {
    if (ticket === undefined) return
    const { units, site, term, ticketId } = ticket
    const owner = this.#owner(leaseId)
    owner.site = site
    owner.holder = ticket.ticket?.holder ?? owner.holder
    const grants = this.#grants.get(leaseId) ?? []
    this.#grants.set(leaseId, grants)
    if (ticketId !== undefined && grants.some((one) => one.ticketId === ticketId)) return
    grants.push({ ticketId, leaseId, units, start: term.start, end: term.end, back: undefined })
  }

  #join(unitId: string, at: Instant, data: unknown): void {
    const read = assigned.safeParse(data)
    const leaseId = read.success ? read.data.leaseId : this.#leaseOfUnit.get(unitId)
    if (leaseId === undefined) return
    const stays = this.#joined.get(unitId) ?? []
    this.#joined.set(unitId, stays)
    // One that is drained and resumed never left.
    if (stays.some(({ to }) => to === undefined)) return
    stays.push({ leaseId, from: at, to: undefined })
  }

  #owner(leaseId: string): Owner {
    const owner = this.#owners.get(leaseId) ?? { guest: '', holder: '', queue: '', site: '' }
    this.#owners.set(leaseId, owner)
    return owner
  }
}
