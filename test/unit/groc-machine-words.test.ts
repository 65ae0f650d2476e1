import { expect, test } from 'vitest'
import type { BatchPicture } from '../../adapters/batch-system.ts'
import type { GuestView } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import {
  busyNode,
  configOf,
  drainedNode,
  jobOf,
  leaseOf,
  MINUTE,
  nodeOf,
  runningOn,
  SECOND,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

const told = (view: GuestView<BatchPicture>, over: object = {}): Record<string, string> =>
  Object.fromEntries(
    groc.explainMachines!(
      view,
      { ...groc.firstMemory, idleSince: { u1: T0 - 2 * MINUTE } },
      configOf({ shrink: { idle: '5m' }, ...over }),
      T0,
    ),
  )

test('each machine that is held is told what it is good for, whether anything is done to it or not', () => {
  const before = T0 - MINUTE
  const view = viewOf(
    [
      leaseOf('l1', [unitOf('u1'), unitOf('u2')]),
      leaseOf('l2', [
        unitOf('u3', { state: 'awaited', since: before, joinedAt: undefined }),
        unitOf('u4', { state: 'joining', since: before, joinedAt: undefined }),
        unitOf('u5', { since: T0 - 100, joinedAt: T0 - 100 }),
      ]),
      leaseOf('l3', [
        unitOf('u6', { state: 'draining', since: before }),
        unitOf('u7', { suspect: 'its probe fails' }),
        unitOf('u8', { state: 'leaving', since: before }),
        unitOf('u9', { state: 'left', since: before }),
        unitOf('u10', { state: 'lost', since: before }),
      ]),
      leaseOf('l4', [unitOf('u11'), unitOf('u12'), unitOf('u13'), unitOf('u14')]),
    ],
    {
      nodes: [
        nodeOf('u1'),
        busyNode('u2', 'r1'),
        drainedNode('u6'),
        nodeOf('u7'),
        nodeOf('u11', { collectingFor: '77' }),
        nodeOf('u12', { reservedFor: 'upgrade' }),
        nodeOf('u13', { empty: false }),
        nodeOf('u14'),
      ],
      jobs: [runningOn('r1', 'u2')],
    },
  )
  const at = '2026-03-02T07:59:00Z'
  expect(told(view)).toEqual({
    u1: 'is empty and unneeded since 2026-03-02T07:58:00Z: goes after 5 min of that (shrink.idle), with the rest of lease l1 or when that is extended',
    u2: 'works: job r1',
    u3: `is being set up since ${at}`,
    u4: `joins the batch system since ${at}`,
    u5: 'has joined at 2026-03-02T07:59:59Z; no look has begun since that would show it',
    u6: `drained for being idle since ${at}: leaves once it is seen without work`,
    u7: 'takes no new work: its site doubts node-u7 (its probe fails)',
    u8: `is being taken out of the batch system since ${at}`,
    u9: `is out of the batch system since ${at}; paid for until lease l3 ends or goes on without it`,
    u10: `is lost since ${at}`,
    u11: 'is collected by the batch system for job 77',
    u12: 'is reserved in the batch system: upgrade',
    u13: 'has no job, and the batch system is not done with the last one',
    u14: 'is empty and unneeded since 2026-03-02T08:00:00Z: goes after 5 min of that (shrink.idle), with the rest of lease l4 or when that is extended',
  })
})

test('one that stays though nothing runs there is told why', () => {
  const alone = (unit = unitOf('u1'), jobs = [] as ReturnType<typeof jobOf>[], over = {}) =>
    viewOf([leaseOf('l1', [unit])], { nodes: [nodeOf('u1')], jobs }, over)
  const idle = 'is empty and unneeded since 2026-03-02T07:58:00Z'
  expect(told(alone()).u1).toBe(`${idle}: goes after 5 min of that (shrink.idle)`)
  expect(told(alone(), { min: 1 }).u1).toBe(
    `${idle}: goes after 5 min of that (shrink.idle), unless it is one of the 1 to be kept (min 1)`,
  )
  expect(told(alone(undefined, [jobOf('1')])).u1).toBe('is empty, and waiting jobs are to run there')
  const pinned = { until: T0 + 30 * SECOND, reason: 'its disk', by: 'uid 7' }
  expect(told(alone(unitOf('u1', { pinned }))).u1).toBe(
    'is empty, and kept until 2026-03-02T08:00:30Z: pinned by uid 7 (its disk)',
  )
  const hold = 'frozen since noon by uid 7 (heat)'
  expect(told(alone(undefined, [], { hold, still: hold })).u1).toBe(`${idle}, and stays: ${hold}`)
})
