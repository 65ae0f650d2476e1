import { describe, expect, test } from 'vitest'
import type { BatchNode, Job } from '../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { firstMemory, type GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  busyNode,
  configOf,
  decideOn,
  drainedNode,
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
  viewOf,
} from './groc-world.ts'

const HOUR = 60 * MINUTE

const lasting = (id: string, walltimeMs: number | undefined, over: Partial<Job> = {}): Job =>
  jobOf(id, { walltimeMs, ...over })

/** One unit, whose lease ends in 30 minutes; its units leave two minutes before. */
const on = (
  jobs: readonly Job[],
  over: {
    readonly unit?: Partial<HeldUnit>
    readonly lease?: Partial<HeldLease>
    readonly node?: BatchNode
    readonly others?: readonly HeldLease[]
    readonly config?: Record<string, unknown>
    readonly memory?: Partial<GrocMemory>
    readonly at?: number
  } = {},
) =>
  decideOn(
    viewOf([leaseOf('l1', [unitOf('u1', over.unit)], over.lease), ...(over.others ?? [])], {
      nodes: [over.node ?? nodeOf('u1')],
      jobs,
    }),
    configOf(over.config),
    { ...firstMemory, ...over.memory },
    over.at,
  )

describe('a host that is to be worked on after the lease ends', () => {
  const unit = { leaveBy: T0 + 2 * HOUR }

  test('serves a job that ends before, and another unit is asked for one that may last longer', () => {
    expect(inShort(on([lasting('short', HOUR)], { unit }).intents)).toEqual([])
    expect(inShort(on([lasting('long', 10 * HOUR)], { unit }).intents)).toEqual(['request 1-1'])
    expect(inShort(on([lasting('open', undefined)], { unit }).intents)).toEqual(['request 1-1'])
  })

  test('counts the safety with which leases are sized', () => {
    expect(inShort(on([lasting('1', 100 * MINUTE)], { unit }).intents)).toEqual([])
    expect(inShort(on([lasting('1', 101 * MINUTE)], { unit }).intents)).toEqual(['request 1-1'])
  })

  test('goes by what jobs of the queue use of their limits', () => {
    const ended = Array.from({ length: 20 }, (_, i) =>
      lasting(`e${i}`, 10 * HOUR, {
        state: 'ended',
        startedAt: T0 - 2 * HOUR,
        endedAt: T0 - 2 * HOUR + 20 * MINUTE + i * SECOND,
        nodeNames: ['elsewhere'],
      }),
    )
    expect(inShort(on([...ended, lasting('long', 10 * HOUR)], { unit }).intents)).toEqual([])
  })

  test('of equal jobs that differ in length alone each finds its own place', () => {
    const jobs = [lasting('long', 10 * HOUR), lasting('short', HOUR)]
    expect(inShort(on(jobs, { unit }).intents)).toEqual(['request 1-1'])
  })

  test('is preferred for what ends before, so that others are left for what lasts', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2', unit)])], {
      nodes: [nodeOf('u1'), nodeOf('u2')],
      jobs: [lasting('short', HOUR)],
    })
    const said = groc.explainJob('short', view, firstMemory, configOf(), T0)
    expect(said?.join(' ')).toContain('There is room for it on node-u2')
  })

  test('is left alone while the longer job has no other place, so that nothing starves', () => {
    const jobs = [lasting('long', 10 * HOUR), lasting('short', HOUR)]
    expect(inShort(on(jobs, { unit, config: { max: 1 } }).intents)).toEqual([])
  })

  const coming = leaseOf('l2', [], {
    ...{ state: 'requested', units: 1, term: undefined, extendBy: undefined },
  })

  test('takes no more work once the longer job has a place elsewhere, so that it does not start there', () => {
    const decision = on([lasting('long', 10 * HOUR)], { unit, others: [coming] })
    expect(inShort(decision.intents)).toEqual(['drain u1'])
    expect(decision.intents[0]?.reason).toContain('job long, which is to run elsewhere, may last longer')
    expect(decision.memory.drains).toEqual({ u1: 'maintenance' })
  })

  test('... also if it is full, for it may fall free first', () => {
    const jobs = [runningOn('r', 'u1', { walltimeMs: HOUR }), lasting('long', 10 * HOUR)]
    const decision = on(jobs, { unit, others: [coming], node: busyNode('u1', 'r') })
    expect(inShort(decision.intents)).toEqual(['drain u1'])
  })

  test('is not resumed for other jobs meanwhile, and is when the longer one has started', () => {
    const drained = {
      ...{ unit: { ...unit, state: 'draining' as const, since: T0 - 5 * MINUTE }, others: [coming] },
      node: drainedNode('u1', { empty: false, cpusInUse: 0, jobs: ['r'] }),
      memory: { drains: { u1: 'maintenance' as const } },
    }
    const jobs = [runningOn('r', 'u1', { walltimeMs: HOUR }), lasting('short', HOUR)]
    expect(inShort(on([...jobs, lasting('long', 10 * HOUR)], drained).intents)).toEqual([])
    expect(inShort(on(jobs, drained).intents)).toEqual(['resume u1'])
  })

  test('a wide job is not counted on for it that may last longer', () => {
    const wide = (walltimeMs: number) =>
      on([lasting('wide', walltimeMs, { nodes: 2 })], { unit, config: { min: 0 } }).intents
    expect(inShort(wide(HOUR))).toEqual(['request 1-1'])
    expect(inShort(wide(10 * HOUR))).toEqual(['request 2-2'])
  })

  test('is decided on again as time goes by, also in a replay', () => {
    const decision = on([lasting('short', HOUR)], { unit })
    expect(decision.steadyUntil).toBeLessThanOrEqual(T0 + 5 * SECOND)
  })

  test('explain says of a job that it may last longer than the host', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1', unit)])], {
      nodes: [nodeOf('u1')],
      jobs: [lasting('long', 10 * HOUR)],
    })
    expect(groc.explainJob('long', view, firstMemory, configOf(), T0)).toContain(
      'node-u1 (lease l1, joined) goes by 2026-03-02T10:00:00Z, and the job may last longer.',
    )
  })
})

