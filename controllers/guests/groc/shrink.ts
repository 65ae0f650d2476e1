import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { GuestIntent } from '../../controller.ts'
import { hour, some, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Crew } from './crew.ts'
import type { Keep } from './keep.ts'
import type { Machine } from './machine.ts'
import type { DrainCause, GrocMemory } from './memory.ts'
import { isRestoring } from './outage.ts'
import type { IdleHold } from './queues.ts'
import { compare } from './sequence.ts'
import type { Survey } from './survey.ts'
import { askWithoutPartAt } from './terms.ts'

/**
 * The way of a unit out of the middleware, one step per decision:
 *
 *   serving ──idle long enough, unneeded, more than min left──▶ drain
 *      ▲                                                          │
 *      └───────── resume ◀──needed again── draining ◀─────────────┘
 *                                             │ a look that began after the drain + settle
 *                                             ▼ shows our drain and no work
 *                                           leave ──all units of the lease out──▶ release
 *
 * A job that slips in between drain and look simply runs to its end: the unit is not empty, so it stays.
 */

/** Since when each empty, unneeded unit has been seen so without a break. */
export function idleSince(
  survey: Survey,
  used: ReadonlySet<string>,
  memory: GrocMemory,
  lookedAt: Instant,
): Readonly<Record<string, Instant>> {
  const since = new Map<string, Instant>()
  for (const { idle } of survey.crews)
    for (const { unit, seen } of idle) {
      if (used.has(unit.id)) continue
      const known = own(memory.idleSince, unit.id)
      if (seen || known !== undefined) since.set(unit.id, known ?? lookedAt)
    }
  return Object.fromEntries(since)
}

/** Spare units that waiting jobs, or `min`, want back; cheaper and faster than any order. */
export function resumes(
  survey: Survey,
  used: ReadonlySet<string>,
  keep: Keep,
  memory: GrocMemory,
): readonly GuestIntent[] {
  const ending = survey.ends ? endingOf(survey, used).filter(({ unit }) => unit.state === 'draining') : []
  const again = ending.map(({ unit, until }) =>
    resume(
      unit.id,
      `${unit.name} is needed by waiting jobs, all of which end by their time limits before it goes (${hour(until!)})`,
    ),
  )
  if (survey.spare === 0) return again
  const spare = survey.crews.flatMap((crew) => crew.spare)
  const isBack = ({ unit, node }: Machine): boolean =>
    node?.responding === true && own(BACK, own(memory.drains, unit.id) ?? '') !== undefined
  const needed = spare.filter((machine) => used.has(machine.unit.id) || isKept(machine) || isBack(machine))
  const undone = spare.filter((machine) => isUndone(machine) && !needed.includes(machine))
  const short = keep.units - survey.serving - survey.coming - needed.length - undone.length
  const kept = spare
    .filter((machine) => !needed.includes(machine) && !undone.includes(machine))
    .slice(0, Math.max(0, short))
  return [
    ...again,
    ...needed.map((machine) => {
      const { unit, node } = machine
      return resume(
        unit.id,
        used.has(unit.id)
          ? `${unit.name} is needed again by waiting jobs`
          : isBack(machine)
            ? `${unit.name} ${own(BACK, own(memory.drains, unit.id) ?? '')}`
            : unit.pinned !== undefined
              ? `${unit.name} is kept: pinned by ${unit.pinned.by} (${unit.pinned.reason})`
              : `${unit.name} is reserved in the batch system (${node?.reservedFor})`,
      )
    }),
    ...undone.map(({ unit }) =>
      resume(unit.id, `somebody took our drain of ${unit.name} back, and that is respected`),
    ),
    ...kept.map(({ unit }) =>
      resume(
        unit.id,
        `${unit.name} stays: only ${survey.serving} of at least ${keep.units} serve (${keep.why})`,
      ),
    ),
  ]
}

/** Those that go for good, and until then serve waiting jobs. */
export const endingOf = ({ crews }: Survey, used: ReadonlySet<string>): readonly Machine[] =>
  crews.flatMap(({ ending }) =>
    ending.filter(({ unit, standing }) => standing === 'blocked' && used.has(unit.id)),
  )

