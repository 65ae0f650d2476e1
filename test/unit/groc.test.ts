import { describe, expect, test } from 'vitest'
import type { HeldUnit } from '../../controllers/controller.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
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
  refusalOf,
  requestsIn,
  runningOn,
  SECOND,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
} from './groc-world.ts'

const idleFor = (ms: number, ...ids: string[]): GrocMemory => ({
  ...firstMemory,
  idleSince: Object.fromEntries(ids.map((id) => [id, T0 - ms])),
})
const LONG = 20 * MINUTE

describe('what is counted', () => {
  test('units that are reserved for later serve nobody who waits now, and count against what may be held', () => {
    const reserved = (start: number) =>
      leaseOf('l1', [], { state: 'ticketed', units: 2, term: { start, end: start + 30 * MINUTE } })
    const asked = (start: number, max = 20) =>
      unitsAsked(decideOn(viewOf([reserved(start)], { jobs: jobsOf(2) }), configOf({ max })).intents)
    expect(asked(T0 + 17 * MINUTE)).toBe(2)
    expect(asked(T0 + 5 * SECOND)).toBe(0)
    expect(asked(T0 + 17 * MINUTE, 3)).toBe(1)
  })

  test('memory counts as much as processors', () => {
    const decision = decideOn(viewOf([], { jobs: jobsOf(4, { cpusPerNode: 1, memoryMiBPerNode: 2048 }) }))
    expect(unitsAsked(decision.intents)).toBe(2)
  })

  test('memory that running jobs use is not free', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { empty: false, cpusInUse: 1, jobs: ['r'] })],
      jobs: [
        runningOn('r', 'u1', { cpusPerNode: 1, memoryMiBPerNode: 3000 }),
        jobOf('w', { cpusPerNode: 1, memoryMiBPerNode: 2000 }),
      ],
    })
    expect(unitsAsked(decideOn(view).intents)).toBe(1)
  })

  test('a job larger than a unit is named and not ordered for', () => {
    const decision = decideOn(viewOf([], { jobs: [jobOf('giant', { cpusPerNode: 64 })] }))
    expect(decision.intents).toEqual([])
    expect(decision.figures.backlogJobs).toBe(0)
    expect(decision.reason).toContain('job giant (64 cpus')
  })

  test('nodes that turn out smaller than their type are believed', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { memoryMiB: 3900 })],
      jobs: [jobOf('w', { memoryMiBPerNode: 4096 })],
    })
    const decision = decideOn(view)
    expect(requestsIn(decision.intents)).toEqual([])
    expect(decision.reason).toContain('3900 MiB')
  })

  test('free room on the admin’s own nodes serves first, unless they are to be ignored', () => {
    const view = viewOf([], { nodes: [nodeOf('own', { mark: undefined, name: 'old-1' })], jobs: jobsOf(1) })
    expect(decideOn(view).intents).toEqual([])
    expect(unitsAsked(decideOn(view, configOf({ ownNodes: 'ignore' })).intents)).toBe(1)
  })
})