describe.each([
  ['a lease that is not extended', { lease: { extendRefused: { at: T0 - MINUTE, reason: 'none is free' } } }],
  ['a host that is to be worked on before the lease ends', { unit: { leaveBy: T0 + 28 * MINUTE } }],
])('%s', (_, ends) => {
  const cause = 'lease' in ends ? 'lapse' : 'maintenance'

  test('takes what waits if all of it ends in time by its time limit; nothing is asked for', () => {
    const decision = on([lasting('1', (28 * MINUTE) / 1.2)], ends)
    expect(inShort(decision.intents)).toEqual([])
    expect(decision.reason).toContain('takes what waits, for all of it ends in time by its limit')
  })

  test('takes nothing that may last longer, nor anything beside it', () => {
    const longer = on([lasting('1', 29 * MINUTE)], ends)
    expect(inShort(longer.intents)).toEqual(['drain u1', 'request 1-1'])
    const both = on([lasting('1', 5 * MINUTE), lasting('2', 29 * MINUTE)], ends)
    expect(inShort(both.intents)).toEqual(['drain u1', 'request 1-1', 'request 1-1'])
    const without = on(jobsOf(1), ends)
    expect(inShort(without.intents)).toEqual(['drain u1', 'request 1-1'])
  })

  test('takes what ends in time beside longer jobs that it is too small for', () => {
    const large = lasting('large', 10 * HOUR, { cpusPerNode: 16 })
    expect(inShort(on([large, lasting('1', 5 * MINUTE)], ends).intents)).toEqual([])
  })

  test('takes nothing while a longer job waits in a queue that is not served, for it may start there', () => {
    const other = lasting('other', 10 * HOUR, { queue: 'other' })
    const config = { queues: ['batch'] }
    expect(inShort(on([other, lasting('1', 5 * MINUTE)], { ...ends, config }).intents)).toEqual([
      'drain u1',
      'request 1-1',
    ])
  })

  test('is drained when nothing waits, or there is no room for what waits', () => {
    expect(inShort(on([], ends).intents)).toEqual(['drain u1'])
    const full = on([runningOn('r', 'u1', { walltimeMs: 20 * MINUTE }), lasting('1', 5 * MINUTE)], {
      ...ends,
      node: busyNode('u1', 'r'),
    })
    expect(inShort(full.intents)).toEqual(['drain u1', 'request 1-1'])
  })

  const drained = { state: 'draining', since: T0 - 5 * MINUTE } as const

  test('is resumed for what ends in time', () => {
    const decision = on([lasting('1', 5 * MINUTE)], {
      ...ends,
      unit: { ...('unit' in ends ? ends.unit : {}), ...drained },
      node: drainedNode('u1'),
      memory: { drains: { u1: cause } },
    })
    expect(inShort(decision.intents)).toEqual(['resume u1'])
    expect(decision.memory.drains).toEqual({})
  })

  test.each([
    ['was promised for an extension', { drains: { u1: 'victim' as const } }, {}, {}],
    ['goes for a recall', { drains: { u1: 'recall' as const } }, {}, { recall: { units: 1, by: T0 + HOUR } }],
    ['has to leave', {}, { mustLeave: true }, {}],
  ])('is not resumed if it %s', (_, memory, over, lease) => {
    const decision = on([lasting('1', 5 * MINUTE)], {
      unit: { ...('unit' in ends ? ends.unit : {}), ...drained, ...over },
      lease: { ...('lease' in ends ? ends.lease : {}), ...lease },
      node: drainedNode('u1', { empty: false, jobs: ['r'] }),
      memory,
    })
    expect(inShort(decision.intents)).toEqual(['request 1-1'])
  })

  test('is not counted on for a job of several nodes, nor where an administrator drained it', () => {
    const wide = lasting('wide', 5 * MINUTE, { nodes: 2 })
    expect(inShort(on([wide], ends).intents)).toEqual(['drain u1', 'request 2-2'])
    const theirs = nodeOf('u1', { accepting: false, drained: 'theirs' })
    expect(inShort(on([lasting('1', 5 * MINUTE)], { ...ends, node: theirs }).intents)).toEqual([
      'request 1-1',
    ])
  })
})
