import type { Instant } from '../../../actors/runtime/clock.ts'
import { smallest } from '../../../actors/runtime/extremes.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { Job } from '../../../adapters/batch-system.ts'
import { few, hour, some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { amountOf, fits, type Need, type Room } from './needs.ts'
import type { UserPurses } from './user-budget.ts'

/**
 * What one user's waiting jobs may cause, where `userMax` or `userBudget` say so:
 *
 *   in the order of the look   ████████████▒▒▒▒▒▒▒▒▒▒▒▒   counted until they would fill userMax units; the rest later
 *   cost       likewise until what she had and is to have makes `userBudget`
 *   come again                 jobs in a row, on several nodes, ended right after their start: what was submitted since
 *                              then counts only after a pause that doubles with each further one
 */
export interface QuickUser {
  readonly inRow: number
  /** The first of the row began then. */
  readonly since: Instant
  readonly lastAt: Instant
  readonly lastJobs: readonly string[]
  /** Two of the nodes on which they ended: of one alone nobody knows whether it is to blame. */
  readonly nodes: readonly string[]
}

export type QuickUsers = Readonly<Record<string, QuickUser>>

const USERS_MAX = 64
const LAST_JOBS_MAX = 50

/** Ended jobs stay listed for a while, so each is counted once. Whoever has had a job that lasted begins anew. */
export function observeUsers(
  before: QuickUsers,
  ended: readonly Job[],
  badNodes: ReadonlySet<string>,
  config: GrocConfig,
): QuickUsers {
  const after = new Map(Object.entries(before))
  const inOrder = ended
    .filter((job) => job.startedAt !== undefined && job.endedAt !== undefined)
    .filter(({ nodeNames }) => !nodeNames.some((name) => badNodes.has(name)))
    .sort((a, b) => a.endedAt! - b.endedAt! || (a.id < b.id ? -1 : 1))
  for (const job of inOrder) {
    const row = after.get(job.user)
    const [startedAt, endedAt] = [job.startedAt!, job.endedAt!]
    if (row !== undefined && endedAt < row.lastAt) continue
    if (row?.lastAt === endedAt && row.lastJobs.includes(job.id)) continue
    const isQuick = endedAt - startedAt <= config.blackHole.within
    const goesOn = isQuick && row !== undefined && row.inRow > 0
    after.set(job.user, {
      inRow: isQuick ? (goesOn ? row.inRow : 0) + 1 : 0,
      since: goesOn ? row.since : startedAt,
      lastAt: endedAt,
      lastJobs: [...(row?.lastAt === endedAt ? row.lastJobs : []), job.id].slice(-LAST_JOBS_MAX),
      nodes: [...new Set([...(goesOn ? row.nodes : []), ...(isQuick ? job.nodeNames : [])])].slice(0, 2),
    })
  }
  return Object.fromEntries(
    [...after]
      .sort(([a, one], [b, other]) => other.lastAt - one.lastAt || (a < b ? -1 : 1))
      .slice(0, USERS_MAX),
  )
}

function pausedUntil(row: QuickUser | undefined, { blackHole, retry }: GrocConfig): Instant | undefined {
  if (row === undefined || row.inRow < blackHole.jobs || row.nodes.length < 2) return undefined
  return row.lastAt + Math.min(retry.most, retry.first * 2 ** Math.min(20, row.inRow - blackHole.jobs))
}

/** Of a job whose user's jobs end at once and come again: until when it is not counted. */
export function pauseOf(
  { user, submittedAt }: Job,
  users: QuickUsers | undefined,
  config: GrocConfig,
  now: Instant,
): { readonly until: Instant; readonly inRow: number } | undefined {
  const row = config.userMax === undefined ? undefined : own(users, user)
  const until = pausedUntil(row, config)
  if (row === undefined || until === undefined || now >= until || submittedAt < row.since) return undefined
  return { until, inRow: row.inRow }
}

/** Jobs of one user that are not counted now. */
export interface Beyond {
  jobs: number
  /** What they are beyond: her budget, as it stands; absent: `userMax`, or they come again and again. */
  readonly budget?: string
  /** Until then, for coming again and again; undefined: until fewer of them wait. */
  readonly until: Instant | undefined
}

export interface Turnstile {
  /** Likewise of a job that may begin later: jobs of one shape and time share units, and no others do. */
  admitLater(job: Job, need: Need & { readonly nodes: number }, shapeAndTime: string): number
  /** How many of the job's tasks are counted. */
  admit(job: Job, need: Need & { readonly nodes: number }): number
  readonly beyond: ReadonlyMap<string, Beyond>
  /** Users of whom some job is counted. */
  readonly counted: ReadonlySet<string>
}

export function turnstile(
  users: QuickUsers | undefined,
  units: readonly Room[],
  config: GrocConfig,
  now: Instant,
  /** Where `userBudget` is set. */
  purses?: UserPurses,
): Turnstile | undefined {
  if (config.userMax === undefined && purses === undefined) return undefined
  const { userMax = Number.POSITIVE_INFINITY } = config
  const used = new Map<string, number>()
  const beyond = new Map<string, Beyond>()
  const counted = new Set<string>()
  const shares = new Map<Need, number>()
  const shareOf = (need: Need & { readonly nodes: number }): number => {
    let share = shares.get(need)
    if (share === undefined) {
      share = need.nodes > 1 ? need.nodes : 1 / Math.max(1, ...units.map((unit) => jobsPerUnit(need, unit)))
      shares.set(need, share)
    }
    return share
  }
  const turnBack = (user: string, jobs: number, until: Instant | undefined, budget?: string): void => {
    const those = beyond.get(user)
    if (those === undefined) beyond.set(user, { jobs, until, ...(budget === undefined ? {} : { budget }) })
    else those.jobs += jobs
  }
  /** Of so many tasks those that her budget pays. */
  const afford = (job: Job, tasks: number): number => {
    if (purses === undefined || tasks === 0) return tasks
    const purse = purses.of(job.user)
    const cost = purses.costOf(job)
    const paid = cost > 0 ? Math.min(tasks, Math.floor(purse.left / cost + 1e-6)) : tasks
    purse.left -= paid * cost
    if (paid < tasks) turnBack(job.user, tasks - paid, purse.untilFor(cost - purse.left), purse.why)
    return paid
  }
  const isPaused = (job: Job): boolean => {
    const pause = pauseOf(job, users, config, now)
    if (pause !== undefined) turnBack(job.user, job.tasks, pause.until)
    return pause !== undefined
  }
  const laters = new Map<string, { readonly jobs: number; readonly units: number }>()
  return {
    beyond,
    counted,
    admitLater: (job, need, shapeAndTime) => {
      if (isPaused(job)) return 0
      const key = JSON.stringify([job.user, shapeAndTime])
      const those = laters.get(key) ?? { jobs: 0, units: 0 }
      const before = used.get(job.user) ?? 0
      const perUnit = 1 / shareOf(need)
      const most = Math.floor(Math.floor(userMax - before + those.units + 1e-6) * perUnit + 1e-6)
      const allowed = Math.max(0, Math.min(job.tasks, most - those.jobs))
      if (allowed < job.tasks) turnBack(job.user, job.tasks - allowed, undefined)
      const tasks = afford(job, allowed)
      const jobs = those.jobs + tasks
      const units = Math.ceil(jobs / perUnit - 1e-6)
      laters.set(key, { jobs, units })
      used.set(job.user, before + units - those.units)
      return tasks
    },
    admit: (job, need) => {
      if (isPaused(job)) return 0
      const share = shareOf(need)
      const before = used.get(job.user) ?? 0
      // A third and two thirds of a unit are one.
      const allowed = Math.min(job.tasks, Math.floor((userMax - before) / share + 1e-6))
      if (allowed < job.tasks) turnBack(job.user, job.tasks - allowed, undefined)
      const tasks = afford(job, allowed)
      used.set(job.user, before + tasks * share)
      if (tasks > 0) counted.add(job.user)
      return tasks
    },
  }
}

/** How many such jobs one unit takes. */
export function jobsPerUnit(need: Need, unit: Room): number {
  if (!fits(need, unit)) return 0
  if (need.exclusive) return 1
  const byMemory = need.memoryMiB > 0 ? Math.floor(unit.memoryMiB / need.memoryMiB) : Number.POSITIVE_INFINITY
  return smallest(
    Object.entries(need.consumables).map(([name, amount]) =>
      Math.floor(amountOf(unit.consumables, name) / amount),
    ),
    Math.min(Math.floor(unit.cpus / Math.max(1, need.cpus)), byMemory),
  )
}

export function beyondNotes(beyond: ReadonlyMap<string, Beyond>, config: GrocConfig): readonly string[] {
  if (beyond.size === 0) return []
  const each = [...beyond].map(([user, { jobs, until, budget }]) =>
    budget !== undefined
      ? `${some(jobs, 'job')} of ${user} beyond userBudget (${budget}${until === undefined ? '' : `; not before ${hour(until)}`})`
      : until === undefined
        ? `${some(jobs, 'job')} of ${user} beyond userMax ${config.userMax}`
        : `${some(jobs, 'job')} of ${user}, whose jobs end right after their start and come again, until ${hour(until)}`,
  )
  return [`Not counted now: ${few(each)}.`]
}
