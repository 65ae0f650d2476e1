import { tell } from '../leases/correspondence.ts'
import { RETURNED_MAX } from '../leases/messages.ts'
import type { Ticket } from '../leases/ticket.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import type { BrokerDraft } from './rows.ts'

/**
 * A ticket in the hands of its holder is good after he has given it back, too: its site hears of it from its broker,
 * honours it no more, and lets go what is held with it all the same. It is said with the commit in which the units can
 * be given to somebody else, so that the site mostly hears of it before it is shown the ticket for them.
 *
 *   relinquish ──▶ a row for each ticket ──at once, all of a commit──▶ `tickets-returned` to its site
 */
export function noteReturned(tickets: readonly Ticket[], draft: BrokerDraft): void {
  for (const { id, leaseId, site, term } of tickets)
    if (term.end > draft.now && !speaksOnly1(site, draft))
      draft.put('returned', { id, leaseId, site, until: term.end, due: draft.now })
}

/** All that there are, to each site its own. */
export function tellReturned(draft: BrokerDraft): void {
  for (const [site, rows] of Map.groupBy(draft.all('returned'), ({ site }) => site))
    for (let first = 0; first < rows.length; first += RETURNED_MAX) {
      const told = rows.slice(first, first + RETURNED_MAX)
      const tickets = told.map(({ id: ticketId, leaseId, until }) => ({ ticketId, leaseId, until }))
      tell(
        draft,
        site,
        'tickets-returned',
        'returned',
        { tickets },
        Math.max(...told.map(({ until }) => until)),
      )
      for (const { id } of told) draft.remove('returned', id)
    }
}
