import type { Conditions } from '../leases/conditions.ts'
import type { Vector } from '../leases/resources.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Row } from '../runtime/rows.ts'
import type { TicketState } from './machine.ts'

/** What a site lends of one type. `id` is `site/type`. */
export interface DelegationRow extends Row {
  readonly site: string
  readonly type: string
  readonly units: number
  readonly vector: Vector
  readonly conditions: Conditions
}

/** One lease as the broker sees it: a request, then a ticket, then its extensions. `id` is the lease's. */
export interface TicketRow extends Row {
  readonly holder: string
  readonly state: TicketState
  readonly type: string
  readonly arrivedAt: Instant
  /** The question that is open; undefined when there is none. */
  readonly asked: Asked | undefined
  /** Why it waits, as last decided. */
  readonly waitReason: string
  /** What is granted, oldest first; an extension follows the ticket it names. Past ones are dropped. */
  readonly tickets: readonly Ticket[]
  /** Units that the holder promised to give back, from then on, of tickets issued until it promised. */
  readonly reduced:
    | { readonly units: number; readonly from: Instant; readonly plannedAt: Instant }
    | undefined
}

export interface Asked {
  readonly units: number
  readonly unitsMin: number
  readonly durationMs: Millis
  readonly start: Instant
  readonly startBy: Instant
}

/** A site wants units back from `by` on; counted as taken until its offer is smaller. */
export interface RecallRow extends Row {
  readonly site: string
  readonly type: string
  readonly units: number
  readonly by: Instant
}

/** There is one, `round`: when it is due the policy decides over everything that is open. */
export interface RoundRow extends Row {
  readonly id: 'round'
}

export type BrokerTables = {
  delegation: DelegationRow
  ticket: TicketRow
  recall: RecallRow
  round: RoundRow
}
