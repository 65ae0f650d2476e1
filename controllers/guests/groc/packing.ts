import type { Shape } from './demand.ts'
import { isSameList } from './last-look.ts'
import {
  BIN_KINDS,
  type Bin,
  type BinKind,
  CPUS_FACTOR,
  type Group,
  type Lot,
  ordersIn,
  perBin,
  type Rest,
  type SmallOrder,
} from './lots.ts'
import { fits, isLargeEnough, type Need, partsOf, type Room } from './needs.ts'
import type { QueueRoom } from './queues.ts'
import { type Spans, type Variant, variantsFor } from './variants.ts'

/** A type that may be asked for. */
export interface Offer {
  readonly type: string
  readonly unit: Room
  /** Units of it that may still be ordered, whatever else is; infinite without a limit of its own. */
  readonly room: number
  /** Its machines failed one after another: one unit is tried, no more. */
  readonly trial: boolean
  /** Earlier answers speak against an order of which so many are the least that would do. */
  isPaused(unitsMin: number): boolean
}

/** Several jobs of a shape on one bin, or on equal ones that are to be ordered; of a wide job, one of its nodes. */
export interface Place {
  readonly bin: Bin
  readonly tasks: number
}

/** A wide job that gets units of its own: all of them or none. */
export interface WideOrder {
  readonly shape: Shape
  readonly units: number
  readonly type: string
  /** Its parts need units of several types: of so many orders, which come together or not at all, this is the `place`-th. */
  readonly among?: { readonly size: number; readonly place: number }
}

export interface Packing {
  readonly places: ReadonlyMap<Shape, readonly Place[]>
  readonly wideOrders: readonly WideOrder[]
  readonly smallOrders: readonly SmallOrder[]
  /** Fresh units that jobs of one node still want, however many may be had. */
  readonly smallUnits: number
  /** Wide jobs that cannot be given all their nodes now, by shape. */
  readonly tooWide: ReadonlyMap<Shape, number>
  /** Jobs for which nothing is to be ordered, as their queue has its `max`; by queue. */
  readonly capped: ReadonlyMap<string, number>
  /** Types that fit and would have come first, but may not be asked for now. */
  readonly passedOver: ReadonlySet<string>
  /** Ids of bins that are there or coming, and got something or are kept for a wide job. */
  readonly used: ReadonlySet<string>
  /** Units that would serve everything at once, the too wide ones included. */
  readonly wanted: number
}

export interface Limits {
  /** Units that wide jobs may still order in all. */
  readonly room: number
  /** Machines there could ever be at once; a job of more nodes waits in vain. */
  readonly reach: number
  /** Whether free machines are kept for a wide job that waits for others. */
  readonly collects: boolean
  /** Of queues with a `max` of their own. */
  readonly queues?: ReadonlyMap<string, QueueRoom> | undefined
}

/**
 * Where waiting jobs would go if every machine were as free as it looks: a rehearsal of the scheduler.
 *
 *   kind         what it is                                             who may use it
 *   collecting   nodes the scheduler gathers for a wide job             wide jobs only
 *   serving      nodes that take jobs now                               all
 *   spare        our nodes, drained for being idle; resumed at once     all
 *   ending       go for good by a time before which all that waits ends  jobs of one node
 *   coming       ordered, booting or joining                            all
 *   fresh        not ordered yet; made here as needed                   all
 *
 * Kinds are used in this order, and within a kind the fullest machine that still fits, one with nothing the job
 * does not need before others, so that empty machines stay empty and whole leases can be given back. A fresh
 * one is of the first type in the order of preference that fits and may be asked for. Where a bin has an end, only shapes go
 * there whose jobs are expected to end before it, and such bins are used before equal ones without.
 *
 * Bins come preferred ones first, and so do offers; wide shapes come before others. Every shape fits an offer.
 */
export function pack(
  shapes: readonly Shape[],
  bins: readonly Bin[],
  offers: readonly Offer[],
  limits: Limits,
  /** Undefined if no bin has an end. */
  spans?: Spans,
): Packing {
  if (shapes.length === 0) return NOTHING
  const key: unknown[] = [bins, limits.room, limits.reach, limits.collects, limits.queues, spans]
  for (const { type, unit, room, trial } of offers) key.push(type, unit, room, trial)
  const before = packings.get(shapes)
  if (before !== undefined && isSameList(before.key, key))
    if (before.answers.every(([i, unitsMin, paused]) => offers[i]!.isPaused(unitsMin) === paused))
      return before.packing
  const answers: Answer[] = []
  const packing = packed(
    shapes,
    bins,
    offers.map((offer, i) => ({
      ...offer,
      isPaused: (unitsMin) => {
        const paused = offer.isPaused(unitsMin)
        answers.push([i, unitsMin, paused])
        return paused
      },
    })),
    limits,
    spans,
  )
  packings.set(shapes, { key, answers, packing })
  return packing
}

