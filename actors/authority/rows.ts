import type { Claim } from '../leases/claim.ts'
import type { Properties } from '../leases/properties.ts'
import type { Vector } from '../leases/resources.ts'
import type { Term } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Row } from '../runtime/rows.ts'
import type { LeaseState, UnitState } from './machines.ts'

export interface LeaseRow extends Row {
  readonly holder: string
  readonly state: LeaseState
  /** The ticket it stands on, and the one that takes its place at its end. */
  readonly ticket: Ticket
  readonly next: Ticket | undefined
  /** Units that go at the boundary to `next`. */
  readonly victims: readonly string[]
  /** From the first start to the last end that was accepted. */
  readonly term: Term
  readonly unitsMin: number
  readonly image: string
  readonly properties: Properties
  readonly units: readonly string[]
  /** Setups and probes that failed. */
  readonly failures: number
  readonly closeReason: string
  /** The holder said that nothing of it runs there any more. */
  readonly vacated: boolean
  /** Why some of its units are still to come, as last written down. */
  readonly waits?: string | undefined
}

export interface UnitRow extends Row {
  readonly leaseId: string
  readonly holder: string
  readonly state: UnitState
  readonly type: string
  readonly name: string
  readonly slot: number
  readonly host: string
  readonly vector: Vector
  readonly image: string
  readonly assignedAt: Instant
  /** When it entered its state. A sweep that began before says nothing of it. */
  readonly since: Instant
  /** The guest has been told that it may use it: only proof that it is gone ends it for the guest. */
  readonly wasActive: boolean
  readonly facts: Properties
  /** Its holder said that it does not use it: it is not replaced. */
  readonly givenUp?: boolean | undefined
  /** What the site says of it. */
  readonly reason: string
  /** The verb under way, if any. */
  readonly doing: 'setup' | 'probe' | 'modify' | 'teardown' | undefined
  /** The lease end that its dead-man has acknowledged. */
  readonly pushedEnd: Instant
  /** The end that it was told and has not acknowledged. */
  readonly unheardEnd: Instant
  /** Teardown no longer asks whether work runs there from this instant on; undefined until teardown is wanted. */
  readonly forceFrom: Instant | undefined
  /** Teardowns that failed in a row. */
  readonly teardownFailures: number
  readonly probedAt: Instant
}

/** A root claim that the site has issued, kept while tickets that are drawn from it may be good. */
export interface ClaimRow extends Row {
  readonly claim: Claim
}

/** A ticket that was accepted, in the account of the claim that it is drawn from; `id` is the ticket. */
export interface DrawnRow extends Row {
  readonly claimId: string
  readonly leaseId: string
  readonly type: string
  readonly units: number
  readonly term: Term
}

/** What is offered of one type; `id` is the type. */
export interface OfferRow extends Row {
  /** Whom it is offered to. */
  readonly broker?: string | undefined
  /** The claim that goes with it; undefined while nothing is lent. */
  readonly claimId?: string | undefined
  readonly units: number
  /** Not offered because they are stuck or were recalled. */
  readonly withheld: number
  readonly settledRecalls: readonly string[]
}

/** How setups with an image went; `id` is the image. A run of failures delays the next attempt. */
export interface ImageRow extends Row {
  readonly failures: number
  readonly notBefore: Instant
}

/** Units that the site wants back. */
export interface RecallRow extends Row {
  readonly type: string
  readonly units: number
  readonly by: Instant
  /** Whether the notice was long enough goes by this. */
  readonly orderedAt?: Instant | undefined
  /** The offer has shrunk by it; what is too much may still let its work end. */
  readonly taken: boolean
}

/** There is one, `site`: the sweep's next time and the slot given out last. */
export interface SiteRow extends Row {
  readonly lastSlot: number
  readonly sweeping: boolean
  /** Something ended while the sweep was under way: it is done once more. */
  readonly again?: boolean | undefined
  /** The last one failed, and that was written down. */
  readonly failing?: boolean | undefined
}

export type AuthorityTables = {
  lease: LeaseRow
  unit: UnitRow
  offer: OfferRow
  claim: ClaimRow
  drawn: DrawnRow
  image: ImageRow
  recall: RecallRow
  site: SiteRow
}