describe('what is ordered', () => {
  test('small jobs get elastic leases of at most `step` units', () => {
    expect(inShort(decideOn(viewOf([], { jobs: jobsOf(10) }), configOf({ step: 4 })).intents)).toEqual([
      'request 1-4',
      'request 1-4',
      'request 1-2',
    ])
  })

  test('a wide job gets one lease of what is missing, all or none', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')])], {
      nodes: [nodeOf('u1'), nodeOf('u2')],
      jobs: [jobOf('wide', { nodes: 8 })],
    })
    expect(inShort(decideOn(view).intents)).toEqual(['request 6-6'])
  })

  test('a wide job that max does not admit is said, not ordered, and holds nobody up', () => {
    const decision = decideOn(viewOf([], { jobs: [jobOf('wide', { nodes: 30 }), ...jobsOf(2)] }))
    expect(inShort(decision.intents)).toEqual(['request 1-2'])
    expect(decision.reason).toContain('job wide (30 nodes)')
    expect(decision.figures.unitsWanted).toBe(32)
  })

  test('a wide job does not use one node twice', () => {
    const decision = decideOn(viewOf([], { jobs: [jobOf('wide', { nodes: 3, cpusPerNode: 1 })] }))
    expect(inShort(decision.intents)).toEqual(['request 3-3'])
  })

  test('small jobs use what a wide one leaves of its nodes', () => {
    const jobs = [jobOf('wide', { nodes: 2, cpusPerNode: 3 }), ...jobsOf(2, { cpusPerNode: 1 })]
    expect(inShort(decideOn(viewOf([], { jobs })).intents)).toEqual(['request 2-2'])
  })

  test('what was asked for, granted, or boots is not asked for again', () => {
    const leases = [
      leaseOf('l1', [], { state: 'requested', units: 2, term: undefined, extendBy: undefined }),
      leaseOf('l2', [], { state: 'ticketed', units: 3 }),
      leaseOf('l3', [unitOf('u1', { state: 'awaited' }), unitOf('u2', { state: 'joining' })]),
    ]
    const decision = decideOn(viewOf(leases, { jobs: jobsOf(7) }))
    expect(decision.intents).toEqual([])
    expect(decision.figures.unitsComing).toBe(7)
  })

  test('a unit that joined after the look began counts as coming, whatever the look shows', () => {
    const leases = [leaseOf('l1', [unitOf('u1', { since: T0 - 500 })])]
    expect(decideOn(viewOf(leases, { jobs: jobsOf(1) })).intents).toEqual([])
  })

  test('room on nodes that are drained, silent, suspect or collected for a wide job is not counted', () => {
    const ids = ['theirs', 'silent', 'closed', 'suspect', 'collected']
    const leases = ids.map((id) =>
      leaseOf(`l-${id}`, [unitOf(id, { suspect: id === 'suspect' ? 'slow disk' : undefined })]),
    )
    const nodes = [
      nodeOf('theirs', { drained: 'theirs', accepting: false, drainReason: 'new RAM' }),
      nodeOf('silent', { responding: false, vendorState: 'down*' }),
      nodeOf('closed', { accepting: false, vendorState: 'reserved' }),
      nodeOf('suspect'),
      nodeOf('collected', { collectingFor: 'somebody’s wide job' }),
    ]
    const decision = decideOn(viewOf(leases, { nodes, jobs: jobsOf(1) }))
    expect(unitsAsked(decision.intents)).toBe(1)
    expect(decision.reason).toContain('an administrator drained node-theirs (“new RAM”)')
  })

  test('a node the scheduler has planned for a small job serves it; no other is ordered', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { collectingFor: '1' })],
      jobs: jobsOf(1),
    })
    expect(decideOn(view).intents).toEqual([])
  })

  test('nothing is asked for before a job has waited grow.wait, and it comes back right then', () => {
    const config = configOf({ grow: { wait: '15s' } })
    const early = decideOn(viewOf([], { jobs: jobsOf(1) }), config, firstMemory, T0 + 12 * SECOND)
    expect(early.intents).toEqual([])
    expect(early.againMs).toBe(3 * SECOND)
    expect(
      unitsAsked(decideOn(viewOf([], { jobs: jobsOf(1) }), config, early.memory, T0 + 15 * SECOND).intents),
    ).toBe(1)
  })

  test('only jobs without room count for grow.wait', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1')],
      jobs: [jobOf('old', { submittedAt: T0 - 60 * SECOND }), jobOf('new', { submittedAt: T0 - SECOND })],
    })
    expect(decideOn(view, configOf({ grow: { wait: '15s' } })).intents).toEqual([])
  })

  test('grow.backlog asks earlier than grow.wait when much work waits per processor', () => {
    const config = configOf({ grow: { wait: '10m', backlog: '30m', run: '10m' } })
    const view = (count: number) =>
      viewOf([leaseOf('l1', [unitOf('u1')])], {
        nodes: [busyNode('u1', 'r')],
        jobs: [runningOn('r', 'u1'), ...jobsOf(count)],
      })
    expect(decideOn(view(3), config).intents).toEqual([])
    expect(unitsAsked(decideOn(view(4), config).intents)).toBe(4)
  })

  test('a threshold has to be exceeded for as long as `sustain`, without a break', () => {
    const config = configOf({ grow: { wait: '0s', sustain: '20s' } })
    const view = viewOf([], { jobs: jobsOf(1) })
    const first = decideOn(view, config, firstMemory, T0)
    expect(first.intents).toEqual([])
    const broken = decideOn(viewOf([]), config, first.memory, T0 + 10 * SECOND)
    const again = decideOn(view, config, broken.memory, T0 + 15 * SECOND)
    expect(decideOn(view, config, again.memory, T0 + 30 * SECOND).intents).toEqual([])
    expect(unitsAsked(decideOn(view, config, again.memory, T0 + 35 * SECOND).intents)).toBe(1)
  })

  test('min is ordered without any job', () => {
    expect(inShort(decideOn(viewOf([]), configOf({ min: 3 })).intents)).toEqual(['request 1-3'])
  })

  test('max counts everything held and asked for, units that left included, lost ones not', () => {
    const leases = [
      leaseOf('l1', [unitOf('u1', { state: 'left' }), unitOf('u2'), unitOf('u3', { state: 'lost' })]),
      leaseOf('l2', [], { state: 'requested', units: 1, term: undefined }),
    ]
    const view = viewOf(leases, { nodes: [busyNode('u2', 'r')], jobs: [runningOn('r', 'u2'), ...jobsOf(9)] })
    const decision = decideOn(view, configOf({ max: 5 }))
    expect(unitsAsked(decision.intents)).toBe(2)
    expect(decision.reason).toContain('max is 5 and 3 are held or asked for')
  })

  test('startsPerMinute spreads a large order', () => {
    const config = configOf({ startsPerMinute: 3 })
    expect(unitsAsked(decideOn(viewOf([], { jobs: jobsOf(10) }), config).intents)).toBe(3)
    const started = [
      leaseOf('l1', [], { state: 'requested', units: 3, term: undefined, requestedAt: T0 - 30 * SECOND }),
    ]
    expect(unitsAsked(decideOn(viewOf(started, { jobs: jobsOf(10) }), config).intents)).toBe(0)
    const earlier = [
      leaseOf('l1', [], { state: 'requested', units: 3, term: undefined, requestedAt: T0 - 61 * SECOND }),
    ]
    expect(unitsAsked(decideOn(viewOf(earlier, { jobs: jobsOf(10) }), config).intents)).toBe(3)
  })

  test('on hold nothing is asked for, and what is on its way out still goes', () => {
    const view = viewOf(
      [leaseOf('l1', [unitOf('u1', { state: 'left' })])],
      { jobs: jobsOf(3) },
      { hold: 'frozen by ada' },
    )
    const decision = decideOn(view)
    expect(inShort(decision.intents)).toEqual(['release l1'])
    expect(decision.reason).toContain('Nothing is asked for: frozen by ada.')
  })
})

