import type { Millis } from '../../actors/runtime/clock.ts'
import type { ReplayJob } from './jobs.ts'
import type { Replayed } from './replay.ts'
import { widthClassOf } from './trace.ts'

/** Milliseconds; negative where jobs started sooner than they would have. */
export interface Spread {
  readonly jobs: number
  readonly meanMs: number
  readonly p50Ms: Millis
  readonly p90Ms: Millis
  readonly p99Ms: Millis
}

export interface Measured {
  readonly jobs: number
  readonly wait: Spread
  /** Against the same pool with all its units always there, job by job. */
  readonly added: Spread
  readonly addedByQueue: Readonly<Record<string, Spread>>
  readonly addedByWidth: Readonly<Record<string, Spread>>
  /** (wait + run) / run, with a run of 10 s at least. */
  readonly meanSlowdown: number
  readonly nodeHoursPaid: number
  /** Node-hours with at least one job on the node. */
  readonly nodeHoursWorked: number
  readonly paidPerWorked: number
  /** Hours of cpus that jobs had. */
  readonly cpuHours: number
  readonly boots: number
  readonly takenWhileWanted: number
  readonly oscillations: number
  readonly cut: number
  readonly neverStarted: number
  readonly tooLarge: number
  readonly decisions: number
}

const HOUR: Millis = 3_600_000
/** Jobs shorter than this would make any wait look endless. */
const SLOWDOWN_RUN_MS: Millis = 10_000

/** What one replay came to, beside the one in which all units were always there. */
export function measure(replayed: Replayed, always: Replayed): Measured {
  const byQueue = new Map<string, number[]>()
  const byWidth = new Map<string, number[]>()
  const [waits, added]: [number[], number[]] = [[], []]
  let slowdowns = 0
  replayed.jobs.forEach((job, i) => {
    const waitMs = waitOf(job)
    const without = waitOf(always.jobs[i]!)
    if (waitMs === undefined || without === undefined) return
    waits.push(waitMs)
    added.push(waitMs - without)
    put(byQueue, job.trace.queue, waitMs - without)
    put(byWidth, widthClassOf(job.trace.processors), waitMs - without)
    const runMs = Math.max(SLOWDOWN_RUN_MS, job.trace.runMs)
    slowdowns += Math.max(1, (waitMs + job.trace.runMs) / runMs)
  })
  const [paid, worked] = [replayed.paidMs / HOUR, replayed.workedMs / HOUR]
  return {
    jobs: replayed.jobs.length,
    wait: spreadOf(waits),
    added: spreadOf(added),
    addedByQueue: inOrder(byQueue),
    addedByWidth: inOrder(byWidth),
    meanSlowdown: waits.length === 0 ? 1 : slowdowns / waits.length,
    nodeHoursPaid: paid,
    nodeHoursWorked: worked,
    paidPerWorked: worked === 0 ? 0 : paid / worked,
    cpuHours: replayed.cpuMs / HOUR,
    boots: replayed.boots,
    takenWhileWanted: replayed.takenWhileWanted,
    oscillations: replayed.oscillations,
    cut: replayed.jobs.filter(({ cut }) => cut).length,
    neverStarted: replayed.jobs.filter(({ startedAt }) => startedAt === undefined).length,
    tooLarge: replayed.tooLarge,
    decisions: replayed.decisions,
  }
}

const waitOf = ({ startedAt, trace }: ReplayJob): Millis | undefined =>
  startedAt === undefined ? undefined : startedAt - trace.submittedAt

function put(map: Map<string, number[]>, key: string, value: number): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}

const inOrder = (map: ReadonlyMap<string, number[]>): Record<string, Spread> =>
  Object.fromEntries(
    [...map]
      .sort(([a], [b]) => Number.parseFloat(a) - Number.parseFloat(b) || (a < b ? -1 : 1))
      .map(([key, values]) => [key, spreadOf(values)]),
  )

/** A percentile is the least value that so many of a hundred do not exceed. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
  const sum = sorted.reduce((a, b) => a + b, 0)
  const meanMs = sorted.length === 0 ? 0 : sum / sorted.length
  return { jobs: sorted.length, meanMs, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }
}
