import type { Instant, Millis } from '../actors/runtime/clock.ts'
import type { Random } from '../actors/runtime/random.ts'
import { percentile } from '../deploy/reports/report.ts'

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

/**
 * Random whiles, uniform over `spanMs`: one out of each of `count` equal parts of it, in random order.
 * Drawn each by itself, twenty may by chance lie together, and a median over them tell of that.
 */
export function phasesOf(random: Random, count: number, spanMs: Millis): readonly Millis[] {
  const phases = Array.from({ length: count }, (_, at) => Math.floor(((at + random.next()) / count) * spanMs))
  for (let last = phases.length - 1; last > 0; last--) {
    const other = random.int(last + 1)
    const kept = phases[last] ?? 0
    phases[last] = phases[other] ?? 0
    phases[other] = kept
  }
  return phases
}