describe('patience', () => {
  const jobs = jobsOf(3)

  test('after a refusal it asks again after 30 s, then 60 s, and then with one lease only', () => {
    const config = configOf({ step: 2 })
    const once = viewOf([], { jobs }, { refusals: [refusalOf('l1', T0)] })
    const early = decideOn(once, config, firstMemory, T0 + 29 * SECOND)
    expect(early.intents).toEqual([])
    expect(early.againMs).toBe(SECOND)
    expect(early.reason).toContain('nothing is free')
    expect(inShort(decideOn(once, config, firstMemory, T0 + 30 * SECOND).intents)).toEqual(['request 1-2'])
    const twice = viewOf([], { jobs }, { refusals: [refusalOf('l2', T0 + 30 * SECOND), refusalOf('l1', T0)] })
    expect(decideOn(twice, config, firstMemory, T0 + 89 * SECOND).intents).toEqual([])
    expect(inShort(decideOn(twice, config, firstMemory, T0 + 90 * SECOND).intents)).toEqual(['request 1-2'])
  })

  test('several refusals of one ask count once', () => {
    const refusals = [refusalOf('l3', T0 + 20), refusalOf('l2', T0 + 10), refusalOf('l1', T0)]
    expect(
      unitsAsked(
        decideOn(viewOf([], { jobs }, { refusals }), configOf(), firstMemory, T0 + 31 * SECOND).intents,
      ),
    ).toBe(3)
  })

  test('a refused wide job does not keep small jobs waiting; a refusal of one unit keeps all waiting', () => {
    const mixed = [jobOf('wide', { nodes: 8 }), ...jobsOf(2)]
    const wide = viewOf([], { jobs: mixed }, { refusals: [refusalOf('l1', T0, { unitsMin: 8 })] })
    expect(inShort(decideOn(wide).intents)).toEqual(['request 1-2'])
    const small = viewOf([], { jobs: mixed }, { refusals: [refusalOf('l1', T0, { unitsMin: 1 })] })
    expect(decideOn(small).intents).toEqual([])
  })

  test('a grant ends the row of refusals', () => {
    const granted = leaseOf('l2', [unitOf('u1')], { requestedAt: T0 + SECOND })
    const view = viewOf(
      [granted],
      { nodes: [busyNode('u1', 'r')], jobs: [runningOn('r', 'u1'), ...jobs] },
      { refusals: [refusalOf('l1', T0)] },
    )
    expect(unitsAsked(decideOn(view, configOf(), firstMemory, T0 + 2 * SECOND).intents)).toBe(3)
  })

  test('the first failed machine is replaced at once, the second after a pause', () => {
    const failure = (id: string, at: number) =>
      refusalOf(id, at, { by: 'site', reason: 'no machine came up' })
    const one = viewOf([], { jobs }, { refusals: [failure('l1', T0)] })
    expect(unitsAsked(decideOn(one).intents)).toBe(3)
    const two = viewOf([], { jobs }, { refusals: [failure('l2', T0), failure('l1', T0 - MINUTE)] })
    expect(decideOn(two).intents).toEqual([])
    expect(unitsAsked(decideOn(two, configOf(), firstMemory, T0 + 30 * SECOND).intents)).toBe(3)
    // That their site named another lease's machine says nothing of the type's.
    const taken = two.refusals.map((refusal) => ({ ...refusal, code: 'machine-taken' as const }))
    expect(unitsAsked(decideOn({ ...two, refusals: taken }).intents)).toBe(3)
  })

  test('after `breaker` failures of one image in a row, one unit is tried per longest pause, until one comes up', () => {
    const config = configOf({ breaker: 3 })
    const refusals = [0, 1, 2].map((i) =>
      refusalOf(`l${i}`, T0 - i * MINUTE, { by: 'site', reason: 'kernel panic' }),
    )
    const view = viewOf([], { jobs }, { refusals })
    const shut = decideOn(view, config, firstMemory, T0 + 9 * MINUTE)
    expect(shut.intents).toEqual([])
    expect(shut.reason).toContain('3 failures in a row of image debian')
    expect(inShort(decideOn(view, config, firstMemory, T0 + 10 * MINUTE).intents)).toEqual(['request 1-1'])
    const healed = viewOf(
      [leaseOf('l9', [unitOf('u1', { joinedAt: T0 + SECOND, since: T0 + SECOND })])],
      { jobs: [...jobs, jobOf('4')] },
      { refusals },
    )
    expect(unitsAsked(decideOn(healed, config, firstMemory, T0 + 3 * SECOND).intents)).toBe(3)
  })

  test('failures of another image do not count', () => {
    const config = configOf({ breaker: 3 })
    const refusals = ['new', 'old', 'old'].map((image, i) =>
      refusalOf(`l${i}`, T0 - i * MINUTE, { by: 'site', image }),
    )
    expect(unitsAsked(decideOn(viewOf([], { jobs }, { refusals }), config).intents)).toBe(3)
  })
})

