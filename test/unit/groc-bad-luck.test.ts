import { describe, expect, test } from 'vitest'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  busyNode,
  configOf,
  decideOn,
  inShort,
  jobOf,
  leaseOf,
  MINUTE,
  nodeOf,
  runningOn,
  SECOND,
  T0,
  unitOf,
  viewOf,
  world,
} from './groc-world.ts'

/** More checks of those that users of other controllers would have liked, by their numbers: bad looks, refusals, recalls. */
describe('acceptance, in bad luck', () => {
  describe('check 6: looks that tell nothing, or nonsense of one job', () => {
    const blindFrom = T0 + 3 * MINUTE
    const blindUntil = T0 + 40 * MINUTE
    const config = configOf({ shrink: { idle: '30s' }, term: '30m', termMin: '10m' })

    test('nothing is released, taken out or asked for while looks fail, and what is held is extended', () => {
      const pool = world(config, {
        shown: (view, now) =>
          now < blindFrom || now >= blindUntil
            ? view
            : { ...view, blind: { since: blindFrom, reason: 'qstat printed no XML' } },
      })
      for (let i = 1; i <= 6; i += 1) pool.submit(jobOf(`${i}`), 150 * SECOND)
      pool.pass(3 * MINUTE)
      expect(pool.joined()).toBe(6)
      const before = pool.log.length
      pool.submit(jobOf('unseen'), MINUTE)
      pool.pass(37 * MINUTE)
      const meanwhile = pool.log.slice(before).map(({ intent }) => intent.kind)
      expect(new Set(meanwhile)).toEqual(new Set(['extend']))
      expect([pool.joined(), pool.killed]).toEqual([6, []])
      expect(pool.reason).toContain('looks have failed for 37 min (qstat printed no XML)')
      // With the first look that may be believed it goes on as ever.
      pool.pass(40 * MINUTE)
      expect([pool.joined(), pool.held(), pool.killed]).toEqual([0, 0, []])
    })

    test('one job of which nothing can be made is one warning with its id; the others are served', () => {
      const warnings = ['job 17.head: its environment is no text; it is left out of this look']
      const { intents, reason } = decideOn(viewOf([], { jobs: [jobOf('18.head')], warnings }))
      expect(inShort(intents)).toEqual(['request 1-1'])
      expect(reason.match(/17\.head/g)).toHaveLength(1)
    })
  })

  test('check 7: a broker that refuses for 30 min is asked twelve times at most, and gives within one pause after', () => {
    const freeAt = T0 + 30 * MINUTE
    const config = configOf({ retry: { first: '30s', most: '10m' } })
    const pool = world(config, { supply: (now) => (now < freeAt ? 0 : 10) })
    for (let i = 1; i <= 4; i += 1) pool.submit(jobOf(`${i}`), 5 * MINUTE)
    pool.pass(30 * MINUTE)
    expect(pool.count('request')).toBeGreaterThan(3)
    expect(pool.count('request')).toBeLessThanOrEqual(12)
    expect(pool.joined()).toBe(0)
    pool.pass(10 * MINUTE + 30 * SECOND)
    expect([pool.waiting(), pool.held()]).toEqual([0, 4])
  })

  test('check 9: of twenty units six are asked back: those of least harm, in a plan, and out by then', () => {
    const config = configOf({ max: 20, step: 20, termMin: '1h', shrink: { idle: '50m' } })
    const pool = world(config)
    // One lease for one order: twenty jobs that come at once, with limits from 2 to 40 min, each ending a little before.
    for (let i = 1; i <= 20; i += 1)
      pool.submit(jobOf(`${i}`, { walltimeMs: 2 * i * MINUTE }), 2 * i * MINUTE - SECOND)
    pool.pass(30 * SECOND)
    expect([pool.joined(), pool.waiting()]).toEqual([20, 0])
    const lease = pool.view().leases[0]
    expect(pool.view().leases).toHaveLength(1)
    pool.recall(6, pool.now + 10 * MINUTE)
    pool.pass(5 * SECOND)
    const drained = pool.log.flatMap(({ intent }) => (intent.kind === 'drain' ? [intent.unitId] : []))
    // Within ten minutes the jobs with limits of up to 10 min end: five units; the sixth would be the next to end.
    expect(drained).toEqual(lease?.held.slice(0, 6).map(({ id }) => id))
    expect(pool.reason).toContain('recall takes 6 units of lease l1 until')
    expect(pool.reason).toMatch(/1 job may not end in time: 6\b/)
    pool.pass(10 * MINUTE)
    const out = pool.view().leases[0]?.held.filter(({ state }) => state === 'left')
    expect(out?.map(({ id }) => id)).toEqual(drained.slice(0, 5))
    expect(pool.killed).toEqual([])
  })

  test('check 12: the same observation, memory and time are the same decision, byte by byte', () => {
    const ids = ['u1', 'u2', 'u3', 'u4']
    const view = viewOf(
      [
        leaseOf(
          'l1',
          ids.map((id) => unitOf(id)),
          { recall: { units: 1, by: T0 + MINUTE } },
        ),
      ],
      {
        nodes: [busyNode('u1', 'r1'), nodeOf('u2'), nodeOf('u3'), nodeOf('u4', { responding: false })],
        jobs: [runningOn('r1', 'u1'), jobOf('wide', { nodes: 6 }), ...['a', 'b'].map((id) => jobOf(id))],
      },
    )
    const config = configOf({ reserve: 1, budget: { nodeHours: 100, per: '1d' } })
    const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
    const asText = (memory: GrocMemory, shown: typeof view): string =>
      JSON.stringify(groc.decide(shown, memory, config, T0 + SECOND))
    const memory = decideOn(view, config).memory
    const first = asText(memory, view)
    // Identity of objects is a cache, and no more: copies are decided on alike.
    expect(asText(copy(memory), copy(view))).toBe(first)
    expect(asText(memory, view)).toBe(first)
    expect(JSON.parse(first).intents.length).toBeGreaterThan(1)
  })
})

