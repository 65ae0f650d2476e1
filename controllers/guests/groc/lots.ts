import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { Shape } from './demand.ts'
import type { Room } from './needs.ts'
import type { Variant } from './variants.ts'

/** What jobs are packed onto, and what is made for them. */
export const BIN_KINDS = ['collecting', 'serving', 'spare', 'ending', 'coming', 'fresh'] as const
export type BinKind = (typeof BIN_KINDS)[number]

export interface Bin extends Room {
  /** Unit id, node name of an admin's own node, or a made-up name of something that is not there yet. */
  readonly id: string
  readonly kind: BinKind
  /** Nothing runs there: good for a job that shares with nobody. */
  readonly whole: boolean
  /** Of a fresh one. */
  readonly type?: string
  /** It goes then, and serves only what ends before. Absent: it can be kept as long as there is work. */
  readonly until?: Instant
}

/** Units that jobs of one node want; the longest of those on a unit says for how long. */
export interface SmallOrder {
  readonly type: string
  readonly leaseMs: Millis
  readonly units: number
  /** They may begin as late as that; absent: now. */
  readonly startBy?: Instant | undefined
}

/** Equal machines. Those that are there are one each; of what is to be ordered for small jobs there may be thousands. */
export interface Lot {
  readonly bin: Bin
  readonly count: number
  /** Of what is to be ordered: the longest lease that a job on it needs. */
  readonly leaseMs: Millis
}

/** Room that a machine has left. */
export interface Rest {
  readonly cpus: number
  readonly memoryMiB: number
  readonly variant: Variant
}

/** Machines of one kind with equally much room. Popped from the end: the preferred machine is last. */
export interface Group extends Rest {
  readonly lots: Lot[]
}

/** Far above any memory in MiB, and small enough that cpus times it stays an exact integer. */
export const CPUS_FACTOR = 2 ** 34

export function perBin(shape: Shape, free: Rest, byConsumables: number): number {
  if (shape.exclusive) return 1
  const byCpus = Math.min(Math.floor(free.cpus / shape.cpus), byConsumables)
  return shape.memoryMiB === 0 ? byCpus : Math.min(byCpus, Math.floor(free.memoryMiB / shape.memoryMiB))
}

/** What was made for small jobs, by type and length of lease, the longest first. */
export function ordersIn(fresh: ReadonlyMap<Variant, ReadonlyMap<number, Group>>): readonly SmallOrder[] {
  const counts = new Map<string, Map<Millis, number>>()
  for (const ofVariant of fresh.values())
    for (const { lots } of ofVariant.values())
      for (const { bin, count, leaseMs } of lots) {
        // Those made for a wide job are its own order.
        if (leaseMs === 0) continue
        const type = bin.type ?? ''
        const ofType = counts.get(type) ?? new Map<Millis, number>()
        ofType.set(leaseMs, (ofType.get(leaseMs) ?? 0) + count)
        counts.set(type, ofType)
      }
  return [...counts].flatMap(([type, ofType]) =>
    [...ofType].sort(([a], [b]) => b - a).map(([leaseMs, units]) => ({ type, leaseMs, units })),
  )
}
