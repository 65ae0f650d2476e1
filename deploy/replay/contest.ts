import type { Instant } from '../../actors/runtime/clock.ts'
import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { grocPolicy } from './groc-policy.ts'
import { type Measured, measure } from './measure.ts'
import type { Curve } from './meter.ts'
import { type ReplayOptions, replay } from './replay.ts'
import type { Trace } from './trace.ts'

/** Thresholds by the name that people know them by, such as the file. */
export interface Contestant {
  readonly name: string
  readonly config: GrocConfig
}

export interface Course {
  readonly name: string
  readonly measured: Measured
  readonly curve: Curve
}

/** All courses are of one trace, pool, scheduler and seed. */
export interface Contest {
  readonly trace: string
  readonly jobs: number
  readonly from: Instant
  readonly until: Instant
  readonly options: Omit<ReplayOptions, 'policy'>
  readonly warnings: readonly string[]
  readonly warningCount: number
  readonly leftOut: number
  readonly always: Course
  readonly courses: readonly Course[]
}

/** Runs the trace with all units always there, and under each of the configurations. */
export function contest(
  trace: Trace,
  options: Omit<ReplayOptions, 'policy'>,
  contestants: readonly Contestant[],
): Contest {
  const always = replay(trace.jobs, { ...options, policy: undefined })
  const courses = contestants.map(({ name, config }): Course => {
    const replayed = replay(trace.jobs, { ...options, policy: grocPolicy(config) })
    return { name, measured: measure(replayed, always), curve: replayed.curve }
  })
  return {
    trace: trace.name,
    jobs: trace.jobs.length,
    from: always.from,
    until: always.until,
    options,
    warnings: trace.warnings,
    warningCount: trace.warningCount,
    leftOut: trace.leftOut,
    always: { name: 'always on', measured: measure(always, always), curve: always.curve },
    courses,
  }
}
