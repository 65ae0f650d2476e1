import type { Shape, UnitRoom } from './demand.ts'
import { fitsUnit } from './demand.ts'

/**
 * Where waiting jobs would go if every machine were as free as it looks: a rehearsal of the scheduler.
 *
 *   kind         what it is                                             who may use it
 *   collecting   nodes the scheduler gathers for a wide job             wide jobs only
 *   serving      nodes that take jobs now                               all
 *   spare        our nodes, drained for being idle; resumed at once     all
 *   coming       ordered, booting or joining                            all
 *   fresh        not ordered yet; made here as needed                   all
 *
 * Kinds are used in this order, and within a kind the fullest machine that still fits, so that empty
 * machines stay empty and whole leases can be given back.
 */
export const BIN_KINDS = ['collecting', 'serving', 'spare', 'coming', 'fresh'] as const
export type BinKind = (typeof BIN_KINDS)[number]

export interface Bin {
  /** Unit id, node name of an admin's own node, or a made-up name of something that is not there yet. */
  readonly id: string
  readonly kind: BinKind
  readonly cpus: number
  readonly memoryMiB: number
}

/** Several jobs of a shape on one bin; of a wide job, one of its nodes. */
export interface Place {
  readonly bin: Bin
  readonly tasks: number
}

/** A wide job that gets units of its own: all of them or none. */
export interface WideOrder {
  readonly shape: Shape
  readonly units: number
}

export interface Packing {
  readonly places: ReadonlyMap<Shape, readonly Place[]>
  readonly wideOrders: readonly WideOrder[]
  /** Fresh units that jobs of one node still want, however many may be had. */
  readonly smallUnits: number
  /** Wide jobs that cannot be given all their nodes now, by shape. */
  readonly tooWide: ReadonlyMap<Shape, number>
  /** Ids of bins that are there or coming, and got something or are kept for a wide job. */
  readonly used: ReadonlySet<string>
  /** Units that would serve everything at once, the too wide ones included. */
  readonly wanted: number
}

/** Machines of one kind with equally much room. Popped from the end: the preferred machine is last. */
interface Group {
  readonly cpus: number
  readonly memoryMiB: number
  readonly bins: Bin[]
}

/** Far above any memory in MiB, and small enough that cpus times it stays an exact integer. */
const CPUS_FACTOR = 2 ** 34

export interface Limits {
  /** Units that wide jobs may still order in all. */
  readonly room: number
  /** Machines there could ever be at once; a job of more nodes waits in vain. */
  readonly reach: number
}

