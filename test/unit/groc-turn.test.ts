import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { groc } from '../../controllers/guests/groc/groc.ts'
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
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

const HOUR = 60 * MINUTE

const inOrder = { starts: 'in-order' } as const

/** Two units at work, of six. */
const ground = {
  leases: [leaseOf('l1', [unitOf('a1')]), leaseOf('l2', [unitOf('a2')])],
  nodes: [busyNode('a1', 'r1'), busyNode('a2', 'r2')],
  running: [runningOn('r1', 'a1'), runningOn('r2', 'a2')],
}
const waiting = [
  jobOf('1', { nodes: 2, submittedAt: T0 - 9 * MINUTE }),
  jobOf('2', { nodes: 4, submittedAt: T0 - 8 * MINUTE }),
  jobOf('3', { submittedAt: T0 - 7 * MINUTE }),
  jobOf('4', { submittedAt: T0 - 6 * MINUTE, queue: 'other' }),
]
const viewWith = (jobs = waiting) =>
  viewOf(ground.leases, { nodes: ground.nodes, jobs: [...jobs, ...ground.running] })

describe('where jobs start in the order in which they came', () => {
  test('no machine is asked for behind a job that waits for others to end, and it is said', () => {
    const decision = decideOn(viewWith(), configOf({ max: 6, ...inOrder }))
    // Job 1 has its two; job 2 would need eight in all; job 3 has to wait for it. Another queue has an order of its own.
    expect(inShort(decision.intents)).toEqual(['request 2-2', 'request 1-1'])
    expect(decision.reason).toContain(
      'Not counted, for queue batch is served in order: 1 job behind job 2, which waits for others to end.',
    )
    expect(inShort(decideOn(viewWith(), configOf({ max: 6 })).intents)).toEqual([
      'request 2-2',
      'request 1-2',
    ])
  })

  test('by the time of submission, in whatever order a look tells them', () => {
    const asked = (jobs: typeof waiting) =>
      inShort(decideOn(viewWith(jobs), configOf({ max: 6, ...inOrder })).intents)
    expect(asked(waiting.toReversed())).toEqual(asked(waiting))
  })

  test('a job of unlike parts takes what these take, not so many of the largest', () => {
    const parts = [
      { nodes: 1, cpusPerNode: 4, memoryMiBPerNode: 0 },
      { nodes: 3, cpusPerNode: 1, memoryMiBPerNode: 0 },
    ]
    const jobs = [jobOf('1', { nodes: 4, submittedAt: T0 - MINUTE, parts }), jobOf('2')]
    // Of four units two work: seven processors of eight are for the first job, so that the second is the one that has to wait.
    const { reason } = decideOn(viewWith([...jobs, jobOf('3')]), configOf({ max: 4, ...inOrder }))
    expect(reason).toContain('1 job behind job 2,')
  })

  test('what starts as a part of another job is not counted besides it', () => {
    const whole = jobOf('1', { nodes: 3, submittedAt: T0 - MINUTE })
    const part = jobOf('1+1', { nodes: 2, submittedAt: T0 - MINUTE, partOf: '1' })
    const { reason } = decideOn(viewWith([whole, part, jobOf('2')]), configOf({ max: 6, ...inOrder }))
    expect(reason).not.toContain('served in order')
  })

  test('so many units ahead are counted as if there could be more', () => {
    const config = configOf({ max: 6, ...inOrder, lookahead: 2 })
    const decision = decideOn(viewWith(), config)
    expect(inShort(decision.intents)).toEqual(['request 2-2', 'request 1-2'])
    expect(decision.reason).not.toContain('served in order')
  })

  test('explain names the job whose turn comes first', () => {
    const told = groc.explainJob('3', viewWith(), groc.firstMemory, configOf({ max: 6, ...inOrder }), T0)
    expect(told?.join(' ')).toBe(
      'Job 3 of ada is not counted yet: queue batch is served in order (starts), and job 2 of ada, which came earlier, waits for others to end. It is counted when there may be room for both.',
    )
  })

  test('jobs that all have room are asked for as ever', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 6 }), (widths) => {
        const jobs = widths.map((nodes, i) => jobOf(`${i}`, { nodes, submittedAt: T0 - i * MINUTE }))
        const asked = (over: object) =>
          inShort(decideOn(viewWith(jobs), configOf({ max: 20, ...over })).intents)
        expect(asked(inOrder)).toEqual(asked({}))
      }),
    ))
})

describe('what idles while a wide job waits for others', () => {
  const ids = ['a', 'b', 'c', 'd']
  const idle = { ...groc.firstMemory, idleSince: Object.fromEntries(ids.map((id) => [id, T0 - HOUR])) }
  const decided = (over: object, collectingFor?: string) => {
    const view = viewOf(
      ids.map((id) => leaseOf(`l-${id}`, [unitOf(id)])),
      {
        nodes: [
          nodeOf('a', { collectingFor }),
          nodeOf('b', { collectingFor }),
          busyNode('c', 'r'),
          busyNode('d', 's'),
        ],
        jobs: [runningOn('r', 'c'), runningOn('s', 'd'), jobOf('wide', { nodes: 4 })],
      },
    )
    return decideOn(view, configOf({ max: 4, ...over }), idle)
  }

  test('is kept for it, or goes like others where nothing is to be collected, and it is said', () => {
    const kept = decided({})
    expect(kept.intents).toEqual([])
    expect(kept.reason).toContain('free units are kept for: job wide (4 nodes)')
    const released = decided({ collect: 'release' })
    expect(inShort(released.intents)).toEqual(['drain a', 'drain b'])
    expect(released.reason).toContain('no free units are kept (collect) for: job wide (4 nodes)')
  })

  test('also when the scheduler itself gathers them', () => {
    expect(decided({}, 'wide').intents).toEqual([])
    expect(inShort(decided({ collect: 'release' }, 'wide').intents)).toEqual(['drain a', 'drain b'])
  })
})
