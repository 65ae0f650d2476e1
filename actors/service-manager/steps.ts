import { nextState } from '../leases/machine.ts'
import type { Instant } from '../runtime/clock.ts'
import { type LeaseEvent, leaseMachine, type TicketEvent, ticketMachine } from './machines.ts'
import type { ExtensionRefused, LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'

/** One step of a lease's two machines; an event that the table does not list is a mistake of ours. */
export function stepTicket(lease: LeaseRow, event: TicketEvent): LeaseRow {
  const ticketState = nextState(ticketMachine, lease.ticketState, event)
  if (ticketState === undefined)
    throw new Error(`a ticket that is ${lease.ticketState} knows no event ${event}`)
  return { ...lease, ticketState }
}

export function stepLease(lease: LeaseRow, event: LeaseEvent): LeaseRow {
  const leaseState = nextState(leaseMachine, lease.leaseState, event)
  if (leaseState === undefined) throw new Error(`a lease that is ${lease.leaseState} knows no event ${event}`)
  return { ...lease, leaseState }
}

export const isFinished = (lease: LeaseRow): boolean =>
  lease.leaseState === 'closed' && lease.ticketState === 'closed'

/** On its way out, or out. */
export const isGivenBack = ({ leaseState }: LeaseRow): boolean =>
  leaseState === 'leaving' || leaseState === 'closing' || leaseState === 'closed'

export const unitsOf = (lease: LeaseRow, draft: ServiceManagerDraft): UnitRow[] =>
  (draft.get('lease', lease.id)?.units ?? lease.units)
    .map((id) => draft.get('unit', id))
    .filter((unit) => unit !== undefined)

/** Of the extension that is asked for, and by whom it was. */
export const refusalOf = ({ asking }: LeaseRow, reason: string, at: Instant): ExtensionRefused => ({
  at,
  reason,
  ...(asking?.byHand === true && { byHand: true }),
})