/** Bins come preferred ones first. */
export function pack(
  shapes: readonly Shape[],
  bins: readonly Bin[],
  unit: UnitRoom,
  limits: Limits,
): Packing {
  const groups: Record<BinKind, Map<number, Group>> = {
    collecting: new Map(),
    serving: new Map(),
    spare: new Map(),
    coming: new Map(),
    fresh: new Map(),
  }
  const places = new Map<Shape, Place[]>()
  const tooWide = new Map<Shape, number>()
  const wideOrders: WideOrder[] = []
  const used = new Set<string>()
  const kept = new Set<string>()
  let roomLeft = limits.room
  let freshCount = 0
  let smallUnits = 0

  const put = (bin: Bin, cpus: number, memoryMiB: number): void => {
    const key = cpus * CPUS_FACTOR + memoryMiB
    const group = groups[bin.kind].get(key)
    if (group === undefined) groups[bin.kind].set(key, { cpus, memoryMiB, bins: [bin] })
    else group.bins.push(bin)
  }
  const fitting = (kind: BinKind, shape: Shape): Group[] => {
    const found: Group[] = []
    for (const [key, group] of groups[kind]) {
      if (group.bins.length === 0) groups[kind].delete(key)
      else if (fitsUnit(shape, group)) found.push(group)
    }
    return found.sort((a, b) => a.cpus - b.cpus || a.memoryMiB - b.memoryMiB)
  }
  const makeFresh = (): Bin => {
    freshCount += 1
    return { id: 'fresh', kind: 'fresh', cpus: unit.cpus, memoryMiB: unit.memoryMiB }
  }

  const packSmall = (shape: Shape, into: Place[]): void => {
    let left = shape.count
    const fill = (bin: Bin, free: UnitRoom): void => {
      const tasks = Math.min(left, perBin(shape, free))
      left -= tasks
      if (bin.kind !== 'fresh') used.add(bin.id)
      into.push({ bin, tasks })
      put(bin, free.cpus - tasks * shape.cpus, free.memoryMiB - tasks * shape.memoryMiB)
    }
    for (const kind of BIN_KINDS) {
      if (kind === 'collecting' || left === 0) continue
      for (const group of fitting(kind, shape))
        for (let bin = group.bins.at(-1); bin !== undefined && left > 0; bin = group.bins.at(-1)) {
          group.bins.pop()
          fill(bin, group)
        }
    }
    while (left > 0) {
      smallUnits += 1
      fill(makeFresh(), unit)
    }
  }

  /** One wide job; false if it cannot be had, and then nothing has changed. */
  const packWide = (shape: Shape, into: Place[]): boolean => {
    const chosen: { group: Group; count: number }[] = []
    let missing = shape.nodes
    for (const kind of BIN_KINDS)
      for (const group of missing > 0 ? fitting(kind, shape) : []) {
        const count = Math.min(missing, group.bins.length)
        if (count === 0) break
        chosen.push({ group, count })
        missing -= count
      }
    if (missing > roomLeft) return false
    // All are taken out before any is put back: a bin put back must not be taken twice by one job.
    const taken: { bin: Bin; free: UnitRoom }[] = chosen.flatMap(({ group, count }) =>
      group.bins
        .splice(group.bins.length - count)
        .reverse()
        .map((bin) => ({ bin, free: group })),
    )
    for (let i = 0; i < missing; i += 1) taken.push({ bin: makeFresh(), free: unit })
    for (const { bin, free } of taken) {
      if (bin.kind !== 'fresh') used.add(bin.id)
      into.push({ bin, tasks: 1 })
      put(bin, free.cpus - shape.cpus, free.memoryMiB - shape.memoryMiB)
    }
    if (missing > 0) wideOrders.push({ shape, units: missing })
    roomLeft -= missing
    return true
  }

  /**
   * What a wide job could use of the machines that are free already, though others are still busy and max
   * forbids ordering the rest. They are kept: a machine let go now would be missing when the busy ones end.
   */
  const keepFor = (shape: Shape): void => {
    let missing = shape.nodes
    for (const kind of BIN_KINDS)
      for (const group of kind === 'fresh' ? [] : fitting(kind, shape)) {
        if (missing === 0) return
        const taken = group.bins.slice(-missing)
        for (const bin of taken) kept.add(bin.id)
        missing -= taken.length
      }
  }

  for (const bin of bins.toReversed()) put(bin, bin.cpus, bin.memoryMiB)
  let wantedTooWide = 0
  for (const shape of shapes) {
    const into: Place[] = []
    places.set(shape, into)
    if (shape.nodes === 1) {
      packSmall(shape, into)
      continue
    }
    let packed = 0
    while (packed < shape.count && packWide(shape, into)) packed += 1
    if (packed === shape.count) continue
    tooWide.set(shape, shape.count - packed)
    wantedTooWide += (shape.count - packed) * shape.nodes
    if (shape.nodes <= limits.reach) keepFor(shape)
  }
  return {
    places,
    wideOrders,
    smallUnits,
    tooWide,
    used: new Set([...used, ...kept]),
    wanted: used.size + freshCount + wantedTooWide,
  }
}

function perBin(shape: Shape, free: UnitRoom): number {
  const byCpus = Math.floor(free.cpus / shape.cpus)
  return shape.memoryMiB === 0 ? byCpus : Math.min(byCpus, Math.floor(free.memoryMiB / shape.memoryMiB))
}
