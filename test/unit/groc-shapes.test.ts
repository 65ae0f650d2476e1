import { describe, expect, test } from 'vitest'
import { HELD_BY, type HeldBy, type Job } from '../../adapters/batch-system.ts'
import { demandOf } from '../../controllers/guests/groc/demand.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { expectations } from '../../controllers/guests/groc/runs.ts'
import { tallyOf } from '../../controllers/guests/groc/tally.ts'
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
  requestsIn,
  runningOn,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
} from './groc-world.ts'

const RICH = { cpus: 4, memoryMiB: 4096, consumables: { 'gpu:a100': 2 }, features: ['ssd'] }

const shapesOf = (jobs: readonly Job[], config = configOf({ unit: RICH })) =>
  demandOf(
    tallyOf(jobs),
    config.types.map(({ unit }) => unit),
    expectations({}, config),
    config,
  )

const asked = (jobs: readonly Job[], over: Record<string, unknown> = { unit: RICH }): number =>
  unitsAsked(decideOn(viewOf([], { jobs }), configOf(over)).intents)

describe('shapes', () => {
  test('equal jobs are one shape, whatever the order in which they name what they need', () => {
    const jobs = [
      jobOf('1', { consumablesPerNode: { 'gpu:a100': 1, disk: 0 }, features: ['ssd', 'ssd'] }),
      jobOf('2', { consumablesPerNode: { 'gpu:a100': 1 }, features: ['ssd'], exclusive: false }),
      jobOf('3', { consumablesPerNode: {}, features: [] }),
      jobOf('4'),
    ]
    expect(shapesOf(jobs).shapes.map(({ jobs }) => jobs.map(({ id }) => id))).toEqual([
      ['1', '2'],
      ['3', '4'],
    ])
  })

  test.each([
    ['queue', { queue: 'other' }],
    ['nodes', { nodes: 2 }],
    ['processors', { cpusPerNode: 2 }],
    ['memory', { memoryMiBPerNode: 1 }],
    ['consumables', { consumablesPerNode: { 'gpu:a100': 1 } }],
    ['features', { features: ['ssd'] }],
    ['sharing', { exclusive: true }],
    ['length of lease', { walltimeMs: 10 * MINUTE }],
  ])('jobs that differ in %s are two', (_, over: Partial<Job>) => {
    expect(shapesOf([jobOf('1'), jobOf('2', over)]).shapes).toHaveLength(2)
  })

  test('limits of about the same length are one shape', () => {
    const jobs = [11, 14, 16, 17].map((minutes) => jobOf(`${minutes}`, { walltimeMs: minutes * MINUTE }))
    expect(shapesOf(jobs).shapes.map(({ leaseMs, count }) => [leaseMs / MINUTE, count])).toEqual([
      [40, 1],
      [20, 3],
    ])
  })
})

