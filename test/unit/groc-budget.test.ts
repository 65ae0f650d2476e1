import { describe, expect, test } from 'vitest'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
import {
  configOf,
  decideOn,
  inShort,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'

const HOUR = 60 * MINUTE
const budget = (nodeHours: number, per = '24h') => configOf({ budget: { nodeHours, per } })

describe('a budget', () => {
  test('is what new leases are cut to, and the rest is told', () => {
    const { intents, reason } = decideOn(viewOf([], { jobs: jobsOf(8) }), budget(5))
    expect(unitsAsked(intents)).toBe(5)
    expect(reason).toContain('the budget of 5 node-hours in 24 h does not allow it: 0.0 spent, 0.0 held')
    expect(unitsAsked(decideOn(viewOf([], { jobs: jobsOf(8) }), budget(8)).intents)).toBe(8)
  })

  test('counts what is held to the end of its lease, and what is asked for as a term', () => {
    const half = leaseOf('l1', [unitOf('u1'), unitOf('u2')])
    const asked = leaseOf('l2', [], { state: 'requested', units: 2, term: undefined })
    const view = viewOf([half, asked], {
      jobs: [jobOf('1', { nodes: 8 })],
      nodes: ['u1', 'u2'].map((id) => nodeOf(id)),
    })
    // Two units for half an hour, two for an hour: 3 node-hours. Four more are missing.
    expect(inShort(decideOn(view, budget(7)).intents)).toEqual(['request 4-4'])
    const short = decideOn(view, budget(6.9))
    expect(short.intents).toEqual([])
    expect(short.reason).toContain('4 units of small for 1 h: the budget of 6.9 node-hours')
  })

  test('remembers what was spent, and says when enough of it is long ago', () => {
    const leases = [leaseOf('l1', [unitOf('u1')], { term: { start: T0, end: T0 + 3 * HOUR } })]
    const busy = viewOf(leases)
    const config = budget(4)
    let memory = firstMemory
    for (let at = T0; at <= T0 + 3 * HOUR; at += 10 * MINUTE)
      memory = JSON.parse(JSON.stringify(decideOn(busy, config, memory, at).memory))
    const later = T0 + 4 * HOUR
    const waiting = viewOf([], { jobs: jobsOf(2), startedAt: later, at: later })
    const { intents, reason, steadyUntil } = decideOn(waiting, config, memory, later)
    expect(unitsAsked(intents)).toBe(1)
    const free = T0 + 25 * HOUR
    expect(reason).toContain('3.0 spent, 0.0 held')
    expect(reason).toContain(`not before ${new Date(free).toISOString().slice(0, 16)}`)
    expect(steadyUntil).toBeLessThanOrEqual(free)
    const then = { ...waiting, observation: { ...waiting.observation!, startedAt: free, at: free } }
    expect(unitsAsked(decideOn(then, config, memory, free).intents)).toBe(2)
  })

  test('lets what works be extended', () => {
    const lease = leaseOf('l1', [unitOf('u1')], { term: { start: T0 - 50 * MINUTE, end: T0 + 10 * MINUTE } })
    const node = nodeOf('u1', { empty: false, cpusInUse: 4, jobs: ['9'] })
    const running = jobOf('9', { state: 'running', startedAt: T0 - 9 * MINUTE, nodeNames: ['node-u1'] })
    const spent = { spent: { 40000: 100 * HOUR }, at: T0, units: 1 }
    const view = viewOf([{ ...lease, extendBy: T0 + 8 * MINUTE }], { jobs: [running], nodes: [node] })
    expect(inShort(decideOn(view, budget(4), { ...firstMemory, account: spent }).intents)).toEqual([
      'extend l1',
    ])
  })

  test('keeps a bounded account that does not change with every decision', () => {
    const config = budget(1000)
    const view = viewOf([leaseOf('l1', [unitOf('u1')], { term: { start: T0, end: T0 + 300 * HOUR } })])
    let memory = firstMemory
    const accounts = new Set<string>()
    for (let at = T0; at <= T0 + 60 * HOUR; at += 5 * MINUTE) {
      memory = decideOn(view, config, memory, at).memory
      accounts.add(JSON.stringify(memory.account))
    }
    expect(Object.keys(memory.account?.spent ?? {}).length).toBeLessThanOrEqual(50)
    expect(accounts.size).toBeLessThanOrEqual(122)
  })
})

describe('what is kept empty', () => {
  test.each([
    { min: 2 },
    { reserve: 2 },
  ])('makes way for a job of another type for which max leaves no room (%o)', (kept) => {
    const types = [
      { type: 'small', unit: { cpus: 2, memoryMiB: 4096 } },
      { type: 'large', unit: { cpus: 4, memoryMiB: 4096 } },
    ]
    const pool = world(
      configOf({ type: undefined, unit: undefined, types, ...kept, max: 3, shrink: { idle: '90s' } }),
    )
    pool.pass(MINUTE)
    pool.submit(jobOf('1', { nodes: 2, cpusPerNode: 3 }), MINUTE)
    pool.submit(jobOf('2', { cpusPerNode: 3 }), MINUTE)
    pool.pass(10 * MINUTE, () => expect(pool.held()).toBeLessThanOrEqual(3))
    expect(pool.ended()).toBe(2)
    pool.pass(30 * MINUTE)
    expect(pool.joined()).toBe(2)
  })
})
