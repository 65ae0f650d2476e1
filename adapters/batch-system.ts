import type { Vector } from '../actors/leases/resources.ts'
import type { Instant, Millis } from '../actors/runtime/clock.ts'
import type { Examination, Finding } from './finding.ts'

/**
 * pending: could start if a machine were there · held: somebody or something holds it (user, admin,
 * dependency, start time, limit, licence) and no machine would cure it · running · completing: its
 * epilog runs or its end is not yet confirmed · ended: finished, failed or cancelled, still listed.
 */
export type JobState = 'pending' | 'held' | 'running' | 'completing' | 'ended'

/**
 * What holds a job, so that no machine would cure it:
 *
 *   user        its owner holds it                 start-time   a begin time that has not come
 *   operator    an administrator holds it          limit        of a user, account, class or array
 *   system      the batch system holds it itself   licence      something counted that is no machine's
 *   dependency  other jobs have to end first       reservation  what others have reserved, or it waits for its own
 *   queue       its queue or partition is closed   impossible   no node of whatever kind could ever run it
 *   unknown     a reason that is in no table
 */
export const HELD_BY = [
  'user',
  'operator',
  'system',
  'dependency',
  'start-time',
  'limit',
  'licence',
  'reservation',
  'queue',
  'impossible',
  'unknown',
] as const
export type HeldBy = (typeof HELD_BY)[number]

/** So many of a job's nodes, which are alike; the figures are of each of them. */
export interface JobPart {
  readonly nodes: number
  readonly cpusPerNode: number
  readonly memoryMiBPerNode: number
  readonly consumablesPerNode?: Vector
  readonly features?: readonly string[]
}

export interface Job {
  /** As the middleware prints it; array tasks one by one, such as `17_3`. */
  readonly id: string
  readonly state: JobState
  /** The middleware's own word for why it waits, such as `Resources` or `Dependency`; empty if none. */
  readonly vendorReason: string
  /** Of a held job only. */
  readonly heldBy?: HeldBy
  /** Held by its start time: when that comes. */
  readonly notBefore?: Instant
  readonly user: string
  /** Whom the middleware charges; absent if it does not account. */
  readonly account?: string
  readonly queue: string
  /** The demand: so many nodes, each with so many cpus and so much memory. */
  readonly nodes: number
  readonly cpusPerNode: number
  /** 0 if the job does not say. */
  readonly memoryMiBPerNode: number
  /** What else each of its nodes has to give it, by the middleware's names, such as `{ gpu: 2 }` or `{ 'gpu:a100': 2 }`. */
  readonly consumablesPerNode?: Vector
  /** Properties, features or hosts that each of its nodes has to have, all of them; of `a|b` one is enough. */
  readonly features?: readonly string[]
  /** It shares its nodes with nobody. */
  readonly exclusive?: boolean
  /**
   * Of a job whose nodes are unlike: each part on nodes of its own, all at once. The figures above are then those of the
   * largest part, and the features those of any.
   */
  readonly parts?: readonly JobPart[]
  /** It starts together with that job or not at all, and its nodes are among the parts of that one. */
  readonly partOf?: string
  /** What the job asked for, or the queue's default; undefined if there is no limit. */
  readonly walltimeMs: Millis | undefined
  readonly submittedAt: Instant
  readonly startedAt: Instant | undefined
  readonly endedAt: Instant | undefined
  /** Names of the nodes it runs or completes on; once ended, of those it last ran on. */
  readonly nodeNames: readonly string[]
  readonly requeueable: boolean
  /** How many times the middleware started it again. */
  readonly restarts: number
  /** The middleware itself holds it since a node failed under its start; `requeue` lets it go. */
  readonly launchFailed?: boolean
  /**
   * Runs by the middleware's word for longer than a start takes, and no process of it is there: it holds its nodes, and
   * nobody ends it, also not at its walltime.
   */
  readonly neverBegan?: boolean
  /** It has ended, and well, by the middleware's own word. Absent where that does not tell. */
  readonly succeeded?: boolean
  /** For arrays: how many equal tasks this one record stands for (a pending array is one record). */
  readonly tasks: number
}

/** Whose node it is: set when Sublet created it, kept in the middleware itself. */
export interface NodeMark {
  readonly leaseId: string
  readonly unitId: string
}

export interface BatchNode {
  readonly name: string
  /** Undefined for the admin's own (static) nodes, which are only observed. */
  readonly mark: NodeMark | undefined
  /** The middleware's own state words, lower case, such as `idle+drain`. */
  readonly vendorState: string
  /** Registered and answering. */
  readonly responding: boolean
  /** Takes new jobs: answering, not drained, not down, not reserved. */
  readonly accepting: boolean
  /** No job, none completing, no prolog or epilog running. */
  readonly empty: boolean
  /** A job, present or planned by the scheduler itself, that is collecting this node; `undefined` if none. */
  readonly collectingFor: string | undefined
  /** Who stopped new jobs on it: `ours` only if the drain carries our mark. */
  readonly drained: 'no' | 'ours' | 'theirs'
  readonly drainReason: string
  readonly cpus: number
  readonly cpusInUse: number
  readonly memoryMiB: number
  /** Taken by jobs; absent if only the jobs' own figures tell. */
  readonly memoryMiBInUse?: number
  /** Other consumables, in all and taken. */
  readonly consumables?: Vector
  readonly consumablesInUse?: Vector
  readonly features?: readonly string[]
  /** A reservation in the middleware that has this node, now or soon: it is not taken out meanwhile. */
  readonly reservedFor?: string
  /** Ids of jobs that run or complete there. */
  readonly jobs: readonly string[]
}