describe('consumables and features', () => {
  test('what is counted besides processors limits how many jobs a unit takes', () => {
    const gpus = (count: number) => ({ cpusPerNode: 1, consumablesPerNode: { 'gpu:a100': count } })
    expect(asked(jobsOf(4, gpus(1)))).toBe(2)
    expect(asked(jobsOf(4, gpus(2)))).toBe(4)
  })

  test('any gpu is served by a gpu:a100, and the two do not get the same one', () => {
    const jobs = [
      jobOf('1', { cpusPerNode: 1, consumablesPerNode: { gpu: 1 } }),
      jobOf('2', { cpusPerNode: 1, consumablesPerNode: { 'gpu:a100': 1 } }),
    ]
    expect(asked(jobs)).toBe(1)
    expect(asked([...jobs, jobOf('3', { cpusPerNode: 1, consumablesPerNode: { gpu: 1 } })])).toBe(2)
  })

  test('a consumable or feature that no type has is named, not counted', () => {
    const jobs = [
      jobOf('h', { consumablesPerNode: { 'gpu:h100': 1 } }),
      jobOf('f', { features: ['infiniband'] }),
      jobOf('ok', { features: ['ssd'] }),
    ]
    const { reason, figures } = decideOn(viewOf([], { jobs }), configOf({ unit: RICH }))
    expect(figures.backlogJobs).toBe(1)
    expect(reason).toContain(
      'Not counted, for no type has what they ask for: job h (gpu:h100), job f (infiniband).',
    )
    const say = groc
      .explainJob('f', viewOf([], { jobs }), groc.firstMemory, configOf({ unit: RICH }), T0)
      ?.join(' ')
    expect(say).toContain('asks for 1 node with 4 cpus (it names no memory), feature infiniband')
    expect(say).toContain('no unit that can be had has infiniband')
  })

  test('of several features that would do, one is enough, at a type as at a node', () => {
    const either = jobOf('e', { features: ['nvme|ssd'] })
    const asksFor = (features: readonly string[], nodes: readonly string[]) =>
      unitsAsked(
        decideOn(
          viewOf([leaseOf('l1', [unitOf('u1')])], {
            nodes: [nodeOf('u1', { features: nodes })],
            jobs: [either],
          }),
          configOf({ unit: { ...RICH, features } }),
        ).intents,
      )
    expect(asksFor(['ssd'], ['disk'])).toBe(1)
    expect(asksFor(['ssd'], ['nvme'])).toBe(0)
    expect(asksFor(['disk'], ['disk'])).toBe(0)
  })

  test('of a feature that only nodes of the cluster’s own have, that is said', () => {
    const view = viewOf([], {
      nodes: [nodeOf('own', { name: 'old-1', mark: undefined, features: ['infiniband'] })],
      jobs: [jobOf('f', { features: ['infiniband'] })],
    })
    expect(decideOn(view).reason).toContain('job f (infiniband, of the cluster’s own nodes)')
  })

  test('a feature that all joined nodes of a type show need not be configured', () => {
    const view = (features: readonly string[]) =>
      viewOf([leaseOf('l1', [unitOf('u1')]), leaseOf('l2', [unitOf('u2')])], {
        nodes: [busyNode('u1', 'r', { features: ['avx', 'rack1'] }), busyNode('u2', 's', { features })],
        jobs: [runningOn('r', 'u1'), runningOn('s', 'u2'), jobOf('w', { features: ['avx'] })],
      })
    expect(unitsAsked(decideOn(view(['avx'])).intents)).toBe(1)
    expect(unitsAsked(decideOn(view(['sse'])).intents)).toBe(0)
  })

  test('what a node reports of itself is believed: taken GPUs are not free, and jobs that need none go elsewhere', () => {
    const gpuNode = (inUse: number) =>
      nodeOf('u1', { consumables: { 'gpu:a100': 2 }, consumablesInUse: { 'gpu:a100': inUse } })
    const need = jobOf('w', { cpusPerNode: 1, consumablesPerNode: { 'gpu:a100': 2 } })
    const view = (inUse: number) =>
      viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [gpuNode(inUse)], jobs: [need] })
    const config = configOf({ unit: RICH })
    expect(unitsAsked(decideOn(view(0), config).intents)).toBe(0)
    expect(unitsAsked(decideOn(view(1), config).intents)).toBe(1)
    const both = viewOf([leaseOf('l1', [unitOf('u1')]), leaseOf('l2', [unitOf('u2')])], {
      nodes: [gpuNode(0), nodeOf('u2', { consumables: {} })],
      jobs: [jobOf('plain', { cpusPerNode: 3 }), need],
    })
    expect(unitsAsked(decideOn(both, config).intents)).toBe(0)
  })

  test('where a batch system does not say what is taken, its running jobs do', () => {
    const gpu = { cpusPerNode: 1, consumablesPerNode: { gpu: 2 } }
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { empty: false, cpusInUse: 1, jobs: ['r'] })],
      jobs: [runningOn('r', 'u1', gpu), jobOf('w', gpu)],
    })
    expect(unitsAsked(decideOn(view, configOf({ unit: RICH })).intents)).toBe(1)
  })

  test('a job that shares with nobody has a unit of its own, and no room is left beside it', () => {
    expect(asked([...jobsOf(2, { cpusPerNode: 1, exclusive: true }), jobOf('3', { cpusPerNode: 1 })])).toBe(3)
    const alone = runningOn('r', 'u1', { cpusPerNode: 1, exclusive: true })
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { empty: false, cpusInUse: 1, jobs: ['r'] })],
      jobs: [alone, jobOf('w', { cpusPerNode: 1 })],
    })
    expect(unitsAsked(decideOn(view).intents)).toBe(1)
  })

  test('a job that shares with nobody does not count on a node where somebody works', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1', { empty: false, cpusInUse: 1, jobs: ['r'] })],
      jobs: [runningOn('r', 'u1', { cpusPerNode: 1 }), jobOf('w', { cpusPerNode: 1, exclusive: true })],
    })
    expect(unitsAsked(decideOn(view).intents)).toBe(1)
  })
})

