import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { QueuedJob } from './scheduler.ts'
import { shapeOf, type TraceJob, type UnitSize } from './trace.ts'

/** A job of the trace on its way through one replay. */
export interface ReplayJob extends QueuedJob {
  readonly trace: TraceJob
  endedAt: Instant | undefined
  /** Its node was taken away under it. */
  cut: boolean
}

/** What a scheduler plans with where a job asked for no time: such jobs end some day, nobody knows when. */
const LIMIT_MS: Millis = 86_400_000

export interface Workload {
  readonly jobs: readonly ReplayJob[]
  /** No pool of this size could ever run them. */
  readonly tooLarge: number
}

/** The jobs that a pool of so many units can run at all, fresh for one replay. */
export function workloadOf(trace: readonly TraceJob[], units: number, unit: UnitSize): Workload {
  const jobs: ReplayJob[] = []
  for (const one of trace) {
    const shape = shapeOf(one, unit)
    if (shape === undefined || shape.nodes > units) continue
    jobs.push({
      number: jobs.length,
      trace: one,
      shape,
      limitMs: one.walltimeMs ?? LIMIT_MS,
      startedAt: undefined,
      slots: [],
      endedAt: undefined,
      cut: false,
    })
  }
  return { jobs, tooLarge: trace.length - jobs.length }
}
