import { describe, expect, test } from 'vitest'
import type { BatchPicture } from '../../adapters/batch-system.ts'
import type { GuestView } from '../../controllers/controller.ts'
import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  busyNode,
  configOf,
  decideOn,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  refusalOf,
  runningOn,
  SECOND,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

/** Ten machines came within 85 to 130 s: 94 s at the median, 114 s for nine of ten. */
const tookMs = [85, 88, 90, 92, 94, 99, 103, 108, 114, 130].map((seconds) => seconds * SECOND)
const seen: GrocMemory = { ...groc.firstMemory, boots: { tookMs, lastAt: T0 - 40 * MINUTE } }
const AS = 'as machines here took 94 s from the order to joining at the median, 114 s for nine of ten'

const when = (
  view: GuestView<BatchPicture>,
  { memory = seen, config = configOf(), id = '1', now = T0 } = {},
): string | undefined => groc.explainJob(id, view, memory, config, now)?.at(-1)

const coming = (id: string, orderedMs: number, over: object = {}) =>
  leaseOf(
    `l-${id}`,
    [unitOf(id, { state: 'awaited', since: T0 - orderedMs + 5 * SECOND, joinedAt: undefined })],
    {
      requestedAt: T0 - orderedMs,
      term: { start: T0 - orderedMs, end: T0 + 30 * MINUTE },
      ...over,
    },
  )