describe.each([
  ['90 s', 90 * SECOND],
  ['20 min', 20 * MINUTE],
])('after the power of the whole room was cut, with machines that come %s after the head', (_, lateMs) => {
  const config = configOf({
    max: 20,
    step: 20,
    min: 2,
    shrink: { idle: '30s' },
    missing: '2m',
    repair: '30s',
  })

  /** Sublet comes first, then the head with its jobs as they were, but no node; the machines come last. */
  const cutAt = T0 + 5 * MINUTE
  const headAt = cutAt + 8 * MINUTE
  const pool = world(config, {
    shown: (view, now) => {
      if (now < cutAt) return view
      if (now < headAt)
        return {
          ...view,
          blind: { since: cutAt, reason: 'the head does not answer' },
          observation: undefined,
        }
      const picture = view.observation
      if (picture === undefined || now >= headAt + lateMs) return view
      const nodes = picture.nodes.map((node) => ({ ...node, responding: false, vendorState: 'down*' }))
      return { ...view, observation: { ...picture, nodes } }
    },
  })
  for (let i = 1; i <= 10; i += 1) pool.submit(jobOf(`${i}`, { walltimeMs: 60 * MINUTE }), 50 * MINUTE)
  pool.pass(5 * MINUTE)
  const [heldBefore, before] = [pool.held(), pool.log.length]
  pool.submit(jobOf('late'), MINUTE)
  pool.pass(8 * MINUTE + lateMs)
  const since = inShort(pool.log.slice(before).map(({ intent }) => intent))
  const [heldMeanwhile, reasonMeanwhile] = [pool.held(), pool.reason]
  pool.pass(30 * SECOND)

  test('there was work on ten units', () => expect([heldBefore, pool.killed]).toEqual([10, []]))
  test('nothing is released, drained or taken out while things come back one after another', () =>
    expect(since.filter((intent) => !/^(request|extend)/.test(intent))).toEqual([]))
  test('nothing is asked for while none answers, and that is said', () => {
    expect(since.filter((intent) => intent.startsWith('request'))).toEqual([])
    expect(reasonMeanwhile).toContain('10 of 10 units do not answer the batch system, since 2026-03-02T08:13')
    expect(reasonMeanwhile).toContain(
      'none of 10 units of small answers the batch system, and another one would be as silent',
    )
  })
  test('then the same ten serve on, and the job that waited gets its unit', () => {
    expect(heldMeanwhile).toBe(10)
    expect([pool.joined(), pool.held()]).toEqual([11, 11])
  })
})

