import type { Instant, Millis } from '../../../actors/runtime/clock.ts'

/** A job that was submitted, and its runs as it noted them itself. */
export interface NotedJob {
  readonly id: string
  readonly at: Instant
  readonly runs: readonly { readonly startedAt: Instant; readonly endedAt: Instant | undefined }[]
}

export interface WaveFigures {
  readonly jobs: number
  /** From submission to the first start. */
  readonly meanWaitMs: Millis
  /** From the first submission to the last end. */
  readonly makespanMs: Millis
}

/** Of jobs that have all ended. */
export function figuresOf(jobs: readonly NotedJob[]): WaveFigures {
  const waits = jobs.map(({ at, runs }) => (runs[0]?.startedAt ?? at) - at)
  const ends = jobs.flatMap(({ runs }) => runs.map(({ endedAt }) => endedAt ?? 0))
  return {
    jobs: jobs.length,
    meanWaitMs: Math.round(waits.reduce((sum, wait) => sum + wait, 0) / Math.max(1, waits.length)),
    makespanMs: jobs.length === 0 ? 0 : Math.max(...ends) - Math.min(...jobs.map(({ at }) => at)),
  }
}

/** How many have not begun. */
export const waitingOf = (jobs: readonly NotedJob[]): number =>
  jobs.filter(({ runs }) => runs.length === 0).length

export const areDone = (jobs: readonly NotedJob[]): boolean =>
  jobs.every(({ runs }) => runs.some(({ endedAt }) => endedAt !== undefined))

/** Jobs that began more than once. */
export const begunTwice = (jobs: readonly NotedJob[]): readonly string[] =>
  jobs.filter(({ runs }) => runs.length > 1).map(({ id }) => id)
