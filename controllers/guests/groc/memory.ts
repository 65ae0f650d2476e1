import type { Instant } from '../../../actors/runtime/clock.ts'
import type { Account, UserAccounts } from './budget.ts'
import type { Boots, Reservations } from './later.ts'
import type { Outage } from './outage.ts'
import type { RunSketch } from './runs.ts'
import type { QuickUsers } from './users.ts'

/**
 * Why it drained a unit. `idle` may be taken back as long as the unit is there; `silent` is as soon as its node answers,
 * `stuck` as soon as no job is stuck there;
 * `recall` holds as long as the recall does; a `victim` was named in an extension and goes at the old end, whatever comes.
 */
export type DrainCause = 'idle' | 'unfit' | 'silent' | 'stuck' | 'lapse' | 'recall' | 'maintenance' | 'victim'

/** Jobs that ended right after their start on one node, one after another. */
export interface QuickEnds {
  readonly inRow: number
  /** The first of the row ended then. */
  readonly since: Instant
  /** The last end that was counted, and the jobs that ended at that very instant. */
  readonly lastAt: Instant
  readonly lastJobs: readonly string[]
  /** What kinds of jobs these are, each once. Absent in what earlier programs kept. */
  readonly kinds?: readonly string[] | undefined
}

/** What it carries from one decision to the next; plain JSON. What it knows of units is only about those still held. */
export interface GrocMemory {
  /** Since when a grow threshold has been exceeded without a break. */
  readonly pressedSince: Instant | undefined
  /** Likewise of queues with thresholds of their own. */
  readonly pressedQueues?: Readonly<Record<string, Instant>> | undefined
  /** By unit: the queue that had it last, of those that keep units for a time of their own. */
  readonly lastQueues?: Readonly<Record<string, string>> | undefined
  /** Since when all jobs without room were submitted later than now, by a clock that is ahead of ours. */
  readonly futureSince?: Instant | undefined
  /** When small jobs were last given a share of what they want, while less than all is given. */
  readonly rampedAt?: Instant | undefined
  /** By user, of those whose jobs ended lately, where `userMax` or `userBudget` is set. */
  readonly users?: QuickUsers | undefined
  /** By user, what they spent, where `userBudget` is set. */
  readonly userAccounts?: UserAccounts | undefined
  /** How long machines took to come. */
  readonly boots?: Boots | undefined
  /** What was asked for jobs that may not begin yet, by shape and time; at most 64. */
  readonly reservations?: Reservations | undefined
  /** What was spent of the budget, if there is one. */
  readonly account?: Account | undefined
  /** By unit: begin of the first look of an unbroken row that showed it empty and unneeded. */
  readonly idleSince: Readonly<Record<string, Instant>>
  /** By unit: begin of the first look of an unbroken row that did not show its node answering. */
  readonly missingSince: Readonly<Record<string, Instant>>
  /** The last look that did not show all nodes answering. */
  readonly silentSeenAt?: Instant | undefined
  /** By unit: when those of its jobs that may start again were last put back, since its node does not answer. */
  readonly putBackAt?: Readonly<Record<string, Instant>> | undefined
  /** By job on nodes of ours: begin of the first look of an unbroken row that showed it completing. */
  readonly completingSince?: Readonly<Record<string, Instant>> | undefined
  /** While many nodes are silent at once. */
  readonly outage?: Outage | undefined
  readonly drains: Readonly<Record<string, DrainCause>>
  readonly quickEnds: Readonly<Record<string, QuickEnds>>
  /** By unit: when it was found to swallow jobs. */
  readonly blackHoles: Readonly<Record<string, Instant>>
  /** By queue, of those that jobs ended in lately: how long they ran. Absent in what earlier programs kept. */
  readonly runs?: Readonly<Record<string, RunSketch>> | undefined
}

export const firstMemory: GrocMemory = {
  pressedSince: undefined,
  idleSince: {},
  missingSince: {},
  drains: {},
  quickEnds: {},
  blackHoles: {},
  runs: {},
}
