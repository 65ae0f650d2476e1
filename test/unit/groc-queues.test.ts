import { describe, expect, test } from 'vitest'
import type { Job } from '../../adapters/batch-system.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { firstMemory, type GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  busyNode,
  configOf,
  decideOn,
  inShort,
  jobOf,
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
  world,
} from './groc-world.ts'

const express = (id: string, over: Partial<Job> = {}): Job => jobOf(id, { queue: 'express', ...over })
const long = (id: string, over: Partial<Job> = {}): Job => jobOf(id, { queue: 'long', ...over })
const batch = (id: string, over: Partial<Job> = {}): Job => jobOf(id, over)

const waited = (ms: number): Partial<Job> => ({ submittedAt: T0 - ms })

const on = (jobs: readonly Job[], over: Record<string, unknown>, memory: GrocMemory = firstMemory) =>
  decideOn(viewOf([], { jobs }), configOf(over), memory)

describe('a queue that waits longer before it grows, or less long', () => {
  const queues = ['batch', { name: 'express', grow: { wait: '0s' } }, { name: 'long', grow: { wait: '30m' } }]
  const config = { queues, grow: { wait: '5m' } }

  test('opens orders for its jobs alone', () => {
    const jobs = [express('e'), long('l1'), long('l2'), batch('b')]
    const decision = on(jobs, config)
    expect(inShort(decision.intents)).toEqual(['request 1-1'])
    expect(decision.intents[0]?.reason).toContain(
      'opened for queue express (that of queue express: grow.wait 0 s)',
    )
    expect(decision.basis?.compared).toMatchObject({ 'queues.express.grow.wait': [0, 0] })
    expect(decision.basis?.compared).not.toHaveProperty(['grow.wait'])
    expect(decision.reason).toContain(
      '3 more units would help; the longest wait for them is 0 s in queue long (that of queue long: grow.wait 30 min, sustained for 0 s); the longest wait for them is 0 s (grow.wait 5 min, sustained for 0 s).',
    )
  })

  test.each([
    ['29 min', 29 * MINUTE, 0],
    ['30 min', 30 * MINUTE, 2],
  ])('asks after its own wait, not that of others: %s', (_, ms, units) => {
    expect(unitsAsked(on([long('1', waited(ms)), long('2')], config).intents)).toBe(units)
  })

  test('does not open for others that have waited longer', () => {
    const decision = on([batch('b', waited(6 * MINUTE)), long('l', waited(20 * MINUTE))], config)
    expect(unitsAsked(decision.intents)).toBe(1)
    expect(decision.intents[0]?.reason).toContain('the longest without room for 6 min')
  })

  test('wakes when its time has come', () => {
    const decision = on([long('1', waited(30 * MINUTE - 3 * SECOND))], config)
    expect([decision.intents, decision.againMs]).toEqual([[], 3 * SECOND])
  })

  test('holds back a wide job, too, and orders for what came later in another queue', () => {
    const wide = long('w', { nodes: 3, ...waited(10 * MINUTE) })
    expect(requestsIn(on([wide, express('e')], config).intents).map(({ units }) => units)).toEqual([1])
    const due = long('w', { nodes: 3, ...waited(30 * MINUTE) })
    expect(requestsIn(on([due, express('e')], config).intents).map(({ units }) => units)).toEqual([3, 1])
  })

  test('sustain holds for each by itself', () => {
    const sustained = { ...config, grow: { wait: '5m', sustain: '1m' } }
    const first = on([express('e')], sustained)
    expect(first.intents).toEqual([])
    expect(first.memory).toMatchObject({ pressedQueues: { express: T0 }, pressedSince: undefined })
    const later = viewOf([], {
      jobs: [express('e'), batch('b', waited(10 * MINUTE))],
      startedAt: T0 + MINUTE,
    })
    const second = decideOn(later, configOf(sustained), first.memory, T0 + MINUTE)
    expect(unitsAsked(second.intents)).toBe(1)
    expect(second.memory).toMatchObject({ pressedQueues: { express: T0 }, pressedSince: T0 + MINUTE })
  })

  test('explain tells the wait of the queue', () => {
    const view = viewOf([], { jobs: [long('l'), express('e')] })
    const said = (id: string) => groc.explainJob(id, view, firstMemory, configOf(config), T0)?.join(' ')
    expect(said('l')).toContain('once a job of queue long has waited 30 min, in 30 min')
    expect(said('e')).toContain('That is asked for with the next decision.')
  })

  test('is packed onto what is there all the same, for it would start there', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')], jobs: [long('l')] })
    expect(decideOn(view, configOf(config)).intents).toEqual([])
    const both = { ...view, observation: { ...view.observation!, jobs: [long('l'), express('e')] } }
    expect(unitsAsked(decideOn(both, configOf(config)).intents)).toBe(1)
  })
})

describe('a backlog of its own', () => {
  const config = {
    ...{ queues: ['batch', { name: 'long', weight: 10, grow: { backlog: '1h' } }] },
    grow: { wait: '10h', backlog: '10h' },
  }
  const held = [leaseOf('l1', [unitOf('u1')])]
  const look = (jobs: readonly Job[]) =>
    decideOn(
      viewOf(held, {
        nodes: [busyNode('u1', 'r')],
        jobs: [runningOn('r', 'u1', { queue: 'batch' }), ...jobs],
      }),
      configOf(config),
    )

  test('is compared with the work of this queue, without its weight', () => {
    expect(look([long('1', { walltimeMs: 60 * MINUTE })]).intents).toEqual([])
    expect(unitsAsked(look([long('1', { walltimeMs: 61 * MINUTE })]).intents)).toBe(1)
    const others = Array.from({ length: 9 }, (_, i) => batch(`b${i}`, { walltimeMs: 60 * MINUTE }))
    expect(look([...others, long('1', { walltimeMs: 1 * MINUTE })]).intents).toEqual([])
  })

  test('takes jobs without limit to last what its own grow.run says', () => {
    const run = { ...config, queues: [{ name: 'long', grow: { backlog: '1h', run: '2h' } }] }
    const view = viewOf(held, { nodes: [busyNode('u1', 'r')], jobs: [runningOn('r', 'u1'), long('1')] })
    expect(unitsAsked(decideOn(view, configOf(run)).intents)).toBe(1)
    expect(look([long('1')]).intents).toEqual([])
  })
})

