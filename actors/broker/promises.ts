import type { TicketRequest } from '../../controllers/controller.ts'
import type { Offer, Promised } from '../leases/calendar.ts'
import type { Properties } from '../leases/properties.ts'
import { ALWAYS } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import { own } from '../runtime/plain.ts'
import type { BrokerDraft, DelegationRow, RecallRow, TicketRow } from './rows.ts'

type Reduced = NonNullable<TicketRow['reduced']>

/** Extensions first. */
export const byKind = (a: TicketRequest, b: TicketRequest): number =>
  Number(b.extends !== undefined) - Number(a.extends !== undefined)

/** In order of arrival. By the names of leases only where nobody knows it any more, as after a restore. */
export const byArrival = (a: TicketRow, b: TicketRow): number =>
  a.arrivedAt - b.arrivedAt || (a.turn ?? 0) - (b.turn ?? 0) || (a.id < b.id ? -1 : 1)

export function requestOf(row: TicketRow): TicketRequest {
  const { units, unitsMin, durationMs, start, startBy, planned } = row.asked!
  const last = row.tickets.at(-1)
  const { id: leaseId, holder, type, arrivedAt, group } = row
  const held = last === undefined ? 0 : last.units - stillReduced(row, last)
  const extension = last === undefined ? undefined : { site: last.site, units: held }
  return {
    ...{ leaseId, holder, type, units, unitsMin, durationMs, start, startBy, arrivedAt },
    ...{ extends: extension, group, planned, properties: row.asked?.properties ?? guestOf(row) },
  }
}

/** An extension, and what is held, say no more than whose they are and how urgent. */
export const guestOf = ({ guest, priority }: TicketRow): Properties | undefined =>
  guest === undefined && priority === undefined
    ? undefined
    : { ...(guest === undefined ? {} : { guest }), ...(priority === undefined ? {} : { priority }) }

export const offersOf = (draft: BrokerDraft): Offer[] => draft.all('delegation').flatMap(offersIn)

/** No longer than the claim that tickets are drawn from; one that is still to begin follows on the one before. */
function offersIn({ site, type, units, termMsMax, claim, before }: DelegationRow): Offer[] {
  if (claim === undefined) return [{ site, type, units, term: undefined, termMsMax }]
  const { term } = claim.claim
  const offer = { site, type, units, term, termMsMax }
  if (before === undefined) return [offer]
  const { units: unitsBefore, term: termBefore } = before.claim
  const end = Math.min(term.start, termBefore.end)
  return [{ ...offer, units: Math.min(units, unitsBefore), term: { start: termBefore.start, end } }, offer]
}

/** All that a row promises: its tickets, less what was promised back. */
export function promisesOf(row: TicketRow): Promised[] {
  const promises: Promised[] = []
  for (const ticket of row.tickets) {
    const { site, type, units, term } = ticket
    const promise = (left: number, start: Instant, end: Instant): void => {
      if (left > 0 && start < end) promises.push({ site, type, units: left, term: { start, end } })
    }
    let left = units
    let start = term.start
    for (const back of givenBackOf(row, ticket)) {
      const from = Math.min(term.end, Math.max(start, back.from))
      promise(left, start, from)
      left -= back.units
      start = from
    }
    promise(left, start, term.end)
  }
  return promises
}

/** Units of the ticket that were promised back, and from when on: those first that were gone already at the last promise. */
export function givenBackOf(
  row: TicketRow,
  ticket: Ticket,
): { readonly units: number; readonly from: Instant }[] {
  const all = stillReduced(row, ticket)
  if (all === 0) return []
  const { since, from } = row.reduced!
  const gone = since === undefined ? 0 : Math.min(all, own(since.off, ticket.id) ?? 0)
  const later = { units: all - gone, from }
  return gone === 0 ? [later] : [{ units: gone, from: since!.from }, later]
}

/** What a site wants back is never promised beyond that instant. */
export const recallOf = ({
  site,
  type,
  units,
  by,
}: Pick<RecallRow, 'site' | 'type' | 'units' | 'by'>): Promised => ({
  ...{ site, type, units },
  term: { start: by, end: ALWAYS.end },
})

/**
 * Units of the ticket that were promised back; a ticket issued after the promise, be it in the same instant, is already
 * without them.
 */
export function stillReduced({ reduced }: TicketRow, ticket: Ticket | undefined): number {
  if (reduced === undefined || ticket === undefined) return 0
  const { plannedAt, tickets, units, of = ticket.units, off } = reduced
  if (off !== undefined) return Math.min(ticket.units, own(off, ticket.id) ?? 0)
  // As earlier programs reckoned it: the same of all tickets that there were at the last promise.
  const isOld = tickets?.includes(ticket.id) ?? ticket.issuedAt <= plannedAt
  if (!isOld) return 0
  return Math.min(ticket.units, Math.max(0, units - Math.max(0, of - ticket.units)))
}

/**
 * The holder promises units back from an instant on, on top of what it has promised before; what has not gone yet counts
 * from the later instant. Each ticket that there is counts as many fewer. Those that leave at the boundary to fewer may be the ones that
 * are given back: they are not counted twice.
 *
 *   4 ├── first: −1 ──┤            promised: one
 *   4                 ├── next ──┤ granted after that, with another one in its place
 *   4 ├── first: −2 ──┼── next: −1 ──┤  promised: one more
 *
 *   4 ├──┐ promised: one     3 are promised, and 2 from later on; not 4 until then, for the first may be another's
 *     │  └───┐ one more, later
 */
export function reducedBy(row: TicketRow, more: number, by: Instant, now: Instant): Reduced {
  const { reduced, tickets } = row
  const ticket = tickets.find(({ term }) => term.end > Math.max(now, by)) ?? tickets.at(-1)
  const of = ticket?.units ?? 0
  const before = stillReduced(row, ticket)
  const isEarlier = tickets.some((one) => stillReduced(row, one) > 0)
  const isGone = isEarlier && reduced!.from <= now
  const gone = tickets.map((one) => [one.id, stillReduced(row, one)])
  const since = isGone ? { from: reduced!.from, off: Object.fromEntries(gone) } : reduced?.since
  const off = tickets.map((one) => {
    const known = stillReduced(row, one)
    const leaving = Math.max(0, of - before - (one.units - known))
    return [one.id, Math.min(one.units, known + Math.max(0, more - leaving))]
  })
  return {
    units: Math.min(of, more + before),
    from: Math.max(now, by, isEarlier ? reduced!.from : 0),
    ...(since !== undefined && { since }),
    plannedAt: now,
    of,
    off: Object.fromEntries(off),
  }
}
