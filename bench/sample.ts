import type { Instant, Millis } from '../actors/runtime/clock.ts'
import { percentile } from '../deploy/report.ts'

/** One job, submitted where there was no machine. */
export interface Sample {
  readonly jobId: string
  /** Just before sbatch was started. */
  readonly submittedAt: Instant
  /** What the job's own first line wrote down. */
  readonly startedAt: Instant
  readonly host: string
}

export const reactionOf = ({ submittedAt, startedAt }: Sample): Millis => startedAt - submittedAt

export interface Distribution {
  readonly min: Millis
  readonly p50: Millis
  readonly p90: Millis
  readonly max: Millis
}

export const distributionOf = (values: readonly Millis[]): Distribution => ({
  min: percentile(values, 0),
  p50: percentile(values, 0.5),
  p90: percentile(values, 0.9),
  max: percentile(values, 1),
})