describe('when a job can start', () => {
  test('is when its machine is to be there, as machines came here so far', () => {
    const view = viewOf([coming('u1', 20 * SECOND)], { jobs: jobsOf(1) })
    expect(when(view)).toBe(`It can start about 2026-03-02T08:01:14Z, ${AS}.`)
    expect(when(view, { memory: groc.firstMemory })).toBe(
      'It can start about 2026-03-02T08:01:40Z, taking 2 min from the order to joining, for too few machines were seen to come here yet.',
    )
  })

  test('is any moment once half of the machines would be there, and unknown for one that is late', () => {
    const soon = viewOf([coming('u1', 100 * SECOND)], { jobs: jobsOf(1) })
    expect(when(soon)).toBe(
      `It can start any moment, and by 2026-03-02T08:00:14Z in nine of ten cases, ${AS}.`,
    )
    const late = viewOf([coming('u1', 130 * SECOND)], { jobs: jobsOf(1) })
    expect(when(late)).toBe(
      `Its machine is late, and nobody can say when it comes: ${AS}, and this one has taken 2 min; \`sublet nodes\` and \`sublet explain node NAME\` tell how far it is.`,
    )
  })

  test('is when the last of its machines is there, for a wide one, also of those that are still to be asked for', () => {
    const jobs = [jobOf('1', { nodes: 3 })]
    const leases = [leaseOf('l1', [unitOf('u1')]), coming('u2', 60 * SECOND), coming('u3', 20 * SECOND)]
    const last = 'when the last of its machines is to be there'
    expect(when(viewOf(leases, { jobs, nodes: [nodeOf('u1')] }))).toBe(
      `It can start about 2026-03-02T08:01:14Z, ${last}, ${AS}.`,
    )
    expect(when(viewOf(leases.slice(0, 2), { jobs, nodes: [nodeOf('u1')] }))).toBe(
      `It can start about 2026-03-02T08:01:34Z, ${last}, ${AS}.`,
    )
  })

  test('is told of the first and of the last task of an array', () => {
    const jobs = [jobOf('1', { tasks: 2 })]
    expect(when(viewOf([coming('u2', 60 * SECOND), coming('u3', 20 * SECOND)], { jobs }))).toBe(
      `Its tasks can start from about 2026-03-02T08:00:34Z on, and the last machine for them is to be there about 2026-03-02T08:01:14Z, ${AS}.`,
    )
  })

  test('rests on the broker while that has not answered, and on how late it may let a machine begin', () => {
    const asked = (label?: string) =>
      leaseOf('l1', [], { state: 'requested', units: 1, term: undefined, requestedAt: T0, label })
    expect(when(viewOf([asked()], { jobs: jobsOf(1) }))).toBe(
      `It can start about 2026-03-02T08:01:34Z, if the broker grants it, ${AS}.`,
    )
    expect(when(viewOf([asked(`by.${T0 + 5 * MINUTE}.${T0}.0`)], { jobs: jobsOf(1) }))).toContain(
      'The broker may let its machine begin as late as 2026-03-02T08:05:00Z',
    )
  })

  test('begins with the ask, where that waits for a threshold, a pause or the budget', () => {
    const jobs = jobsOf(1)
    const view = viewOf([], { jobs })
    const slow = configOf({ grow: { wait: '30s', sustain: '10s' } })
    expect(when(view, { config: slow })).toContain('It can start about 2026-03-02T08:02:14Z')
    expect(when(viewOf([], { jobs }, { refusals: [refusalOf('l1', T0)] }))).toContain(
      'It can start about 2026-03-02T08:02:04Z',
    )
    const tight = configOf({ budget: { nodeHours: 1, per: '24h' }, term: '1h' })
    const bucket = Math.floor((T0 - 1) / (30 * MINUTE))
    const poor: GrocMemory = {
      ...seen,
      account: { spent: { [bucket]: 60 * MINUTE }, at: T0, units: 0 },
    }
    const told = groc.explainJob('1', view, poor, tight, T0)
    expect(told?.slice(-2)).toEqual([
      'Not yet asked for: 1 unit of small for 1 h: the budget of 1 node-hours in 24 h does not allow it: 1.0 spent, 0.0 held to the ends of leases; not before 2026-03-03T08:00:00Z, when enough of it is 24 h ago.',
      `It can start about 2026-03-03T08:01:34Z, ${AS}.`,
    ])
  })

  test('is with the next round of the scheduler where there is room, and with the next decision where one is spare', () => {
    const there = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')], jobs: jobsOf(1) })
    expect(when(there)).toContain('It can start with the next round of the batch system’s scheduler')
    const drained = nodeOf('u1', { accepting: false, drained: 'ours' })
    const spare = viewOf([leaseOf('l1', [unitOf('u1', { state: 'draining' })])], {
      ...{ nodes: [drained], jobs: jobsOf(1) },
    })
    expect(when(spare)).toBe('It can start once that is done: with the next decision, within 5 s.')
  })

  test('can be said by nobody while it is frozen, or while max leaves no room; the limits of what runs say at most', () => {
    expect(when(viewOf([], { jobs: jobsOf(1) }, { hold: 'frozen' }))).toBe('When that is, nobody can say.')
    const blind = viewOf([], { jobs: jobsOf(1) }, { blind: { since: T0, reason: 'no answer' } })
    expect(groc.explainJob('1', blind, seen, configOf(), T0)?.slice(2, 4)).toEqual([
      'Not yet asked for: nothing is asked for before a look succeeds.',
      'When that is, nobody can say.',
    ])
    const full = (over: object) =>
      viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')])], {
        nodes: [busyNode('u1', 'r1'), busyNode('u2', 'r2')],
        jobs: [
          runningOn('r1', 'u1', { walltimeMs: 25 * MINUTE }),
          runningOn('r2', 'u2', { walltimeMs: 40 * MINUTE }),
          jobOf('1', over),
        ],
      })
    const config: GrocConfig = configOf({ max: 2 })
    expect(when(full({}), { config })).toBe(
      'When that is, nobody can say; by the time limits of what runs, a machine is free by 2026-03-02T08:15:00Z at the latest, if no other job takes it.',
    )
    expect(when(full({ nodes: 2 }), { config })).toContain(
      '2 machines are free by 2026-03-02T08:30:00Z at the latest, if no other job takes them.',
    )
    expect(when(full({ nodes: 3 }), { config: configOf({ max: 4 }) })).toContain('a machine is free by')
  })

  test('is told of a job that may begin later, once its machines are asked for', () => {
    const later = jobOf('1', {
      ...{ state: 'held', heldBy: 'start-time', notBefore: T0 + 60 * MINUTE },
    })
    const view = viewOf([], { jobs: [later] })
    const said = (memory: GrocMemory) => groc.explainJob('1', view, memory, configOf(), T0)?.join(' ')
    expect(said(seen)).not.toContain('asked for')
    expect(said(decideOn(view, configOf(), seen).memory)).toContain(
      'It may not begin before 2026-03-02T09:00:00Z. Machines for it are asked for from 2026-03-02T08:58:06Z on, so that they are there then; `sublet leases` tells whether they are granted.',
    )
  })

  test('is after a pause for a user whose jobs end at once and come again', () => {
    const jobs = Array.from({ length: 9 }, (_, i) =>
      jobOf(`done${i}`, {
        ...{ state: 'ended', startedAt: T0 - MINUTE + i * SECOND, endedAt: T0 - MINUTE + (i + 1) * SECOND },
        nodeNames: [`own${i % 2}`],
      }),
    )
    const view = viewOf([], { jobs: [...jobs, jobOf('1', { submittedAt: T0 - SECOND })] })
    const config = configOf({ userMax: 2 })
    expect(groc.explainJob('1', view, seen, config, T0)).toEqual([
      'Job 1 of ada is not counted before 2026-03-02T08:00:09Z: 9 jobs of ada in a row ended right after their start, on more than one node, and each further one makes the pause longer.',
      'Look why they end: the first that lasts ends the pause. On machines that are there it may start before.',
    ])
  })
})
