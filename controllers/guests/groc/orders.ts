import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestIntent, GuestView } from '../../controller.ts'
import { hour, some, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Demand } from './demand.ts'
import { submittedNth } from './demand.ts'
import type { GrocMemory } from './memory.ts'
import type { Packing } from './packing.ts'
import { inSequence } from './sequence.ts'
import type { Survey } from './survey.ts'

/** Whether the thresholds for growth are exceeded, in figures. */
export interface Pressure {
  /** Longest wait of a job for which neither a machine nor an order is there. */
  readonly waitMs: Millis
  /** Waiting work per processor held or coming; infinite without processors. */
  readonly backlogMs: Millis
  readonly exceeded: boolean
}

export function pressureOf(
  demand: Demand,
  packing: Packing,
  survey: Survey,
  config: GrocConfig,
  now: Instant,
): Pressure {
  let waitMs = 0
  let unserved = false
  for (const [shape, places] of packing.places) {
    if (!places.some(({ bin }) => bin.kind === 'fresh')) continue
    unserved = true
    const ordered = packing.wideOrders.filter((order) => order.shape === shape).length
    const served =
      shape.nodes > 1
        ? places.length / shape.nodes - ordered
        : places.reduce((sum, { bin, tasks }) => sum + (bin.kind === 'fresh' ? 0 : tasks), 0)
    waitMs = Math.max(waitMs, now - submittedNth(shape, served))
  }
  const backlogMs = backlogPerProcessor(demand, survey)
  const byBacklog = config.grow.backlog !== undefined && backlogMs > config.grow.backlog
  return { waitMs, backlogMs, exceeded: unserved && (waitMs >= config.grow.wait || byBacklog) }
}

export function backlogPerProcessor(demand: Demand, survey: Survey): Millis {
  if (demand.workMs === 0) return 0
  const serving = survey.machines.reduce(
    (sum, { node, standing }) => sum + (standing === 'serving' ? (node?.cpus ?? 0) : 0),
    0,
  )
  const own = survey.ownNodes.reduce((sum, node) => sum + (node.accepting ? node.cpus : 0), 0)
  const processors = serving + own + survey.coming * survey.unit.cpus
  return processors === 0 ? Number.POSITIVE_INFINITY : demand.workMs / processors
}

/** Earlier answers that speak against asking again at once. */
export interface Patience {
  /** Not before this instant. */
  readonly until: Instant
  readonly reason: string
}

/**
 * After refusals the next ask waits, doubling each time. A refusal of a small quantity also speaks against a
 * larger one, not the other way round; a grant of as much ends the row.
 */
export function afterRefusals(
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  unitsMin: number,
): Patience | undefined {
  const answers = view.refusals.filter(
    (refusal) =>
      refusal.by === 'broker' && refusal.type === config.type && (refusal.unitsMin ?? 1) <= unitsMin,
  )
  const granted = view.leases
    .filter((lease) => lease.type === config.type && lease.state !== 'requested' && lease.units >= unitsMin)
    .reduce((latest, lease) => Math.max(latest, lease.requestedAt), Number.NEGATIVE_INFINITY)
  const row = inSequence(
    answers.map(({ at }) => at).filter((at) => at >= granted),
    config.retry,
  )
  const [latest] = answers
  if (row === undefined || latest === undefined) return undefined
  const until = row.latest + Math.min(config.retry.most, config.retry.first * 2 ** (row.count - 1))
  return {
    until,
    reason: `${some(row.count, 'ask')} in a row refused, the last at ${hour(row.latest)} (${latest.reason})`,
  }
}

/**
 * Machines of one image that fail one after another. The first is replaced at once, later ones after a pause
 * that doubles; from `breaker` on, one unit at a time, once per `retry.most`, until one comes up.
 */
export function afterFailures(
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
): (Patience & { readonly probing: boolean }) | undefined {
  const units = view.leases.flatMap((lease) =>
    lease.type === config.type ? lease.held.map((unit) => ({ unit, lease })) : [],
  )
  const failures = new Map<string, { at: Instant; image: string | undefined; reason: string }>()
  // One failure per lease: units that never came are followed by a refusal of the lease itself.
  for (const { unit, lease } of units)
    if (unit.state === 'lost' && unit.joinedAt === undefined)
      failures.set(lease.id, { at: unit.since, image: undefined, reason: `${unit.name} never came up` })
  for (const refusal of view.refusals)
    if (refusal.by === 'site' && refusal.type === config.type) failures.set(refusal.leaseId, refusal)
  for (const [unitId, at] of Object.entries(memory.blackHoles))
    failures.set(`unit ${unitId}`, { at, image: undefined, reason: `jobs end at once on unit ${unitId}` })
  const good = units
    .filter(({ unit }) => own(memory.blackHoles, unit.id) === undefined)
    .reduce(
      (latest, { unit }) => Math.max(latest, unit.joinedAt ?? Number.NEGATIVE_INFINITY),
      Number.NEGATIVE_INFINITY,
    )
  const newestFirst = [...failures.values()].filter(({ at }) => at >= good).sort((a, b) => b.at - a.at)
  const image = newestFirst.find((failure) => failure.image !== undefined)?.image
  const other = newestFirst.findIndex((failure) => failure.image !== undefined && failure.image !== image)
  const ofImage = other < 0 ? newestFirst : newestFirst.slice(0, other)
  const row = inSequence(
    ofImage.map(({ at }) => at),
    { first: 0, most: config.retry.most },
  )
  if (row === undefined || row.count < 2) return undefined
  const probing = row.count >= config.breaker
  const pauseMs = probing
    ? config.retry.most
    : Math.min(config.retry.most, config.retry.first * 2 ** (row.count - 2))
  return {
    until: row.latest + pauseMs,
    probing,
    reason: `${some(row.count, 'failure')} in a row${image ? ` of image ${image}` : ''}, the last at ${hour(row.latest)} (${newestFirst[0]?.reason ?? ''})`,
  }
}

