import { describe, expect, test } from 'vitest'
import { withoutAhead } from '../../controllers/guests/groc/ahead.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import {
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

/** Clocks that are ahead: what they say is not believed for longer than they say it. */

const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const ended = (id: string, startedAt: number, endedAt: number) =>
  jobOf(id, { state: 'ended', startedAt, endedAt, nodeNames: ['node-u1'] })

describe('a job whose end lies far ahead', () => {
  const config = configOf({ blackHole: { jobs: 3, within: '30s' }, userMax: 20 })
  const leases = [leaseOf('l1', [unitOf('u1'), unitOf('u2')])]
  const nodes = ['u1', 'u2'].map((unitId) => nodeOf(unitId, { mark: { leaseId: 'l1', unitId } }))
  const look = (at: number, jobs: readonly ReturnType<typeof ended>[]) =>
    viewOf(leases, { startedAt: at, at, nodes, jobs: [...jobs, runningOn('long', 'u2'), ...jobsOf(2)] })
  const poison = ended('poison', T0 - 10 * SECOND, T0 + 3650 * DAY)

  test('blinds nobody to a node that swallows jobs, whether it stays listed or not', () => {
    for (const isListed of [true, false]) {
      let { memory } = decideOn(look(T0, [poison]), config)
      const found: string[][] = []
      for (let i = 1; i <= 3; i++) {
        const at = T0 + i * 20 * SECOND
        const quick = ended(`quick-${i}`, at - 10 * SECOND, at - 5 * SECOND)
        memory = decideOn(look(at, isListed ? [poison, quick] : [quick]), config, memory, at).memory
        found.push(Object.keys(memory.blackHoles))
      }
      expect(found).toEqual([[], [], ['u1']])
      expect(Object.keys(memory.runs ?? {})).toEqual(['batch'])
      // The third ended on a node that was known for it by then.
      expect(memory.users).toMatchObject({ ada: { inRow: 2 } })
    }
  })

  test('that an earlier program counted is forgotten, and how long jobs run is not', () => {
    const row = { inRow: 2, since: T0, lastAt: T0 + 3650 * DAY, lastJobs: ['poison'] }
    const sketch = { lengths: { 12: 30 }, shares: {}, lastAt: T0 + 3650 * DAY, lastJobs: ['poison'] }
    const before = {
      ...groc.firstMemory,
      ...{ quickEnds: { u1: row, u2: { ...row, lastAt: T0 } }, runs: { batch: sketch } },
      users: { eve: { ...row, nodes: [] } },
    }
    const after = withoutAhead(before, T0)
    expect(after.quickEnds).toEqual({ u2: { ...row, lastAt: T0 } })
    expect(after.users).toEqual({})
    expect(after.runs).toEqual({ batch: { ...sketch, lastAt: T0, lastJobs: [] } })
    expect(withoutAhead(after, T0)).toBe(after)
  })

  test('is counted where the clock of the batch system is ahead by minutes only', () => {
    let { memory } = decideOn(look(T0, []), config)
    for (let i = 1; i <= 3; i++) {
      const at = T0 + i * 20 * SECOND
      const quick = ended(`quick-${i}`, at + 5 * MINUTE, at + 5 * MINUTE + SECOND)
      memory = decideOn(look(at, [quick]), config, memory, at).memory
    }
    expect(memory.quickEnds.u1?.inRow).toBe(3)
  })
})

describe('a clock that was a year ahead for one look', () => {
  const config = configOf({ budget: { nodeHours: 100, per: '24h' }, max: 20 })
  const held = [
    leaseOf('l1', [unitOf('u1')], { units: 10, term: { start: T0 - MINUTE, end: T0 + 3 * HOUR } }),
  ]
  const look = (at: number, leases: typeof held, jobs = 0) =>
    viewOf(leases, { startedAt: at, at, jobs: jobsOf(jobs) })
  const askedAfter = (hours: number, jump: boolean): number => {
    let { memory } = decideOn(look(T0, held), config)
    const ahead = T0 + 365 * DAY
    if (jump) memory = decideOn(look(ahead, held), config, memory, ahead).memory
    for (let hour = 0; hour < hours; hour++) {
      const now = T0 + hour * HOUR
      memory = decideOn(look(now, hour < 3 ? held : []), config, memory, now).memory
    }
    const now = T0 + hours * HOUR
    return unitsAsked(decideOn(look(now, [], 20), config, memory, now).intents)
  }

  test('uses up no budget', () => {
    expect(askedAfter(40, false)).toBe(20)
    expect(askedAfter(40, true)).toBe(20)
    expect(askedAfter(1, true)).toBe(askedAfter(1, false))
  })
})

describe('jobs that may begin later', () => {
  const later = (count: number, user: string, from = 90 * MINUTE) =>
    jobsOf(count, { user, state: 'held', heldBy: 'start-time' }).map((job, i) => ({
      ...job,
      id: `${user}-${i}`,
      notBefore: T0 + from + i * SECOND,
    }))

  test('are counted for their user as those that wait, also in the next look', () => {
    const config = configOf({ userMax: 2 })
    const jobs = later(20, 'eve')
    const { intents, memory, reason } = decideOn(viewOf([], { jobs }), config)
    expect(unitsAsked(intents)).toBe(2)
    expect(reason).toContain('18 jobs of eve beyond userMax 2')
    const leases = requestsIn(intents).map(({ label, units }, i) =>
      leaseOf(`l${i}`, [], { state: 'requested', term: undefined, units, label }),
    )
    const next = decideOn(viewOf(leases, { jobs }), config, memory, T0 + SECOND)
    expect(next.intents).toEqual([])
  })

  test('and those that wait come first', () => {
    const config = configOf({ userMax: 2 })
    const jobs = [...jobsOf(1, { user: 'eve' }), ...later(20, 'eve'), ...later(20, 'ada')]
    const { intents } = decideOn(viewOf([], { jobs }), config)
    expect(unitsAsked(intents)).toBe(4)
  })

  test('that share a unit count as one, and wide ones by their nodes', () => {
    const config = configOf({ userMax: 2 })
    const small = later(20, 'eve').map((job) => ({ ...job, cpusPerNode: 1, notBefore: T0 + 90 * MINUTE }))
    expect(unitsAsked(decideOn(viewOf([], { jobs: small }), config).intents)).toBe(2)
    const wide = later(3, 'eve').map((job) => ({ ...job, nodes: 2 }))
    expect(unitsAsked(decideOn(viewOf([], { jobs: wide }), config).intents)).toBe(2)
    const tooWide = later(3, 'eve').map((job) => ({ ...job, nodes: 3 }))
    expect(decideOn(viewOf([], { jobs: tooWide }), config).intents).toEqual([])
  })

  test('of one user take no more than a share of all reservations', () => {
    const config = configOf({ max: 100 })
    const jobs = [...later(100, 'eve'), ...later(3, 'ada', 2 * HOUR)]
    const { intents } = decideOn(viewOf([], { jobs }), config)
    expect(requestsIn(intents)).toHaveLength(16 + 3)
  })
})
