import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { Job } from '../../../adapters/batch-system.ts'
import type { GrocConfig } from './config.ts'
import { lastLook } from './last-look.ts'
import { runOfQueue } from './queues.ts'

/**
 * How long jobs of a queue really run, from those that ended.
 *
 *   a job with a time limit      limit × the share of it that nine of ten jobs kept within
 *   a job without                what nine of ten jobs of its queue ran at most
 *   too few have ended so far    the limit itself; without one, `grow.run`
 *
 * People ask for several times what they use, so a backlog by limits alone is several times too long.
 */

/** Counts by class of length; plain JSON, some hundred characters. */
export interface RunSketch {
  /** Jobs by length: class n ends at 2^(n/2) seconds. */
  readonly lengths: Readonly<Record<string, number>>
  /** Jobs with a time limit, by the share of it that they used: class n ends at (n+1)/20. */
  readonly shares: Readonly<Record<string, number>>
  /** The last end that was counted, and jobs that ended at that very instant. */
  readonly lastAt: Instant
  readonly lastJobs: readonly string[]
}

export type Runs = Readonly<Record<string, RunSketch>>

/** What is expected of the jobs of one queue. */
export interface Expectation {
  /** Of their time limits they use so much. */
  readonly share: number
  /** So long run those without a limit. */
  readonly withoutLimitMs: Millis
  /** Whether that was seen, or is only the setting. */
  readonly isObserved: boolean
}

/** How long a job with this time limit is expected to run. */
export const expectedRun = (
  { share, withoutLimitMs }: Expectation,
  walltimeMs: Millis | undefined,
): Millis => (walltimeMs === undefined ? withoutLimitMs : walltimeMs * share)

/** A lease is asked for so much longer than its job is expected to run: machines boot, and nine of ten are not all. */
export const SAFETY = 1.2

const QUEUES_MAX = 64
/** Fewer say nothing. */
const JOBS_MIN = 20
/** Then all counts are halved: what was long ago fades. */
const JOBS_MAX = 1000
const LAST_JOBS_MAX = 50
const LIKELY = 0.9
const SHARES = 20
const LENGTHS_MAX = 60

/** Lease lengths, shortest first: doubled from `termMin` up to `term`. */
export function leaseLengths({ termMin, term }: GrocConfig): readonly Millis[] {
  const lengths: Millis[] = []
  for (let length = termMin; length < term; length *= 2) lengths.push(length)
  return [...lengths, term]
}

/** Beyond the term, where it matters which jobs end sooner. */
const LENGTH_MS_MAX: Millis = 64 * 24 * 60 * 60_000

/** ... and further, for jobs that are to be told apart by their length, though no lease is that long. */
export function runLengths(config: GrocConfig): readonly Millis[] {
  const lengths = [...leaseLengths(config)]
  for (let length = config.term * 2; length < LENGTH_MS_MAX; length *= 2) lengths.push(length)
  return [...lengths, Number.POSITIVE_INFINITY]
}

const lastByRuns = lastLook<(queue: string) => Expectation>()
const lastByClasses = lastLook<(queue: string) => Expectation>()

/** The very same function as long as the same is expected of all queues. */
export const expectations = (runs: Runs | undefined, config: GrocConfig): ((queue: string) => Expectation) =>
  lastByRuns(config, [runs], () => {
    const classes = Object.entries(runs ?? {}).map(
      ([queue, sketch]) => [queue, within(sketch.shares), within(sketch.lengths)] as const,
    )
    return lastByClasses(config, classes.flat(), () => {
      const byQueue = new Map(
        classes.map(([queue, share, length]) => [queue, expectation(share, length, queue, config)]),
      )
      for (const { name } of config.queues ?? [])
        if (!byQueue.has(name)) byQueue.set(name, expectation(undefined, undefined, name, config))
      const unseen = expectation(undefined, undefined, '', config)
      return (queue) => byQueue.get(queue) ?? unseen
    })
  })

const expectation = (
  share: number | undefined,
  length: number | undefined,
  queue: string,
  config: GrocConfig,
): Expectation => ({
  share: share === undefined ? 1 : Math.min(1, (share + 1) / SHARES),
  withoutLimitMs: length === undefined ? runOfQueue(config, queue) : endOfLength(length),
  isObserved: length !== undefined,
})