describe('the way out', () => {
  test('an idle unit is drained after shrink.idle, with the figures in its reason', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')] })
    const first = decideOn(view)
    expect(first.intents).toEqual([])
    expect(first.memory.idleSince).toEqual({ u1: T0 })
    expect(decideOn(view, configOf(), idleFor(5 * MINUTE - 1, 'u1')).intents).toEqual([])
    const [drain] = decideOn(view, configOf(), idleFor(5 * MINUTE, 'u1')).intents
    expect(drain).toMatchObject({ kind: 'drain', unitId: 'u1' })
    expect(drain?.reason).toContain('empty and unneeded for 5 min')
  })

  test('idle is counted from looks: time without looks proves nothing', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')] })
    const { memory } = decideOn(view)
    expect(decideOn(view, configOf(), memory, T0 + 20 * MINUTE).intents).toEqual([])
  })

  test('a unit with work, with an epilog, collected, or needed by waiting jobs is not idle', () => {
    const leases = ['busy', 'epilog', 'collected', 'needed'].map((id) => leaseOf(`l-${id}`, [unitOf(id)]))
    const nodes = [
      busyNode('busy', 'r'),
      nodeOf('epilog', { empty: false, cpusInUse: 4 }),
      nodeOf('collected', { collectingFor: 'wide' }),
      nodeOf('needed'),
    ]
    const jobs = [runningOn('r', 'busy'), jobOf('w')]
    const decision = decideOn(
      viewOf(leases, { nodes, jobs }),
      configOf(),
      idleFor(LONG, 'busy', 'epilog', 'collected', 'needed'),
    )
    expect(inShort(decision.intents)).toEqual([])
    expect(decision.memory.idleSince).toEqual({})
  })

  test('min units stay, and leases go as a whole or not at all', () => {
    const leases = [
      leaseOf('l1', [unitOf('a1'), unitOf('a2')]),
      leaseOf('l2', [unitOf('b1'), unitOf('b2')]),
      leaseOf('l3', [unitOf('c1')]),
    ]
    const ids = ['a1', 'a2', 'b1', 'b2', 'c1']
    const nodes = ids.map((id) => (id === 'a1' ? busyNode(id, 'r') : nodeOf(id)))
    const view = viewOf(leases, { nodes, jobs: [runningOn('r', 'a1')] })
    const drainsAt = (min: number) =>
      inShort(decideOn(view, configOf({ min }), idleFor(LONG, ...ids)).intents)
    expect(drainsAt(2)).toEqual(['drain b1', 'drain b2', 'drain c1'])
    expect(drainsAt(4)).toEqual(['drain c1'])
    expect(drainsAt(0)).toEqual(['drain b1', 'drain b2', 'drain c1'])
    expect(drainsAt(3)).toEqual(['drain b1', 'drain b2'])
  })

  test('an idle unit of a lease that lives on serves until shortly before the lease is extended without it', () => {
    const term = { start: T0 - 30 * MINUTE, end: T0 + 30 * MINUTE }
    const lease = leaseOf('l1', [unitOf('a1'), unitOf('a2'), unitOf('a3')], { term })
    const nodes = [busyNode('a1', 'r'), nodeOf('a2'), nodeOf('a3')]
    const at = (now: number, min = 0, idleMs = LONG) =>
      decideOn(
        viewOf([lease], { nodes, jobs: [runningOn('r', 'a1')], startedAt: now, at: now }),
        configOf({ min }),
        idleFor(idleMs - (now - T0), 'a2', 'a3'),
        now,
      )
    // The last 24 of 60 minutes are the margin, and until two looks before the end it may be asked for; a part goes at
    // half of that: a look every 5 s, and a second until one shows a drain.
    const due = term.end - 24 * MINUTE + (22 * MINUTE - 10 * SECOND) / 2 - 6 * SECOND
    expect(inShort(at(due - 1).intents)).toEqual([])
    expect(at(due - MINUTE).steadyUntil).toBe(due)
    expect(inShort(at(due).intents)).toEqual(['drain a2', 'drain a3'])
    expect(inShort(at(due, 2).intents)).toEqual(['drain a2'])
    expect(inShort(at(due, 0, MINUTE).intents)).toEqual([])
  })

  test('an idle unit that no look can show empty before its lease is extended stays, and is no victim', () => {
    const term = { start: T0 - 36 * MINUTE, end: T0 + 24 * MINUTE }
    const view = viewOf([leaseOf('l1', [unitOf('a1'), unitOf('a2')], { term, extendBy: T0 + 10 * SECOND })], {
      ...{ nodes: [busyNode('a1', 'r'), nodeOf('a2')], jobs: [runningOn('r', 'a1')] },
    })
    expect(inShort(decideOn(view, configOf(), idleFor(LONG, 'a2')).intents)).toEqual(['extend l1'])
  })

  test('with shrink.backlog nothing goes while more work than that waits per processor', () => {
    const config = configOf({ shrink: { backlog: '1m' } })
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { cpus: 4, memoryMiB: 1024 })],
      jobs: [jobOf('w', { memoryMiBPerNode: 1024, cpusPerNode: 1, nodes: 2 })],
    })
    expect(inShort(decideOn(view, { ...config, max: 1 }, idleFor(LONG, 'u1')).intents)).toEqual([])
  })

  const draining = (since: number) => [leaseOf('l1', [unitOf('u1', { state: 'draining', since })])]

  test('it leaves only after a look that began after the drain and its settling shows our drain and no work', () => {
    const leavesOn = (since: number, node: ReturnType<typeof nodeOf>) =>
      inShort(decideOn(viewOf(draining(since), { nodes: [node] })).intents)
    expect(leavesOn(T0 - 999, drainedNode('u1'))).toEqual([])
    expect(leavesOn(T0 - 1000, drainedNode('u1'))).toEqual(['leave u1'])
    expect(leavesOn(T0 - MINUTE, drainedNode('u1', { empty: false, jobs: ['slipped'] }))).toEqual([])
    expect(leavesOn(T0 - MINUTE, drainedNode('u1', { empty: false }))).toEqual([])
  })

  test('a drain that somebody took back is not repeated, unless the unit must go', () => {
    const undone = viewOf(draining(T0 - MINUTE), { nodes: [nodeOf('u1')] })
    expect(inShort(decideOn(undone).intents)).toEqual(['resume u1'])
    const must: GrocMemory = { ...firstMemory, drains: { u1: 'victim' } }
    expect(inShort(decideOn(undone, configOf(), must).intents)).toEqual(['drain u1'])
  })

  test('a resume that did not take hold is repeated while the unit is needed; else the unit goes', () => {
    const leases = [leaseOf('l1', [unitOf('u1')])]
    expect(
      inShort(decideOn(viewOf(leases, { nodes: [drainedNode('u1')], jobs: jobsOf(1) })).intents),
    ).toEqual(['resume u1'])
    expect(inShort(decideOn(viewOf(leases, { nodes: [drainedNode('u1')] })).intents)).toEqual(['drain u1'])
  })

  test('idle units are kept for a wide job that max makes wait for busy ones', () => {
    const ids = ['a', 'b', 'c', 'd']
    const view = viewOf(
      ids.map((id) => leaseOf(`l-${id}`, [unitOf(id)])),
      {
        nodes: [nodeOf('a'), nodeOf('b'), busyNode('c', 'r'), busyNode('d', 's')],
        jobs: [runningOn('r', 'c'), runningOn('s', 'd'), jobOf('wide', { nodes: 4 })],
      },
    )
    const decision = decideOn(view, configOf({ max: 4 }), idleFor(LONG, ...ids))
    expect(decision.intents).toEqual([])
    expect(decision.reason).toContain('free units are kept for: job wide (4 nodes)')
  })

  test('a draining unit that is needed again is resumed before anything is ordered', () => {
    const view = viewOf(draining(T0 - MINUTE), { nodes: [drainedNode('u1')], jobs: jobsOf(2) })
    expect(inShort(decideOn(view).intents)).toEqual(['resume u1', 'request 1-1'])
  })

  test('a draining unit is resumed for min rather than a new one ordered', () => {
    const view = viewOf(draining(T0 - MINUTE), { nodes: [drainedNode('u1')] })
    expect(inShort(decideOn(view, configOf({ min: 1 })).intents)).toEqual(['resume u1'])
  })

  test('a lease is released when all its units are out, and not while one is still leaving', () => {
    const states = (...all: ('left' | 'lost' | 'leaving')[]) => [
      leaseOf(
        'l1',
        all.map((state, i) => unitOf(`u${i}`, { state })),
      ),
    ]
    expect(inShort(decideOn(viewOf(states('left', 'lost'))).intents)).toEqual(['release l1'])
    expect(inShort(decideOn(viewOf(states('left', 'leaving'))).intents)).toEqual([])
  })

  test('a node an administrator drained is neither resumed nor drained nor taken out, and replaced', () => {
    for (const state of ['joined', 'draining'] as const) {
      const view = viewOf([leaseOf('l1', [unitOf('u1', { state, since: T0 - LONG })])], {
        nodes: [nodeOf('u1', { drained: 'theirs', accepting: false })],
        jobs: jobsOf(1),
      })
      expect(inShort(decideOn(view, configOf(), idleFor(LONG, 'u1')).intents)).toEqual(['request 1-1'])
    }
  })
})

