import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { some } from '../../controllers/sentence.ts'
import type { TraceExtras, TraceJob } from './trace.ts'

/**
 * Traces come from others. What is beyond these bounds costs its line (a warning), or the trace where that is too large as
 * a whole (`usage`, with what to do): nothing is run for ever, and no process grows without end.
 */
const DAY: Millis = 86_400_000
export const JOBS_MAX = 1_000_000
/** Unpacked, of a file. */
export const BYTES_MAX = 1024 ** 3
/** Of a file, comments and what cannot be read among them. */
export const LINES_MAX = 5_000_000
/** Of a name: of a job, a user, a queue. */
const NAME_LENGTH_MAX = 200
export const RUN_MS_MAX: Millis = 366 * DAY
/** From the middle of a trace to any job of it. */
const APART_MS_MAX: Millis = 10 * 366 * DAY
const LIMIT_MS_MAX: Millis = 20 * 366 * DAY
/** The year 9000: what is added to it is still an instant. */
export const INSTANT_MAX: Instant = Date.UTC(9000, 0, 1)
const PROCESSORS_MAX = 1_000_000_000
/** Consumables and features of one job. */
const NAMES_MAX = 256

/** Why a job of a trace is left out; undefined if it is within the bounds. */
export function flawOf(job: TraceJob): string | undefined {
  const { id, user, queue, submittedAt, runMs, processors } = job
  if (!(submittedAt >= 0 && submittedAt <= INSTANT_MAX)) return 'it was submitted at no instant there is'
  if (!(runMs >= 0 && runMs <= RUN_MS_MAX)) return 'it ran for longer than 366 days'
  if (!(processors >= 1 && processors <= PROCESSORS_MAX))
    return 'it takes more than a thousand million processors'
  if ([id, user, queue].some((name) => name.length > NAME_LENGTH_MAX))
    return `a name in it is longer than ${NAME_LENGTH_MAX} characters`
  return job.extras === undefined ? undefined : flawOfExtras(job.extras)
}

function flawOfExtras({ consumables, features }: TraceExtras): string | undefined {
  const names = [...Object.keys(consumables), ...features]
  if (names.length > NAMES_MAX) return `it asks for more than ${NAMES_MAX} things by name`
  if (names.some((name) => name.length > NAME_LENGTH_MAX))
    return `a name in it is longer than ${NAME_LENGTH_MAX} characters`
  return Object.values(consumables).every((amount) => amount >= 0 && amount <= PROCESSORS_MAX)
    ? undefined
    : 'it asks for less than nothing, or for more than a thousand million, of something'
}

/** What is longer than anything lasts is no limit. */
export const limitWithin = (walltimeMs: Millis | undefined): Millis | undefined =>
  walltimeMs !== undefined && walltimeMs > 0 && walltimeMs <= LIMIT_MS_MAX ? walltimeMs : undefined

/** Throws where one job more is too many. */
export function refuseMore(count: number, jobsMax: number): void {
  if (count >= jobsMax) throw tooLarge(`it has more than ${jobsMax} jobs`)
}

/** Those of the jobs, which are in order, that lie near the middle one; a sentence for the others, if there are any. */
export function nearEachOther(jobs: readonly TraceJob[]): {
  readonly jobs: readonly TraceJob[]
  readonly far: number
  readonly warning: string
} {
  const middle = jobs[Math.floor(jobs.length / 2)]?.submittedAt ?? 0
  const near = jobs.filter(({ submittedAt }) => Math.abs(submittedAt - middle) <= APART_MS_MAX)
  const far = jobs.length - near.length
  return {
    ...{ jobs: far === 0 ? jobs : near, far },
    warning: `${some(far, 'job')} left out, for more than ten years lie between them and the middle of the trace`,
  }
}

export const tooLarge = (why: string): SubletError =>
  new SubletError('usage', `the trace is too large to be replayed: ${why}`, {
    cure: 'Cut it to the part that is meant, such as a year of it.',
  })