/** Why it works again, by what it was drained for. */
const BACK: Readonly<Record<string, string>> = {
  silent: 'answers again',
  stuck: 'is let go of by what had ended there',
}

/** By a person, or by a reservation in the batch system, whatever waits. */
const isKept = ({ unit, node }: Machine): boolean =>
  unit.pinned !== undefined || node?.reservedFor !== undefined

const resume = (unitId: string, reason: string): GuestIntent => ({ kind: 'resume', unitId, reason })

/** A drain for idleness that a late enough look does not show: an administrator wants the node to work. */
const isUndone = ({ unit, node }: Machine): boolean => unit.state === 'draining' && node?.drained === 'no'

/** A closing lease has no way back; its units are taken out by those who close it. */
const inHand = (survey: Survey): readonly Crew[] =>
  survey.crews.filter(({ lease }) => lease.state !== 'closing')

export interface Drain {
  readonly intent: GuestIntent
  readonly unitId: string
  readonly cause: DrainCause
}

/** Units that are to take no more work, whatever waits; and drains that did not take hold. */
export function unfitDrains(
  survey: Survey,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): readonly Drain[] {
  const unfit = inHand(survey).flatMap((crew) => crew.unfit)
  return unfit.flatMap((machine): Drain[] => {
    const { unit, node, drainAs, why } = machine
    if (unit.state === 'joined' && drainAs !== undefined)
      return [drain(machine, drainAs, `${unit.name} takes no more work: ${why}`)]
    const silentSince = own(memory.missingSince, unit.id)
    if (
      unit.state === 'joined' &&
      node !== undefined &&
      machine.empty &&
      silentSince !== undefined &&
      now - silentSince >= config.missing &&
      node.drained === 'no'
    )
      return [
        drain(
          machine,
          'unfit',
          `${unit.name} has not answered for ${span(now - silentSince)} and has no work`,
        ),
      ]
    if (unit.state === 'joined' && machine.standing === 'spare')
      return [drain(machine, 'idle', `${unit.name} is still drained by us and not needed`)]
    if (isUndone(machine))
      return [
        drain(
          machine,
          own(memory.drains, unit.id) ?? 'idle',
          `${unit.name} was to be drained, and a look begun later shows it is not`,
        ),
      ]
    return []
  })
}

/** What goes for being idle. */
export interface IdleDrains {
  readonly drains: readonly Drain[]
  /** When parts of leases are due that are idle for long enough already. */
  readonly wake: readonly Instant[]
}

/**
 * Idle units beyond those to keep. A lease is given back only when all its units are, so a part of one is paid for and
 * counted until the next extension; it serves until a look is just in time to show it empty before that is asked for.
 */
