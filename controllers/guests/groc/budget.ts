import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { HeldLease } from '../../controller.ts'
import { hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'

/**
 * Node-hours in any stretch of time as long as `budget.per`:
 *
 *   ◀─────────────── per ────────────────▶ now ──── ends of leases
 *   |████ spent, by the bucket ███████████|▒▒▒ held to its end ▒▒|░░ asked for now ░░|     at most nodeHours
 *
 * The account is plain JSON of at most some fifty numbers. It changes when a bucket is full or other units are held, not
 * with every decision.
 */
export interface Account {
  /** Units × milliseconds, by the number of the bucket. */
  readonly spent: Readonly<Record<string, number>>
  /** Accounted until then; since then so many units are held. */
  readonly at: Instant
  readonly units: number
}

/** By user, of those that spent something. */
export type UserAccounts = Readonly<Record<string, Account>>

const BUCKETS = 48
const HOUR_MS = 60 * 60_000

export type Budget = NonNullable<GrocConfig['budget']>

export const bucketMs = ({ per }: Budget): Millis => Math.ceil(per / BUCKETS)

const heldNow = (leases: readonly HeldLease[], now: Instant): number =>
  leases.reduce((sum, lease) => sum + (isPaid(lease, now) ? lease.units : 0), 0)

const isPaid = ({ state, term }: HeldLease, now: Instant): boolean =>
  term !== undefined && (state === 'active' || term.start <= now) && now < term.end

export function accounted(
  kept: Account | undefined,
  leases: readonly HeldLease[],
  { budget }: GrocConfig,
  now: Instant,
): Account | undefined {
  return budget && advanced(kept, heldNow(leases, now), budget, now)
}

/** With so many units from now on. */
export function advanced(kept: Account | undefined, units: number, budget: Budget, now: Instant): Account {
  if (kept === undefined) return { spent: {}, at: now, units }
  const before = withoutAhead(kept, budget, now)
  const length = bucketMs(budget)
  if (before.units === units && Math.floor(before.at / length) === Math.floor(now / length)) return before
  return { spent: spentUntil(before, budget, now), at: now, units }
}

/** After a clock that was ahead: what lies ahead of now was never spent. */
function withoutAhead(account: Account, budget: Budget, now: Instant): Account {
  if (account.at <= now) return account
  const isPast = ([bucket]: readonly [string, number]): boolean => Number(bucket) * bucketMs(budget) <= now
  return { ...account, spent: Object.fromEntries(Object.entries(account.spent).filter(isPast)), at: now }
}

function spentUntil({ spent, at, units }: Account, budget: Budget, now: Instant): Record<string, number> {
  const length = bucketMs(budget)
  const all = new Map(Object.entries(spent))
  for (let from = Math.max(at, now - budget.per); from < now; ) {
    const bucket = Math.floor(from / length)
    const until = Math.min(now, (bucket + 1) * length)
    if (units > 0) all.set(`${bucket}`, (all.get(`${bucket}`) ?? 0) + units * (until - from))
    from = until
  }
  return Object.fromEntries([...all].filter(([bucket]) => (Number(bucket) + 1) * length > now - budget.per))
}

/** Units × milliseconds, by the bucket, within the latest `per`. */
export const spentBy = (account: Account, budget: Budget, now: Instant): Readonly<Record<string, number>> =>
  spentUntil(withoutAhead(account, budget, now), budget, now)

/** What may still be spent on leases that are not asked for yet. */
export interface Purse {
  /** Units × milliseconds; infinite without a budget. */
  left: number
  /** Why not now; and when so much will be free, if nothing else is asked for. */
  whyNot(unitMs: number): { readonly reason: string; readonly until: Instant | undefined }
}

export function purseOf(
  account: Account | undefined,
  leases: readonly HeldLease[],
  config: GrocConfig,
  now: Instant,
): Purse {
  const { budget } = config
  if (budget === undefined || account === undefined)
    return { left: Number.POSITIVE_INFINITY, whyNot: () => ({ reason: '', until: undefined }) }
  const spent = spentBy(account, budget, now)
  const spentMs = sumOf(spent)
  const promisedMs = leases.reduce((sum, lease) => sum + toItsEnd(lease, config, now), 0)
  const allMs = budget.nodeHours * HOUR_MS
  const purse: Purse = {
    left: Math.max(0, allMs - spentMs - promisedMs),
    whyNot: (unitMs) => {
      const until = freeAt(spent, unitMs - purse.left, budget)
      const when =
        until === undefined
          ? 'no sooner than leases end'
          : `not before ${hour(until)}, when enough of it is ${span(budget.per)} ago`
      return {
        reason: `the budget of ${budget.nodeHours} node-hours in ${span(budget.per)} does not allow it: ${hours(spentMs)} spent, ${hours(promisedMs)} held to the ends of leases; ${when}`,
        until,
      }
    },
  }
  return purse
}

export const sumOf = (spent: Readonly<Record<string, number>>): number =>
  Object.values(spent).reduce((sum, one) => sum + one, 0)

export const hours = (unitMs: number): string => (unitMs / HOUR_MS).toFixed(1)

/** What is not granted yet is taken to be for a whole term. */
function toItsEnd({ state, term, units }: HeldLease, config: GrocConfig, now: Instant): number {
  if (term === undefined) return units * config.term
  const from = state === 'active' ? now : Math.max(now, term.start)
  return units * Math.max(0, term.end - from)
}

/** When what was spent long enough ago makes up for so much; undefined if it never does. */
export function freeAt(
  spent: Readonly<Record<string, number>>,
  missing: number,
  budget: Budget,
): Instant | undefined {
  let freed = 0
  for (const bucket of Object.keys(spent)
    .map(Number)
    .sort((a, b) => a - b)) {
    freed += spent[`${bucket}`] ?? 0
    if (freed >= missing) return (bucket + 1) * bucketMs(budget) + budget.per
  }
  return undefined
}
