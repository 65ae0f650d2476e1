import type { Properties, RequestGroup } from '../../../actors/leases/properties.ts'
import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { largest } from '../../../actors/runtime/extremes.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestIntent, GuestView } from '../../controller.ts'
import { hour, some, span } from '../../sentence.ts'
import { type Purse, purseOf } from './budget.ts'
import type { GrocConfig } from './config.ts'
import type { Demand } from './demand.ts'
import { submittedNth } from './demand.ts'
import { avoidedInWords, trialLabel, whereAsked } from './failures.ts'
import type { Keep } from './keep.ts'
import { deferredLabel, latestBegin } from './later.ts'
import type { SmallOrder } from './lots.ts'
import type { GrocMemory } from './memory.ts'
import type { Packing, WideOrder } from './packing.ts'
import type { PatientOffer } from './patience.ts'
import { type GrowThresholds, groupOf, growOf, opensApart } from './queues.ts'
import { ramped } from './ramp.ts'
import type { Survey } from './survey.ts'

/** Whether the thresholds for growth are exceeded, in figures, for queues whose orders open together. */
export interface Pressure {
  /** The queue, where its orders open apart from those of others. */
  readonly group: string | undefined
  readonly grow: GrowThresholds
  /** Longest wait of a job for which neither a machine nor an order is there. */
  readonly waitMs: Millis
  readonly exceeded: boolean
  /** Some job has no place without an order. */
  readonly unserved: boolean
}

export interface Pressures {
  readonly all: readonly Pressure[]
  /** The longest of all. */
  readonly waitMs: Millis
  /** Since when all these were submitted later than now, which only a clock that is ahead of ours can say. */
  readonly futureSince: Instant | undefined
}

export function pressuresOf(
  demand: Demand,
  packing: Packing,
  survey: Survey,
  before: Instant | undefined,
  config: GrocConfig,
  now: Instant,
): Pressures {
  const apart = opensApart(config)
  const told = new Map<string | undefined, number>()
  for (const [shape, places] of packing.places) {
    if (!places.some(({ bin }) => bin.kind === 'fresh')) continue
    const ordered = packing.wideOrders.filter(
      (order) => order.shape === shape && (order.among?.place ?? 0) === 0,
    ).length
    const served =
      shape.nodes > 1
        ? places.length / shape.nodes - ordered
        : places.reduce((sum, { bin, tasks }) => sum + (bin.kind === 'fresh' ? 0 : tasks), 0)
    const group = apart ? groupOf(config, shape.queue) : undefined
    const waitMs = now - submittedNth(shape, served)
    told.set(group, Math.max(told.get(group) ?? Number.NEGATIVE_INFINITY, waitMs))
  }
  const longest = [...told.values()].reduce((most, one) => Math.max(most, one), Number.NEGATIVE_INFINITY)
  const futureSince = told.size > 0 && longest < 0 ? (before ?? now) : undefined
  const waitOf = (one: number): Millis => (futureSince === undefined ? Math.max(0, one) : now - futureSince)
  const all = (told.has(undefined) ? told : told.set(undefined, Number.NaN)).entries()
  return {
    all: [...all].map(([group, one]): Pressure => {
      const grow = growOf(config, group)
      const unserved = !Number.isNaN(one)
      const waitMs = unserved ? waitOf(one) : 0
      const backlogMs = (): Millis =>
        backlogPerProcessor(demand, survey, grow.isOwnBacklog ? group : undefined)
      const byBacklog = grow.backlog !== undefined && backlogMs() > grow.backlog
      return { group, grow, waitMs, unserved, exceeded: unserved && (waitMs >= grow.wait || byBacklog) }
    }),
    waitMs: told.size === 0 ? 0 : waitOf(longest),
    futureSince,
  }
}

/** Of all queues, or of one alone, and then without its weight. */
export function backlogPerProcessor(demand: Demand, survey: Survey, queue?: string): Millis {
  const workMs =
    queue === undefined
      ? demand.workMs
      : demand.shapes.reduce((sum, one) => sum + (one.queue === queue ? one.workMs / one.weight : 0), 0)
  if (workMs === 0) return 0
  const serving = survey.crews.reduce((sum, { cpus }) => sum + cpus, 0)
  const own = survey.ownNodes.reduce((sum, node) => sum + (node.accepting ? node.cpus : 0), 0)
  const processors = serving + own + survey.cpusComing
  return processors === 0 ? Number.POSITIVE_INFINITY : workMs / processors
}