describe('looks that may not be believed', () => {
  const leases = [
    leaseOf('l1', [unitOf('u1'), unitOf('u2', { state: 'lost' })], {
      term: { start: T0 - 50 * MINUTE, end: T0 + 10 * MINUTE },
    }),
  ]
  const nodes = [nodeOf('u1')]

  test('check 6: while looks fail nothing shrinks and nothing is ordered; what is held is extended', () => {
    const blind = { since: T0 - MINUTE, reason: 'qstat printed garbage' }
    const decision = decideOn(
      viewOf(leases, { nodes, jobs: jobsOf(9) }, { blind }),
      configOf(),
      idleFor(LONG, 'u1'),
    )
    expect(inShort(decision.intents)).toEqual(['extend l1 without u2'])
    expect(decision.reason).toContain('looks have failed for 60 s (qstat printed garbage)')
    expect(decision.memory.idleSince).toEqual({})
  })

  test('check 6: a doubtful look shrinks nothing', () => {
    const decision = decideOn(viewOf(leases, { nodes, trust: 'doubtful' }), configOf(), idleFor(LONG, 'u1'))
    expect(inShort(decision.intents)).toEqual(['extend l1 without u2'])
  })

  test('check 6: one unreadable job is a warning, and the others are served', () => {
    const decision = decideOn(viewOf([], { jobs: jobsOf(1), warnings: ['job 99 could not be read'] }))
    expect(unitsAsked(decision.intents)).toBe(1)
    expect(decision.reason).toContain('1 warning: job 99 could not be read')
  })

  test('before the first look nothing is done', () => {
    expect(decideOn({ ...viewOf([]), observation: undefined }, configOf({ min: 3 })).intents).toEqual([])
  })
})

describe('terms', () => {
  const ending = { term: { start: T0 - 50 * MINUTE, end: T0 + 10 * MINUTE }, extendBy: T0 + 9 * MINUTE }

  test('a lease with work is extended as soon as 40 % of its term are left, not before', () => {
    const view = viewOf(
      [leaseOf('l1', [unitOf('u1')], { term: { start: T0 - 36 * MINUTE, end: T0 + 24 * MINUTE } })],
      {
        nodes: [busyNode('u1', 'r')],
        jobs: [runningOn('r', 'u1')],
      },
    )
    expect(decideOn(view, configOf(), firstMemory, T0 - 1).intents).toEqual([])
    expect(inShort(decideOn(view).intents)).toEqual(['extend l1'])
  })

  test('an extension is as long as the running work may need, within termMin and term', () => {
    const lengthWith = (walltimeMs: number | undefined) => {
      const view = viewOf([leaseOf('l1', [unitOf('u1')], ending)], {
        nodes: [busyNode('u1', 'r')],
        jobs: [runningOn('r', 'u1', { startedAt: T0, walltimeMs })],
      })
      const [extend] = decideOn(view).intents
      return extend?.kind === 'extend' ? extend.durationMs : undefined
    }
    expect(lengthWith(45 * MINUTE)).toBe(35 * MINUTE)
    expect(lengthWith(12 * MINUTE)).toBe(10 * MINUTE)
    expect(lengthWith(600 * MINUTE)).toBe(60 * MINUTE)
    expect(lengthWith(undefined)).toBe(60 * MINUTE)
  })

  test('units on their way out are named as victims, and a victim is never resumed', () => {
    const leases = [
      leaseOf(
        'l1',
        [
          unitOf('u1'),
          unitOf('u2', { state: 'draining' }),
          unitOf('u3', { state: 'left' }),
          unitOf('u4', { state: 'lost' }),
        ],
        ending,
      ),
    ]
    const picture = { nodes: [busyNode('u1', 'r'), drainedNode('u2')], jobs: [runningOn('r', 'u1')] }
    const decision = decideOn(viewOf(leases, picture))
    expect(inShort(decision.intents)).toEqual(['leave u2', 'extend l1 without u2, u3, u4'])
    const after = viewOf(
      leases.map((lease) => ({ ...lease, extending: true })),
      { ...picture, jobs: [...picture.jobs, jobOf('w')] },
    )
    expect(inShort(decideOn(after, configOf(), decision.memory).intents)).toEqual(['leave u2', 'request 1-1'])
  })

  test('an extension waits until what is being drained is known to be empty, for three quarters of the time at most', () => {
    const term = { start: T0 - 36 * MINUTE, end: T0 + 24 * MINUTE }
    const intentsAt = (now: number, since: number, extendBy: number | undefined = T0 + 22 * MINUTE) => {
      const held = [unitOf('u1'), unitOf('u2', { state: 'draining', since })]
      const picture = { nodes: [busyNode('u1', 'r'), drainedNode('u2')], jobs: [runningOn('r', 'u1')] }
      const view = viewOf([leaseOf('l1', held, { term, extendBy })], { ...picture, startedAt: now, at: now })
      return inShort(decideOn(view, configOf(), firstMemory, now).intents)
    }
    // While it is being drained, its service manager shows it as changed just now.
    expect(intentsAt(T0, T0)).toEqual([])
    expect(intentsAt(T0 + MINUTE, T0)).toEqual(['leave u2', 'extend l1 without u2'])
    const late = T0 + ((22 * MINUTE - 10 * SECOND) * 3) / 4
    expect(intentsAt(late - 1, late - 1)).toEqual([])
    expect(intentsAt(late, late)).toEqual(['extend l1'])
    expect(intentsAt(T0 + 9 * MINUTE, T0 + 9 * MINUTE, T0 + 9 * MINUTE)).toEqual(['extend l1'])
  })

  test('of a lease with an idle part it is asked for at half of the time; after a refusal, or without looks, as soon as it may', () => {
    const term = { start: T0 - 36 * MINUTE, end: T0 + 24 * MINUTE }
    const half = T0 + (22 * MINUTE - 10 * SECOND) / 2
    const asksAt = (now: number, over: object = {}, blind = false) => {
      const lease = leaseOf('l1', [unitOf('u1'), unitOf('u2')], { term, extendBy: T0 + 22 * MINUTE, ...over })
      const picture = { nodes: [busyNode('u1', 'r'), nodeOf('u2')], jobs: [runningOn('r', 'u1')] }
      const seen = viewOf([lease], { ...picture, startedAt: now, at: now })
      const view = blind ? { ...seen, blind: { since: now - MINUTE, reason: 'no answer' } } : seen
      return decideOn(view, configOf(), idleFor(MINUTE, 'u2'), now)
    }
    const asked = (decision: ReturnType<typeof asksAt>) =>
      inShort(decision.intents).filter((intent) => intent.startsWith('extend'))
    expect(asked(asksAt(half - 1))).toEqual([])
    expect(asksAt(half - MINUTE).steadyUntil).toBeLessThanOrEqual(half)
    expect(asked(asksAt(half))).toEqual(['extend l1'])
    expect(asked(asksAt(T0, {}, true))).toEqual(['extend l1'])
    const refused = { extendRefused: { at: T0, reason: 'promised to others' } }
    expect(asked(asksAt(T0 + MINUTE, refused))).toEqual(['extend l1 without u2'])
  })

  test('leases that work as a whole and are nearly due are asked for with one that is, and with none if none is', () => {
    const endingIn = (minutes: number) => ({
      term: { start: T0 + (minutes - 60) * MINUTE, end: T0 + minutes * MINUTE },
      extendBy: T0 + (minutes - 2) * MINUTE,
    })
    const asksFor = (
      firstEndsIn: number,
      secondEndsIn: number,
      over: object = {},
      second = busyNode('b1', 's'),
    ) => {
      const leases = [
        leaseOf('l1', [unitOf('a1')], endingIn(firstEndsIn)),
        leaseOf('l2', [unitOf('b1'), unitOf('b2')], { ...endingIn(secondEndsIn), ...over }),
      ]
      const nodes = [busyNode('a1', 'r'), second, busyNode('b2', 's')]
      const jobs = [runningOn('r', 'a1'), runningOn('s', 'b2')]
      return inShort(decideOn(viewOf(leases, { nodes, jobs })).intents)
    }
    // Due is what has 24 minutes left; a quarter of those is nearly.
    expect(asksFor(24, 30)).toEqual(['extend l1', 'extend l2'])
    expect(asksFor(24, 31)).toEqual(['extend l1'])
    expect(asksFor(25, 30)).toEqual([])
    expect(asksFor(24, 30, {}, nodeOf('b1'))).toEqual(['extend l1'])
    expect(
      asksFor(24, 30, { extendRefused: { at: T0 - MINUTE, reason: 'promised to others' } }),
    ).not.toContain('extend l2')
  })

  test('a lease of idle units is not extended; when it is too late to ask, they are drained', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')], ending)], { nodes: [nodeOf('u1')] })
    expect(decideOn(view).intents).toEqual([])
    const late = viewOf([leaseOf('l1', [unitOf('u1')], { ...ending, extendBy: T0 - 1 })], {
      nodes: [nodeOf('u1')],
    })
    expect(inShort(decideOn(late).intents)).toEqual(['drain u1'])
  })

  test('nothing is asked while an answer is outstanding', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')], { ...ending, extending: true })], {
      nodes: [busyNode('u1', 'r')],
      jobs: [runningOn('r', 'u1')],
    })
    expect(decideOn(view).intents).toEqual([])
  })

  test('after a refusal its units are drained at once, their jobs named, and it asks again with patience', () => {
    const refusedAt = (at: number) =>
      viewOf(
        [leaseOf('l1', [unitOf('u1')], { ...ending, extendRefused: { at, reason: 'promised to others' } })],
        {
          nodes: [busyNode('u1', 'r')],
          jobs: [runningOn('r', 'u1', { user: 'grace' })],
        },
      )
    const decision = decideOn(refusedAt(T0 - SECOND))
    expect(inShort(decision.intents)).toEqual(['drain u1'])
    expect(decision.reason).toContain('1 job may outlast it: r of grace')
    // It was first asked when 24 min were left, 14 min ago; refused 7 min after that, it waits another 7 min.
    expect(inShort(decideOn(refusedAt(T0 - 7 * MINUTE + SECOND)).intents)).toEqual(['drain u1'])
    expect(inShort(decideOn(refusedAt(T0 - 7 * MINUTE)).intents)).toEqual(['drain u1', 'extend l1'])
  })

  test('a unit that an administrator drained is let go when the lease is extended, unless it still works', () => {
    const theirs = nodeOf('u2', { drained: 'theirs', accepting: false })
    const extendWith = (node: typeof theirs) =>
      inShort(
        decideOn(
          viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')], ending)], {
            nodes: [busyNode('u1', 'r'), node],
            jobs: [runningOn('r', 'u1'), runningOn('s', 'u2')],
          }),
        ).intents,
      )
    expect(extendWith(theirs)).toEqual(['extend l1 without u2'])
    expect(extendWith({ ...theirs, empty: false, jobs: ['s'] })).toEqual(['extend l1'])
  })
})