/** Ended jobs stay listed for a while, so each is counted once, by the instant and the names of the last ones. */
export function observeRuns(
  runs: Runs,
  ended: readonly Job[],
  serves: (queue: string) => boolean,
  /** Jobs that end there say nothing: the node swallows them. */
  badNodes: ReadonlySet<string>,
): Runs {
  const byQueue = new Map<string, EndedJob[]>()
  for (const job of ended) {
    if (!hasRun(job) || !serves(job.queue)) continue
    const last = own(runs, job.queue)
    if (last !== undefined && isCounted(job, last)) continue
    if (badNodes.size > 0 && job.nodeNames.some((name) => badNodes.has(name))) continue
    const ofQueue = byQueue.get(job.queue)
    if (ofQueue === undefined) byQueue.set(job.queue, [job])
    else ofQueue.push(job)
  }
  if (byQueue.size === 0) return runs
  const after = new Map(Object.entries(runs))
  for (const [queue, jobs] of byQueue) after.set(queue, counted(after.get(queue), jobs))
  return Object.fromEntries(
    [...after]
      .sort(([a, one], [b, other]) => other.lastAt - one.lastAt || (a < b ? -1 : 1))
      .slice(0, QUEUES_MAX),
  )
}

type EndedJob = Job & { readonly startedAt: Instant; readonly endedAt: Instant }

const hasRun = (job: Job): job is EndedJob =>
  job.startedAt !== undefined && job.endedAt !== undefined && job.endedAt > job.startedAt

const isCounted = (job: EndedJob, last: RunSketch): boolean =>
  job.endedAt < last.lastAt || (job.endedAt === last.lastAt && last.lastJobs.includes(job.id))

function counted(before: RunSketch | undefined, jobs: readonly EndedJob[]): RunSketch {
  const lengths = new Map(Object.entries(before?.lengths ?? {}))
  const shares = new Map(Object.entries(before?.shares ?? {}))
  let lastAt = before?.lastAt ?? 0
  let lastJobs = before?.lastJobs ?? []
  for (const job of jobs.toSorted((a, b) => a.endedAt - b.endedAt || (a.id < b.id ? -1 : 1))) {
    const ranMs = job.endedAt - job.startedAt
    count(lengths, lengthClass(ranMs))
    if (job.walltimeMs !== undefined && job.walltimeMs > 0)
      count(shares, Math.min(SHARES - 1, Math.ceil((ranMs / job.walltimeMs) * SHARES) - 1))
    if (job.endedAt > lastAt) lastJobs = []
    lastAt = job.endedAt
    if (lastJobs.length < LAST_JOBS_MAX) lastJobs = [...lastJobs, job.id]
  }
  return { lengths: faded(lengths), shares: faded(shares), lastAt, lastJobs }
}

const count = (counts: Map<string, number>, key: number): void => {
  counts.set(`${key}`, (counts.get(`${key}`) ?? 0) + 1)
}

/** Ends of classes are 41 % apart, which is near enough for a plan. */
const lengthClass = (ranMs: Millis): number =>
  Math.min(LENGTHS_MAX, Math.max(0, Math.ceil(2 * Math.log2(ranMs / 1000))))

const endOfLength = (length: number): Millis => Math.round(1000 * 2 ** (length / 2))

const sum = (counts: Iterable<number>): number => [...counts].reduce((all, one) => all + one, 0)

function faded(counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  if (sum(counts.values()) <= JOBS_MAX) return Object.fromEntries(counts)
  return Object.fromEntries(
    [...counts].map(([key, one]) => [key, Math.floor(one / 2)] as const).filter(([, half]) => half > 0),
  )
}

/** By counts, which change only when jobs end. */
const classes = new WeakMap<Readonly<Record<string, number>>, { readonly likely: number | undefined }>()

/** The class in which nine of ten end; undefined if too few were counted. */
function within(counts: Readonly<Record<string, number>>): number | undefined {
  let known = classes.get(counts)
  if (known === undefined) {
    known = { likely: likelyClass(counts) }
    classes.set(counts, known)
  }
  return known.likely
}

function likelyClass(counts: Readonly<Record<string, number>>): number | undefined {
  const all = sum(Object.values(counts))
  if (all < JOBS_MIN) return undefined
  let before = 0
  for (const key of Object.keys(counts)
    .map(Number)
    .sort((a, b) => a - b)) {
    before += counts[key] ?? 0
    if (before >= all * LIKELY) return key
  }
  return undefined
}
