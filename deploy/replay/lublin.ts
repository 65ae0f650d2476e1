import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { Trace, TraceJob } from './trace.ts'

/**
 * A synthetic workload after U. Lublin and D. G. Feitelson, “The workload on parallel supercomputers” (J. Parallel and
 * Distributed Computing 63, 2003): its batch jobs.
 *
 *   size     serial with a fixed probability; else 2^x, x uniform in two stages, often rounded to a power of two
 *   run      e^x, x of a hyper-gamma distribution: wide jobs are more often long ones
 *   arrival  e^x seconds of an average hour, x of a gamma distribution; a half hour of the day counts as its weight
 *   day      weights of the 48 half hours, after a gamma distribution that is highest early in the afternoon
 *
 * The model says nothing of what jobs ask for. Here that is their run time and, on the average, 1.25 times as much again,
 * in whole five minutes: about what the users of real machines ask for.
 */
const SERIAL_SHARE = 0.2927
const POWER_OF_TWO_SHARE = 0.6686
/** log2 of the sizes between which the two stages lie; the middle lies this much below the largest. */
const SIZE = { least: 1.2, belowLargest: 2.5, lowerShare: 0.875 } as const
const SHORT_RUN = { shape: 6.57, scale: 0.823 } as const
const LONG_RUN = { shape: 639.1, scale: 0.0156 } as const
/** Share of short runs: falls with the size. */
const SHORT_SHARE = { perProcessor: -0.003, ofNone: 0.6986 } as const
const RUN_LOG_MAX = 12
/** Between arrivals in rush hours, and by how much the shape differs over all hours. */
const GAP = { shape: 6.0415 * 1.0225, scale: 0.8531 } as const
const GAP_LOG_MAX = 13
const DAY = { shape: 6.1271, scale: 5.274 } as const
const HALF_HOURS = 48
/** The day of the model begins at four. */
const DAY_BEGINS = 8
const HALF_HOUR_S = 1800
const LIMIT_STEP_MS: Millis = 300_000

export interface SyntheticOptions {
  readonly jobs: number
  readonly seed: string
  /** Of the machine; no job is larger. */
  readonly processors: number
  readonly from: Instant
}

export function lublin({ jobs: count, seed, processors, from }: SyntheticOptions): Trace {
  const root = seededRandom(seed)
  const [sizes, runs, gaps, limits] = ['sizes', 'runs', 'gaps', 'limits'].map((name) => root.child(name)) as [
    ...[Random, Random, Random, Random],
  ]
  const weights = dayWeights()
  const jobs: TraceJob[] = []
  let seconds = 0
  for (let i = 1; i <= count; i++) {
    seconds = after(seconds, gapOf(gaps), weights)
    const size = sizeOf(sizes, processors)
    const runMs = Math.max(1, Math.round(runOf(runs, size))) * 1000
    jobs.push({
      id: `${i}`,
      submittedAt: from + Math.round(seconds) * 1000,
      runMs,
      walltimeMs:
        Math.ceil((runMs * (1 - 1.25 * Math.log(1 - limits.next()))) / LIMIT_STEP_MS) * LIMIT_STEP_MS,
      processors: size,
      spread: undefined,
      memoryMiBPerProcessor: 0,
      memoryMiBPerNode: 0,
      queue: 'batch',
      user: `u${1 + (i % 20)}`,
    })
  }
  const name = `lublin-${processors}-${count}-${seed}`
  return {
    name,
    jobs,
    header: new Map([['MaxProcs', `${processors}`]]),
    warnings: [],
    warningCount: 0,
    leftOut: 0,
  }
}

function sizeOf(random: Random, processors: number): number {
  if (processors === 1 || random.next() <= SERIAL_SHARE) return 1
  const most = Math.log2(processors)
  const least = Math.min(SIZE.least, most)
  const middle = Math.max(least, most - SIZE.belowLargest)
  const [low, high] = random.next() <= SIZE.lowerShare ? [least, middle] : [middle, most]
  const log = low + random.next() * (high - low)
  const size = 2 ** (random.next() <= POWER_OF_TWO_SHARE ? Math.round(log) : log)
  return Math.min(processors, Math.max(1, Math.round(size)))
}

function runOf(random: Random, size: number): number {
  const shortShare = Math.min(1, Math.max(0, SHORT_SHARE.perProcessor * size + SHORT_SHARE.ofNone))
  for (;;) {
    const log = gamma(random, random.next() <= shortShare ? SHORT_RUN : LONG_RUN)
    if (log <= RUN_LOG_MAX) return Math.exp(log)
  }
}

function gapOf(random: Random): number {
  for (;;) {
    const log = gamma(random, GAP)
    if (log <= GAP_LOG_MAX) return Math.exp(log)
  }
}

/** When so many seconds of an average half hour have passed: rush hours have more of them than hours at night. */
function after(seconds: number, gap: number, weights: readonly number[]): number {
  let [at, left] = [seconds, gap]
  for (;;) {
    const bucket = Math.floor(at / HALF_HOUR_S)
    const weight = weights[bucket % HALF_HOURS]!
    const room = ((bucket + 1) * HALF_HOUR_S - at) * weight
    if (left <= room) return at + left / weight
    left -= room
    at = (bucket + 1) * HALF_HOUR_S
  }
}

/** Of each half hour from midnight on; their mean is 1. */
export function dayWeights(): readonly number[] {
  const density = (x: number): number => x ** (DAY.shape - 1) * Math.exp(-x / DAY.scale)
  const weights = Array.from({ length: HALF_HOURS }, (_, bucket) =>
    density(bucket < DAY_BEGINS ? bucket + HALF_HOURS : bucket),
  )
  const mean = weights.reduce((a, b) => a + b, 0) / HALF_HOURS
  return weights.map((weight) => weight / mean)
}

/** After G. Marsaglia and W. W. Tsang, “A simple method for generating gamma variables” (2000); for shapes above 1. */
function gamma(random: Random, { shape, scale }: { readonly shape: number; readonly scale: number }): number {
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal(random)
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - random.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v * scale
  }
}

const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