export function idleDrains(
  survey: Survey,
  idle: Readonly<Record<string, Instant>>,
  taken: ReadonlySet<string>,
  lookedAt: Instant,
  keep: Keep,
  holdOf: (unitId: string) => IdleHold,
  config: GrocConfig,
  now: Instant,
): IdleDrains {
  const isReady = ({ unit, standing }: Machine): boolean => {
    const since = own(idle, unit.id)
    return (
      standing === 'serving' &&
      since !== undefined &&
      unit.pinned === undefined &&
      !taken.has(unit.id) &&
      lookedAt - since >= holdOf(unit.id).ms
    )
  }
  let spareCount = survey.serving - servingOf(survey, taken) - keep.units
  const groups = survey.crews
    .filter((crew) => crew.idle.some(isReady))
    .map(({ lease, machines, idle: candidates }) => ({
      ready: candidates.filter(isReady).sort((a, b) => compare(a.unit.id, b.unit.id)),
      whole: machines.every(
        (machine) =>
          isReady(machine) ||
          machine.standing === 'gone' ||
          (machine.unit.state === 'draining' && machine.empty),
      ),
      end: lease.term?.end ?? 0,
      id: lease.id,
      lease,
    }))
    .sort(
      (a, b) =>
        Number(b.whole) - Number(a.whole) ||
        (a.whole ? b.ready.length - a.ready.length : 0) ||
        a.end - b.end ||
        compare(a.id, b.id),
    )
  const drains: Drain[] = []
  // First the leases that can go as a whole, large ones first, so that as many go as may;
  // then, with what is left of the allowance, parts of those that end soonest.
  const fits = (group: (typeof groups)[number]): boolean => group.whole && group.ready.length <= spareCount
  const take = (machines: readonly Machine[]): void => {
    for (const machine of machines.slice(0, Math.max(0, spareCount))) {
      spareCount -= 1
      const idleMs = lookedAt - (own(idle, machine.unit.id) ?? lookedAt)
      drains.push(
        drain(
          machine,
          'idle',
          `${machine.unit.name} has been empty and unneeded for ${span(idleMs)} (${holdOf(machine.unit.id).words}); still serving: ${some(survey.serving - drains.length - 1, 'unit')}, ${keep.why}`,
        ),
      )
    }
  }
  const whole = groups.filter((group) => {
    if (!fits(group)) return false
    take(group.ready)
    return true
  })
  const wake: Instant[] = []
  for (const group of groups) {
    const at = askWithoutPartAt(group.lease, config)
    if (whole.includes(group) || at === undefined || now > at - config.settle) continue
    const partAt = at - config.settle - config.every
    if (now < partAt) wake.push(partAt)
    else take(group.ready)
  }
  return { drains, wake }
}

const servingOf = ({ crews }: Survey, units: ReadonlySet<string>): number =>
  units.size === 0
    ? 0
    : crews
        .flatMap(({ machines }) => machines)
        .filter(({ unit, standing }) => standing === 'serving' && units.has(unit.id)).length

const drain = ({ unit }: Machine, cause: DrainCause, reason: string): Drain => ({
  unitId: unit.id,
  cause,
  intent: { kind: 'drain', unitId: unit.id, reason },
})

/** Units that a late enough look shows drained by us and without work, or does not show at all. */
export function leaves(
  survey: Survey,
  resumed: ReadonlySet<string>,
  memory: GrocMemory,
  lookedAt: Instant,
  config: GrocConfig,
  /** Nothing goes for having been idle. */
  still = false,
): readonly GuestIntent[] {
  const leaving = inHand(survey).flatMap((crew) => crew.leaving)
  return leaving.flatMap(({ unit, node }): GuestIntent[] => {
    if (still && own(memory.drains, unit.id) === 'idle') return []
    if (resumed.has(unit.id)) return []
    const goneSince = own(memory.missingSince, unit.id)
    if (node === undefined)
      return goneSince !== undefined && lookedAt - goneSince >= config.missing
        ? [
            {
              kind: 'leave',
              unitId: unit.id,
              reason: `the batch system has not known node ${unit.name} for ${span(lookedAt - goneSince)}`,
            },
          ]
        : []
    return [
      {
        kind: 'leave',
        unitId: unit.id,
        reason: `${unit.name} was drained at ${hour(unit.since)} and the look of ${hour(lookedAt)} shows no work on it`,
      },
    ]
  })
}

/** Leases of which nothing is left in the middleware and nothing will come. */
export function releases(survey: Survey, config: GrocConfig, now: Instant): readonly GuestIntent[] {
  return survey.crews.flatMap(({ lease, machines, isOut, roll: { lost } }): GuestIntent[] => {
    if (!isOut || machines.length === 0 || lease.state === 'closing') return []
    if ((survey.unnamed.get(lease.id) ?? 0) > 0 || isRestoring(lease, now, config)) return []
    return [
      {
        kind: 'release',
        leaseId: lease.id,
        reason: `${machines.length === 1 ? 'the only unit of the lease is' : `all ${some(machines.length, 'unit')} of the lease are`} out of the batch system${lost === 0 ? '' : `, ${lost} of them lost`}`,
      },
    ]
  })
}
