import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, Job } from '../../../adapters/batch-system.ts'
import {
  type Account,
  advanced,
  type Budget,
  bucketMs,
  freeAt,
  hours,
  spentBy,
  sumOf,
  type UserAccounts,
} from './budget.ts'
import type { GrocConfig } from './config.ts'
import { type Expectation, expectedRun } from './runs.ts'
import { nodesOf } from './tally.ts'

/**
 * Node-hours of one user in any stretch of time as long as `userBudget.per`, by what her jobs have had of our units:
 *
 *   ◀──────── per ────────▶ now
 *   |██ her jobs had ██████|▒▒ those that run are expected to have yet ▒▒|░░ waiting ones that are counted ░░|   at most nodeHours
 *
 * A job has of each of its nodes the part that its processors or its memory are of a unit, whichever is more.
 */
/** Those who spent most; of the others nothing is known, as if they began now. */
const USERS_MAX = 256
/** What was not looked at for longer, as after a stop, is nobody's. An account is as old as its bucket as a rule. */
const gapMs = (budget: Budget): Millis => bucketMs(budget) + 10 * 60_000

export function observeSpending(
  before: UserAccounts | undefined,
  running: readonly Job[],
  nodes: readonly BatchNode[],
  config: GrocConfig,
  now: Instant,
): UserAccounts | undefined {
  const { userBudget } = config
  if (userBudget === undefined) return undefined
  const held = new Map<string, number>()
  const ours = oursIn(nodes)
  for (const job of running) {
    const units = unitsOf(job, ours, config)
    if (units > 0) held.set(job.user, (held.get(job.user) ?? 0) + units)
  }
  const users = new Set([...Object.keys(before ?? {}), ...held.keys()])
  const after: [string, Account][] = []
  for (const user of users) {
    const known = own(before ?? {}, user)
    const kept = known && known.at < now - gapMs(userBudget) ? untilGap(known, userBudget) : known
    const account = advanced(kept, held.get(user) ?? 0, userBudget, now)
    if (account.units > 0 || sumOf(spentBy(account, userBudget, now)) > 0) after.push([user, account])
  }
  if (after.length <= USERS_MAX) return Object.fromEntries(after)
  const spent = new Map(after.map(([user, account]) => [user, sumOf(spentBy(account, userBudget, now))]))
  return Object.fromEntries(
    after.sort(([a], [b]) => spent.get(b)! - spent.get(a)! || (a < b ? -1 : 1)).slice(0, USERS_MAX),
  )
}

/** For so long what was held at the last look is charged; then nothing is. */
function untilGap(account: Account, budget: Budget): Account {
  const at = account.at + gapMs(budget)
  return { spent: spentBy(account, budget, at), at, units: 0 }
}

const oursIn = (nodes: readonly BatchNode[]): ReadonlySet<string> =>
  new Set([...nodesOf(nodes).byUnit.values()].map(({ name }) => name))

function unitsOf(job: Job, ours: ReadonlySet<string>, config: GrocConfig): number {
  const nodes = job.nodeNames.reduce((sum, name) => sum + Number(ours.has(name)), 0)
  return nodes === 0 ? 0 : nodes * partOf(job, config)
}

type Asking = Pick<Job, 'cpusPerNode' | 'memoryMiBPerNode' | 'exclusive' | 'nodes'>

/** Of one unit, of the type of which it takes least. */
function partOf({ cpusPerNode, memoryMiBPerNode, exclusive, nodes }: Asking, { types }: GrocConfig): number {
  if (exclusive === true || nodes > 1) return 1
  const parts = types.map(({ unit }) =>
    Math.max(Math.max(1, cpusPerNode) / unit.cpus, memoryMiBPerNode / unit.memoryMiB),
  )
  return Math.min(1, ...parts)
}

/** What a user may still have, and why no more. */
export interface UserPurse {
  /** Units × milliseconds. */
  left: number
  readonly why: string
  /** When so much more may be there; undefined if only the ends of her jobs can tell. */
  untilFor(unitMs: number): Instant | undefined
}

export interface UserPurses {
  of(user: string): UserPurse
  /** What one task of such a job is expected to take, in units × milliseconds. */
  costOf(job: Job): number
}

export function userPurses(
  accounts: UserAccounts | undefined,
  running: readonly Job[],
  nodes: readonly BatchNode[],
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  now: Instant,
): UserPurses | undefined {
  const { userBudget } = config
  if (userBudget === undefined) return undefined
  const ours = oursIn(nodes)
  const yet = new Map<string, number>()
  for (const job of running) {
    const leftMs = expectedRun(expectedIn(job.queue), job.walltimeMs) - (now - (job.startedAt ?? now))
    const cost = unitsOf(job, ours, config) * Math.max(0, leftMs)
    if (cost > 0) yet.set(job.user, (yet.get(job.user) ?? 0) + cost)
  }
  const purses = new Map<string, UserPurse>()
  const purseOf = (user: string): UserPurse => {
    const account = own(accounts ?? {}, user)
    const spent = account === undefined ? {} : spentBy(account, userBudget, now)
    const [spentMs, yetMs] = [sumOf(spent), yet.get(user) ?? 0]
    const left = Math.max(0, userBudget.nodeHours * HOUR_MS - spentMs - yetMs)
    const why = `${hours(spentMs)} spent of ${userBudget.nodeHours} node-hours, ${hours(yetMs)} to come of jobs that run`
    return { left, why, untilFor: (unitMs) => freeAt(spent, unitMs, userBudget) }
  }
  return {
    of(user) {
      let purse = purses.get(user)
      if (purse === undefined) {
        purse = purseOf(user)
        purses.set(user, purse)
      }
      return purse
    },
    costOf: (job) =>
      Math.max(1, job.nodes) * partOf(job, config) * expectedRun(expectedIn(job.queue), job.walltimeMs),
  }
}

const HOUR_MS = 60 * 60_000
