import { describe, expect, test } from 'vitest'
import type { Job } from '../../adapters/batch-system.ts'
import { firstMemory, type GrocMemory } from '../../controllers/guests/groc/memory.ts'
import { expectations, expectedRun, leaseLengths } from '../../controllers/guests/groc/runs.ts'
import {
  busyNode,
  configOf,
  decideOn,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  requestsIn,
  runningOn,
  SECOND,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
} from './groc-world.ts'

/** Jobs that ended one after another, one a minute. */
const endedJobs = (count: number, ranMs: number, over: Partial<Job> = {}): readonly Job[] =>
  Array.from({ length: count }, (_, i) =>
    jobOf(`e${i}`, {
      state: 'ended',
      nodeNames: ['somewhere'],
      startedAt: T0 - (count - i) * MINUTE - ranMs,
      endedAt: T0 - (count - i) * MINUTE,
      ...over,
    }),
  )

const watched = (jobs: readonly Job[], memory: GrocMemory = firstMemory, at: number = T0): GrocMemory => {
  const view = viewOf([], { startedAt: at, at, jobs })
  return JSON.parse(JSON.stringify(decideOn(view, configOf(), memory, at).memory)) as GrocMemory
}

const expected = (memory: GrocMemory, walltimeMs: number | undefined, queue = 'batch'): number =>
  Math.round(expectedRun(expectations(memory.runs, configOf())(queue), walltimeMs) / MINUTE)

const hours = (count: number): number => count * 60 * MINUTE

describe('how long jobs are expected to run', () => {
  test('before twenty have ended: their limit, and without one grow.run', () => {
    const memory = watched(endedJobs(19, 6 * MINUTE, { walltimeMs: hours(2) }))
    expect([expected(memory, hours(2)), expected(memory, undefined)]).toEqual([120, 10])
  })

  test('afterwards: the share of their limit, or the time, that nine of ten of their queue kept within', () => {
    const jobs = [
      ...endedJobs(18, 12 * MINUTE, { walltimeMs: hours(2) }),
      ...endedJobs(2, hours(2), { walltimeMs: hours(2) }).map((job) => ({ ...job, id: `long-${job.id}` })),
    ]
    const memory = watched(jobs)
    expect([expected(memory, hours(2)), expected(memory, hours(1))]).toEqual([12, 6])
    // 12 min end in the class that ends at 2^9.5 s.
    expect(expected(memory, undefined)).toBe(12)
    expect(expected(memory, hours(2), 'other')).toBe(120)
  })

  test('a queue whose jobs use up their limits is taken at its word', () => {
    expect(expected(watched(endedJobs(20, hours(1), { walltimeMs: hours(1) })), hours(3))).toBe(180)
    expect(expected(watched(endedJobs(20, hours(2), { walltimeMs: hours(1) })), hours(3))).toBe(180)
  })

  test('each end is counted once, though it stays listed, also of jobs that ended at the same instant', () => {
    const first = endedJobs(10, 6 * MINUTE, { endedAt: T0, walltimeMs: hours(1) })
    const once = watched(first)
    expect(watched(first, once).runs).toEqual(once.runs)
    const more = [...first, jobOf('late', { ...first[0], id: 'late' })]
    const counts = Object.values(watched(more, once).runs?.batch?.lengths ?? {})
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(11)
  })

  test('what was long ago fades', () => {
    let memory = watched(endedJobs(1000, hours(1), { walltimeMs: hours(1) }))
    for (let day = 1; day <= 4; day += 1) {
      const later = endedJobs(600, 6 * MINUTE, { walltimeMs: hours(1) }).map((job) => ({
        ...job,
        startedAt: (job.startedAt ?? 0) + day * hours(24),
        endedAt: (job.endedAt ?? 0) + day * hours(24),
      }))
      memory = watched(later, memory, T0 + day * hours(24))
    }
    expect(expected(memory, hours(1))).toBe(6)
  })

  test('at most 64 queues are remembered, those in which jobs ended last', () => {
    const jobs = Array.from({ length: 70 }, (_, i) =>
      jobOf(`q${i}`, {
        state: 'ended',
        queue: `q${i}`,
        startedAt: T0 - MINUTE,
        endedAt: T0 - MINUTE + (i + 1) * SECOND,
      }),
    )
    const queues = Object.keys(watched(jobs).runs ?? {})
    expect(queues).toHaveLength(64)
    expect([queues.includes('q69'), queues.includes('q0')]).toEqual([true, false])
  })

  test('jobs that a node swallowed say nothing, nor do those of queues that are not served', () => {
    const memory: GrocMemory = { ...firstMemory, blackHoles: { bad: T0 } }
    const jobs = endedJobs(20, SECOND, { nodeNames: ['node-bad'] })
    const view = viewOf([leaseOf('l1', [unitOf('bad')])], { nodes: [nodeOf('bad')], jobs })
    expect(decideOn(view, configOf(), memory).memory.runs).toEqual({})
    expect(decideOn(viewOf([], { jobs }), configOf({ queues: ['grid'] })).memory.runs).toEqual({})
  })

  test('a memory of an earlier program, without run times, is good', () => {
    const { runs: _, ...earlier } = firstMemory
    expect(expected(watched(endedJobs(20, 6 * MINUTE, { walltimeMs: hours(1) }), earlier), hours(1))).toBe(6)
  })
})

