import type { Instant, Millis } from '../../actors/runtime/clock.ts'

/** A job as Slurm tells it, whatever the format; not yet judged. */
export interface JobRecord {
  /** `12`, `17_3`, `17_[4-9%2]`, `20+1`. */
  readonly id: string
  /** The array it belongs to, and which of its tasks this pending record stands for (`4-9`); else empty. */
  readonly arrayId: string
  readonly arrayTasks: string
  /** How many tasks of the array may run at once; 0 if all may. */
  readonly arrayLimit: number
  readonly state: string
  readonly reason: string
  readonly user: string
  readonly partitions: readonly string[]
  readonly nodes: number
  /** 0 if any number of nodes will do. */
  readonly nodesMax: number
  readonly cpus: number
  readonly tasks: number
  readonly memoryMiBPerNode: number
  readonly memoryMiBPerCpu: number
  readonly walltimeMs: Millis | undefined
  readonly submittedAt: Instant
  /** Not before; 0 if it is not known yet. */
  readonly eligibleAt: Instant
  readonly startsAt: Instant | undefined
  readonly endsAt: Instant | undefined
  readonly nodeList: string
  readonly requiredNodes: string
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
}

/** What was read, and a sentence for each record that could not be. */
export interface Records<R> {
  readonly records: readonly R[]
  readonly warnings: readonly string[]
}

/** Slurm's year: what it makes of a time limit of INFINITE once the job runs. */
const MINUTES_UNLIMITED = 525_600

export const walltimeOf = (minutes: number | undefined): Millis | undefined =>
  minutes === undefined || minutes >= MINUTES_UNLIMITED ? undefined : minutes * 60_000

export const instantOf = (seconds: number): Instant => seconds * 1000
