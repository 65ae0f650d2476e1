import { measure } from '../../deploy/replay/measure.ts'
import { type ReplayOptions, replay } from '../../deploy/replay/replay.ts'
import type { TraceJob } from '../../deploy/replay/trace.ts'
import { coursesIn, MEMORY_MIB, option, traceOf } from './courses.ts'

/**
 * node bench/replay/size.ts --traces FOLDER --only curie
 *
 * The smallest pool in which, with all of it always there and under EASY, jobs are slowed down less than tenfold on average, and
 * in which the widest has room.
 */
const SLOWDOWN_MAX = 10

function slowdownIn(jobs: readonly TraceJob[], units: number, cpus: number): number {
  const options: Omit<ReplayOptions, 'policy'> = {
    ...{ units, unit: { cpus, memoryMiB: MEMORY_MIB }, scheduler: 'easy', seed: '1' },
    bootMs: { least: 60_000, most: 120_000 },
  }
  const replayed = replay(jobs, { ...options, policy: undefined })
  return replayed.tooLarge > 0 ? Number.POSITIVE_INFINITY : measure(replayed, replayed).meanSlowdown
}

const folder = option('traces') ?? process.env.TRACES
for (const course of coursesIn(folder, option('only'))) {
  const { jobs } = await traceOf(course, folder, Number.POSITIVE_INFINITY)
  const slowdown = (units: number): number => {
    const found = slowdownIn(jobs, units, course.cpus)
    process.stderr.write(`${course.name}: ${units} units, slowdown ${found.toFixed(2)}\n`)
    return found
  }
  const widest = jobs.reduce((most, { processors }) => Math.max(most, Math.ceil(processors / course.cpus)), 1)
  let [low, high] = [widest - 1, widest]
  while (slowdown(high) >= SLOWDOWN_MAX) [low, high] = [high, high * 2]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (slowdown(middle) < SLOWDOWN_MAX) high = middle
    else low = middle
  }
  process.stdout.write(`${course.name}: ${high} units of ${course.cpus} cpus are the fewest\n`)
}
