import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { HeldBy, Job } from '../../../adapters/batch-system.ts'
import type { GrocConfig } from './config.ts'
import { type HeldCounts, isAlarming } from './held.ts'
import { lastLook } from './last-look.ts'
import { choosiness, type Extras, extrasBook, fitsAmong, type Need, type Room } from './needs.ts'
import { type Expectation, expectedRun, leaseLengths, runLengths, SAFETY } from './runs.ts'
import type { Tally } from './tally.ts'
import type { Turnstile } from './users.ts'

/**
 * Waiting jobs of a queue that ask for the same and need leases of about the same length. A queue of a hundred
 * thousand jobs is a few hundred shapes, and everything after this file works on shapes.
 */
export interface Shape extends Need {
  readonly queue: string
  /** Of its queue. */
  readonly weight: number
  readonly nodes: number
  /** A lease for it: its expected run with some safety, rounded up to one of a few lengths. */
  readonly leaseMs: Millis
  /** The waiting records, in the order of the look. */
  readonly jobs: readonly Job[]
  /** Jobs, an array's tasks counted one by one. */
  readonly count: number
  readonly oldest: Instant
  /** Processor time they will use, in cpu-milliseconds, times the weight. */
  readonly workMs: number
}

export interface Demand {
  /**
   * Wide ones first, the longest waiting of them first; then single-node ones, the hardest to place first. Of either kind
   * those of heavier queues before others.
   */
  readonly shapes: readonly Shape[]
  /** Shapes that fit no type that can be asked for; only the admin's own nodes could serve them. */
  readonly misfits: readonly Shape[]
  /** Jobs of `shapes`. */
  readonly count: number
  readonly oldest: Instant | undefined
  readonly workMs: number
  /** Jobs that wait for something no machine would cure. */
  readonly held: HeldCounts
  /** Of those, the ones that nobody wanted held. */
  readonly alarming: readonly Job[]
}

interface Growing extends Shape {
  jobs: Job[]
  count: number
  oldest: Instant
  workMs: number
  /** Of one job, on all its nodes. */
  readonly processors: number
}

/** What one queue's jobs are looked up by: lease length, extras, nodes, processors, memory. */
interface Line {
  readonly queue: string
  readonly weight: number
  readonly expected: Expectation
  readonly byLength: readonly Map<Extras, Map<number, Map<number, Map<number, Growing>>>>[]
}

export const servesQueue = (config: Pick<GrocConfig, 'queues'>, queue: string): boolean =>
  config.queues === undefined || config.queues.some(({ name }) => name === queue)

const weightOf = (config: GrocConfig, queue: string): number =>
  config.queues?.find(({ name }) => name === queue)?.weight ?? 1

const lastDemand = lastLook<Demand>()

export const demandOf = (
  jobs: Tally,
  units: readonly Room[],
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  gate?: Turnstile,
  /** Some machines are there only until some time: jobs longer than a lease are told apart, too. */
  byRun = false,
): Demand =>
  gate === undefined
    ? lastDemand(config, [jobs.pending, jobs.held, expectedIn, byRun, ...units], () =>
        sortedOut(jobs, units, expectedIn, config, undefined, byRun),
      )
    : sortedOut(jobs, units, expectedIn, config, gate, byRun)

