import { describe, expect, test } from 'vitest'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
import {
  busyNode,
  configOf,
  decideOn,
  inShort,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  runningOn,
  SECOND,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'

const single = (id: string) => leaseOf(`l${id}`, [unitOf(id)])

describe('a reserve', () => {
  test('is asked for at once beside what works, whatever grow says', () => {
    const config = configOf({ reserve: 2, grow: { wait: '1h' } })
    const view = viewOf([single('u1')], { nodes: [busyNode('u1', '9')], jobs: [runningOn('9', 'u1')] })
    const { intents, reason } = decideOn(view, config)
    expect(inShort(intents)).toEqual(['request 1-2'])
    expect(intents[0]?.reason).toContain('to be kept: 3 (reserve 2 beside 1 unit with work)')
    expect(reason).not.toContain('max')
  })

  test('comes on top of what is asked for waiting jobs, and ends at max', () => {
    const view = viewOf([], { jobs: jobsOf(3) })
    expect(unitsAsked(decideOn(view, configOf({ reserve: 2 })).intents)).toBe(5)
    expect(unitsAsked(decideOn(view, configOf({ reserve: 2, max: 4 })).intents)).toBe(4)
    expect(unitsAsked(decideOn(view, configOf({ reserve: 1, min: 2, max: 9 })).intents)).toBe(4)
  })

  test('counts what is coming, and asks for one where all but one of max are there', () => {
    const four = ['u1', 'u2', 'u3', 'u4']
    const view = viewOf(four.map(single), {
      nodes: four.map((id) => (id === 'u4' ? nodeOf(id) : busyNode(id, `j${id}`))),
      jobs: four.slice(0, 3).map((id) => runningOn(`j${id}`, id)),
    })
    expect(unitsAsked(decideOn(view, configOf({ reserve: 2, max: 5 })).intents)).toBe(1)
    expect(unitsAsked(decideOn(view, configOf({ reserve: 1, max: 5 })).intents)).toBe(0)
    const coming = leaseOf('l5', [], { state: 'requested', units: 1, term: undefined })
    const withOne = { ...view, leases: [...view.leases, coming] }
    expect(unitsAsked(decideOn(withOne, configOf({ reserve: 2, max: 9 })).intents)).toBe(0)
  })

  test('keeps idle units, and what is beyond goes', () => {
    const ids = ['u1', 'u2', 'u3']
    const view = viewOf(ids.map(single), { nodes: ids.map((id) => nodeOf(id)) })
    const memory = {
      ...firstMemory,
      idleSince: Object.fromEntries(ids.map((id) => [id, T0 - 10 * MINUTE])),
    }
    const drains = (reserve: number) =>
      inShort(decideOn(view, configOf({ reserve }), memory).intents).filter((one) => /^drain/.test(one))
    expect([drains(0).length, drains(1).length, drains(2).length, drains(3).length]).toEqual([3, 2, 1, 0])
  })

  test('is there when a job comes, and is made whole again', () => {
    const cluster = world(configOf({ reserve: 1, max: 6 }))
    cluster.pass(MINUTE)
    expect(cluster.joined()).toBe(1)
    cluster.submit(jobOf('1'), 10 * MINUTE)
    cluster.pass(SECOND)
    expect(cluster.waiting()).toBe(0)
    cluster.pass(MINUTE)
    expect(cluster.joined()).toBe(2)
    cluster.pass(30 * MINUTE)
    expect(cluster.joined()).toBe(1)
    expect(cluster.asked()).toBe(2)
  })
})

describe('a ramp', () => {
  const config = configOf({ ramp: { share: 0.34, every: '1m' }, step: 4, max: 100 })

  test('asks for a share, and after each pause for the same share of what is still wanted', () => {
    const cluster = world(config, { bootMs: 20 * MINUTE })
    for (let i = 1; i <= 30; i += 1) cluster.submit(jobOf(`${i}`), 60 * MINUTE)
    const asked: number[] = []
    for (let minute = 0; minute < 6; minute += 1) {
      cluster.pass(MINUTE)
      asked.push(cluster.asked())
    }
    // 11 of 30, 7 of 19, then steps of 4: a third of 12 is no more.
    expect(asked).toEqual([11, 18, 23, 27, 30, 30])
  })

  test('says how much waits for the next share, and wakes then', () => {
    const { reason, memory, steadyUntil } = decideOn(viewOf([], { jobs: jobsOf(30) }), config)
    expect(reason).toContain('19 units more would help; after a share of 0.34 the next one is asked for at')
    expect(memory.rampedAt).toBe(T0)
    expect(steadyUntil).toBeLessThanOrEqual(T0 + MINUTE)
  })

  test('lets wide jobs and min have all at once', () => {
    const wide = viewOf([], { jobs: [jobOf('1', { nodes: 30 })] })
    expect(inShort(decideOn(wide, config).intents)).toEqual(['request 30-30'])
    const least = configOf({ ramp: { share: 0.1 }, step: 4, min: 8, max: 100 })
    expect(unitsAsked(decideOn(viewOf([]), least).intents)).toBe(8)
  })

  test('is forgotten when it is over, and not begun by what is not asked for', () => {
    const ramping = { ...firstMemory, rampedAt: T0 - MINUTE }
    expect(decideOn(viewOf([]), config, ramping).memory.rampedAt).toBeUndefined()
    const onHold = viewOf([], { jobs: jobsOf(30) }, { hold: 'frozen' })
    expect(decideOn(onHold, config).memory.rampedAt).toBeUndefined()
  })
})

describe('weights of queues', () => {
  const queues = [{ name: 'urgent', weight: 4 }, 'batch']

  test('place jobs of heavier queues first', () => {
    const jobs = [
      jobOf('1', { nodes: 2, submittedAt: T0 - MINUTE }),
      jobOf('2', { nodes: 2, queue: 'urgent' }),
    ]
    const orders = (over: object) =>
      decideOn(viewOf([], { jobs }), configOf({ max: 3, ...over })).intents.map(({ reason }) => reason)
    expect(orders({})[0]).toContain('has waited 60 s')
    expect(orders({ queues })[0]).toContain('has waited 0 s')
  })

  test('count in the backlog', () => {
    const config = (weight: number) =>
      configOf({
        queues: [{ name: 'batch', weight }],
        grow: { wait: '1h', backlog: '1h' },
      })
    const view = viewOf([single('u1')], {
      nodes: [busyNode('u1', '9')],
      jobs: [runningOn('9', 'u1'), jobOf('1', { walltimeMs: 40 * MINUTE })],
    })
    expect(unitsAsked(decideOn(view, config(1)).intents)).toBe(0)
    expect(unitsAsked(decideOn(view, config(2)).intents)).toBe(1)
  })
})
