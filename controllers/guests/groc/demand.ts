import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { Job } from '../../../adapters/batch-system.ts'
import type { GrocConfig } from './config.ts'

/**
 * Waiting jobs that ask for the same: so many nodes, each with so many cpus and so much memory. A queue of a
 * hundred thousand jobs is a few hundred shapes, and everything after this file works on shapes.
 */
export interface Shape {
  readonly nodes: number
  readonly cpus: number
  readonly memoryMiB: number
  /** The waiting records, in the order of the look. */
  readonly jobs: readonly Job[]
  /** Jobs, an array's tasks counted one by one. */
  readonly count: number
  readonly oldest: Instant
  /** Processor time they will use, in cpu-milliseconds. */
  readonly workMs: number
}

export interface Demand {
  /** Wide ones first, the longest waiting of them first; then single-node ones, the largest first. */
  readonly shapes: readonly Shape[]
  /** Shapes of which not one job fits a unit; only the admin's own nodes could serve them. */
  readonly tooLarge: readonly Shape[]
  /** Jobs of `shapes`. */
  readonly count: number
  readonly oldest: Instant | undefined
  readonly workMs: number
  /** Jobs that wait for something no machine would cure. */
  readonly heldCount: number
}

interface Growing {
  nodes: number
  cpus: number
  memoryMiB: number
  jobs: Job[]
  count: number
  oldest: Instant
  workMs: number
}

export type UnitRoom = Pick<Shape, 'cpus' | 'memoryMiB'>

export const servesQueue = (config: GrocConfig, queue: string): boolean =>
  config.queues === undefined || config.queues.includes(queue)

export const fitsUnit = (need: UnitRoom, unit: UnitRoom): boolean =>
  need.cpus <= unit.cpus && need.memoryMiB <= unit.memoryMiB

export function demandOf(jobs: readonly Job[], unit: UnitRoom, config: GrocConfig): Demand {
  // Three levels of maps of numbers: making a text key for each of 100,000 jobs would cost more than all the rest.
  const byNeed = new Map<number, Map<number, Map<number, Growing>>>()
  const all: Growing[] = []
  let heldCount = 0
  for (const job of jobs) {
    if (job.state !== 'pending' && job.state !== 'held') continue
    if (!servesQueue(config, job.queue)) continue
    if (job.state === 'held') {
      heldCount += job.tasks
      continue
    }
    const cpus = Math.max(1, job.cpusPerNode)
    const nodes = Math.max(1, job.nodes)
    const byCpus = entry(byNeed, nodes, () => new Map<number, Map<number, Growing>>())
    const byMemory = entry(byCpus, cpus, () => new Map<number, Growing>())
    const shape = entry(byMemory, job.memoryMiBPerNode, () => {
      const fresh = {
        nodes,
        cpus,
        memoryMiB: job.memoryMiBPerNode,
        jobs: [],
        count: 0,
        oldest: job.submittedAt,
        workMs: 0,
      }
      all.push(fresh)
      return fresh
    })
    shape.jobs.push(job)
    shape.count += job.tasks
    shape.oldest = Math.min(shape.oldest, job.submittedAt)
    shape.workMs += job.tasks * nodes * cpus * runMs(job, config)
  }
  const shapes = all.filter((shape) => fitsUnit(shape, unit)).sort(inPackingOrder)
  return {
    shapes,
    tooLarge: all.filter((shape) => !fitsUnit(shape, unit)).sort(inPackingOrder),
    count: shapes.reduce((sum, shape) => sum + shape.count, 0),
    oldest: shapes.reduce<Instant | undefined>(
      (least, { oldest }) => Math.min(least ?? oldest, oldest),
      undefined,
    ),
    workMs: shapes.reduce((sum, shape) => sum + shape.workMs, 0),
    heldCount,
  }
}

/** When the job submitted that many places behind the oldest of the shape came; array tasks count one by one. */
export function submittedNth(shape: Shape, place: number): Instant {
  if (place <= 0) return shape.oldest
  let before = 0
  for (const job of inSubmitOrder(shape)) {
    before += job.tasks
    if (place < before) return job.submittedAt
  }
  return shape.oldest
}

/** Batch systems start equal jobs in order of arrival, so the first places go to those. */
export const inSubmitOrder = (shape: Shape): readonly Job[] =>
  shape.jobs.toSorted((a, b) => a.submittedAt - b.submittedAt)

const runMs = (job: Job, config: GrocConfig): Millis => job.walltimeMs ?? config.grow.run

function inPackingOrder(a: Shape, b: Shape): number {
  const wide = Number(b.nodes > 1) - Number(a.nodes > 1)
  if (wide !== 0) return wide
  if (a.nodes > 1)
    return a.oldest - b.oldest || b.nodes - a.nodes || b.cpus - a.cpus || b.memoryMiB - a.memoryMiB
  return b.cpus - a.cpus || b.memoryMiB - a.memoryMiB
}

function entry<Value>(map: Map<number, Value>, key: number, make: () => Value): Value {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