describe('recalls', () => {
  test('check 9: six of twenty by 10 min: the six with the least damage are drained, and the plan is told', () => {
    const ids = Array.from({ length: 20 }, (_, i) => `u${String(i + 1).padStart(2, '0')}`)
    const by = T0 + 10 * MINUTE
    // u01 and u02 are empty; u03 to u06 end in time; the others would be cut, u20 in two jobs.
    const minutesLeft = (i: number): number => (i < 6 ? i : 30 + i)
    const busy = ids.slice(2)
    const jobs = busy.map((id, i) =>
      runningOn(`j${id}`, id, { startedAt: T0, walltimeMs: minutesLeft(i + 2) * MINUTE }),
    )
    const nodes = ids.map((id, i) => (i < 2 ? nodeOf(id) : busyNode(id, `j${id}`)))
    const view = viewOf(
      [
        leaseOf(
          'l1',
          ids.map((id) => unitOf(id)),
          { recall: { units: 6, by } },
        ),
      ],
      { nodes, jobs },
    )
    const decision = decideOn(view)
    expect(inShort(decision.intents)).toEqual(
      ['u01', 'u02', 'u03', 'u04', 'u05', 'u06'].map((id) => `drain ${id}`),
    )
    expect(decision.reason).toContain('recall takes 6 units of lease l1 until 2026-03-02T08:10:00Z')
    expect(decision.reason).toContain('2 of them empty; all their work ends in time')

    const later = viewOf(
      [
        leaseOf(
          'l1',
          ids.map((id, i) => unitOf(id, i < 6 ? { state: 'draining', since: T0 } : {})),
          { recall: { units: 6, by } },
        ),
      ],
      {
        startedAt: T0 + 2 * SECOND,
        at: T0 + 2 * SECOND,
        nodes: nodes.map((node, i) =>
          i < 6 ? { ...node, accepting: false, drained: 'ours' as const } : node,
        ),
        jobs: [...jobs, ...jobsOf(3)],
      },
    )
    const next = decideOn(later, configOf({ max: 20 }), decision.memory, T0 + 2 * SECOND)
    expect(inShort(next.intents)).toEqual(['leave u01', 'leave u02'])
  })

  test('units that are going anyway are counted first', () => {
    const view = viewOf(
      [
        leaseOf('l1', [unitOf('u1', { state: 'left' }), unitOf('u2', { state: 'draining' }), unitOf('u3')], {
          recall: { units: 1, by: T0 + MINUTE },
        }),
      ],
      {
        nodes: [drainedNode('u2', { empty: false, jobs: ['r'] }), nodeOf('u3')],
        jobs: [runningOn('r', 'u2')],
      },
    )
    expect(inShort(decideOn(view).intents)).toEqual([])
  })

  // Their service manager takes what leaves off the recall: what had left before does not answer it.
  test('what left before answers no recall: as many of those that live are drained at once', () => {
    const recall = { units: 2, by: T0 + 3 * MINUTE }
    const out = [unitOf('u1', { state: 'left' }), unitOf('u2', { state: 'lost' })]
    const jobs = ['u3', 'u4', 'u5'].map((id) => runningOn(`j${id}`, id, { walltimeMs: 20 * MINUTE }))
    const nodes = ['u3', 'u4', 'u5'].map((id) => busyNode(id, `j${id}`))
    const units = ['u3', 'u4', 'u5'].map((id) => unitOf(id))
    const decision = decideOn(
      viewOf([leaseOf('l1', [...out, ...units], { units: 3, recall })], { nodes, jobs }),
    )
    expect(inShort(decision.intents)).toEqual(['drain u3', 'drain u4'])
    expect(decision.reason).toContain('chosen node-u3, node-u4, 0 of them empty')
  })

  test.each([
    ['is over answers none: others go', T0, true, ['drain u2']],
    ['is to come answers one', T0 + 1, true, []],
    // Its service manager counts it as one that answers, so that another one would go besides.
    ['is over, but only by advice, answers one', T0, undefined, []],
  ])('a unit whose host is wanted empty by a time that %s', (_, leaveBy, leaveBinding, intents) => {
    const units = [unitOf('u1', { state: 'draining', leaveBy, leaveBinding }), unitOf('u2')]
    const recall = { units: 1, by: T0 + MINUTE }
    const nodes = [drainedNode('u1', { empty: false, jobs: ['r'] }), nodeOf('u2')]
    const jobs = [runningOn('r', 'u1')]
    const view = viewOf([leaseOf('l1', units, { recall })], { nodes, jobs })
    expect(inShort(decideOn(view).intents)).toEqual(intents)
  })

  test('what has to leave is never resumed, not for `min` and not for waiting jobs, also when the recall is not shown any more', () => {
    const memory: GrocMemory = { ...firstMemory, drains: { u1: 'recall' } }
    const view = viewOf([leaseOf('l1', [unitOf('u1', { state: 'draining', mustLeave: true })])], {
      nodes: [drainedNode('u1', { empty: false, jobs: ['r'] })],
      jobs: [runningOn('r', 'u1'), ...jobsOf(2)],
    })
    const decision = decideOn(view, configOf({ min: 1, max: 1 }), memory)
    expect(inShort(decision.intents)).toEqual([])
    expect(decision.reason).toContain('node-u1 goes as soon as its work has ended')
  })

  test('of units whose work would be cut, the one with the fewest jobs goes', () => {
    const view = viewOf(
      [leaseOf('l1', [unitOf('u1'), unitOf('u2')], { recall: { units: 1, by: T0 + MINUTE } })],
      {
        nodes: [busyNode('u1', 'a', { jobs: ['a', 'b'] }), busyNode('u2', 'c')],
        jobs: ['a', 'b']
          .map((id) => runningOn(id, 'u1', { walltimeMs: 20 * MINUTE }))
          .concat(runningOn('c', 'u2', { walltimeMs: 60 * MINUTE })),
      },
    )
    expect(inShort(decideOn(view).intents)).toEqual(['drain u2'])
  })

  test('jobs that will be cut are named', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')], { recall: { units: 1, by: T0 + MINUTE } })], {
      nodes: [busyNode('u1', 'endless')],
      jobs: [runningOn('endless', 'u1')],
    })
    expect(decideOn(view).reason).toContain('1 job may not end in time: endless')
  })
})

