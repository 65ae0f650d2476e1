import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { ExpectedNode } from '../batch-system.ts'
import type { JobRecord, NodeRecord, Records } from './records.ts'
import type { ServerSettings } from './settings.ts'

/** What seldom changes about the server and about ourselves at it. */
export interface Facts {
  readonly version: string
  /** The server’s name, as it says itself; empty if it does not. */
  readonly server: string
  readonly user: string
  /** Manager, operator or root: nothing is hidden from us. */
  readonly isPrivileged: boolean
  readonly settings: ServerSettings
}

/**
 * What Torque and OpenPBS say in different words. Reads give records, changes reject where they were refused;
 * none of them asks whose node it is, which is the batch system's business.
 */
export interface Dialect {
  readonly product: 'Torque' | 'OpenPBS'
  /** For messages and for the pool's seat. */
  readonly pool: string
  readonly drainTag: string
  /** From a scheduler's decision to a job that is seen on its node. */
  readonly settleMs: Millis
  facts(signal: AbortSignal): Promise<Facts>
  recentFacts(signal: AbortSignal): Promise<Facts>
  jobs(signal: AbortSignal): Promise<Records<JobRecord>>
  nodes(signal: AbortSignal): Promise<Records<NodeRecord>>
  node(name: string, signal: AbortSignal): Promise<NodeRecord | undefined>
  /** The hour where the commands run. */
  serverNow(signal: AbortSignal): Promise<Instant>
  /** How many jobs that have not ended the server counts, by another question than `jobs`. */
  liveJobs(signal: AbortSignal): Promise<number>
  /** Makes the record, with its mark and with `note`. */
  create(node: ExpectedNode, note: string, signal: AbortSignal): Promise<void>
  /**
   * Where the scheduler does harm when the list of nodes becomes empty: `keep` takes the mark off the record and
   * leaves it in the list, offline; `adopt` makes it another node's.
   */
  readonly lastRecord?: {
    keep(record: NodeRecord, signal: AbortSignal): Promise<void>
    adopt(node: ExpectedNode, signal: AbortSignal): Promise<void>
  }
  /** Deletes the record and makes it anew, so that the server learns the node's new address. */
  renew(node: ExpectedNode, note: string, signal: AbortSignal): Promise<void>
  offline(name: string, note: string, signal: AbortSignal): Promise<void>
  online(name: string, note: string, signal: AbortSignal): Promise<void>
  /** False if the server says that a job is there. */
  delete(name: string, signal: AbortSignal): Promise<boolean>
  /** Lets the scheduler look now; nothing if the admin has switched it off. */
  nudge(facts: Facts, signal: AbortSignal): Promise<void>
  /** Puts a running job back; the refusal, or undefined. `force`: its node is gone. */
  rerun(id: string, force: boolean, signal: AbortSignal): Promise<string | undefined>
  /** Lets go of a job that the server itself holds; the refusal, or undefined. */
  release(id: string, signal: AbortSignal): Promise<string | undefined>
  /** Takes a job off the list whose node is gone. */
  purge(id: string, signal: AbortSignal): Promise<void>
}
