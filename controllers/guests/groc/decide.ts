import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestDecision, GuestFigures, GuestIntent, GuestView } from '../../controller.ts'
import { few, span } from '../../sentence.ts'
import { basisOf } from './basis.ts'
import { accounted } from './budget.ts'
import type { GrocConfig } from './config.ts'
import { fromTheDead } from './dead.ts'
import type { Demand } from './demand.ts'
import { demandOf } from './demand.ts'
import { endsOf, guard } from './ends.ts'
import { notice, withoutSilence } from './health.ts'
import { alarms, neverBegunNotes } from './held.ts'
import { type Keep, toKeep, works } from './keep.ts'
import { withdrawals } from './later.ts'
import type { GrocMemory } from './memory.ts'
import {
  blockedNotes,
  cappedNotes,
  clockNotes,
  misfitNotes,
  stuckNotes,
  summary,
  tooWideNotes,
  warningNotes,
} from './notes.ts'
import { backlogPerProcessor, ordersFor } from './orders.ts'
import { outageNotes, restoringNotes } from './outage.ts'
import { overspentDrains } from './overspent.ts'
import type { Packing } from './packing.ts'
import { pack } from './packing.ts'
import { offersOf } from './patience.ts'
import { type IdleHold, idleHolds, queueRooms, without } from './queues.ts'
import { answerRecalls } from './recall.ts'
import { reserve } from './reservations.ts'
import { rollCall } from './roll.ts'
import { expectations } from './runs.ts'
import { seasonAt, seasonNotes } from './season.ts'
import { compare } from './sequence.ts'
import {
  type Drain,
  endingOf,
  idleDrains,
  idleSince,
  leaves,
  releases,
  resumes,
  unfitDrains,
} from './shrink.ts'
import { steadyUntil } from './steady.ts'
import type { Survey } from './survey.ts'
import { limitsOf, survey } from './survey.ts'
import { tallyOf } from './tally.ts'
import { askAt, blindExtensions, type Extension, extensions, jobsAtRisk } from './terms.ts'
import { turnNotes, turnOf } from './turn.ts'
import { userPurses } from './user-budget.ts'
import { type Beyond, beyondNotes, turnstile } from './users.ts'

/**
 *   look ─▶ health ─▶ survey of the units ─▶ shapes of waiting jobs ─▶ packing
 *                                                                        │
 *          resume ◀─ what is spare and needed ──────────────────────────┤
 *          drain  ◀─ what is unfit, recalled, or long unneeded ─────────┤
 *          leave, release ◀─ what was seen drained and empty ───────────┤
 *          extend ◀─ what works or is wanted ───────────────────────────┤
 *          request ◀─ what is still missing ────────────────────────────┘
 *
 * Nothing is ever taken away or asked for on a look that may not be believed.
 */
export function decide(
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): GuestDecision<GrocMemory> {
  const season = seasonAt(config, now)
  const account = accounted(memory.account, view.leases, season.config, now)
  const decision = decideBy(
    season.config,
    view,
    account === memory.account ? memory : { ...memory, account },
    now,
  )
  return {
    ...decision,
    reason: [decision.reason, ...seasonNotes(season)].join(' '),
    againMs: Math.min(decision.againMs, season.until - now),
    steadyUntil: decision.steadyUntil && Math.min(decision.steadyUntil, season.until),
  }
}