/** Whether the offer at a place of the list was paused for so many units. */
type Answer = readonly [offer: number, unitsMin: number, paused: boolean]

/** The last one of these shapes, with all that it rests on: also what was asked of offers, which time alone may change. */
const packings = new WeakMap<
  readonly Shape[],
  { readonly key: readonly unknown[]; readonly answers: readonly Answer[]; readonly packing: Packing }
>()

const NOTHING: Packing = {
  ...{ places: new Map(), wideOrders: [], smallOrders: [], smallUnits: 0, tooWide: new Map() },
  ...{ capped: new Map() },
  ...{ passedOver: new Set(), used: new Set(), wanted: 0 },
}

function packed(
  shapes: readonly Shape[],
  bins: readonly Bin[],
  offers: readonly Offer[],
  limits: Limits,
  spans: Spans | undefined,
): Packing {
  const variants = variantsFor(shapes, spans !== undefined)
  const groups: Record<BinKind, Map<Variant, Map<number, Group>>> = {
    collecting: new Map(),
    serving: new Map(),
    spare: new Map(),
    ending: new Map(),
    coming: new Map(),
    fresh: new Map(),
  }
  const places = new Map<Shape, Place[]>()
  const tooWide = new Map<Shape, number>()
  const capped = new Map<string, number>()
  const quotas = quotasOf(limits)
  const wideOrders: WideOrder[] = []
  const used = new Set<string>()
  const kept = new Set<string>()
  const passedOver = new Set<string>()
  /** Stands for all of its offer that are ordered for small jobs. */
  const smallBins = new Map<Offer, Bin>()
  const ordered = new Map<string, number>()
  let roomLeft = limits.room
  let freshCount = 0

  const put = (lot: Lot, cpus: number, memoryMiB: number, variant: Variant): void => {
    const kind = groups[lot.bin.kind]
    let ofVariant = kind.get(variant)
    if (ofVariant === undefined) {
      ofVariant = new Map()
      kind.set(variant, ofVariant)
    }
    const key = cpus * CPUS_FACTOR + memoryMiB
    const group = ofVariant.get(key)
    if (group === undefined) ofVariant.set(key, { cpus, memoryMiB, variant, lots: [lot] })
    else group.lots.push(lot)
  }
  /** For jobs of the shape, or for one part of each. */
  const fitting = (kind: BinKind, need: Need, shape: Shape): Group[] => {
    const found: Group[] = []
    const lastsUntil = spans === undefined ? undefined : spans.now + spans.runMs(shape)
    for (const [variant, ofVariant] of groups[kind]) {
      if (!variants.fits(need, variant, lastsUntil)) continue
      for (const [key, group] of ofVariant) {
        if (group.lots.length === 0) ofVariant.delete(key)
        else if (isLargeEnough(need, group)) found.push(group)
      }
    }
    return found.sort(
      (a, b) => a.variant.riches - b.variant.riches || a.cpus - b.cpus || a.memoryMiB - b.memoryMiB,
    )
  }
  /** Puts machines back with what so many jobs of the shape on each leave of them. */
  const putRest = (lot: Lot, free: Rest, shape: Need, tasks: number): void => {
    const cpus = shape.exclusive ? 0 : free.cpus - tasks * shape.cpus
    put(lot, cpus, free.memoryMiB - tasks * shape.memoryMiB, variants.after(free.variant, shape, tasks))
  }
  const orderedOf = (type: string): number => ordered.get(type) ?? 0
  const freshOf = ({ type, unit }: Offer): Bin => ({ id: 'fresh', kind: 'fresh', whole: true, type, ...unit })
  const note = ({ type }: Offer, units: number): void => {
    freshCount += units
    ordered.set(type, orderedOf(type) + units)
  }
  /** Types for an order, the first choice first; those that are paused only if there is no other. */
  const choiceFor = (shape: Need, unitsMin: number): readonly Offer[] => {
    const possible = offers.filter(({ unit }) => fits(shape, unit))
    const open = possible.filter((offer) => !offer.isPaused(unitsMin))
    if (open.length === 0) return possible
    const first = possible.indexOf(open[0]!)
    for (const { type } of possible.slice(0, first)) passedOver.add(type)
    return open
  }

  const packSmall = (shape: Shape, into: Place[]): void => {
    let left = shape.count
    const quota = quotas?.get(shape.queue)
    /** As many machines of the lot as can be filled; then one in part. Gives back how many it took. */
    const fill = (lot: Lot, free: Rest): number => {
      const most = perBin(shape, free, variants.times(shape, free.variant))
      const tasks = Math.min(left, most)
      const count = Math.min(lot.count, Math.floor(left / tasks))
      left -= count * tasks
      if (lot.bin.kind !== 'fresh') {
        used.add(lot.bin.id)
        if (quota !== undefined && isUnit(lot.bin)) quota.units.add(lot.bin.id)
      }
      into.push({ bin: lot.bin, tasks: count * tasks })
      const isSmallFresh = lot.leaseMs > 0 && lot.leaseMs < shape.leaseMs
      const same = count === lot.count && !isSmallFresh
      putRest(
        same ? lot : { bin: lot.bin, count, leaseMs: isSmallFresh ? shape.leaseMs : lot.leaseMs },
        free,
        shape,
        tasks,
      )
      return count
    }
    for (const kind of BIN_KINDS) {
      if (kind === 'collecting' || left === 0) continue
      for (const group of fitting(kind, shape, shape))
        for (let lot = group.lots.pop(); lot !== undefined; lot = group.lots.pop()) {
          const count = left === 0 ? 0 : fill(lot, group)
          if (count < lot.count) group.lots.push({ ...lot, count: lot.count - count })
          if (left === 0) break
        }
    }
    if (left === 0) return
    let allowed = leftOf(quota)
    const order = (offer: Offer, unitsMost: number): void => {
      const { unit } = offer
      const bin = smallBins.get(offer) ?? freshOf(offer)
      smallBins.set(offer, bin)
      const free = { cpus: unit.cpus, memoryMiB: unit.memoryMiB, variant: variants.of(bin) }
      for (let units = Math.min(unitsMost, allowed); units > 0 && left > 0; ) {
        const count = fill({ bin, count: units, leaseMs: shape.leaseMs }, free)
        note(offer, count)
        units -= count
        allowed -= count
        if (quota !== undefined) quota.fresh += count
      }
    }
    const choice = choiceFor(shape, 1)
    for (const offer of choice)
      order(offer, (offer.trial ? Math.min(1, offer.room) : offer.room) - orderedOf(offer.type))
    // More than may be had is wanted all the same.
    if (left > 0 && choice[0] !== undefined) order(choice[0], Number.POSITIVE_INFINITY)
    if (left > 0) capped.set(shape.queue, (capped.get(shape.queue) ?? 0) + left)
  }

  /** Of which type the missing nodes of one part are to be, besides those for other parts; undefined if they cannot be had. */
  const offerForWide = (
    part: Need,
    missing: number,
    others: ReadonlyMap<Offer, number>,
  ): Offer | undefined => {
    const choice = choiceFor(part, missing).filter(
      (offer) => missing <= offer.room - orderedOf(offer.type) - (others.get(offer) ?? 0),
    )
    return choice.find(({ trial }) => !trial) ?? choice[0]
  }

  /** One wide job, all parts of it. If it cannot be had, nothing has changed. */
  const packWide = (shape: Shape, into: Place[]): 'packed' | 'too wide' | 'capped' => {
    const chosen: { readonly part: Need; readonly group: Group; readonly count: number }[] = []
    const fresh: { readonly part: Need; readonly offer: Offer; readonly count: number }[] = []
    const units = new Map<Offer, number>()
    /** How many of its machines other parts have. */
    const spokenFor = (group: Group): number =>
      shape.parts === undefined
        ? 0
        : chosen.reduce((sum, one) => sum + (one.group === group ? one.count : 0), 0)
    let most = roomLeft
    for (const part of partsOf(shape)) {
      let missing = part.nodes
      for (const kind of BIN_KINDS)
        for (const group of missing > 0 && kind !== 'ending' ? fitting(kind, part, shape) : []) {
          const count = Math.min(missing, group.lots.length - spokenFor(group))
          if (count === 0) continue
          chosen.push({ part, group, count })
          missing -= count
          if (missing === 0) break
        }
      if (missing === 0) continue
      const offer = missing > most ? undefined : offerForWide(part, missing, units)
      if (offer === undefined) return 'too wide'
      most -= missing
      units.set(offer, (units.get(offer) ?? 0) + missing)
      fresh.push({ part, offer, count: missing })
    }
    if (fresh.length > 0 && isBeyondQuota(quotas?.get(shape.queue), chosen, fresh)) return 'capped'
    // All are taken out before any is put back: a bin put back must not be taken twice by one job.
    const taken = chosen.flatMap(({ part, group, count }) =>
      group.lots
        .splice(group.lots.length - count)
        .reverse()
        .map((lot): { lot: Lot; free: Rest; part: Need } => ({ lot, free: group, part })),
    )
    for (const { part, offer, count } of fresh)
      for (let i = 0; i < count; i += 1) {
        const bin = freshOf(offer)
        const free = { cpus: offer.unit.cpus, memoryMiB: offer.unit.memoryMiB, variant: variants.of(bin) }
        taken.push({ lot: { bin, count: 1, leaseMs: 0 }, free, part })
      }
    const quota = quotas?.get(shape.queue)
    for (const [place, [offer, count]] of [...units].entries()) {
      note(offer, count)
      if (quota !== undefined) quota.fresh += count
      const among = units.size > 1 && { among: { size: units.size, place } }
      wideOrders.push({ shape, units: count, type: offer.type, ...among })
      roomLeft -= count
    }
    for (const { lot, free, part } of taken) {
      if (lot.bin.kind !== 'fresh') {
        used.add(lot.bin.id)
        if (quota !== undefined && isUnit(lot.bin)) quota.units.add(lot.bin.id)
      }
      into.push({ bin: lot.bin, tasks: 1 })
      putRest(lot, free, part, 1)
    }
    return 'packed'
  }

  /**
   * What a wide job could use of the machines that are free already, though others are still busy and max
   * forbids ordering the rest. They are kept: a machine let go now would be missing when the busy ones end.
   */
  const keepFor = (shape: Shape): void => {
    const mine = new Set<Lot>()
    for (const part of partsOf(shape)) {
      let missing = part.nodes
      for (const kind of BIN_KINDS)
        for (const group of kind === 'fresh' || kind === 'ending' || missing === 0
          ? []
          : fitting(kind, part, shape)) {
          if (missing === 0) break
          const free = shape.parts === undefined ? group.lots : group.lots.filter((lot) => !mine.has(lot))
          const taken = free.slice(-missing)
          for (const lot of taken) {
            mine.add(lot)
            kept.add(lot.bin.id)
          }
          missing -= taken.length
        }
    }
  }

  for (const bin of bins.toReversed())
    put({ bin, count: 1, leaseMs: 0 }, bin.cpus, bin.memoryMiB, variants.of(bin))
  let wantedTooWide = 0
  for (const shape of shapes) {
    const into: Place[] = []
    places.set(shape, into)
    if (shape.nodes === 1) {
      packSmall(shape, into)
      continue
    }
    let packed = 0
    let last: ReturnType<typeof packWide> = 'packed'
    while (packed < shape.count && last === 'packed') {
      last = packWide(shape, into)
      if (last === 'packed') packed += 1
    }
    if (packed === shape.count) continue
    if (last === 'capped') {
      capped.set(shape.queue, (capped.get(shape.queue) ?? 0) + shape.count - packed)
      if (shape.nodes <= (limits.queues?.get(shape.queue)?.max ?? 0) && limits.collects) keepFor(shape)
      continue
    }
    tooWide.set(shape, shape.count - packed)
    wantedTooWide += (shape.count - packed) * shape.nodes
    if (shape.nodes <= limits.reach && limits.collects) keepFor(shape)
  }
  const smallOrders = ordersIn(groups.fresh)
  return {
    places,
    wideOrders,
    smallOrders,
    smallUnits: smallOrders.reduce((sum, { units }) => sum + units, 0),
    tooWide,
    capped,
    passedOver,
    used: new Set([...used, ...kept]),
    wanted: used.size + freshCount + wantedTooWide,
  }
}