describe('what follows from it', () => {
  const quick = watched(endedJobs(20, 12 * MINUTE, { walltimeMs: hours(2) }))
  const asked = (jobs: readonly Job[], memory: GrocMemory) =>
    requestsIn(decideOn(viewOf([], { jobs }), configOf({ term: '4h' }), memory).intents).map(
      ({ units, durationMs }) => `${units} for ${durationMs / MINUTE} min`,
    )

  test('lease lengths are few: termMin, doubled up to term', () => {
    const minutes = (over: Record<string, unknown>) =>
      leaseLengths(configOf(over)).map((length) => length / MINUTE)
    expect(minutes({})).toEqual([10, 20, 40, 60])
    expect(minutes({ term: '8m' })).toEqual([8])
  })

  test('a lease is as long as the jobs on it are expected to run, with some safety', () => {
    expect(asked(jobsOf(1, { walltimeMs: hours(2) }), firstMemory)).toEqual(['1 for 160 min'])
    expect(asked(jobsOf(1, { walltimeMs: hours(2) }), quick)).toEqual(['1 for 20 min'])
    expect(asked(jobsOf(1, { nodes: 3, walltimeMs: hours(2) }), quick)).toEqual(['3 for 20 min'])
  })

  test('of jobs of which nothing is known it is as long as may be; of watched ones without a limit it is not', () => {
    expect(asked(jobsOf(1), firstMemory)).toEqual(['1 for 240 min'])
    expect(asked(jobsOf(1), quick)).toEqual(['1 for 20 min'])
  })

  test('long and short jobs get leases of their own lengths; those that share a unit the longer one', () => {
    const long = jobOf('long', { walltimeMs: hours(3) })
    const short = jobOf('short', { walltimeMs: 5 * MINUTE })
    expect(asked([long, short], firstMemory)).toEqual(['1 for 240 min', '1 for 10 min'])
    const half = { cpusPerNode: 2 }
    expect(
      asked(
        [
          { ...long, ...half },
          { ...short, ...half },
        ],
        firstMemory,
      ),
    ).toEqual(['1 for 240 min'])
  })

  test('a backlog is as long as the work really is', () => {
    const config = configOf({ grow: { wait: '10m', backlog: '30m' } })
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [busyNode('u1', 'r')],
      jobs: [runningOn('r', 'u1'), jobOf('w', { walltimeMs: hours(2) })],
    })
    expect(unitsAsked(decideOn(view, config).intents)).toBe(1)
    expect(unitsAsked(decideOn(view, config, quick).intents)).toBe(0)
  })

  test('an extension is as long as the work there is expected to last, or its limit once it lasts longer', () => {
    const ending = { term: { start: T0 - 50 * MINUTE, end: T0 + 5 * MINUTE }, extendBy: T0 + 4 * MINUTE }
    const lengthWith = (startedAt: number, memory: GrocMemory) => {
      const view = viewOf([leaseOf('l1', [unitOf('u1')], ending)], {
        nodes: [busyNode('u1', 'r')],
        jobs: [runningOn('r', 'u1', { startedAt, walltimeMs: hours(2) })],
      })
      const [extend] = decideOn(view, configOf({ term: '4h' }), memory).intents
      return extend?.kind === 'extend' ? extend.durationMs / MINUTE : undefined
    }
    expect(lengthWith(T0, firstMemory)).toBe(115)
    expect(lengthWith(T0, quick)).toBe(10)
    expect(lengthWith(T0 - 20 * MINUTE, quick)).toBe(95)
  })
})