describe('nodes in trouble', () => {
  test('a unit its site doubts takes no more work, and is not taken while a job runs there', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1', { suspect: 'probe failed 3 times' })])], {
      nodes: [busyNode('u1', 'r')],
      jobs: [runningOn('r', 'u1')],
    })
    const [drain, ...rest] = decideOn(view).intents
    expect(drain?.reason).toContain('its site doubts node-u1 (probe failed 3 times)')
    expect(rest).toEqual([])
  })

  test('a node that is gone from the batch system is not capacity, and taken out after `missing`', () => {
    const leases = [leaseOf('l1', [unitOf('u1')])]
    const first = decideOn(viewOf(leases, { jobs: jobsOf(1) }))
    expect(inShort(first.intents)).toEqual(['request 1-1'])
    expect(first.reason).toContain('node node-u1 is not known to the batch system')
    const at = T0 + 2 * MINUTE
    const later = decideOn(viewOf(leases, { startedAt: at, at }), configOf(), first.memory, at)
    expect(inShort(later.intents)).toEqual(['leave u1'])
  })

  test('nodes that fall silent for a moment are not replaced for min; after `missing` they are', () => {
    const ids = ['u1', 'u2']
    const leases = [
      leaseOf(
        'l1',
        ids.map((id) => unitOf(id)),
      ),
    ]
    const nodes = ids.map((id) => busyNode(id, `j${id}`, { responding: false, vendorState: 'lost' }))
    const jobs = ids.map((id) => runningOn(`j${id}`, id))
    const first = decideOn(viewOf(leases, { nodes, jobs }), configOf({ min: 2 }))
    expect(inShort(first.intents)).toEqual([])
    const at = T0 + 2 * MINUTE
    const view = viewOf(leases, { startedAt: at, at, nodes, jobs })
    expect(inShort(decideOn(view, configOf({ min: 2 }), first.memory, at).intents)).toEqual([
      ...['drain u1', 'drain u2', 'request 1-2'],
    ])
  })

  test('a silent node without work is drained after `missing`; one that answers again is forgiven', () => {
    const leases = [leaseOf('l1', [unitOf('u1')])]
    const silent = nodeOf('u1', { responding: false, vendorState: 'down*' })
    const first = decideOn(viewOf(leases, { nodes: [silent] }))
    expect(first.intents).toEqual([])
    const at = T0 + 2 * MINUTE
    expect(
      inShort(
        decideOn(viewOf(leases, { startedAt: at, at, nodes: [silent] }), configOf(), first.memory, at)
          .intents,
      ),
    ).toEqual(['drain u1'])
    expect(
      decideOn(viewOf(leases, { nodes: [nodeOf('u1')] }), configOf(), first.memory).memory.missingSince,
    ).toEqual({})
  })

  test('a lease is not extended for a machine that answers nobody, though a job is said to run there', () => {
    const hung = unitOf('u1', { state: 'draining', suspect: 'it did not answer' })
    const term = { start: T0 - 55 * MINUTE, end: T0 + 5 * MINUTE }
    const leases = [leaseOf('l1', [hung], { term, extendBy: T0 + 4 * MINUTE })]
    const look = (over: { readonly responding: boolean; readonly silentSince: number }) =>
      decideOn(
        viewOf(leases, {
          nodes: [busyNode('u1', 'r', { ...over, accepting: false, drained: 'ours' })],
          jobs: [runningOn('r', 'u1')],
        }),
        configOf(),
        { ...firstMemory, missingSince: { u1: over.silentSince } },
      )
    expect(inShort(look({ responding: true, silentSince: T0 }).intents)).toEqual(['extend l1'])
    expect(inShort(look({ responding: false, silentSince: T0 - MINUTE }).intents)).toEqual(['extend l1'])
    const given = look({ responding: false, silentSince: T0 - 2 * MINUTE })
    expect(given.intents).toEqual([])
    expect(given.reason).toContain(
      'the batch system has not heard of it for 2 min; lease l1 is not extended for it',
    )
  })

  const ended = (id: string, unitId: string, second: number, lastedMs: number) =>
    jobOf(id, {
      state: 'ended',
      nodeNames: [`node-${unitId}`],
      startedAt: T0 - MINUTE + second * SECOND,
      endedAt: T0 - MINUTE + second * SECOND + lastedMs,
    })
  const pair = [leaseOf('l1', [unitOf('bad')]), leaseOf('l2', [unitOf('good')])]
  const nodes = [nodeOf('bad'), busyNode('good', 'r')]
  const eight = Array.from({ length: 8 }, (_, i) => ended(`q${i}`, 'bad', i, 200))

  test('a node on which job after job ends at once, while others work, is drained', () => {
    const decision = decideOn(viewOf(pair, { nodes, jobs: [...eight, runningOn('r', 'good')] }))
    expect(inShort(decision.intents)).toEqual(['drain bad'])
    expect(decision.memory.blackHoles).toEqual({ bad: T0 })
  })

  test('quick ends add up over looks, each counted once, and one proper job ends the row', () => {
    const lookWith = (jobs: readonly ReturnType<typeof ended>[], memory: GrocMemory) =>
      decideOn(viewOf(pair, { nodes, jobs: [...jobs, runningOn('r', 'good')] }), configOf(), memory).memory
    const five = lookWith(eight.slice(0, 5), firstMemory)
    expect(lookWith(eight.slice(0, 5), five).quickEnds.bad?.inRow).toBe(5)
    expect(lookWith(eight, five).blackHoles).toEqual({ bad: T0 })
    const proper = lookWith([...eight.slice(0, 5), ended('p', 'bad', 10, 20_000)], five)
    expect(proper.quickEnds.bad?.inRow).toBe(0)
  })

  test('a queue of short jobs is no black hole', () => {
    const everywhere = [
      ...eight,
      ...eight.map((job) => ({ ...job, id: `other-${job.id}`, nodeNames: ['node-good'] })),
    ]
    expect(
      decideOn(viewOf(pair, { nodes: [nodeOf('bad'), nodeOf('good')], jobs: everywhere })).intents,
    ).toEqual([])
  })
})

