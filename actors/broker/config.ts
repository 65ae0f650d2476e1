import type { BrokerPolicy } from '../../controllers/controller.ts'
import type { Millis } from '../runtime/clock.ts'
import type { Identity, Trust } from '../runtime/identity.ts'

/** Requests that a person has to approve before a policy sees them. */
export interface ApprovalRule {
  /** For more units than this. */
  readonly unitsOver?: number | undefined
  /** For longer than this. */
  readonly durationOverMs?: Millis | undefined
  /** For any of these types. */
  readonly types?: readonly string[] | undefined
}

export interface BrokerConfig {
  readonly policy: BrokerPolicy
  /** False for a policy that does not look at who holds what: collecting it takes time. */
  readonly holdings?: boolean
  /** Who may lend; absent: every peer. */
  readonly sites?: readonly string[]
  /** Who may ask for tickets; absent: every peer. */
  readonly holders?: readonly string[]
  /** Requests that arrive within this long are decided together. */
  readonly batchMs: Millis
  /** How long after a ticket's end it is kept, for a relinquish that is late. */
  readonly quarantineMs: Millis
  /** How long an answer is worth repeating. */
  readonly answerMs: Millis
  /** Who may hold something; asked, besides those of the rows, after a restore from an older store. */
  readonly peers?: readonly string[]
  /** How long they are waited for then. */
  readonly recoverMs?: Millis
  /** Leases on one page of what is told to somebody who was restored; absent: as many as a message may have. */
  readonly holdingsMax?: number | undefined
  /** What a person has to approve; absent: nothing. */
  readonly approval?: ApprovalRule | undefined
}

/** What each part of the broker has at hand. */
export interface BrokerParts {
  readonly config: BrokerConfig
  readonly identity: Identity
  readonly trust: Trust
}