export interface Orders {
  readonly intents: readonly GuestIntent[]
  readonly notes: readonly string[]
  readonly pressedSince: Instant | undefined
  readonly pressedQueues: GrocMemory['pressedQueues']
  readonly rampedAt: Instant | undefined
  readonly futureSince: Instant | undefined
  /** Queues whose orders are open, and the longest wait in them; in all, if none are. */
  readonly opened: readonly Pressure[]
  readonly waitMs: Millis
  /** What the budget (units × ms) and `startsPerMinute` left before anything was asked for. */
  readonly before: { readonly purseMs: number; readonly starts: number }
  /** Units that the share of `ramp` puts off. */
  readonly later: number
  /** What `max` and the budget leave for others. */
  readonly room: { readonly left: number; readonly purse: Purse }
  /** Instants at which the answer may be another one though nothing happens. */
  readonly wake: readonly Instant[]
}

/** What may still be asked for in this decision, and what has been. */
interface Desk {
  readonly intents: GuestIntent[]
  readonly notes: string[]
  readonly wake: Instant[]
  /** Units that `max` leaves. */
  left: number
  /** Units that `startsPerMinute` leaves. */
  starts: number
  readonly startedLately: boolean
  /** Units asked for, by type. */
  readonly asked: Map<string, number>
  /** Types of which one unit is on trial. */
  readonly tried: Set<string>
  readonly purse: Purse
  readonly config: GrocConfig
  readonly now: Instant
}

