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
  runningOn,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'

const HOUR = 60 * MINUTE
const config = configOf({ userBudget: { nodeHours: 4, per: '24h' } })

const of = (user: string, count: number, over: Partial<Job> = {}): readonly Job[] =>
  Array.from({ length: count }, (_, i) => jobOf(`${user}${i + 1}`, { user, walltimeMs: HOUR, ...over }))

const on = (jobs: readonly Job[], memory: GrocMemory = firstMemory, now = T0) =>
  decideOn(
    viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [busyNode('u1', 'r')],
      ...{ jobs, startedAt: now, at: now },
    }),
    config,
    memory,
    now,
  )

describe('the budget of a user', () => {
  test('is what her waiting jobs are expected to take; those of others are not hers', () => {
    const decision = on([...of('eve', 9), ...of('ada', 2)])
    expect(unitsAsked(decision.intents)).toBe(6)
    expect(decision.reason).toContain(
      'Not counted now: 5 jobs of eve beyond userBudget (0.0 spent of 4 node-hours, 0.0 to come of jobs that run).',
    )
    expect(unitsAsked(on(of('eve', 9, { walltimeMs: 2 * HOUR })).intents)).toBe(2)
  })

  test('is not asked for what takes nothing of it', () => {
    const spent = of('eve', 4)
    const nothing = [...of('eve', 1, { walltimeMs: 0, id: 'z' }), ...of('ada', 3, { walltimeMs: 0 })]
    expect(on([...spent, ...nothing]).figures.backlogJobs).toBe(8)
  })

  test('counts parts of units for small jobs, and whole ones for wide jobs and those that share with nobody', () => {
    expect(unitsAsked(on(of('eve', 9, { cpusPerNode: 1 })).intents)).toBe(3)
    expect(unitsAsked(on(of('eve', 40, { cpusPerNode: 1 })).intents)).toBe(4)
    expect(unitsAsked(on(of('eve', 40, { cpusPerNode: 1, exclusive: true })).intents)).toBe(4)
    expect(unitsAsked(on(of('eve', 40, { cpusPerNode: 1, memoryMiBPerNode: 2048 })).intents)).toBe(4)
    expect(unitsAsked(on(of('eve', 1, { nodes: 5, cpusPerNode: 1 })).intents)).toBe(0)
    expect(unitsAsked(on(of('eve', 1, { nodes: 4, cpusPerNode: 1 })).intents)).toBe(4)
  })

  test('counts what her running jobs are expected to have yet, on our units only', () => {
    const running = runningOn('r', 'u1', { user: 'eve', walltimeMs: 3 * HOUR, startedAt: T0 - HOUR })
    expect(unitsAsked(on([running, ...of('eve', 9)]).intents)).toBe(2)
    const elsewhere = { ...running, nodeNames: ['of-the-admin'] }
    expect(unitsAsked(on([elsewhere, ...of('eve', 9)]).intents)).toBe(4)
  })

  test('counts what her jobs had, until it is long enough ago', () => {
    const running = runningOn('r', 'u1', { user: 'eve', walltimeMs: MINUTE, startedAt: T0 })
    let memory = on([running]).memory
    for (let now = T0; now < T0 + 2 * HOUR; now += 5 * MINUTE)
      memory = on([running], memory, now + 5 * MINUTE).memory
    const ended = T0 + 2 * HOUR
    memory = on([], memory, ended).memory
    const decision = on(of('eve', 9), memory, ended)
    expect(unitsAsked(decision.intents)).toBe(2)
    expect(decision.reason).toContain('(2.0 spent of 4 node-hours, 0.0 to come of jobs that run; not before')
    expect(unitsAsked(on(of('eve', 9), memory, ended + 25 * HOUR).intents)).toBe(4)
    // It comes back from a store.
    const kept = JSON.parse(JSON.stringify(memory)) as GrocMemory
    expect(unitsAsked(on(of('eve', 9), kept, ended).intents)).toBe(2)
  })

  test('nobody is charged for a time that nobody looked at', () => {
    const running = runningOn('r', 'u1', { user: 'eve', walltimeMs: MINUTE, startedAt: T0 })
    const memory = on([running]).memory
    const later = on(of('eve', 9, { walltimeMs: 30 * MINUTE }), memory, T0 + 10 * HOUR)
    // 40 minutes of the ten hours; 3.3 node-hours are left, for six jobs of half an hour.
    expect(unitsAsked(later.intents)).toBe(6)
  })

  test('forgets those who have spent nothing, and all without the setting', () => {
    const memory = on([runningOn('r', 'u1', { user: 'eve', walltimeMs: MINUTE })]).memory
    expect(Object.keys(memory.userAccounts ?? {})).toEqual(['eve'])
    expect(on([], memory, T0 + 30 * HOUR).memory.userAccounts).toEqual({})
    const without = decideOn(viewOf([], { jobs: [] }), configOf(), memory)
    expect(without.memory.userAccounts).toBeUndefined()
  })

  test('keeps those of 256 who spent most', () => {
    const nodes = Array.from({ length: 300 }, (_, i) => busyNode(`u${i}`, `r${i}`))
    const jobs = nodes.map((_, i) => runningOn(`r${i}`, `u${i}`, { user: `user${i}` }))
    const units = nodes.map((_, i) => unitOf(`u${i}`))
    const look = (at: number, memory: GrocMemory) =>
      decideOn(viewOf([leaseOf('l1', units)], { nodes, jobs, startedAt: at, at }), config, memory, at).memory
    const memory = look(T0 + MINUTE, look(T0, firstMemory))
    expect(Object.keys(memory.userAccounts ?? {})).toHaveLength(256)
  })

  test('is explained', () => {
    const view = viewOf([], { jobs: of('eve', 9) })
    const said = (id: string) => groc.explainJob(id, view, firstMemory, config, T0)?.join(' ')
    expect(said('eve4')).toContain('is counted')
    expect(said('eve5')).toContain(
      'is not counted yet: it is beyond what jobs of eve may take in 24 h (userBudget): 0.0 spent of 4 node-hours',
    )
  })

  describe('used up', () => {
    const spent = {
      userAccounts: {
        eve: { spent: { [`${Math.floor(T0 / (30 * MINUTE)) - 1}`]: 4 * HOUR }, at: T0, units: 1 },
      },
    }
    const look = (
      jobs: readonly Job[],
      over: { config?: object; memory?: Partial<GrocMemory>; drained?: boolean } = {},
    ) =>
      decideOn(
        viewOf([leaseOf('l1', [unitOf('u1', over.drained ? { state: 'draining' } : {})])], {
          nodes: [busyNode('u1', 'r', over.drained ? { drained: 'ours', accepting: false } : {})],
          jobs: [runningOn('r', 'u1', { user: 'eve', walltimeMs: 20 * MINUTE }), ...jobs],
        }),
        configOf({ userBudget: { nodeHours: 4, per: '24h' }, ...over.config }),
        { ...firstMemory, ...spent, ...over.memory },
      )

    test('a unit that works for her alone takes no more, while more of hers waits', () => {
      const decision = look(of('eve', 3))
      expect(inShort(decision.intents)).toEqual(['drain u1'])
      expect(decision.intents[0]?.reason).toContain('its jobs are of eve (4.0 spent of 4 node-hours')
      expect(decision.memory.drains).toEqual({ u1: 'idle' })
      expect(look([]).intents).toEqual([])
    })

    test('it stays for `min`, where others work beside her, and for a person', () => {
      expect(look(of('eve', 3), { config: { min: 1 } }).intents).toEqual([])
      const shared = decideOn(
        viewOf([leaseOf('l1', [unitOf('u1')])], {
          nodes: [busyNode('u1', 'r', { jobs: ['r', 's'] })],
          jobs: [
            runningOn('r', 'u1', { user: 'eve', cpusPerNode: 2 }),
            runningOn('s', 'u1', { user: 'ada', cpusPerNode: 2 }),
            ...of('eve', 3),
          ],
        }),
        config,
        { ...firstMemory, ...spent },
      )
      expect(shared.intents).toEqual([])
    })

    test('it is not resumed for her', () => {
      const drained = { drained: true, memory: { drains: { u1: 'idle' as const } } }
      expect(look(of('eve', 3), drained).intents).toEqual([])
    })
  })

  test('one who comes again and again is stopped by it, though her jobs last longer than those that are caught otherwise', () => {
    const it = world(
      configOf({ userBudget: { nodeHours: 0.25, per: '24h' }, shrink: { idle: '1m' }, term: '10m' }),
    )
    let next = 0
    it.pass(40 * MINUTE, () => {
      while (it.waiting() < 2) {
        next += 1
        it.submit(jobOf(`e${next}`, { user: 'eve', walltimeMs: 2 * MINUTE }), MINUTE)
      }
    })
    const asked = it.asked()
    it.pass(40 * MINUTE)
    expect([it.waiting(), it.asked()]).toEqual([2, asked])
  })
})
