import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { GuestIntent, HeldLease } from '../../controller.ts'
import type { Roll } from './roll.ts'

/**
 * Leases that need not begin at once say so in what they are called, so that a view of them is enough to know them again:
 *
 *   by.TIME.…   for jobs that wait: may begin as late as TIME, and counts as coming, so that nothing is asked for twice
 *   at.TIME.…   for jobs that may not begin yet: begins at TIME, and until then serves nobody who waits now
 */
export const deferredLabel = (startBy: Instant, now: Instant, i: number): string =>
  `by.${startBy}.${now}.${i}`
export const reservedLabel = (startAt: Instant, now: Instant, i: number): string =>
  `at.${startAt}.${now}.${i}`

export const isDeferred = ({ label }: HeldLease): boolean => label !== undefined && /^by\.\d+\./.test(label)

/** The latest begin that any of these leaves to its broker. */
export function latestOf(leases: readonly HeldLease[]): Instant | undefined {
  const latest = leases.flatMap(
    ({ label }) =>
      /^by\.(\d+)\./
        .exec(label ?? '')
        ?.slice(1)
        .map(Number) ?? [],
  )
  return latest.length === 0 ? undefined : Math.max(...latest)
}

/**
 * Requests that still wait, and that no job needs any more: granted later, they would boot machines for nothing. `used`
 * names places as in `Bins`; of the units that are there or coming, `kept` stay whatever waits.
 */
export function withdrawals(
  leases: readonly HeldLease[],
  used: ReadonlySet<string>,
  there: number,
  kept: number,
): readonly GuestIntent[] {
  let left = there - kept
  return leases.flatMap((lease): GuestIntent[] => {
    if (lease.state !== 'requested' || !isDeferred(lease) || left < lease.units) return []
    const places = Array.from({ length: lease.units }, (_, i) => `${lease.id}#${i + 1}`)
    if (places.some((place) => used.has(place))) return []
    left -= lease.units
    return [{ kind: 'release', leaseId: lease.id, reason: 'it still waits, and no job needs it any more' }]
  })
}

/** When it begins, as far as that is known. */
export function beginOf({ term, label }: HeldLease): Instant | undefined {
  if (term !== undefined) return term.start
  const [, at] = /^at\.(\d+)\./.exec(label ?? '') ?? []
  return at === undefined ? undefined : Number(at)
}

/** What was asked for jobs of one shape that may not begin before some time. */
export interface Reservation {
  readonly label: string
  readonly startAt: Instant
  readonly notBefore: Instant
}

export type Reservations = Readonly<Record<string, Reservation>>

/** From the order, or from the begin of the lease, to joined: of the latest machines, the oldest first. */
export interface Boots {
  readonly tookMs: readonly Millis[]
  /** The last one that was counted joined then. */
  readonly lastAt: Instant
}

const BOOTS_MAX = 32
const BOOTS_MIN = 3
/** Taken until some were seen. */
const BOOT_MS: Millis = 2 * 60_000

export function observeBoots(before: Boots | undefined, rolls: readonly Roll[]): Boots | undefined {
  const lastAt = before?.lastAt ?? Number.NEGATIVE_INFINITY
  const joined = rolls
    // Whether a machine that came in the place of a dead one took long, its lease does not tell.
    .filter(({ lost, lastJoinedAt }) => lost === 0 && lastJoinedAt > lastAt)
    .flatMap(({ lease }) =>
      lease.held.flatMap(({ joinedAt }) =>
        joinedAt === undefined || joinedAt <= lastAt ? [] : [{ joinedAt, lease }],
      ),
    )
    .sort((a, b) => a.joinedAt - b.joinedAt)
  const latest = joined.at(-1)
  if (latest === undefined) return before
  const took = joined.map(({ joinedAt, lease: { requestedAt, term } }) =>
    Math.max(
      0,
      joinedAt -
        (term === undefined || term.start > joinedAt ? requestedAt : Math.max(requestedAt, term.start)),
    ),
  )
  return { tookMs: [...(before?.tookMs ?? []), ...took].slice(-BOOTS_MAX), lastAt: latest.joinedAt }
}

/** What machines took, of the latest ones. */
export interface BootTimes {
  readonly medianMs: Millis
  /** Nine of ten machines were up sooner. */
  readonly mostMs: Millis
  /** 0: too few, and what is usual is taken for both. */
  readonly seen: number
}

export function bootTimes(boots: Boots | undefined): BootTimes {
  const sorted = [...(boots?.tookMs ?? [])].sort((a, b) => a - b)
  const nth = (share: number): Millis => sorted[Math.ceil(sorted.length * share) - 1]!
  return sorted.length < BOOTS_MIN
    ? { medianMs: BOOT_MS, mostMs: BOOT_MS, seen: 0 }
    : { medianMs: nth(0.5), mostMs: nth(0.9), seen: sorted.length }
}

export const bootOf = (boots: Boots | undefined): Millis => bootTimes(boots).mostMs

/**
 * Until when machines may begin for a job that came then, if it is to wait no longer than the target; undefined if there
 * is no time to lose.
 *
 *   submitted ─── waited ──▶ now ─── more than half of the target ───▶ latest begin ── boot ──▶ target
 */
export function latestBegin(
  submittedAt: Instant,
  target: Millis | undefined,
  boots: Boots | undefined,
  now: Instant,
): Instant | undefined {
  if (target === undefined || now - submittedAt >= target / 2) return undefined
  const latest = submittedAt + target - bootOf(boots)
  return latest > now ? latest : undefined
}