/** By the settings that hold now. */
function decideBy(
  config: GrocConfig,
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  now: Instant,
): GuestDecision<GrocMemory> {
  const doubt = doubtOf(view, now)
  const picture = view.observation
  if (picture === undefined || doubt !== undefined) return waitAndSee(view, memory, config, now, doubt ?? '')

  const jobs = tallyOf(picture.jobs)
  const rolls = rollCall(view.leases, picture, config)
  const kept = notice(rolls, picture, jobs, memory, config)
  const noticed = withoutSilence(kept, view.leases, picture.startedAt, config)
  const ground = survey(rolls, picture, jobs, noticed, config, now)
  const expected = expectations(noticed.runs, config)
  const units = [...ground.units.values()]
  const purses = userPurses(
    ...([noticed.userAccounts, jobs.running, picture.nodes, expected, config, now] as const),
  )
  const gate = turnstile(noticed.users, units, config, now, purses)
  const turn = turnOf(jobs, units, ground.ownNodes, config)
  const demand = demandOf(turn.jobs, units, expected, config, gate, ground.ends)
  const beyond = gate?.beyond ?? new Map<string, Beyond>()
  const offers = offersOf(view, ground, noticed, config, now)
  const ends = endsOf(ground, demand, jobs, expected, now)
  const rooms = queueRooms(config, picture.nodes, jobs)
  const limits = limitsOf(ground, config, rooms)
  const bins = ends?.bins ?? ground.bins
  const packing = pack(demand.shapes, bins, offers, limits, ends)
  /** Without what it is too early to order for some queues. */
  const packWithout = (closed: ReadonlySet<string>): Packing =>
    pack(demand.shapes, bins, offers, { ...limits, queues: without(rooms, closed) }, ends)
  const guarded = guard(ground, packing, ends)

  const keep = toKeep(ground, packing, limits, config)

  const recall = answerRecalls(ground, noticed, now)
  const recalled = new Set(recall.recalled)
  const resumed = resumes(ground, packing.used, keep, noticed).filter(
    (intent) => intent.kind !== 'resume' || !(recalled.has(intent.unitId) || guarded.ids.has(intent.unitId)),
  )
  const resumedIds = new Set(resumed.flatMap((intent) => (intent.kind === 'resume' ? [intent.unitId] : [])))
  const last = new Set(ground.ends ? endingOf(ground, packing.used).map(({ unit }) => unit.id) : [])
  const unfit = [...unfitDrains(ground, noticed, config, now), ...guarded.drains].filter(
    ({ unitId }) => !resumedIds.has(unitId) && !recalled.has(unitId) && !last.has(unitId),
  )
  const idle = idleSince(ground, packing.used, noticed, picture.startedAt)
  const holdOf = idleHolds(noticed.lastQueues, config)
  const backlogMs = backlogPerProcessor(demand, ground)
  const mayShrink =
    view.still === undefined && (config.shrink.backlog === undefined || backlogMs <= config.shrink.backlog)
  const taken = new Set([...recalled, ...unfit.map(({ unitId }) => unitId)])
  const { drains: shrunk, wake: partsAt } = mayShrink
    ? idleDrains(ground, idle, taken, picture.startedAt, keep, holdOf, config, now)
    : { drains: [], wake: [] }

  const idled = new Set([...taken, ...shrunk.map(({ unitId }) => unitId)])
  const overspent = mayShrink ? overspentDrains(ground, packing.used, gate, idled, keep) : []
  const going = new Set([...idled, ...overspent.map(({ unitId }) => unitId)])
  const pinned = ground.crews.flatMap((crew) => crew.pinned)
  const wanted = new Set([
    ...(last.size === 0 ? packing.used : [...packing.used].filter((id) => !last.has(id))),
    ...keptForNothing(ground, packing, going, keep),
    ...resumedIds,
    ...pinned,
  ])
  const still = view.still !== undefined
  const extended = extensions(ground, wanted, going, recalled, expected, config, now, still)
  const orders = ordersFor(demand, packing, packWithout, ground, offers, keep, view, noticed, config, now)

  const reserving = reserve(
    ...([jobs.held, view, offers, noticed.reservations ?? {}, noticed.boots] as const),
    ...([orders.room, expected, config, now, gate] as const),
  )

  const dead = fromTheDead(ground, noticed, picture.startedAt, config, view.still !== undefined)

  const intents: GuestIntent[] = [
    ...resumed,
    ...dead.intents,
    ...recall.drains,
    ...[...unfit, ...shrunk, ...overspent].map(({ intent }) => intent),
    ...leaves(ground, resumedIds, noticed, picture.startedAt, config, view.still !== undefined),
    ...releases(ground, config, now),
    ...(mayShrink
      ? withdrawals(view.leases, packing.used, ground.serving + ground.spare + ground.coming, keep.units)
      : []),
    ...extended.asked.map(({ intent }) => intent),
    ...orders.intents,
    ...reserving.intents,
  ]
  const paused = [...beyond.values()].flatMap(({ until }) => until ?? [])
  // What a job may still be packed onto, and what a user has left, changes with every minute.
  const isSlow = purses !== undefined || (ends !== undefined && demand.count > 0)
  const soon = isSlow ? [now + config.every] : []
  const wake = [
    ...[...orders.wake, ...paused, ...partsAt, ...extended.wake, ...soon],
    ...wakesOf(view, idle, holdOf),
  ]
  const notes = [
    ...outageNotes(noticed.outage, picture.startedAt, config),
    ...restoringNotes(view.leases, now, config),
    ...blockedNotes(ground, last),
    ...dead.notes,
    ...stuckNotes(ground, noticed, picture.startedAt, config),
    ...recall.notes,
    ...jobsAtRisk(ground),
    ...alarms(demand.alarming),
    ...neverBegunNotes(picture.jobs),
    ...misfitNotes(demand, ground),
    ...beyondNotes(beyond, config),
    ...tooWideNotes(packing, ground, config),
    ...turnNotes(turn),
    ...cappedNotes(packing, config),
    ...orders.notes,
    ...clockNotes(demand, now),
    ...warningNotes(picture),
  ]
  return {
    intents,
    memory: {
      ...kept,
      putBackAt: dead.putBackAt,
      pressedSince: orders.pressedSince,
      pressedQueues: orders.pressedQueues,
      futureSince: orders.futureSince,
      rampedAt: orders.rampedAt,
      reservations: reserving.reservations,
      idleSince: idle,
      drains: drainsAfter(
        ...([noticed.drains, resumedIds, [...unfit, ...shrunk, ...overspent]] as const),
        ...([recalled, extended.asked] as const),
      ),
    },
    reason: [summary(demand, packing, ground), ...notes].join(' '),
    figures: figuresOf(demand, packing, ground, now),
    basis: basisOf(picture, intents, orders, ground, keep, idle, holdOf, backlogMs, config, now),
    againMs: again(wake, config, now),
    steadyUntil: steadyUntil(view, noticed, wake, config, now),
  }
}

