import { lengthMs, type Term } from '../../../actors/leases/term.ts'
import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { GuestIntent, HeldLease } from '../../controller.ts'
import { few, hour, some, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { isHopeless } from './dead.ts'
import type { Machine } from './machine.ts'
import { isRestoring } from './outage.ts'
import { endOf } from './recall.ts'
import { type Expectation, expectedRun, SAFETY } from './runs.ts'
import type { Survey } from './survey.ts'

/**
 *   |────────────── term ──────────────|end
 *            |────── extendMargin ──────|
 *            ask ·········· wait ───────▷ extendBy: too late; its units are drained and it lapses
 *                 half      three quarters
 *
 * Leases that work as a whole and are nearly due are asked for with one that is: one decision, and one round at the broker.
 *
 * What is idle in it is paid for, and nobody else's, to the end, whenever the extension without it was asked for. So of a lease
 * with an idle part it is asked for at half of the time, to give back more of it, and later; drains that are under way then
 * are waited for until three quarters. The rest is for the broker's answer.
 */

/** How long before it is due, as a share of what is left then: 6 minutes of 24. */
const TOGETHER = 1 / 4

/** When the next extension is to be asked for; undefined if it cannot be. */
export function askAt(lease: HeldLease, config: GrocConfig): Instant | undefined {
  if (lease.state !== 'active' || lease.term === undefined || lease.extending) return undefined
  const at = firstAskAt(lease.term, lease.extendBy, config)
  if (lease.extendRefused === undefined) return at
  // The time since the first ask, waited once more, doubles the pause each time; nobody has to count.
  const pauseMs = Math.min(config.retry.most, Math.max(config.retry.first, lease.extendRefused.at - at))
  return Math.max(at, lease.extendRefused.at + pauseMs)
}

/** When the extension of a lease with this term is first asked for. */
export function firstAskAt(term: Term, extendBy: Instant | undefined, config: GrocConfig): Instant {
  const byMargin = term.end - Math.floor(config.extendMargin * Math.min(config.term, lengthMs(term)))
  return Math.min(byMargin, cutOff(extendBy, config) ?? byMargin)
}

/** ... of a lease that goes on without a part of it. A refused one is asked for again without waiting for more. */
export function askWithoutPartAt(lease: HeldLease, config: GrocConfig): Instant | undefined {
  const at = askAt(lease, config)
  return at === undefined || lease.extendRefused !== undefined ? at : between(at, lease, config, 1 / 2)
}

/** So much later of the time in which it can be asked for. */
function between(at: Instant, lease: HeldLease, config: GrocConfig, share: number): Instant {
  const last = cutOff(lease.extendBy, config)
  return last === undefined ? at : at + Math.floor(Math.max(0, last - at) * share)
}

/** Asked for later, it may come too late. */
const cutOff = (extendBy: Instant | undefined, { every }: GrocConfig): Instant | undefined =>
  extendBy === undefined ? undefined : extendBy - 2 * every

export interface Extension {
  readonly intent: GuestIntent
  readonly victims: readonly string[]
}

export interface Extensions {
  readonly asked: readonly Extension[]
  /** When others that are to go on are due. */
  readonly wake: readonly Instant[]
}

/** A lease that is to go on. */
interface Asking {
  readonly lease: HeldLease
  readonly term: Term
  readonly machines: readonly Machine[]
  readonly busy: readonly Machine[]
  readonly needed: readonly Machine[]
  readonly isUnnamedWanted: boolean
  readonly dueAt: Instant
  /** Before that it may be asked for with others. */
  readonly mayGoAlong: boolean
}

/** Extends leases with work or wanted units, without the units that are on their way out or answer nobody. */
export function extensions(
  survey: Survey,
  wanted: ReadonlySet<string>,
  going: ReadonlySet<string>,
  recalled: ReadonlySet<string>,
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  now: Instant,
  /** Nothing is put back from nodes that do not answer. */
  still = false,
): Extensions {
  const works = (machine: Machine): boolean =>
    isBusy(machine) && !isHopeless(machine, survey, config, now, still)
  const asking: Asking[] = []
  const wake: Instant[] = []
  const restored: Extension[] = []
  for (const { lease, machines, idle } of survey.crews) {
    const { term } = lease
    const at = askAt(lease, config)
    if (machines.length === 0 || term === undefined || at === undefined || isTooLate(lease, now)) continue
    if (isRestoring(lease, now, config)) {
      if (now < at) wake.push(at)
      else restored.push(whole(lease, term, config))
      continue
    }
    const isUnnamedWanted = unnamedIds(lease.id, survey).some((id) => wanted.has(id))
    if (!isUnnamedWanted && !machines.some((machine) => works(machine) || wanted.has(machine.unit.id)))
      continue
    if (now < at - (term.end - at) * TOGETHER) {
      const hasPart = idle.some((machine) => isIdlePart(machine) && !wanted.has(machine.unit.id))
      wake.push((hasPart ? askWithoutPartAt(lease, config) : undefined) ?? at)
      continue
    }
    const one = askingOf({ lease, term, machines, isUnnamedWanted }, at, works, wanted, recalled, config)
    if (one === undefined) continue
    if (now >= one.dueAt || one.mayGoAlong) asking.push(one)
    else wake.push(one.dueAt)
  }
  if (asking.every(({ dueAt }) => now < dueAt))
    return { asked: restored, wake: [...wake, ...asking.map(({ dueAt }) => dueAt)] }
  const asked = asking.map(
    ({ lease: { id: leaseId }, term, machines, busy, needed, isUnnamedWanted }): Extension => {
      const victims = machines
        .filter((machine) => !busy.includes(machine) && !needed.includes(machine) && !isUnknown(machine))
        .filter(
          ({ unit, standing }) =>
            standing === 'gone' ||
            standing === 'blocked' ||
            unit.state === 'draining' ||
            going.has(unit.id) ||
            recalled.has(unit.id),
        )
        .map(({ unit }) => unit.id)
      const durationMs =
        needed.length > 0 || isUnnamedWanted
          ? config.term
          : lengthFor(busy, term.end, survey, expectedIn, config, now)
      const reason = `lease ${leaseId} ends at ${hour(term.end)}: ${some(busy.length, 'unit')} with work, ${some(needed.length, 'unit')} wanted, ${victims.length} given back; for another ${span(durationMs)}`
      return { victims, intent: { kind: 'extend', leaseId, durationMs, victims, reason } }
    },
  )
  return { asked: [...restored, ...asked], wake }
}

/** What works in it is not known before its site has set its machines up again; it goes on as it is. */
function whole({ id: leaseId }: HeldLease, { end }: Term, config: GrocConfig): Extension {
  const reason = `lease ${leaseId} ends at ${hour(end)} and is kept as it is: its site sets up again what it lost in a power cut`
  return { victims: [], intent: { kind: 'extend', leaseId, durationMs: config.term, victims: [], reason } }
}

function askingOf(
  found: Pick<Asking, 'lease' | 'term' | 'machines' | 'isUnnamedWanted'>,
  at: Instant,
  works: (machine: Machine) => boolean,
  wanted: ReadonlySet<string>,
  recalled: ReadonlySet<string>,
  config: GrocConfig,
): Asking | undefined {
  const { lease, machines, isUnnamedWanted } = found
  const stays = machines.filter((machine) => machine.standing !== 'gone' && !recalled.has(machine.unit.id))
  const busy = stays.filter(works)
  const needed = stays.filter((machine) => wanted.has(machine.unit.id) && !busy.includes(machine))
  if (busy.length === 0 && needed.length === 0 && !isUnnamedWanted) return undefined
  const parts = stays.filter((machine) => !busy.includes(machine) && !needed.includes(machine))
  const partAt = parts.some(isIdlePart) ? askWithoutPartAt(lease, config) : undefined
  const isBeingDrained = parts.some((machine) => machine.unit.state === 'draining' && isUnknown(machine))
  const dueAt = Math.max(at, partAt ?? at, isBeingDrained ? drainedBy(at, lease, config) : at)
  return {
    ...found,
    busy,
    needed,
    dueAt,
    mayGoAlong: parts.length === 0 && lease.extendRefused === undefined,
  }
}

const isBusy = ({ node, empty, unreachable }: Machine): boolean =>
  node !== undefined && !empty && !unreachable

/** No look is young enough to say whether work runs there; the next one will, in time. */
const isUnknown = ({ unit, seen }: Machine): boolean =>
  !seen && (unit.state === 'joined' || unit.state === 'draining')

const isIdlePart = ({ standing, empty, seen }: Machine): boolean => seen && empty && standing === 'serving'

/**
 * So long an extension waits for what is being drained: it is not known to be empty yet, so that it could not be named a
 * victim, and would be paid for another term.
 */
const drainedBy = (at: Instant, lease: HeldLease, config: GrocConfig): Instant =>
  between(at, lease, config, 3 / 4)

/** While nothing may be judged by a look, whatever is held is kept as it is. */
export function blindExtensions(
  leases: readonly HeldLease[],
  why: string,
  config: GrocConfig,
  now: Instant,
): readonly GuestIntent[] {
  return leases.flatMap((lease): GuestIntent[] => {
    if (lease.term === undefined || !isDue(lease, config, now)) return []
    const restored = isRestoring(lease, now, config)
    const out = lease.held.filter(({ state }) => state === 'left' || (state === 'lost' && !restored))
    if (out.length >= Math.max(lease.units, lease.held.length)) return []
    const reason = `lease ${lease.id} ends at ${hour(lease.term.end)} and is kept as it is: ${why}`
    return [
      {
        kind: 'extend',
        leaseId: lease.id,
        durationMs: config.term,
        victims: out.map(({ id }) => id),
        reason,
      },
    ]
  })
}

/** Jobs on leases that cannot be extended and that may outlast them, a sentence per lease. */
export function jobsAtRisk(survey: Survey): readonly string[] {
  return survey.crews.flatMap(({ lease, machines }): string[] => {
    const { id: leaseId } = lease
    if (lease.term === undefined || lease.extendRefused === undefined) return []
    const { end } = lease.term
    const atRisk = machines.flatMap(({ node }) => (node?.jobs ?? []).filter((id) => endOf(id, survey) > end))
    const owners = atRisk.map((id) => `${id} of ${survey.running.get(id)?.user ?? 'an unknown user'}`)
    return atRisk.length === 0
      ? []
      : [
          `Lease ${leaseId} ends at ${hour(end)}, its extension was refused, and ${some(atRisk.length, 'job')} may outlast it: ${few(owners)}.`,
        ]
  })
}

const NONE: readonly string[] = []

export const unnamedIds = (leaseId: string, survey: Survey): readonly string[] => {
  const count = survey.unnamed.get(leaseId) ?? 0
  return count === 0 ? NONE : Array.from({ length: count }, (_, i) => `${leaseId}#${i + 1}`)
}

function isDue(lease: HeldLease, config: GrocConfig, now: Instant): boolean {
  const at = askAt(lease, config)
  return at !== undefined && now >= at && !isTooLate(lease, now)
}

const isTooLate = ({ extendBy }: HeldLease, now: Instant): boolean => extendBy !== undefined && now > extendBy

/**
 * As long as the work there may still last, in the bounds of `termMin` and `term`: as observed in its queue, or
 * its limit once it has run longer than that. Jobs without either need a whole term.
 */
function lengthFor(
  busy: readonly Machine[],
  end: Instant,
  survey: Survey,
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  now: Instant,
): Millis {
  const ends = busy.flatMap(({ node }) =>
    node?.jobs.length === 0
      ? [Number.POSITIVE_INFINITY]
      : (node?.jobs ?? []).map((id) => likelyEndOf(id, survey, expectedIn, now)),
  )
  const latest = ends.reduce((a, b) => Math.max(a, b), end)
  return Math.min(config.term, Math.max(config.termMin, Math.ceil(latest - end)))
}

function likelyEndOf(
  jobId: string,
  survey: Survey,
  expectedIn: (queue: string) => Expectation,
  now: Instant,
): Instant {
  const limit = endOf(jobId, survey)
  const job = survey.running.get(jobId)
  if (job?.startedAt === undefined) return limit
  const expected = expectedIn(job.queue)
  if (job.walltimeMs === undefined && !expected.isObserved) return limit
  const likely = job.startedAt + expectedRun(expected, job.walltimeMs) * SAFETY
  // It is late already, so what most jobs do says nothing of this one.
  return likely <= now ? limit : Math.min(limit, likely)
}
