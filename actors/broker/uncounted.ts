import { poolKey } from '../leases/calendar.ts'
import { levelAlways, type Profile, raisedTo, withUnits } from '../leases/profile.ts'
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
 * promised if somebody else were given them. What it has taken and not lent again, or still wants back, is not there to
 * be promised anyway.
 *
 *   promised back ──▶ not counted as promised, and held back ──┬─ the site says that it counts them no more ─▶ free
 *                        └─ while the site keeps as many: free └─ the ticket ends ─▶ free
 *
 * What is held back over time, nowhere below nothing.
 */
export function uncounted({ site, type, owed, back }: DelegationRow, draft: BrokerDraft): Profile {
  // A row of an earlier program, which did not reckon so.
  if (owed === undefined) return levelAlways(0)
  let held = levelAlways(0)
  for (const row of draft.having(reducedAt, poolKey(site, type)))
    for (const ticket of row.tickets) {
      const { start, end } = ticket.term
      let counted = own(back, ticket.id) ?? 0
      for (const { units, from } of givenBackOf(row, ticket)) {
        held = withUnits(held, Math.max(0, units - counted), { start: Math.max(start, from), end })
        counted = Math.max(0, counted - units)
      }
    }
  if (held.changes === undefined) return held
  for (const recall of draft.all('recall')) {
    if (recall.site !== site || recall.type !== type) continue
    const { units, term } = recallOf(recall)
    held = withUnits(held, -units, term)
  }
  return raisedTo(withUnits(held, -owed, ALWAYS), 0, ALWAYS)
}

/** All that was promised back of what is held there still: an earlier program took as much for given back. */
export const promisedBack = ({ site, type }: DelegationRow, draft: BrokerDraft): number =>
  draft
    .having(reducedAt, poolKey(site, type))
    .reduce((sum, row) => sum + stillReduced(row, row.tickets.at(-1)), 0)