export interface Orders {
  readonly intents: readonly GuestIntent[]
  readonly notes: readonly string[]
  readonly pressedSince: Instant | undefined
  /** Instants at which the answer may be another one though nothing happens. */
  readonly wake: readonly Instant[]
}

export function ordersFor(
  demand: Demand,
  packing: Packing,
  survey: Survey,
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Orders {
  const pressure = pressureOf(demand, packing, survey, config, now)
  const pressedSince = pressure.exceeded ? (memory.pressedSince ?? now) : undefined
  const open = pressedSince !== undefined && now - pressedSince >= config.grow.sustain
  const wideUnits = packing.wideOrders.reduce((sum, { units }) => sum + units, 0)
  const there = survey.serving + survey.spare + survey.coming + survey.silent
  const minShort = config.min - there - (open ? wideUnits : 0)
  const small = Math.max(open ? packing.smallUnits : 0, minShort, 0)
  const wide = open ? packing.wideOrders : []
  const wake: Instant[] = []
  const notes: string[] = []
  const nothing = (note: string): Orders => ({ intents: [], notes: [...notes, note], pressedSince, wake })

  const waiting = packing.smallUnits + wideUnits
  if (!open && waiting > 0) {
    notes.push(
      `${some(waiting, 'more unit')} would help; the longest wait for them is ${span(pressure.waitMs)} (grow.wait ${span(config.grow.wait)}, sustained for ${span(config.grow.sustain)}).`,
    )
    wake.push(
      pressedSince === undefined
        ? now + config.grow.wait - pressure.waitMs
        : pressedSince + config.grow.sustain,
    )
  }
  if (small === 0 && wide.length === 0) return { intents: [], notes, pressedSince, wake }
  if (view.hold !== undefined) return nothing(`Nothing is asked for: ${view.hold}.`)

  const room = Math.max(0, config.max - survey.total)
  const startedLately = view.leases.filter(({ requestedAt }) => requestedAt > now - 60_000)
  const startsLeft =
    config.startsPerMinute === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(0, config.startsPerMinute - startedLately.reduce((sum, { units }) => sum + units, 0))
  const failed = afterFailures(view, memory, config)
  if (failed !== undefined && now < failed.until) {
    wake.push(failed.until)
    return nothing(`Asks again at ${hour(failed.until)}: ${failed.reason}.`)
  }
  if (failed?.probing === true)
    return room < 1
      ? nothing(`Machines fail (${failed.reason}), and max ${config.max} leaves no room for a trial.`)
      : { intents: [request(1, 1, `one unit on trial: ${failed.reason}`, config)], notes, pressedSince, wake }

  const intents: GuestIntent[] = []
  let left = room
  let starts = startsLeft
  for (const { shape, units } of wide) {
    const refused = afterRefusals(view, config, units)
    if (refused !== undefined && now < refused.until) {
      wake.push(refused.until)
      notes.push(
        `${some(units, 'unit')} for a job of ${shape.nodes} nodes: asked again at ${hour(refused.until)}; ${refused.reason}.`,
      )
      continue
    }
    // A job wider than the limit of a minute goes when nothing else was started in that minute.
    if (units > starts && startedLately.length + intents.length > 0) {
      notes.push(
        `${some(units, 'unit')} for a job of ${shape.nodes} nodes wait for startsPerMinute ${config.startsPerMinute}.`,
      )
      continue
    }
    left -= units
    starts = Math.max(0, starts - units)
    const own = shape.nodes - units
    intents.push(
      request(
        units,
        units,
        `a job of ${shape.nodes} nodes has waited ${span(now - shape.oldest)}; ${own === 0 ? 'none' : own} of them there or coming, ${units} missing, all or none`,
        config,
      ),
    )
  }
  const refused = small > 0 ? afterRefusals(view, config, 1) : undefined
  if (refused !== undefined && now < refused.until) {
    wake.push(refused.until)
    notes.push(
      `${some(small, 'unit')} for small jobs: asked again at ${hour(refused.until)}; ${refused.reason}.`,
    )
  } else if (small > 0) {
    const most = Math.min(small, left, starts, refused === undefined ? Number.POSITIVE_INFINITY : config.step)
    if (left < small)
      notes.push(
        `${some(small - left, 'unit')} more would help, but max is ${config.max} and ${survey.total} are held or asked for.`,
      )
    if (starts < Math.min(small, left)) notes.push(`At most ${config.startsPerMinute} starts per minute.`)
    const why =
      open && packing.smallUnits >= minShort
        ? `waiting: ${some(demand.count, 'job')}, the longest without room for ${span(pressure.waitMs)}; serving: ${some(survey.serving, 'unit')}, coming: ${survey.coming}`
        : `serving: ${some(survey.serving, 'unit')}, coming: ${survey.coming}, to be kept: ${config.min}`
    for (let asked = 0; asked < most; asked += config.step)
      intents.push(request(Math.min(config.step, most - asked), 1, why, config))
  }
  return { intents, notes, pressedSince, wake }
}

const request = (units: number, unitsMin: number, reason: string, config: GrocConfig): GuestIntent => ({
  kind: 'request',
  type: config.type,
  units,
  unitsMin,
  durationMs: config.term,
  startBy: undefined,
  reason,
})
