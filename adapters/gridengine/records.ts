import type { Instant } from '../../actors/runtime/clock.ts'

/** A row of `qstat -u '*' -r -g t -xml`; a running parallel job has one for each of its slots. */
export interface JobRow {
  readonly id: string
  /** Of an array: `3` of a task that runs, `4-9:1` of those that wait; else empty. */
  readonly tasks: string
  /** GridEngine's word, such as `hqw`. */
  readonly word: string
  readonly user: string
  /** `dyn@g1`; empty while it waits. */
  readonly queueInstance: string
  /** Not one of the slots of a parallel job, but where it began. */
  readonly isMaster: boolean
  readonly slots: number
  readonly submittedAt: Instant | undefined
  readonly startedAt: Instant | undefined
  /** The parallel environment it asks for, maybe with a wildcard, and how many slots at least. */
  readonly environment: { readonly name: string; readonly slots: number } | undefined
  readonly grantedSlots: number | undefined
  /** `-l`, by the long names of the complexes. */
  readonly requests: ReadonlyMap<string, string>
  /** `-q`, alternatives, such as `*.q` or `dyn@@fast`. */
  readonly queues: readonly string[]
}

/** What only `qstat -j` tells. */
export interface JobDetail {
  readonly id: string
  readonly submittedAt: Instant
  /** `-a`; undefined if none. */
  readonly notBefore: Instant | undefined
  /** `-r y`, `-r n`, or what the queue says. */
  readonly rerun: 'yes' | 'no' | 'queue'
  /** `-R y`: the scheduler keeps hosts free for it. */
  readonly reserves: boolean
  /** `-ar`: it runs in that advance reservation only. */
  readonly reservation: string | undefined
  /** `-tc`; 0 if all tasks may run at once. */
  readonly tasksAtOnce: number
  /** Why a start failed, of a job in error. */
  readonly error: string
  /** Why the scheduler passed it over in its last round. */
  readonly messages: readonly string[]
}

export interface HostRecord {
  readonly name: string
  /** It has reported what it is. */
  readonly known: boolean
  readonly memoryMiB: number
  readonly processors: number
  /** Complexes with their value, and where it comes from: `hf` fixed, `hc` left of a consumable, `hl` load. */
  readonly values: ReadonlyMap<string, { readonly value: string; readonly from: string }>
  readonly queues: readonly QueueInstance[]
}

export interface QueueInstance {
  readonly queue: string
  readonly slots: number
  readonly slotsUsed: number
  readonly slotsReserved: number
  readonly letters: string
}

export interface AccountedJob {
  readonly id: string
  readonly task: string
  readonly user: string
  readonly queue: string
  readonly host: string
  readonly slots: number
  readonly submittedAt: Instant
  readonly startedAt: Instant
  readonly endedAt: Instant
}

/** Of `qconf -sc`. */
export interface Complex {
  readonly name: string
  readonly type: string
  readonly relation: string
  /** `YES` for each slot, `JOB` once for the job. */
  readonly consumable: 'NO' | 'YES' | 'JOB'
  readonly byDefault: string
}

export interface Environment {
  readonly name: string
  readonly slots: number
  /** `$pe_slots`, `$fill_up`, `$round_robin` or a number. */
  readonly rule: string
}
