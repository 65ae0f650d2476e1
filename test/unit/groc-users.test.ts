import { describe, expect, test } from 'vitest'
import { explainJob } from '../../controllers/guests/groc/explain.ts'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
import {
  configOf,
  decideOn,
  jobOf,
  jobsOf,
  MINUTE,
  SECOND,
  T0,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'

const eve = (count: number, over: object = {}) =>
  jobsOf(count, { user: 'eve', ...over }).map((job) => ({ ...job, id: `e${job.id}` }))

describe('the cap of a user', () => {
  const config = configOf({ userMax: 3 })

  test('is what the waiting jobs of one user may cause, beside those of others', () => {
    const { intents, reason } = decideOn(viewOf([], { jobs: [...eve(300), ...jobsOf(2)] }), config)
    expect(unitsAsked(intents)).toBe(5)
    expect(reason).toContain('Not counted now: 297 jobs of eve beyond userMax 3.')
  })

  test('goes by units: three jobs of a processor are less than one', () => {
    const jobs = eve(40, { cpusPerNode: 1 })
    expect(unitsAsked(decideOn(viewOf([], { jobs }), config).intents)).toBe(3)
    const thirds = configOf({ userMax: 2, unit: { cpus: 3, memoryMiB: 4096 } })
    const { intents, reason } = decideOn(viewOf([], { jobs: eve(6, { cpusPerNode: 1 }) }), thirds)
    expect([unitsAsked(intents), reason.includes('userMax')]).toEqual([2, false])
  })

  test('takes parts of arrays, and wide jobs as a whole', () => {
    const array = decideOn(viewOf([], { jobs: eve(1, { tasks: 10_000 }) }), config)
    expect(unitsAsked(array.intents)).toBe(3)
    expect(array.figures.backlogJobs).toBe(3)
    const wide = viewOf([], { jobs: [...eve(1, { nodes: 4 }), ...eve(1)] })
    expect(unitsAsked(decideOn(wide, config).intents)).toBe(1)
  })

  test('is never exceeded by what was asked for her and has not come yet', () => {
    const pool = world(config, { bootMs: 5 * MINUTE })
    for (const job of eve(50)) pool.submit(job, 20 * MINUTE)
    pool.pass(4 * MINUTE)
    expect(pool.asked()).toBe(3)
    pool.pass(4 * MINUTE)
    expect(pool.asked()).toBe(6)
  })

  test('is explained', () => {
    const view = viewOf([], { jobs: eve(5) })
    expect(explainJob('e3', view, firstMemory, config, T0)?.[0]).toContain('is counted')
    expect(explainJob('e4', view, firstMemory, config, T0)?.[0]).toContain(
      'is not counted yet: other waiting jobs of eve',
    )
  })
})

describe('a user whose jobs end at once and come again', () => {
  const config = configOf({ userMax: 5, blackHole: { jobs: 4, within: '3s' } })
  const ended = (i: number, node: string, user = 'eve') =>
    jobOf(`q${i}`, {
      ...{ user, state: 'ended', nodeNames: [node] },
      ...{ startedAt: T0 - (20 - i) * SECOND, endedAt: T0 - (19 - i) * SECOND },
    })
  const row = (nodes: readonly string[]) =>
    Array.from({ length: 6 }, (_, i) => ended(i, nodes[i % nodes.length]!))

  test('waits for a pause, which is told and ends', () => {
    const view = viewOf([], { jobs: [...row(['a', 'b']), ...eve(3), ...jobsOf(1)] })
    const { intents, reason, memory, steadyUntil } = decideOn(view, config)
    expect(unitsAsked(intents)).toBe(1)
    expect(reason).toContain('3 jobs of eve, whose jobs end right after their start and come again, until')
    expect(memory.users?.eve?.inRow).toBe(6)
    // 30 s, doubled twice, from the last end on.
    const until = T0 - 14 * SECOND + 120 * SECOND
    expect(steadyUntil).toBeLessThanOrEqual(until)
    const kept = JSON.parse(JSON.stringify(memory))
    const later = { ...view, observation: { ...view.observation!, startedAt: until, at: until } }
    expect(unitsAsked(decideOn(later, config, kept, until - 1).intents)).toBe(1)
    expect(unitsAsked(decideOn(later, config, kept, until).intents)).toBe(4)
    expect(decideOn(later, config, kept, until).memory.users).toEqual(memory.users)
  })

  test('does not wait with what was submitted before, for a single node, or after a job that lasted', () => {
    const asked = (jobs: readonly object[]) =>
      unitsAsked(decideOn(viewOf([], { jobs: jobs as never }), config).intents)
    expect(asked([...row(['a', 'b']), ...eve(3, { submittedAt: T0 - MINUTE })])).toBe(3)
    expect(asked([...row(['a']), ...eve(3)])).toBe(3)
    const lasted = { ...ended(6, 'a'), startedAt: T0 - MINUTE }
    expect(asked([...row(['a', 'b']), lasted, ...eve(3)])).toBe(3)
  })

  test('is remembered among at most 64, and only where there is a cap', () => {
    const many = Array.from({ length: 100 }, (_, i) => ended(i % 10, 'a', `user${i}`))
    const { memory } = decideOn(viewOf([], { jobs: many }), config)
    expect(Object.keys(memory.users ?? {})).toHaveLength(64)
    expect(decideOn(viewOf([], { jobs: many }), configOf(), firstMemory).memory.users).toBeUndefined()
  })
})
