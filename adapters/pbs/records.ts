import type { Vector } from '../../actors/leases/resources.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { HeldBy, JobPart, JobState, NodeMark } from '../batch-system.ts'

/** What a job asks for, spread over equal nodes; of a sum of unlike parts the largest, so many times, and the parts. */
export interface Demand {
  readonly nodes: number
  readonly cpusPerNode: number
  /** 0 if the job does not say. */
  readonly memoryMiBPerNode: number
  readonly consumablesPerNode: Vector
  /** Properties and named hosts. */
  readonly features: readonly string[]
  readonly exclusive: boolean
  /** Two or more, unlike each other. */
  readonly parts?: readonly JobPart[]
}

/** What the vendor's words say of a job by itself; queues and limits are judged after it. */
export interface Verdict {
  readonly state: JobState
  readonly heldBy?: HeldBy
  /** A sentence if a word is in no table. */
  readonly unknown?: string
}

/** A job as Torque or OpenPBS tells it, in one form. */
export interface JobRecord {
  readonly id: string
  readonly verdict: Verdict
  /** The comment of the scheduler, or what holds it. */
  readonly reason: string
  readonly user: string
  /** Empty if the vendor does not tell. */
  readonly group: string
  readonly project: string
  readonly account: string
  readonly queue: string
  readonly demand: Demand
  /** Absent: the queue's default counts, if it has one. */
  readonly walltimeMs: Millis | undefined
  readonly submittedAt: Instant
  readonly notBefore: Instant | undefined
  readonly startedAt: Instant | undefined
  readonly endedAt: Instant | undefined
  /** Nodes it runs or ran on, each once. */
  readonly hosts: readonly string[]
  readonly rerunable: boolean
  /** How many times it was started. */
  readonly starts: number
  /** Of an array of which only so many tasks may run at once. */
  readonly array?: { readonly id: string; readonly runMax: number }
  /** What all of it takes, sizes in bytes: for limits on what may run. */
  readonly amounts?: Vector
  /** The mother superior has told of its session; absent where the vendor is not read for it. */
  readonly hasProcess?: boolean
  /** Its own exit status was 0. */
  readonly hasSucceeded?: boolean
}

/** works: takes jobs if there is room · refuses · silent: is not there. */
export type NodeFitness = 'works' | 'refuses' | 'silent'

/** A mark, and the address that the node's record was made for: the server keeps that of the moment. */
export interface PlacedMark extends NodeMark {
  readonly address: string
}

export interface NodeRecord {
  readonly name: string
  /** The vendor's words, lower case. */
  readonly states: readonly string[]
  readonly fitness: NodeFitness
  /** Somebody took it out of service; not the `offline` that a new record is born with. */
  readonly isOffline: boolean
  readonly unknown: readonly string[]
  readonly mark: PlacedMark | undefined
  /** Ours, of no lease: the last record of the list, kept because the list must not be empty. */
  readonly isKept: boolean
  readonly note: string
  readonly features: readonly string[]
  readonly cpus: number
  readonly cpusInUse: number
  readonly memoryMiB: number
  readonly consumables: Vector
  readonly jobs: readonly string[]
  /** Ids of the reservations that have this node, however far ahead. */
  readonly reservations?: readonly string[]
  /** The one that has it now or soon. */
  readonly reservedFor?: string
  /** Its daemon's last report, by the server's clock; undefined if it never reported or the vendor does not tell. */
  readonly heardAt: Instant | undefined
}

/** What was read, and a sentence for each record that could not be. */
export interface Records<R> {
  readonly records: readonly R[]
  readonly warnings: readonly string[]
  /** Their names, as far as they can be told, else empty ones. */
  readonly unread?: readonly string[]
}

export const garbage = (sentence: string, cause?: unknown): SubletError =>
  new SubletError('middleware-garbage', sentence, { cause })