describe('a max of its own', () => {
  const config = { queues: ['batch', { name: 'long', max: 2 }] }

  test('limits what is ordered for its jobs, and not what is ordered for others', () => {
    const jobs = [...['1', '2', '3', '4'].map((id) => long(id)), batch('b')]
    const decision = on(jobs, config)
    expect(unitsAsked(decision.intents)).toBe(3)
    expect(decision.reason).toContain('2 jobs of queue long wait for others of it: its max is 2 units.')
  })

  test('counts units on which its jobs run, and those it is packed onto', () => {
    const view = (jobs: readonly Job[]) =>
      viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')])], {
        nodes: [busyNode('u1', 'r'), nodeOf('u2')],
        jobs,
      })
    const running = runningOn('r', 'u1', { queue: 'long' })
    expect(unitsAsked(decideOn(view([running, long('1'), long('2')]), configOf(config)).intents)).toBe(0)
    const ofOthers = runningOn('r', 'u1')
    expect(unitsAsked(decideOn(view([ofOthers, long('1'), long('2')]), configOf(config)).intents)).toBe(1)
  })

  test('lets a wide job wait until enough of its units are free, and keeps those that are', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')])], {
      nodes: [busyNode('u1', 'r'), nodeOf('u2')],
      jobs: [runningOn('r', 'u1', { queue: 'long' }), long('w', { nodes: 2 })],
    })
    const idle = { ...firstMemory, idleSince: { u2: T0 - 10 * MINUTE } }
    const decision = decideOn(view, configOf(config), idle)
    expect(inShort(decision.intents)).toEqual([])
    const more = decideOn(view, configOf({ queues: [{ name: 'long', max: 3 }] }), idle)
    expect(inShort(more.intents)).toEqual(['request 1-1'])
  })

  test('explain says so', () => {
    const view = viewOf([], { jobs: [long('1'), long('2'), long('3')] })
    expect(groc.explainJob('3', view, firstMemory, configOf(config), T0)?.join(' ')).toContain(
      'jobs of queue long may have 2 units (its max), and have them or are to get them',
    )
    expect(groc.explainJob('1', view, firstMemory, configOf(config), T0)?.join(' ')).toContain(
      'asked for with the next decision',
    )
  })

  test('is never exceeded while a queue of many jobs is worked off', () => {
    const it = world(configOf({ ...config, max: 10 }))
    for (let i = 0; i < 12; i += 1) it.submit(long(`j${i}`), 2 * MINUTE)
    let most = 0
    it.pass(20 * MINUTE, () => {
      most = Math.max(most, it.held())
    })
    expect(most).toBe(2)
    expect(it.waiting()).toBe(0)
  })
})

describe('an idle hold of its own', () => {
  const config = {
    ...{ queues: ['batch', { name: 'express', shrink: { idle: '20m' } }] },
    shrink: { idle: '5m' },
  }
  const idled = (jobs: readonly Job[], ms: number, memory: GrocMemory = firstMemory) => {
    const busy = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [busyNode('u1', 'r')], jobs })
    const first = decideOn(busy, configOf(config), memory)
    const at = (t: number) =>
      viewOf(
        [
          leaseOf('l1', [unitOf('u1')], {
            term: { start: T0, end: T0 + 60 * MINUTE },
            extendBy: T0 + 58 * MINUTE,
          }),
        ],
        { nodes: [nodeOf('u1')], jobs: [], startedAt: t, at: t },
      )
    const idle = decideOn(at(T0 + MINUTE), configOf(config), first.memory, T0 + MINUTE)
    return decideOn(at(T0 + MINUTE + ms), configOf(config), idle.memory, T0 + MINUTE + ms)
  }

  test('keeps a unit that its jobs had last', () => {
    const jobs = [runningOn('r', 'u1', { queue: 'express' })]
    expect(inShort(idled(jobs, 19 * MINUTE).intents)).toEqual([])
    const decision = idled(jobs, 20 * MINUTE)
    expect(inShort(decision.intents)).toEqual(['drain u1'])
    expect(decision.intents[0]?.reason).toContain('(shrink.idle 20 min of queue express)')
  })

  test('does not keep one that others had last', () => {
    const before = { ...firstMemory, lastQueues: { u1: 'express' } }
    const decision = idled([runningOn('r', 'u1')], 5 * MINUTE, before)
    expect(inShort(decision.intents)).toEqual(['drain u1'])
    expect(decision.intents[0]?.reason).toContain('(shrink.idle 5 min)')
  })

  test('knows of jobs that came and went between two looks, and forgets units that are gone', () => {
    const ended = express('q', {
      state: 'ended',
      startedAt: T0 - 10 * SECOND,
      endedAt: T0 - 5 * SECOND,
      nodeNames: ['node-u1'],
    })
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')], jobs: [ended] })
    expect(decideOn(view, configOf(config)).memory.lastQueues).toEqual({ u1: 'express' })
    const memory = { ...firstMemory, lastQueues: { gone: 'express' } }
    expect(decideOn(view, configOf(config), memory).memory.lastQueues).toEqual({ u1: 'express' })
    expect(decideOn(view, configOf({}), memory).memory.lastQueues).toBeUndefined()
  })
})
