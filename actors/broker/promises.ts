import type { Holding, TicketRequest } from '../../controllers/controller.ts'
import type { Offer, Promised } from '../leases/calendar.ts'
import { LENGTH_MS_MAX } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Draft } from '../runtime/draft.ts'
import type { BrokerTables, DelegationRow, TicketRow } from './rows.ts'

/** Extensions first, then in order of arrival. */
export function byTurn(a: TicketRequest, b: TicketRequest): number {
  const extension = Number(b.extends !== undefined) - Number(a.extends !== undefined)
  return extension || a.arrivedAt - b.arrivedAt || (a.leaseId < b.leaseId ? -1 : 1)
}

export function requestOf(row: TicketRow): TicketRequest {
  const { units, unitsMin, durationMs, start, startBy } = row.asked!
  const last = row.tickets.at(-1)
  const { id: leaseId, holder, type, arrivedAt } = row
  const extension = last === undefined ? undefined : { site: last.site, units: last.units }
  return { leaseId, holder, type, units, unitsMin, durationMs, start, startBy, arrivedAt, extends: extension }
}

/** Whose the promises are. */
export const holdingsOf = (rows: readonly TicketRow[], now: Instant): Holding[] =>
  rows.flatMap(({ id: leaseId, holder, tickets }) =>
    tickets
      .filter(({ term }) => term.end > now)
      .map(({ site, type, units, term }) => ({ leaseId, holder, site, type, units, term })),
  )

export const offersOf = (draft: Draft<BrokerTables>): Offer[] =>
  draft
    .all('delegation')
    .map(({ site, type, units }: DelegationRow) => ({ site, type, units, term: undefined }))

/** Everything that is promised: tickets, less what was promised back, and what sites want back. */
export function promisesOf(draft: Draft<BrokerTables>, rows: readonly TicketRow[]): Promised[] {
  const promises: Promised[] = []
  for (const row of rows)
    for (const { site, type, units, term, issuedAt } of row.tickets) {
      const { reduced } = row
      if (reduced === undefined || issuedAt > reduced.plannedAt || reduced.from >= term.end)
        promises.push({ site, type, units, term })
      else {
        if (reduced.from > term.start)
          promises.push({ site, type, units, term: { start: term.start, end: reduced.from } })
        const start = Math.max(term.start, reduced.from)
        if (units > reduced.units)
          promises.push({ site, type, units: units - reduced.units, term: { start, end: term.end } })
      }
    }
  for (const { site, type, units, by } of draft.all('recall'))
    promises.push({ site, type, units, term: { start: by, end: by + LENGTH_MS_MAX } })
  return promises
}

export function heldAt(row: TicketRow, site: string, type: string, at: Instant): number {
  const ticket = row.tickets.find(
    (held) => held.site === site && held.type === type && held.term.start <= at && at < held.term.end,
  )
  if (ticket === undefined) return 0
  const back = (row.reduced?.from ?? at) <= at ? stillReduced(row, ticket) : 0
  return Math.max(0, ticket.units - back)
}

/** Units of the ticket that were promised back; a ticket issued after the promise is already without them. */
export const stillReduced = ({ reduced }: TicketRow, ticket: Ticket | undefined): number =>
  reduced !== undefined && ticket !== undefined && ticket.issuedAt <= reduced.plannedAt ? reduced.units : 0
