import { poolKey } from '../leases/calendar.ts'
import type { Body } from '../leases/messages.ts'
import { levelAlways, type Profile, raisedTo, stepsFrom, withUnits } from '../leases/profile.ts'
import { ALWAYS } from '../leases/term.ts'
import { own } from '../runtime/plain.ts'
import { indexOf } from '../runtime/views.ts'
import { givenBackOf, recallOf, stillReduced } from './promises.ts'
import type { BrokerDraft, DelegationRow, TicketRow } from './rows.ts'

const reducedAt = indexOf<TicketRow>('ticket', ({ reduced, tickets: [ticket] }) =>
  reduced === undefined || ticket === undefined ? undefined : poolKey(ticket.site, ticket.type),
)

/**
 * Units that holders promised back for a recall, and that the site has not said it counts no more: it would find too much
 * promised if somebody else were given them. What they were promised for, if it has taken that and not lent it again, or
 * still wants it back, is not there to be promised anyway.
 *
 *   promised back ──▶ not counted as promised, and held back ──┬─ the site says that it counts them no more ─▶ free
 *                        └─ while the site keeps as many: free └─ the ticket ends ─▶ free
 *
 * What is held back over time, nowhere below nothing.
 */
export function uncounted({ site, type, owed, keeps, back }: DelegationRow, draft: BrokerDraft): Profile {
  // A row of an earlier program, which did not reckon so.
  if (owed === undefined) return levelAlways(0)
  let held = levelAlways(0)
  let kept = levelAlways(0)
  for (const row of draft.having(reducedAt, poolKey(site, type)))
    for (const ticket of row.tickets) {
      const { start, end } = ticket.term
      let counted = own(back, ticket.id) ?? 0
      let left = keeps === undefined ? Number.POSITIVE_INFINITY : (own(keeps, ticket.id) ?? 0)
      for (const { units, from } of givenBackOf(row, ticket)) {
        const open = Math.max(0, units - counted)
        const part = Math.min(open, left)
        const term = { start: Math.max(start, from), end }
        kept = withUnits(kept, part, term)
        held = withUnits(held, open - part, term)
        counted = Math.max(0, counted - units)
        left -= part
      }
    }
  held = together(held, raisedTo(withUnits(kept, -owed, ALWAYS), 0, ALWAYS))
  if (held.changes === undefined) return held
  for (const recall of draft.all('recall')) {
    if (recall.site !== site || recall.type !== type) continue
    const { units, term } = recallOf(recall)
    held = withUnits(held, -units, term)
  }
  return raisedTo(held, 0, ALWAYS)
}

function together(some: Profile, others: Profile): Profile {
  let sum = some
  let before = 0
  for (const { at, level } of stepsFrom(others, ALWAYS.start)) {
    sum = withUnits(sum, level - before, { start: at, end: ALWAYS.end })
    before = level
  }
  return sum
}

/** Recalls of one type that its site has taken, as they are remembered. */
const TOOK_MAX = 100

interface Told extends Pick<Body<'delegation'>, 'type' | 'units' | 'settledRecalls'> {
  readonly site: string
  /** By ticket. */
  readonly back: Readonly<Record<string, number>>
}

/**
 * What the site keeps of what it took, as its offer shows: more by what it takes now, less by as much as it lends more, for
 * whatever reason. With what it lends it is never more than it lent before. And which units those are: what holders
 * promised for what it takes now, until it has them. A recall that is called off is settled without taking anything.
 */
export function keptOf(
  known: DelegationRow | undefined,
  { site, type, units, settledRecalls, back }: Told,
  draft: BrokerDraft,
): Required<Pick<DelegationRow, 'owed' | 'keeps' | 'took'>> {
  const { units: unitsBefore = 0, owed: owedBefore = 0 } = known ?? {}
  const settled = new Set(settledRecalls)
  const recalls = draft
    .all('recall')
    .filter((recall) => recall.site === site && recall.type === type && settled.has(recall.id))
  const sum = recalls.reduce((all, recall) => all + recall.units, 0)
  const owed = Math.max(0, Math.min(owedBefore + sum, unitsBefore + owedBefore - units))
  const isOld = known !== undefined && known.owed === undefined
  const isTaking = owed > owedBefore
  const keeps: Record<string, number> = {}
  for (const row of draft.having(reducedAt, poolKey(site, type)))
    for (const ticket of row.tickets) {
      const { id } = ticket
      const counted = own(back, id) ?? 0
      const more = Math.max(0, counted - (own(known?.back, id) ?? 0))
      const before =
        known !== undefined && known.keeps === undefined ? ticket.units : (own(known?.keeps, id) ?? 0)
      const taken = isTaking ? recalls.reduce((all, { planned }) => all + (own(planned, id) ?? 0), 0) : 0
      const left = Math.min(stillReduced(row, ticket) - counted, before + taken - more)
      if (left > 0) keeps[id] = left
    }
  const took = [...(known?.took ?? []), ...(isTaking ? recalls.map(({ id }) => id) : [])].slice(-TOOK_MAX)
  return { owed: isOld ? promisedBack(known, draft) : owed, keeps, took }
}

/** All that was promised back of what is held there still: an earlier program took as much for given back. */
const promisedBack = ({ site, type }: DelegationRow, draft: BrokerDraft): number =>
  draft
    .having(reducedAt, poolKey(site, type))
    .reduce((sum, row) => sum + stillReduced(row, row.tickets.at(-1)), 0)