/** The very same record, as most decisions drain nothing. */
function drainsAfter(
  before: GrocMemory['drains'],
  resumed: ReadonlySet<string>,
  drained: readonly Drain[],
  recalled: ReadonlySet<string>,
  extended: readonly Extension[],
): GrocMemory['drains'] {
  const victims = extended.flatMap((one) => one.victims)
  if (resumed.size + drained.length + recalled.size + victims.length === 0) return before
  const drains = new Map(Object.entries(before))
  for (const id of resumed) drains.delete(id)
  for (const { unitId, cause } of drained) drains.set(unitId, cause)
  for (const id of recalled) drains.set(id, 'recall')
  for (const id of victims) drains.set(id, 'victim')
  return Object.fromEntries(drains)
}

function doubtOf(view: GuestView<BatchPicture>, now: Instant): string | undefined {
  if (view.blind !== undefined)
    return `looks have failed for ${span(now - view.blind.since)} (${view.blind.reason})`
  if (view.observation === undefined) return 'there was no look at the batch system yet'
  if (view.observation.trust === 'doubtful')
    return `the look at the batch system may not be believed (${few(view.observation.warnings, 1) || 'nothing confirms its list of jobs'})`
  return undefined
}

/** Keeps and extends what is held; shrinks nothing, asks for nothing. */
function waitAndSee(
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
  doubt: string,
): GuestDecision<GrocMemory> {
  const units = view.leases.flatMap(({ held }) => held)
  const joined = units.filter(({ state }) => state === 'joined').length
  const out = units.filter(({ state }) => state !== 'awaited' && state !== 'joining').length
  const coming =
    view.leases.reduce(
      (sum, lease) => sum + (lease.state === 'closing' ? 0 : Math.max(lease.units, lease.held.length)),
      0,
    ) - out
  return {
    intents: blindExtensions(view.leases, doubt, config, now),
    // What lasted "without a break" is broken: nobody knows what was in between.
    memory: {
      ...memory,
      pressedSince: undefined,
      pressedQueues: undefined,
      futureSince: undefined,
      idleSince: {},
      missingSince: {},
    },
    reason: `Everything is kept and nothing asked for: ${doubt}.`,
    figures: {
      backlogJobs: 0,
      unitsWanted: joined,
      unitsJoined: joined,
      unitsComing: Math.max(0, coming),
      oldestWaitMs: 0,
    },
    againMs: again(
      [...wakesOf(view, {}, idleHolds(undefined, config)), ...asksOf(view, config)],
      ...([config, now] as const),
    ),
  }
}