/** What one queue has, and is to have. */
interface Quota {
  readonly max: number
  readonly units: Set<string>
  fresh: number
}

const quotasOf = ({ queues }: Limits): ReadonlyMap<string, Quota> | undefined =>
  queues &&
  new Map([...queues].map(([name, { max, busy }]) => [name, { max, units: new Set(busy), fresh: 0 }]))

const leftOf = (quota: Quota | undefined): number =>
  quota === undefined ? Number.POSITIVE_INFINITY : Math.max(0, quota.max - quota.units.size - quota.fresh)

interface Chosen {
  readonly group: Group
  readonly count: number
}

/** With what it would take of what is there, and what is to be ordered for it. */
function isBeyondQuota(
  quota: Quota | undefined,
  chosen: readonly Chosen[],
  fresh: readonly { readonly count: number }[],
): boolean {
  if (quota === undefined) return false
  const others = chosen
    .flatMap(({ group, count }) => group.lots.slice(-count))
    .filter(({ bin }) => bin.kind !== 'fresh' && isUnit(bin) && !quota.units.has(bin.id))
  return fresh.reduce((sum, { count }) => sum + count, others.length) > leftOf(quota)
}

/** The admin's own nodes are nothing that was ordered. */
const isUnit = ({ id }: Bin): boolean => !id.startsWith('node:')
