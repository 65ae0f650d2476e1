import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestIntent, GuestView } from '../../controller.ts'
import { hour, some } from '../../sentence.ts'
import type { Purse } from './budget.ts'
import type { GrocConfig } from './config.ts'
import { servesQueue } from './demand.ts'
import { whereAsked } from './failures.ts'
import { type Boots, beginOf, bootOf, type Reservation, type Reservations, reservedLabel } from './later.ts'
import { extrasBook, fits, type Need } from './needs.ts'
import type { PatientOffer } from './patience.ts'
import { type Expectation, expectedRun, leaseLengths, SAFETY } from './runs.ts'
import { SOON_MS } from './survey.ts'
import { jobsPerUnit, type Turnstile } from './users.ts'

/** Further ahead nobody promises, as a rule. */
const AHEAD_MS: Millis = 7 * 24 * 60 * 60_000
const RESERVATIONS_MAX = 64
/** Of one user, whatever `userMax` is: others are to have their share of them. */
const OF_USER_MAX = 16

interface Future extends Need {
  readonly nodes: number
  readonly notBefore: Instant
  /** Of the first of the jobs. */
  readonly user: string
  count: number
  runMs: Millis
}

export interface Reserving {
  readonly intents: readonly GuestIntent[]
  readonly reservations: Reservations | undefined
}

/**
 * Jobs that may not begin before some time are asked for beforehand, once for each shape and time:
 *
 *   now ─────────── startAt ── boot, as nine of ten took ──▶ notBefore ── run
 *
 * If they go away before it begins, so does the lease. What was refused is not asked for again: when their time has come
 * they wait like others.
 */
export function reserve(
  held: readonly Job[],
  view: GuestView<BatchPicture>,
  offers: readonly PatientOffer[],
  before: Reservations,
  boots: Boots | undefined,
  room: { readonly left: number; readonly purse: Purse },
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  now: Instant,
  gate?: Turnstile,
): Reserving {
  const futures = futuresIn(held, before, expectedIn, config, now, gate)
  const intents: GuestIntent[] = []
  const after = new Map<string, Reservation>()
  for (const [key, known] of Object.entries(before)) {
    if (futures.has(key)) after.set(key, known)
    else if (known.startAt > now) intents.push(...givenUp(known, view, now))
  }
  const ofUsers = new Map<string, number>()
  const countOne = (user: string): void => void ofUsers.set(user, (ofUsers.get(user) ?? 0) + 1)
  for (const key of after.keys()) countOne(futures.get(key)!.user)
  let { left } = room
  for (const [key, future] of futures) {
    if (view.hold !== undefined || after.size >= RESERVATIONS_MAX) break
    const startAt = future.notBefore - bootOf(boots)
    const offer = offers.find(({ unit }) => fits(future, unit))
    if (after.has(key) || offer === undefined || startAt <= now + SOON_MS) continue
    if ((ofUsers.get(future.user) ?? 0) >= OF_USER_MAX) continue
    const units =
      future.nodes > 1 ? future.nodes : Math.ceil(future.count / Math.max(1, jobsPerUnit(future, offer.unit)))
    const asked = Math.min(units, future.nodes > 1 ? units : config.step)
    const durationMs = lengthFor(future, future.notBefore - startAt, config)
    if (asked > Math.min(left, offer.room) || asked * durationMs > room.purse.left) continue
    left -= asked
    room.purse.left -= asked * durationMs
    const properties = whereAsked(offer.sites.avoid, config)
    const label = reservedLabel(startAt, now, intents.length)
    after.set(key, { label, startAt, notBefore: future.notBefore })
    countOne(future.user)
    intents.push({
      ...{ kind: 'request', type: offer.type, units: asked, unitsMin: future.nodes > 1 ? asked : 1 },
      ...{
        durationMs,
        startAt,
        ...(Object.keys(properties).length === 0 ? {} : { properties }),
        startBy: startAt + Math.max(SOON_MS, (future.notBefore - startAt) / 2),
        label,
      },
      reason: `${some(future.count, 'job')} of ${some(future.nodes, 'node')} may begin at ${hour(future.notBefore)}, and nine of ten machines are up within what is between`,
    })
  }
  return { intents, reservations: after.size === 0 ? undefined : Object.fromEntries(after) }
}

/** What was asked for beforehand for a job that may begin later; undefined if nothing was yet. */
export function reservedFor(
  job: Job,
  reservations: Reservations | undefined,
  config: GrocConfig,
  now: Instant,
): Reservation | undefined {
  const [later] = latersIn([job], config, now)
  return later === undefined ? undefined : own(reservations ?? {}, later.key)
}

/** A lease that has begun is like any other: it goes when it is idle. */
function givenUp(
  { label }: Reservation,
  view: GuestView<BatchPicture>,
  now: Instant,
): readonly GuestIntent[] {
  return view.leases
    .filter((lease) => lease.label === label && lease.state !== 'closing' && (beginOf(lease) ?? now) > now)
    .map(({ id }) => ({
      kind: 'release',
      leaseId: id,
      reason: 'the jobs it was reserved for are not to begin then any more',
    }))
}

/** By shape and time, the soonest first. What is asked for already comes first at the turnstile. */
function futuresIn(
  held: readonly Job[],
  before: Reservations,
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  now: Instant,
  gate: Turnstile | undefined,
): ReadonlyMap<string, Future> {
  const all = new Map<string, Future>()
  const laters = latersIn(held, config, now)
  const [asked, others] = [
    laters.filter(({ key }) => Object.hasOwn(before, key)),
    laters.filter(({ key }) => !Object.hasOwn(before, key)),
  ]
  for (const { job, need, key } of [...asked, ...others]) {
    const tasks = gate === undefined ? job.tasks : gate.admitLater(job, need, key)
    if (tasks === 0) continue
    const runMs = expectedRun(expectedIn(job.queue), job.walltimeMs)
    const known = all.get(key)
    if (known === undefined)
      all.set(key, { ...need, notBefore: job.notBefore!, user: job.user, count: tasks, runMs })
    else {
      known.count += tasks
      known.runMs = Math.max(known.runMs, runMs)
    }
  }
  return new Map([...all].sort(([a, one], [b, other]) => one.notBefore - other.notBefore || (a < b ? -1 : 1)))
}

interface Later {
  readonly job: Job
  readonly need: Need & { readonly nodes: number }
  readonly key: string
}

function latersIn(held: readonly Job[], config: GrocConfig, now: Instant): readonly Later[] {
  const extrasOf = extrasBook()
  const found: Later[] = []
  for (const job of held) {
    const { heldBy, notBefore, queue } = job
    if (heldBy !== 'start-time' || notBefore === undefined || !servesQueue(config, queue)) continue
    if (notBefore <= now || notBefore > now + AHEAD_MS) continue
    const need = {
      ...extrasOf(job),
      cpus: Math.max(1, job.cpusPerNode),
      memoryMiB: job.memoryMiBPerNode,
      nodes: Math.max(1, job.nodes),
    }
    // Each wide job has a lease of its own.
    const key = JSON.stringify([notBefore, queue, need, need.nodes > 1 ? job.id : ''])
    found.push({ job, need, key })
  }
  return found
}

function lengthFor({ runMs }: Future, bootMs: Millis, config: GrocConfig): Millis {
  return leaseLengths(config).find((length) => length >= bootMs + runMs * SAFETY) ?? config.term
}