/** Idle units that stay though nothing waits: those whose leases last longest, so that the others may lapse. */
function keptForNothing(
  ground: Survey,
  packing: Packing,
  going: ReadonlySet<string>,
  keep: Keep,
): readonly string[] {
  if (keep.units === 0) return []
  const staying = ground.crews.flatMap(({ lease, machines }) =>
    machines
      .filter(
        ({ unit, standing }) => (standing === 'serving' || standing === 'coming') && !going.has(unit.id),
      )
      .map((machine) => ({ machine, lease })),
  )
  const idle = staying.filter(({ machine }) => !works(machine, packing))
  const short = keep.units - (staying.length - idle.length)
  if (short <= 0) return []
  return idle
    .sort(
      (a, b) =>
        (b.lease.term?.end ?? 0) - (a.lease.term?.end ?? 0) || compare(a.machine.unit.id, b.machine.unit.id),
    )
    .slice(0, short)
    .map(({ machine }) => machine.unit.id)
}

function figuresOf(demand: Demand, packing: Packing, ground: Survey, now: Instant): GuestFigures {
  // Whoever has joined and is in no look yet counts as joined, and not once more.
  const unseen = ground.crews.reduce(
    (sum, { counts, machines }) =>
      counts.coming === 0
        ? sum
        : sum +
          machines.filter(({ unit, standing }) => standing === 'coming' && unit.state === 'joined').length,
    0,
  )
  return {
    backlogJobs: Math.min(Number.MAX_SAFE_INTEGER, demand.count),
    unitsWanted: Math.min(Number.MAX_SAFE_INTEGER, packing.wanted),
    unitsJoined: ground.joined,
    unitsComing: ground.coming - unseen,
    oldestWaitMs: demand.oldest === undefined ? 0 : Math.max(0, now - demand.oldest),
  }
}

/** Instants at which a hold or a margin runs out though nothing happens. */
function wakesOf(
  view: GuestView<BatchPicture>,
  idle: Readonly<Record<string, Instant>>,
  holdOf: (unitId: string) => IdleHold,
): readonly Instant[] {
  const wakes: Instant[] = []
  for (const id in idle) wakes.push(idle[id]! + holdOf(id).ms)
  for (const lease of view.leases)
    if (!lease.extending && lease.extendBy !== undefined) wakes.push(lease.extendBy)
  return wakes
}

/** ... and, while nobody can look, an extension may be asked for. */
const asksOf = ({ leases }: GuestView<BatchPicture>, config: GrocConfig): readonly Instant[] =>
  leases.flatMap((lease) => askAt(lease, config) ?? [])

/** Something due already that did not happen is tried again at the usual pace, not in a circle. */
function again(wake: readonly Instant[], config: GrocConfig, now: Instant): Millis {
  const soonest = wake.reduce((least, at) => (at > now && at < least ? at : least), now + config.every)
  return Math.max(1, Math.ceil(soonest - now))
}