describe('the decision itself', () => {
  test('check 12: the same input gives the same answer, byte for byte', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')])], {
      nodes: [nodeOf('u1'), busyNode('u2', 'r')],
      jobs: [runningOn('r', 'u2'), ...jobsOf(5), jobOf('wide', { nodes: 3 })],
    })
    const twice = [0, 1].map(() => JSON.stringify(decideOn(view, configOf({ min: 2 }), idleFor(LONG, 'u1'))))
    expect(twice[0]).toBe(twice[1])
  })
})

describe('a machine that served and died', () => {
  const dead = (ago: number) =>
    viewOf([leaseOf('l1', [unitOf('u1', { state: 'lost', since: T0 - ago })])], { jobs: jobsOf(1) })

  test('is repaired by its site: none is ordered in its place, and its lease is kept', () => {
    const { intents, figures } = decideOn(dead(5_000))
    expect([inShort(intents), figures.unitsComing]).toEqual([[], 1])
  })

  test('is replaced after a while if it is not', () => {
    expect(inShort(decideOn(dead(30_000)).intents)).toEqual(['release l1', 'request 1-1'])
  })

  test('counts once with the one that took its place', () => {
    const held = [unitOf('u1', { state: 'lost', since: T0 - 5_000 }), unitOf('u2', { state: 'joining' })]
    const view = viewOf([leaseOf('l1', held, { units: 1 })], { jobs: jobsOf(2) })
    const { intents, figures } = decideOn(view, configOf({ max: 2 }))
    expect([inShort(intents), figures.unitsComing]).toEqual([['request 1-1'], 1])
  })
})

describe('a unit whose host is to be worked on', () => {
  const view = (leaveBy: number, over: Partial<HeldUnit> = {}, jobs = jobsOf(2)) =>
    viewOf([leaseOf('l1', [unitOf('u1', { leaveBy, ...over }), unitOf('u2')])], {
      nodes: [
        nodeOf('u1', over.state === 'draining' ? { drained: 'ours', accepting: false } : {}),
        nodeOf('u2'),
      ],
      jobs,
    })

  test('is drained and not counted on: another is ordered for what it would have served', () => {
    const decision = decideOn(view(T0 + 10 * MINUTE))
    expect(inShort(decision.intents)).toEqual(['drain u1', 'request 1-1'])
    expect(decision.memory.drains).toEqual({ u1: 'maintenance' })
    expect(decision.reason).toContain('is to be worked on')
  })

  test('leaves when it is empty', () => {
    const drained = view(T0 + 10 * MINUTE, { state: 'draining', since: T0 - LONG })
    expect(inShort(decideOn(drained).intents)).toEqual(['leave u1', 'request 1-1'])
  })

  test('goes on while its lease ends before, for what ends in time', () => {
    const jobs = jobsOf(2, { walltimeMs: 20 * MINUTE })
    expect(inShort(decideOn(view(T0 + 31 * MINUTE, {}, jobs)).intents)).toEqual([])
  })
})

test('a machine that has joined and is in no look yet is told as joined, and not as coming as well', () => {
  const { figures } = decideOn(
    viewOf([leaseOf('l1', [unitOf('u1', { since: T0 }), unitOf('u2', { state: 'joining' })])], {}),
  )
  expect([figures.unitsJoined, figures.unitsComing]).toEqual([1, 1])
})