describe('half of the nodes silent at once', () => {
  const ids = ['u1', 'u2', 'u3', 'u4', 'u5', 'u6']
  const config = configOf({ max: 10, min: 6, missing: '2m', outage: '30m' })
  const over = (suspects: readonly string[]) =>
    viewOf(
      [
        leaseOf(
          'l1',
          ids.map((id) => unitOf(id, suspects.includes(id) ? { suspect: 'it does not answer' } : {})),
          { term: { start: T0 - MINUTE, end: T0 + 600 * MINUTE }, extendBy: T0 + 590 * MINUTE },
        ),
      ],
      {
        nodes: ids.map((id, i) => nodeOf(id, { responding: i >= 3, vendorState: i < 3 ? 'down*' : 'idle' })),
      },
    )
  /** What it does over an hour, decision by decision, a minute each. */
  const outIn = (suspects: readonly string[]): ReadonlyMap<number, readonly string[]> => {
    const [done, view] = [new Map<number, readonly string[]>(), over(suspects)]
    let memory = groc.firstMemory
    for (let minute = 0; minute <= 40; minute += 1) {
      const now = T0 + minute * MINUTE
      const observation = { ...view.observation!, startedAt: now, at: now }
      const decision = groc.decide({ ...view, observation }, memory, config, now)
      memory = JSON.parse(JSON.stringify(decision.memory)) as GrocMemory
      if (decision.intents.length > 0) done.set(minute, inShort(decision.intents))
    }
    return done
  }

  test('are not given up for half an hour, nor replaced; then they are', () => {
    const [[minute, intents] = [0, []]] = outIn([])
    expect(minute).toBe(30)
    expect(intents).toEqual(['drain u1', 'drain u2', 'drain u3', 'request 1-3'])
  })

  test('are given up at once where their site doubts them, too', () => {
    const [[minute, intents] = [0, []]] = outIn(['u1', 'u2', 'u3'])
    expect(minute).toBe(0)
    expect(intents.slice(0, 3)).toEqual(['drain u1', 'drain u2', 'drain u3'])
  })
})

describe('a batch system whose clock is not ours', () => {
  const config = configOf({ grow: { wait: '5s' } })
  const shifted = (byMs: number) => (view: ReturnType<typeof viewOf>) => ({
    ...view,
    observation: view.observation && {
      ...view.observation,
      jobs: view.observation.jobs.map((job) => ({ ...job, submittedAt: job.submittedAt + byMs })),
    },
  })

  test.each([
    ['ahead', 10 * MINUTE],
    ['behind', -10 * MINUTE],
  ])('ten minutes %s: jobs get machines as soon as ever, and the wait is told as it is seen', (_, byMs) => {
    const pool = world(config, { shown: shifted(byMs) })
    pool.pass(MINUTE)
    for (let i = 1; i <= 3; i += 1) pool.submit(jobOf(`${i}`), 5 * MINUTE)
    pool.pass(11 * SECOND)
    expect(pool.asked()).toBe(3)
    const told = 'The clock of the batch system is ahead of ours by 10 min at least'
    if (byMs > 0) expect(pool.reason).toContain(told)
    else expect(pool.reason).not.toContain('The clock')
    pool.pass(30 * SECOND)
    expect(pool.waiting()).toBe(0)
  })

  test('ahead: what is told of a job is no wait below nothing', () => {
    const view = viewOf([], { jobs: [jobOf('1', { submittedAt: T0 + 10 * MINUTE })] })
    const { memory } = decideOn(view, config)
    const say = groc.explainJob('1', view, memory, config, T0 + 2 * SECOND)?.join(' ')
    expect(say).toContain('it has waited 2 s')
    expect(say).toContain('once a job has waited 5 s, in 3 s')
  })
})
