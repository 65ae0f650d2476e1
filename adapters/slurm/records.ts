import type { Vector } from '../../actors/leases/resources.ts'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Sliced } from '../batch/slices.ts'
import type { GresRequest } from './gres.ts'

/** A job as Slurm tells it, whatever the format; not yet judged. */
export interface JobRecord {
  /** `12`, `17_3`, `17_[4-9%2]`, `20+1`. */
  readonly id: string
  /** The array it belongs to; else empty. */
  readonly arrayId: string
  /** How many tasks of its array this waiting record stands for; 0 if it is one job. */
  readonly arrayTasks: number
  /** How many tasks of the array may run at once; 0 if all may. */
  readonly arrayLimit: number
  readonly state: string
  readonly reason: string
  readonly user: string
  /** Empty if there is none, or the format does not tell. */
  readonly account: string
  readonly partitions: readonly string[]
  readonly nodes: number
  /** 0 if any number of nodes will do. */
  readonly nodesMax: number
  readonly cpus: number
  readonly tasks: number
  readonly memoryMiBPerNode: number
  readonly memoryMiBPerCpu: number
  readonly gres: GresRequest
  /** So many cpus, so much memory for each: `{ gpu: 4 }`. */
  readonly cpusPerGres: Vector
  readonly memoryMiBPerGres: Vector
  /** How many sockets of each node it asks for; 1 if it does not say. */
  readonly sockets: number
  /** What `--constraint` says. */
  readonly constraint: string
  /** Its nodes are its own, or its user's. */
  readonly exclusive: boolean
  readonly walltimeMs: Millis | undefined
  readonly submittedAt: Instant
  /** Not before; 0 if it is not known yet. */
  readonly eligibleAt: Instant
  readonly startsAt: Instant | undefined
  readonly endsAt: Instant | undefined
  /** Those it runs or ran on. */
  readonly nodeNames: readonly string[]
  readonly requiredNodes: string
  /** The reservation that it is to run in; empty if none. */
  readonly reservation: string
  readonly requeueable: boolean
  readonly restarts: number
}

export interface NodeRecord {
  readonly name: string
  /** Lower case, the base state first: `idle`, `drain`, `dynamic_norm`. */
  readonly states: readonly string[]
  readonly features: readonly string[]
  readonly comment: string
  readonly reason: string
  readonly partitions: readonly string[]
  readonly cpus: number
  readonly cpusInUse: number
  readonly memoryMiB: number
  /** 0 also where Slurm does not count memory (CR_Core, CR_CPU). */
  readonly memoryMiBInUse: number
  readonly gres: Vector
  readonly gresInUse: Vector
}

/** Whose turn it is while records are read, and until when they are wanted. */
export interface Turn {
  readonly clock: Clock
  readonly signal: AbortSignal
}

export type Records<R> = Sliced<R>

/** Slurm's year: what it makes of a time limit of INFINITE once the job runs. */
const MINUTES_UNLIMITED = 525_600

export const walltimeOf = (minutes: number | undefined): Millis | undefined =>
  minutes === undefined || minutes >= MINUTES_UNLIMITED ? undefined : minutes * 60_000

export const instantOf = (seconds: number): Instant => seconds * 1000
