import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { NodeMark } from '../batch-system.ts'

/**
 * What the embedded batch system remembers, as it stands in its store.
 *
 *   pending ──start──▶ running ──the command ended, or a kill was ordered──▶ completing ──every part done──▶ ended
 *      ▲                                                                          │
 *      └──────────────────────────── the verdict is `requeued` ───────────────────┘
 */

/** Changed whenever an ask, an answer or a record changes its meaning. */
export const PROTOCOL = 'sublet-batch-1'

/** One job on one node. assigned: the node is to start it · running: it did · ended: its epilog runs · done: nothing of it is left there. */
export interface PartRecord {
  readonly node: string
  state: 'assigned' | 'running' | 'ended' | 'done'
}

export type Outcome = 'finished' | 'failed' | 'cancelled' | 'timeout' | 'requeued'

/** What will become of a job once its last part is done. */
export interface Verdict {
  readonly outcome: Outcome
  readonly reason: string
  readonly exitCode: number | null
  /** The command never began, so running it again is the first time. */
  readonly neverRan: boolean
}

export interface AttemptRecord {
  readonly attempt: number
  readonly startedAt: Instant
  readonly endedAt: Instant
  readonly nodes: readonly string[]
  readonly outcome: Outcome
  readonly reason: string
  readonly exitCode: number | null
}

/** What a user asks for. */
export interface JobOrder {
  readonly command: string
  readonly user: string
  readonly queue: string
  readonly nodes: number
  readonly cpusPerNode: number
  readonly memoryMiBPerNode: number
  readonly walltimeMs: Millis | null
  readonly requeueable: boolean
  /** Starts only after this job has ended, however it ended. */
  readonly after: string | null
  readonly environment: Readonly<Record<string, string>>
  /** Where standard output and error go, appended; nowhere if null. */
  readonly output: string | null
}

export interface JobRecord extends JobOrder {
  readonly id: string
  /** The place in the queue. Kept when the job is requeued. */
  readonly order: number
  /** The array it is a task of. */
  readonly array: string | null
  held: boolean
  state: 'pending' | 'running' | 'completing' | 'ended'
  readonly submittedAt: Instant
  startedAt: Instant | null
  endedAt: Instant | null
  /** Counts starts, also those that never reached the machine. */
  attempt: number
  /** Counts how often the command was, or may have been, begun again. */
  restarts: number
  parts: PartRecord[]
  verdict: Verdict | null
  /** The attempts that are over, the latest last, at most 50. */
  attempts: AttemptRecord[]
}

export interface NodeRecord {
  readonly name: string
  /** Null: a node of the admin's own. */
  readonly mark: NodeMark | null
  address: string
  cpus: number
  memoryMiB: number
  /** Somebody called `expect`; the admin's own nodes always are. */
  expected: boolean
  /** Its agent has been here. */
  registered: boolean
  drain: { readonly by: 'ours' | 'theirs'; readonly reason: string } | null
}

export const sameMark = (a: NodeMark | null, b: NodeMark | null): boolean =>
  a === null || b === null ? a === b : a.leaseId === b.leaseId && a.unitId === b.unitId

/** What an agent says of a part. `killed`: it may have begun, did not end by itself, and nothing of it runs any more. */
export interface PartReport {
  readonly jobId: string
  readonly attempt: number
  readonly state: 'running' | 'ended' | 'done' | 'killed'
  readonly exitCode: number | null
  readonly reason: string
  /** Why the node should take no more jobs until somebody has looked at it; empty if it may. */
  readonly nodeFault: string
}

/** What an agent is to run. */
export interface PartOrder {
  readonly jobId: string
  readonly attempt: number
  /** The command runs on the first node; the others are kept for it. */
  readonly first: boolean
  readonly command: string
  readonly environment: Readonly<Record<string, string>>
  readonly output: string | null
  readonly nodes: readonly string[]
  readonly walltimeMs: Millis | null
  readonly epilog: string | null
  readonly epilogMsMax: Millis
}
