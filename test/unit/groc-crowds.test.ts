import { describe, expect, test } from 'vitest'
import { grocPolicy } from '../../deploy/replay/groc-policy.ts'
import { measure } from '../../deploy/replay/measure.ts'
import { type Policy, replay } from '../../deploy/replay/replay.ts'
import {
  configOf,
  decideOn,
  jobOf,
  MINUTE,
  requestsIn,
  SECOND,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'
import { optionsOf, configOf as replayConfig, traceJob } from './replay-stage.ts'

/** Crowds of jobs, and machines that take their time. */
describe('a third of the boots ten times slower', () => {
  const config = configOf({ max: 40, step: 10, shrink: { idle: '30s' } })
  const pool = world(config, { bootMs: (machine) => (machine % 3 === 2 ? 200 : 20) * SECOND })
  for (let i = 1; i <= 30; i += 1) pool.submit(jobOf(`${i}`), 5 * MINUTE)
  pool.pass(60 * SECOND)
  const [joinedSoon, askedSoon] = [pool.joined(), pool.asked()]
  pool.pass(4 * MINUTE)
  const waitingLater = pool.waiting()
  pool.pass(20 * MINUTE)

  test('the quick ones serve at once, and nobody orders others in place of those that are still coming', () => {
    expect([joinedSoon, askedSoon, pool.asked()]).toEqual([20, 30, 30])
  })
  test('every job runs to its end, on the slow ones too, and all go back', () => {
    expect(waitingLater).toBe(0)
    expect([pool.ended(), pool.killed, pool.held()]).toEqual([30, [], 0])
  })
})

describe('5,000 jobs of a second', () => {
  const unit = { cpus: 4, memoryMiB: 4096 }
  const jobs = Array.from({ length: 5000 }, (_, i) => traceJob(`${i + 1}`, Math.floor(i / 100), 1))
  const drains: string[] = []
  const policy = grocPolicy(replayConfig({ unit, max: 10, step: 10, shrink: { idle: '30s' } }))
  const noting: Policy = {
    ...policy,
    decide(view, now) {
      const decided = policy.decide(view, now)
      for (const intent of decided.intents) if (intent.kind === 'drain') drains.push(intent.reason)
      return decided
    },
  }
  const replayed = replay(jobs, optionsOf({ units: 16, unit, policy: noting }))

  test('all end on what max allows, ordered once', () => {
    expect(replayed.jobs.filter(({ endedAt, cut }) => endedAt === undefined || cut)).toEqual([])
    expect([replayed.boots, replayed.takenWhileWanted]).toEqual([10, 0])
  })
  test('no node is taken for one that eats jobs: they go when they stand empty', () =>
    expect(drains.filter((reason) => !reason.includes('has been empty and unneeded'))).toEqual([]))
})

describe('a job of 64 nodes behind 1,000 small ones', () => {
  const wide = traceJob('wide', 1, 1800, 64)
  const jobs = [...Array.from({ length: 1000 }, (_, i) => traceJob(`${i + 1}`, 0, 60 + (i % 7) * 30)), wide]
  const course = (scheduler: 'easy' | 'fifo') => {
    const options = optionsOf({ units: 64, scheduler })
    const always = replay(jobs, options)
    return {
      always,
      replayed: replay(jobs, { ...options, policy: grocPolicy(replayConfig({ max: 64, step: 16 })) }),
    }
  }

  test.each([
    'easy',
    'fifo',
  ] as const)('starts as soon as on machines that are always there, but for their boots (%s)', (scheduler) => {
    const { always, replayed } = course(scheduler)
    expect(measure(replayed, always)).toMatchObject({ cut: 0, neverStarted: 0, takenWhileWanted: 0 })
    const startOf = ({ jobs: all }: typeof always): number =>
      all.find(({ trace }) => trace === wide)?.startedAt ?? Number.POSITIVE_INFINITY
    expect(startOf(replayed) - startOf(always)).toBeLessThanOrEqual(2 * 100 * SECOND)
    // Nobody boots a machine anew for it: those of the small ones are kept while it collects them.
    expect(replayed.boots).toBe(64)
  })

  test('is ordered whole beside them where there is room for both', () => {
    const small = Array.from({ length: 1000 }, (_, i) => jobOf(`${i + 1}`, { cpusPerNode: 1 }))
    const view = viewOf([], { jobs: [...small, jobOf('wide', { nodes: 64 })] })
    const orders = requestsIn(decideOn(view, configOf({ max: 400, step: 50 })).intents)
    expect(orders.filter(({ units, unitsMin }) => units === 64 && unitsMin === 64)).toHaveLength(1)
    expect(unitsAsked(orders)).toBe(64 + 1000 / 4)
  })
})
