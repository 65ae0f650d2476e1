import type { NodeMark } from './batch-system.ts'
import type { UnitFacts } from './handler.ts'

/** A machine of ours that is to take part in the guest's middleware. */
export interface JoinUnit {
  readonly unitId: string
  readonly leaseId: string
  readonly name: string
  readonly vector: Readonly<Record<string, number>>
  /** From the authority's handler: addresses, host keys, sockets. */
  readonly facts: UnitFacts
  /** Earlier units of its machine whose leases are known to be over: a daemon of theirs is left over, and is ended. */
  readonly over?: readonly NodeMark[]
}

/**
 * The guest's hand inside its machines: starts and stops the middleware's node daemon there.
 *
 * Law (test/conformance/join.ts): both verbs are idempotent; leave of a machine that is gone resolves. Where a machine
 * is, its site says, who may lie: a daemon of another lease is ended by join only if `over` names it, and else join
 * rejects; leave ends none but its own. Sites choose the ids of units too: an equal one says nothing.
 */
export interface JoinHandler {
  /** Starts the node daemon, pointing at the guest's server and carrying the lease's mark. */
  join(unit: JoinUnit, signal: AbortSignal): Promise<void>
  /** Stops the node daemon; the batch system has already removed the node. */
  leave(unit: JoinUnit, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