/** One look. Immutable. */
export interface BatchPicture {
  /** When the look began; whatever was changed after it may be missing. */
  readonly startedAt: Instant
  readonly at: Instant
  readonly jobs: readonly Job[]
  readonly nodes: readonly BatchNode[]
  /**
   * Names of nodes whose record could not be read, as far as they can be told, else an empty name. They are there,
   * maybe with work: only that they are gone must not be concluded.
   */
  readonly unread?: readonly string[]
  /** Records that could not be read, and other oddities, a sentence each. */
  readonly warnings: readonly string[]
  /**
   * Whether an empty list of jobs may be believed. `confirmed`: a second source agrees or jobs of
   * others are proven visible. `doubtful`: it may be PrivateData or a dying daemon; act on nothing.
   */
  readonly trust: 'confirmed' | 'doubtful'
}

export interface Capabilities {
  /** `watch` tells of changes; otherwise the controller polls. */
  readonly events: boolean
  /** Nodes come by themselves (`self`), or a record must be made first (`created`). */
  readonly nodes: 'self' | 'created'
  /** Jobs can be put back into the queue. */
  readonly requeue: boolean
  /** The least time between a change and a look that is sure to show it. */
  readonly settleMs: Millis
}

export interface ExpectedNode {
  readonly name: string
  readonly address: string
  readonly mark: NodeMark
  readonly cpus: number
  readonly memoryMiB: number
}

/**
 * A local resource manager that places jobs on worker nodes: the guest's middleware.
 *
 * Law (test/conformance/batch-system.ts):
 * - Whose node is it: expect, drain, resume and remove touch only nodes that carry our mark (or a node
 *   not yet known, for expect); else `node-not-ours`. A drain, note or state that anybody else set is
 *   never cleared or overwritten: drain of a node that they drained resolves and changes nothing, and
 *   resume and expect clear only our own drain.
 * - An empty answer: see `trust`. A failed look rejects; it never returns an empty picture.
 * - Idle: `empty` is false while a job runs or completes or an epilog runs; `collectingFor` is set while
 *   a wide job is gathering nodes.
 * - Ready: a node accepts jobs only after `expect` was called and the machine has registered.
 * - Ended jobs stay listed for some minutes, with the nodes they ran on: a node that swallows jobs is found by them.
 * - Every verb may be repeated; remove of an absent node resolves; remove of a node with a job on it is
 *   `node-busy` unless `lost` says that the machine is gone for good: then its jobs are requeued where
 *   they may be, and failed by name where not.
 */
export interface BatchSystem {
  /** For messages, such as `slurm cluster lab`. */
  readonly name: string
  readonly capabilities: Capabilities
  /** Sentences about what is missing or will not do; empty if all is well. Rejects if unreachable. */
  check(signal: AbortSignal): Promise<readonly string[]>
  /** The same and more, for an admin who asks whether her middleware will do. Changes nothing. */
  examine?(examination: Examination, signal: AbortSignal): Promise<readonly Finding[]>
  observe(signal: AbortSignal): Promise<BatchPicture>
  /**
   * Rejects as `expect` would where the name is another's, or one that cannot be ours (`node-name`). Changes nothing; a
   * daemon is started only after it. Absent where `expect` is told of the machine by the machine itself.
   */
  vet?(node: ExpectedNode, signal: AbortSignal): Promise<void>
  /**
   * The name that the machine goes by there, where names are listed beforehand: the one that carries its mark, or else a free
   * one, which it is given. All other verbs find the node by its mark, by whatever name they are told. Absent where machines
   * go by their own. `names-taken` if none is free.
   */
  take?(node: ExpectedNode, signal: AbortSignal): Promise<string>
  /** Lets the machine in: makes the record where names are fixed, and marks it. Resolves once the node is registered and accepting. */
  expect(node: ExpectedNode, signal: AbortSignal): Promise<void>
  /** No new jobs; running ones go on. */
  drain(name: string, mark: NodeMark, reason: string, signal: AbortSignal): Promise<void>
  /** Takes our own drain back. */
  resume(name: string, mark: NodeMark, signal: AbortSignal): Promise<void>
  remove(
    name: string,
    mark: NodeMark,
    options: { readonly lost: boolean },
    signal: AbortSignal,
  ): Promise<void>
  /** Puts jobs back into the queue; returns those that could not be, with the reason. */
  requeue(
    jobIds: readonly string[],
    reason: string,
    signal: AbortSignal,
  ): Promise<readonly { id: string; reason: string }[]>
  /** Calls back soon after anything changed; may be late or superfluous, never a promise. */
  watch?(onChange: () => void, signal: AbortSignal): void
  /** Takes the pool's one seat, so that two Sublets never drive one pool: `already-running` if taken. Freed by `close` and by the death of this process. */
  claim(owner: string, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
