import type { Body } from '../leases/messages.ts'
import type { Ticket } from '../leases/ticket.ts'
import { indexOf } from '../runtime/views.ts'
import type { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import type { LeaseLife } from './leases.ts'
import type { AuthorityDraft, LeaseRow, ReturnedRow } from './rows.ts'
import { graceOf } from './standing.ts'

/** Tickets of one broker that are remembered as given back. */
export const RETURNED_KEPT_MAX = 100_000

const returnedTo = indexOf<ReturnedRow>('returned', ({ broker }) => broker)

/** Only its own broker says so of a ticket. */
const idOf = (broker: string, ticketId: string): string => `${broker} ${ticketId}`

/** Whether the broker of the ticket says that its holder gave it back. */
export const isReturned = ({ broker, id }: Ticket, draft: AuthorityDraft): boolean =>
  draft.get('returned', idOf(broker, id)) !== undefined

/**
 * What a broker tells of tickets that were given back to it: their units are somebody else's now.
 *
 *   of a lease that is held ──▶ off the account of its claim, and closed; work there may end within the grace
 *   of none that is known   ──▶ remembered until the ticket ends: it is not honoured
 */
export function returns(config: AuthorityConfig, claims: RootClaims, { shut }: LeaseLife) {
  return { returned }

  function returned(from: string, { tickets }: Body<'tickets-returned'>, draft: AuthorityDraft): void {
    if (!Object.keys(config.types).some((type) => brokerOf(config, type) === from)) {
      draft.turnDown()
      return draft.note(
        'message refused',
        from,
        `${from} is not a broker of this site: no ticket was given back to it`,
      )
    }
    let room = RETURNED_KEPT_MAX - (draft.view(returnedTo).get(from)?.size ?? 0)
    let unkept = 0
    for (const { ticketId, leaseId, until } of tickets) {
      const lease = draft.get('lease', leaseId)
      if (lease !== undefined && standsOn(lease, from, ticketId)) letGo(lease, from, draft)
      else if (until <= draft.now) continue
      else if (room > 0) {
        room--
        draft.put('returned', { id: idOf(from, ticketId), broker: from, due: until })
      } else unkept++
    }
    if (unkept > 0)
      draft.note(
        'message noted',
        from,
        `of ${tickets.length} tickets that were given back ${unkept} are not remembered: there are ${RETURNED_KEPT_MAX} already`,
      )
  }

  function letGo(lease: LeaseRow, broker: string, draft: AuthorityDraft): void {
    if (lease.state === 'closed') return
    claims.release(lease.id, draft)
    const reason = `its holder gave its ticket back to ${broker}, which may have given its units to others`
    shut(lease, 'close', draft.now + graceOf(lease), reason, draft)
  }
}

const standsOn = ({ ticket, next }: LeaseRow, broker: string, ticketId: string): boolean =>
  ticket.broker === broker && (ticket.id === ticketId || next?.id === ticketId)