function sortedOut(
  jobs: Tally,
  units: readonly Room[],
  expectedIn: (queue: string) => Expectation,
  config: GrocConfig,
  gate: Turnstile | undefined,
  byRun: boolean,
): Demand {
  const lines = new Map<string, Line | undefined>()
  const lengths = byRun ? runLengths(config) : leaseLengths(config)
  const extrasOf = extrasBook()
  const held = new Map<HeldBy, number>()
  const alarming: Job[] = []
  const all: Growing[] = []

  // Maps in maps: a text key for each of 100,000 jobs would cost more than all the rest, and so would a closure.
  const shapeOf = (job: Job, line: Line, leaseClass: number): Growing => {
    const cpus = Math.max(1, job.cpusPerNode)
    const nodes = Math.max(1, job.nodes)
    const extras = extrasOf(job)
    const byMemory = level(level(level(line.byLength[leaseClass]!, extras), nodes), cpus)
    const known = byMemory.get(job.memoryMiBPerNode)
    if (known !== undefined) return known
    const { queue, memoryMiBPerNode: memoryMiB } = job
    const { consumables, features, exclusive, parts } = extras
    const fresh = {
      ...{ queue, weight: line.weight, nodes, cpus, memoryMiB, consumables, features, exclusive, parts },
      ...{ jobs: [], count: 0, oldest: Number.POSITIVE_INFINITY, workMs: 0 },
      leaseMs: Math.min(config.term, lengths[leaseClass]!),
      processors:
        parts === undefined ? nodes * cpus : parts.reduce((sum, part) => sum + part.nodes * part.cpus, 0),
    }
    byMemory.set(memoryMiB, fresh)
    all.push(fresh)
    return fresh
  }
  const hold = (job: Job): void => {
    const by = job.heldBy ?? 'unknown'
    held.set(by, (held.get(by) ?? 0) + job.tasks)
    if (isAlarming(job)) alarming.push(job)
  }

  const lineOf = (queue: string): Line | undefined => {
    if (!lines.has(queue))
      lines.set(
        queue,
        servesQueue(config, queue)
          ? {
              queue,
              weight: weightOf(config, queue),
              expected: expectedIn(queue),
              byLength: lengths.map(() => new Map()),
            }
          : undefined,
      )
    return lines.get(queue)
  }

  for (const job of jobs.held) if (servesQueue(config, job.queue)) hold(job)
  let line: Line | undefined
  for (const job of jobs.pending) {
    if (line?.queue !== job.queue) line = lineOf(job.queue)
    if (line === undefined || job.partOf !== undefined) continue
    const { walltimeMs } = job
    const runMs = expectedRun(line.expected, walltimeMs)
    let leaseClass = 0
    if (walltimeMs === undefined && !line.expected.isObserved) leaseClass = lengths.length - 1
    while (leaseClass < lengths.length - 1 && lengths[leaseClass]! < runMs * SAFETY) leaseClass += 1
    const shape = shapeOf(job, line, leaseClass)
    const tasks = gate === undefined ? job.tasks : gate.admit(job, shape)
    if (tasks === 0) continue
    shape.jobs.push(job)
    shape.count += tasks
    if (job.submittedAt < shape.oldest) shape.oldest = job.submittedAt
    shape.workMs += tasks * shape.processors * runMs * line.weight
  }
  all.sort(inPackingOrder)
  const shapes: Shape[] = []
  const misfits: Shape[] = []
  for (const shape of all) if (shape.count > 0) (fitsAmong(shape, units) ? shapes : misfits).push(shape)
  return {
    shapes,
    misfits,
    count: shapes.reduce((sum, shape) => sum + shape.count, 0),
    oldest: shapes.reduce<Instant | undefined>(
      (least, { oldest }) => Math.min(least ?? oldest, oldest),
      undefined,
    ),
    workMs: shapes.reduce((sum, shape) => sum + shape.workMs, 0),
    held,
    alarming,
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

function inPackingOrder(a: Shape, b: Shape): number {
  const wide = Number(b.nodes > 1) - Number(a.nodes > 1)
  if (wide !== 0) return wide
  if (a.weight !== b.weight) return b.weight - a.weight
  if (a.nodes > 1 && a.oldest !== b.oldest) return a.oldest - b.oldest
  return (
    b.nodes - a.nodes ||
    choosiness(b) - choosiness(a) ||
    b.cpus - a.cpus ||
    b.memoryMiB - a.memoryMiB ||
    b.leaseMs - a.leaseMs ||
    a.oldest - b.oldest
  )
}

function level<Key, InnerKey, Value>(map: Map<Key, Map<InnerKey, Value>>, key: Key): Map<InnerKey, Value> {
  let inner = map.get(key)
  if (inner === undefined) {
    inner = new Map()
    map.set(key, inner)
  }
  return inner
}