describe('held jobs', () => {
  const held = (heldBy: HeldBy, over: Partial<Job> = {}): Job =>
    jobOf(heldBy, { state: 'held', heldBy, ...over })

  test('are told with a figure for each reason', () => {
    const jobs = [held('user', { tasks: 3 }), held('dependency'), held('reservation')]
    const { reason, intents } = decideOn(viewOf([], { jobs }))
    expect(intents).toEqual([])
    expect(reason).toContain('(5 more are held: 3 by their owners, 1 by other jobs, 1 by a reservation)')
  })

  test('each reason there is has a sentence of its own for the job’s owner', () => {
    const told = HELD_BY.map(
      (heldBy) =>
        groc.explainJob(heldBy, viewOf([], { jobs: [held(heldBy)] }), groc.firstMemory, configOf(), T0)?.[1],
    )
    expect(told).not.toContain(undefined)
    expect(new Set(told).size).toBe(HELD_BY.length)
    const later = held('start-time', { notBefore: T0 + MINUTE })
    expect(
      groc.explainJob('start-time', viewOf([], { jobs: [later] }), groc.firstMemory, configOf(), T0)?.[1],
    ).toBe('It may not begin before 2026-03-02T08:01:00Z.')
  })

  test('those that the batch system itself holds are an alarm, by name', () => {
    const jobs = [
      held('system', { vendorReason: 'JobHeldAdmin' }),
      jobOf('failed', { state: 'held', launchFailed: true, user: 'grace' }),
      held('user'),
    ]
    const { reason } = decideOn(viewOf([], { jobs }))
    expect(reason).toContain('Alarm: the batch system itself holds 2 jobs')
    expect(reason).toContain('system of ada (JobHeldAdmin), failed of grace.')
    expect(decideOn(viewOf([], { jobs: [held('user')] })).reason).not.toContain('Alarm')
    expect(
      decideOn(
        viewOf([], { jobs: jobs.map((job) => ({ ...job, queue: 'debug' })) }),
        configOf({ queues: ['batch'] }),
      ).reason,
    ).not.toContain('Alarm')
  })
})

describe('reserved nodes', () => {
  const ids = ['u1']
  const memory = { ...groc.firstMemory, idleSince: { u1: T0 - 30 * MINUTE } }
  const ending = { term: { start: T0 - 50 * MINUTE, end: T0 + 10 * MINUTE }, extendBy: T0 + 9 * MINUTE }
  const view = (over: object, reserved: object, lease = {}) =>
    viewOf(
      [
        leaseOf(
          'l1',
          ids.map((id) => unitOf(id, over)),
          lease,
        ),
      ],
      {
        nodes: [nodeOf('u1', { reservedFor: 'course', ...reserved })],
      },
    )

  test('are not idle: none is drained for idleness', () => {
    const decision = decideOn(view({}, {}), configOf(), memory)
    expect(decision.intents).toEqual([])
    expect(decision.memory.idleSince).toEqual({})
    const free = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')] })
    expect(inShort(decideOn(free, configOf(), memory).intents)).toEqual(['drain u1'])
  })

  test('that were drained for idleness work again, and do not leave', () => {
    const drained = { accepting: false, drained: 'ours', vendorState: 'idle+drain' }
    const leaving = { state: 'draining' as const, since: T0 - MINUTE }
    const [intent, ...rest] = decideOn(view(leaving, drained)).intents
    expect(intent).toMatchObject({ kind: 'resume', unitId: 'u1' })
    expect(intent?.reason).toContain('reserved in the batch system (course)')
    expect(rest).toEqual([])
    const free = viewOf([leaseOf('l1', [unitOf('u1', leaving)])], { nodes: [drainedNode('u1')] })
    expect(inShort(decideOn(free).intents)).toEqual(['leave u1'])
  })

  test('keep their lease: it is extended, and they are no victims of it', () => {
    expect(inShort(decideOn(view({}, {}, ending)).intents)).toEqual(['extend l1'])
    expect(
      inShort(decideOn(view({}, { accepting: false, vendorState: 'reserved' }, ending)).intents),
    ).toEqual(['extend l1'])
  })

  test('order nothing for those who wait for a reservation', () => {
    const waiting = jobsOf(3, { state: 'held', heldBy: 'reservation' })
    expect(requestsIn(decideOn(viewOf([], { jobs: waiting })).intents)).toEqual([])
  })
})