export function ordersFor(
  demand: Demand,
  packing: Packing,
  packWithout: (closed: ReadonlySet<string>) => Packing,
  survey: Survey,
  offers: readonly PatientOffer[],
  keep: Keep,
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Orders {
  const pressure = pressuresOf(demand, packing, survey, memory.futureSince, config, now)
  const { gates, pressedSince, pressedQueues } = gatesOf(pressure, memory, config, now)
  const opened = gates.filter(({ open }) => open)
  const closed = gates.filter(({ open, of }) => !open && of.unserved)
  const open = opened.length > 0
  const waitMs = open
    ? largest(
        opened.map(({ of }) => of.waitMs),
        0,
      )
    : pressure.waitMs
  const asked =
    open && closed.length > 0 ? packWithout(queuesOf(demand, closed, config)) : open ? packing : NO_ORDERS
  const wide = asked.wideOrders
  const ramp = ramped(asked.smallOrders, memory.rampedAt, config, now)
  const startBy = latestBegin(now - waitMs, config.grow.target, memory.boots, now)
  const forJobs = ramp.orders.map((order) => ({ ...order, startBy }))
  const small = [...forJobs, ...toBeKept(wide, forJobs, survey, offers, keep, config)]
  const desk = deskOf(survey, view, memory, config, now)
  const atFirst = { purseMs: desk.purse.left, starts: desk.starts }
  const done = (rampedAt = memory.rampedAt): Orders => {
    const isOver = rampedAt === undefined || now >= rampedAt + config.ramp.every
    const { intents, notes, wake } = desk
    const room = { left: desk.left, purse: desk.purse }
    const { futureSince } = pressure
    return {
      ...{ intents, notes, pressedSince, pressedQueues, futureSince },
      ...{ rampedAt: isOver ? undefined : rampedAt, room, wake },
      ...{ opened: opened.map(({ of }) => of), waitMs, before: atFirst, later: ramp.later },
    }
  }

  const waiting = unitsIn(packing) - unitsIn(asked)
  if (closed.length > 0 && waiting > 0) {
    const waits = closed.map(
      ({ of: { group, grow, waitMs } }) =>
        `the longest wait for them is ${span(waitMs)}${group === undefined ? '' : ` in queue ${group}`} (${grow.words}, sustained for ${span(config.grow.sustain)})`,
    )
    desk.notes.push(`${some(waiting, 'more unit')} would help; ${waits.join('; ')}.`)
    for (const { of, since } of closed)
      desk.wake.push(since === undefined ? now + of.grow.wait - of.waitMs : since + config.grow.sustain)
  }
  if (ramp.later > 0) {
    desk.notes.push(
      `${some(ramp.later, 'unit')} more would help; after a share of ${config.ramp.share} the next one is asked for at ${hour(ramp.until)}.`,
    )
    desk.wake.push(ramp.until)
  }
  if (small.length === 0 && wide.length === 0) return done()
  if (view.hold !== undefined) {
    desk.notes.push(`Nothing is asked for: ${view.hold}.`)
    return done()
  }
  if (open) tellPassedOver(asked, offers, desk)
  const offerOf = new Map(offers.map((offer) => [offer.type, offer]))
  for (const [i, order] of wide.entries()) {
    if ((order.among?.place ?? 0) > 0) continue
    const by = latestBegin(order.shape.oldest, config.grow.target, memory.boots, now)
    const together = wide.slice(i, i + (order.among?.size ?? 1))
    askForWide(together, (type) => offerOf.get(type)!, by, desk, config, now)
  }
  const served = `serving: ${some(survey.serving, 'unit')}, coming: ${survey.coming}`
  const apart = opened.flatMap(({ of: { group, grow } }) =>
    group === undefined ? [] : [`queue ${group} (${grow.words})`],
  )
  const openedFor = apart.length === 0 ? '' : `; opened for ${apart.join(', ')}`
  const why =
    forJobs.length > 0
      ? `waiting: ${some(demand.count, 'job')}, the longest without room for ${span(waitMs)}${openedFor}; ${served}`
      : `${served}, to be kept: ${keep.units} (${keep.why})`
  const missing = Math.max(0, small.reduce((sum, { units }) => sum + units, 0) - desk.left)
  if (missing > 0)
    desk.notes.push(
      `${some(missing, 'unit')} more would help, but max is ${config.max} and ${survey.total} are held or asked for.`,
    )
  const before = desk.intents.length
  for (const offer of offers) {
    const orders = small.filter(({ type }) => type === offer.type)
    if (orders.length > 0) askForSmall(orders, offer, why, desk, config)
  }
  return done(ramp.later > 0 && forJobs.length > 0 && desk.intents.length > before ? now : undefined)
}

/** Since when the thresholds of such a group have been exceeded without a break. */
export const pressedOf = (memory: GrocMemory, group: string | undefined): Instant | undefined =>
  group === undefined ? memory.pressedSince : own(memory.pressedQueues, group)

/** Orders of queues that open together, or of one alone. */
interface Gate {
  readonly of: Pressure
  /** Since when its thresholds have been exceeded without a break. */
  readonly since: Instant | undefined
  readonly open: boolean
}

function gatesOf(
  { all }: Pressures,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): { readonly gates: readonly Gate[] } & Pick<GrocMemory, 'pressedSince' | 'pressedQueues'> {
  const gates = all.map((of): Gate => {
    const before = pressedOf(memory, of.group)
    const since = of.exceeded ? (before ?? now) : undefined
    return { of, since, open: since !== undefined && now - since >= config.grow.sustain }
  })
  const pressed = gates.flatMap(({ of: { group }, since }): (readonly [string, Instant])[] =>
    group === undefined || since === undefined ? [] : [[group, since]],
  )
  return {
    gates,
    pressedSince: gates.find(({ of }) => of.group === undefined)?.since,
    pressedQueues: pressed.length === 0 ? undefined : Object.fromEntries(pressed),
  }
}

/** Queues with jobs that wait, of these gates. */
function queuesOf(demand: Demand, gates: readonly Gate[], config: GrocConfig): ReadonlySet<string> {
  const groups = new Set(gates.map(({ of }) => of.group))
  const names = new Set(demand.shapes.map(({ queue }) => queue))
  return new Set([...names].filter((name) => groups.has(groupOf(config, name))))
}

type Ordering = Pick<Packing, 'wideOrders' | 'smallOrders' | 'smallUnits' | 'passedOver'>

const NO_ORDERS: Ordering = { wideOrders: [], smallOrders: [], smallUnits: 0, passedOver: new Set() }

const unitsIn = ({ wideOrders, smallUnits }: Ordering): number =>
  wideOrders.reduce((sum, { units }) => sum + units, smallUnits)

function deskOf(
  survey: Survey,
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Desk {
  const lately = view.leases.filter(({ requestedAt }) => requestedAt > now - 60_000)
  return {
    ...{ intents: [], notes: [], wake: [], asked: new Map(), tried: new Set() },
    ...{ now, config },
    purse: purseOf(memory.account, view.leases, config, now),
    left: Math.max(0, config.max - survey.total),
    starts:
      config.startsPerMinute === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(0, config.startsPerMinute - lately.reduce((sum, { units }) => sum + units, 0)),
    startedLately: lately.length > 0,
  }
}

/** What is missing to `min` and `reserve` besides what jobs want: of the first type that may be asked for. */
function toBeKept(
  wide: readonly WideOrder[],
  small: readonly SmallOrder[],
  survey: Survey,
  offers: readonly PatientOffer[],
  keep: Keep,
  config: GrocConfig,
): readonly SmallOrder[] {
  const there = survey.serving + survey.spare + survey.coming + survey.silent
  const forJobs = [...wide, ...small].reduce((sum, order) => sum + order.units, 0)
  // Whatever is asked for jobs will work: the reserve comes on top of it, as far as max lets it.
  const beside = Math.min(config.max - there - forJobs, keep.working + keep.reserve - there)
  const units = Math.max(keep.least - there - forJobs, beside)
  const offer = offers.find((one) => !one.isPaused(1) && one.room >= units) ?? offers[0]
  return units <= 0 || offer === undefined ? [] : [{ type: offer.type, leaseMs: config.term, units }]
}

function tellPassedOver(packing: Ordering, offers: readonly PatientOffer[], desk: Desk): void {
  const units = packing.wideOrders.reduce((most, order) => Math.max(most, order.units), 1)
  for (const offer of offers) {
    const patience = offer.patience(1) ?? offer.patience(units)
    if (patience === undefined || !packing.passedOver.has(offer.type)) continue
    desk.wake.push(patience.until)
    desk.notes.push(
      `${offer.type} is passed over for the next type that fits until ${hour(patience.until)}: ${patience.reason}.`,
    )
  }
}

/** Whether the order has to wait, or becomes one unit on trial. */
function isOff(what: string, unitsMin: number, offer: PatientOffer, desk: Desk, config: GrocConfig): boolean {
  const patience = offer.patience(unitsMin)
  if (patience !== undefined) {
    desk.wake.push(patience.until)
    desk.notes.push(`${what}: asked again at ${hour(patience.until)}; ${patience.reason}.`)
    return true
  }
  if (!offer.trial) return false
  if (offer.isTried) {
    desk.notes.push(`${what}: one unit on trial is on its way; ${offer.failing?.reason ?? ''}.`)
    return true
  }
  const why = offer.failing?.reason ?? ''
  if (desk.tried.has(offer.type)) return true
  desk.tried.add(offer.type)
  if (desk.left < 1)
    desk.notes.push(`Machines fail (${why}), and max ${config.max} leaves no room for a trial.`)
  else ask(offer, 1, 1, config.term, `one unit on trial: ${why}`, desk)
  return true
}

/** For one job: of one type, or of several that its parts need, all at one common start or none. */
function askForWide(
  orders: readonly WideOrder[],
  offerOf: (type: string) => PatientOffer,
  startBy: Instant | undefined,
  desk: Desk,
  config: GrocConfig,
  now: Instant,
): void {
  const { shape } = orders[0]!
  const units = orders.reduce((sum, order) => sum + order.units, 0)
  const what = `${some(units, 'unit')} for a job of ${shape.nodes} nodes`
  for (const order of orders) if (isOff(what, order.units, offerOf(order.type), desk, config)) return
  // A job wider than the limit of a minute goes when nothing else was started in that minute.
  if (units > desk.starts && (desk.startedLately || desk.intents.length > 0)) {
    desk.notes.push(`${what} wait for startsPerMinute ${config.startsPerMinute}.`)
    return
  }
  const own = shape.nodes - units
  const why = `a job of ${shape.nodes} nodes has waited ${span(now - shape.oldest)}; ${own === 0 ? 'none' : own} of them there or coming, ${units} missing, all or none`
  const properties = propertiesOf(shape.queue, config)
  if (orders.length === 1)
    return ask(offerOf(orders[0]!.type), units, units, shape.leaseMs, why, desk, startBy, { properties })
  if (!isAffordable(what, units * shape.leaseMs, desk)) return
  const group = { id: `parts.${desk.now}.${desk.intents.length}`, size: orders.length }
  for (const { type, units } of orders) {
    const part = `${why}; ${units} of them of ${type}`
    ask(offerOf(type), units, units, shape.leaseMs, part, desk, startBy, { group, properties })
  }
}

/** The site keeps the machines of the lease together. */
function propertiesOf(queue: string, config: GrocConfig): Properties | undefined {
  const together = config.queues?.find(({ name }) => name === queue)?.together ?? config.together
  if (together === undefined) return undefined
  return { switchGroup: together === 'switch' ? 'one' : 'preferred' }
}

/** All small orders of one type. After a refusal one lease tries for all. */
function askForSmall(
  orders: readonly SmallOrder[],
  offer: PatientOffer,
  why: string,
  desk: Desk,
  config: GrocConfig,
): void {
  const all = orders.reduce((sum, { units }) => sum + units, 0)
  if (isOff(`${some(all, 'unit')} for small jobs`, 1, offer, desk, config)) return
  tryAvoided(offer, desk, config)
  const ofType = offer.room - (desk.asked.get(offer.type) ?? 0)
  const room = Math.min(desk.left, ofType)
  if (ofType < Math.min(all, desk.left))
    desk.notes.push(`At most ${some(ofType, 'more unit')} of ${offer.type} may be asked for.`)
  if (desk.starts < Math.min(all, room))
    desk.notes.push(`At most ${config.startsPerMinute} starts per minute.`)
  let most = Math.min(all, room, desk.starts)
  const wanted = offer.wasRefused(1)
    ? [
        {
          leaseMs: orders.reduce((longest, { leaseMs }) => Math.max(longest, leaseMs), 0),
          units: Math.min(all, config.step),
          startBy: undefined,
        },
      ]
    : orders
  for (const { leaseMs, units, startBy } of wanted)
    for (let left = Math.min(units, most); left > 0; ) {
      const affordable = Math.floor(desk.purse.left / leaseMs)
      const asked = Math.max(1, Math.min(config.step, left, affordable))
      ask(offer, asked, 1, leaseMs, why, desk, startBy)
      if (affordable < 1) break
      left -= asked
      most -= asked
    }
}

/** One unit of a site whose machines failed, besides what others are asked for. */
function tryAvoided(offer: PatientOffer, desk: Desk, config: GrocConfig): void {
  for (const { site, reason } of offer.sites.trials) {
    if (desk.left < 1 || desk.starts < 1) return
    ask(offer, 1, 1, config.term, `one unit of ${site} on trial: ${reason}`, desk, undefined, { only: site })
  }
}

interface Besides {
  readonly properties?: Properties | undefined
  readonly group?: RequestGroup | undefined
  /** Of this site, though it is avoided. */
  readonly only?: string | undefined
}

function ask(
  offer: PatientOffer,
  units: number,
  unitsMin: number,
  durationMs: Millis,
  reason: string,
  desk: Desk,
  startBy?: Instant,
  { group, properties = {}, only }: Besides = {},
): void {
  const { type } = offer
  if (!isAffordable(`${some(units, 'unit')} of ${type} for ${span(durationMs)}`, units * durationMs, desk))
    return
  desk.purse.left -= units * durationMs
  desk.left -= units
  desk.starts = Math.max(0, desk.starts - units)
  desk.asked.set(type, (desk.asked.get(type) ?? 0) + units)
  const count = desk.intents.length
  const later =
    only !== undefined
      ? { label: trialLabel(only, desk.now, count) }
      : startBy === undefined
        ? {}
        : { label: deferredLabel(startBy, desk.now, count) }
  const because = only === undefined ? `${reason}${avoidedInWords(offer.sites.avoid)}` : reason
  const all = { ...properties, ...whereAsked(offer.sites.avoid, desk.config, only) }
  desk.intents.push({
    ...{ kind: 'request', type, units, unitsMin, durationMs, startBy, reason: because },
    ...later,
    ...(group === undefined ? {} : { group }),
    ...(Object.keys(all).length === 0 ? {} : { properties: all }),
  })
}

function isAffordable(what: string, unitMs: Millis, desk: Desk): boolean {
  if (unitMs <= desk.purse.left) return true
  const { reason, until } = desk.purse.whyNot(unitMs)
  desk.notes.push(`${what}: ${reason}.`)
  if (until !== undefined) desk.wake.push(until)
  return false
}
