import { describe, expect, test } from 'vitest'
import type { BatchPicture } from '../../adapters/batch-system.ts'
import type { GuestView } from '../../controllers/controller.ts'
import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import {
  busyNode,
  configOf,
  drainedNode,
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

const say = (
  view: GuestView<BatchPicture>,
  jobId = '1',
  config: GrocConfig = configOf(),
  now = T0,
): string | undefined => groc.explainJob(jobId, view, groc.firstMemory, config, now)?.join(' ')

describe('why is there no node for my job', () => {
  test('an unknown job is unknown', () => {
    expect(say(viewOf([]), 'nobody')).toBeUndefined()
  })

  test('a running job is told where', () => {
    expect(say(viewOf([], { jobs: [runningOn('1', 'u1')] }))).toBe(
      'Job 1 of ada is running on node-u1 since 2026-03-02T07:50:00Z.',
    )
  })

  test('a job that is over is told when, where it ran, and how it ended', () => {
    const over = { state: 'ended', endedAt: T0, vendorReason: 'FAILED' } as const
    const jobs = [
      jobOf('1', { ...over, startedAt: T0 - MINUTE, nodeNames: ['node-u1'] }),
      jobOf('2', { ...over, vendorReason: 'CANCELLED' }),
    ]
    expect(say(viewOf([], { jobs }), '1')).toBe(
      'Job 1 of ada has ended at 2026-03-02T08:00:00Z; it ran on node-u1 from 2026-03-02T07:59:00Z on (the batch system says “FAILED”).',
    )
    expect(say(viewOf([], { jobs }), '2')).toBe(
      'Job 2 of ada has ended at 2026-03-02T08:00:00Z (the batch system says “CANCELLED”).',
    )
  })

  test('an array says how many tasks wait; a job that can never start, that nobody’s nodes will change it', () => {
    const jobs = [
      jobOf('5_[2-9]', { tasks: 8 }),
      jobOf('6', { state: 'held', heldBy: 'impossible', vendorReason: 'DependencyNeverSatisfied' }),
    ]
    expect(say(viewOf([], { jobs }), '5_[2-9]')).toContain('asks for 8 times 1 node with 4 cpus')
    expect(say(viewOf([], { jobs }), '6')).toMatch(/can never start.* waits for what cannot come any more/)
  })

  test('a held job is not counted, in the batch system’s own word', () => {
    expect(say(viewOf([], { jobs: [jobOf('1', { state: 'held', vendorReason: 'Dependency' })] }))).toContain(
      'is not counted: it is held (the batch system says “Dependency”)',
    )
  })

  test('a job of another queue, and one larger than a unit, are not counted', () => {
    expect(say(viewOf([], { jobs: jobsOf(1) }), '1', configOf({ queues: ['grid'] }))).toContain(
      'queue batch is not one of those',
    )
    expect(say(viewOf([], { jobs: jobsOf(1, { cpusPerNode: 64 }) }))).toContain(
      'one unit of small has 4 cpus, 4096 MiB, no more',
    )
  })

  test('each of several equal jobs is told its own machine: there, spare, coming, or still to be asked for', () => {
    const leases = [
      leaseOf('l1', [unitOf('u1')]),
      leaseOf('l2', [unitOf('u2', { state: 'draining' })]),
      leaseOf('l3', [unitOf('u3', { state: 'awaited' })]),
      leaseOf('l4', [], { state: 'requested', units: 1, term: undefined }),
    ]
    const jobs = jobsOf(5).map((job, i) => ({ ...job, submittedAt: T0 - MINUTE + i }))
    const view = viewOf(leases, { nodes: [nodeOf('u1'), drainedNode('u2')], jobs })
    expect(say(view, '1')).toContain('There is room for it on node-u1 (lease l1, joined)')
    expect(say(view, '2')).toContain('node-u2 (lease l2, draining) will take work again for it')
    expect(say(view, '3')).toContain('It is to be served by node-u3 (lease l3, its machine is being set up)')
    expect(say(view, '4')).toContain(
      'It is to be served by a unit of lease l4 (asked for at 2026-03-02T07:29:00Z; the broker has not answered yet)',
    )
    const granted = viewOf([leaseOf('l4', [], { state: 'ticketed', units: 1 })], { jobs: jobsOf(1) })
    expect(say(granted)).toContain(
      'a unit of lease l4 (granted; its site has not said yet which machine it is)',
    )
    expect(say(view, '5')).toContain(
      'It needs a further unit, shared with jobs like it. That is asked for with the next decision.',
    )
  })

  test('a wide job is told all its nodes, and what is missing', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [nodeOf('u1')],
      jobs: [jobOf('1', { nodes: 3 })],
    })
    expect(say(view)).toContain('There is room for it on node-u1')
    expect(say(view)).toContain('It needs 2 units of its own, all or none.')
    expect(say(view, '1', configOf({ max: 2 }))).toContain(
      'Job 1 of ada cannot be served: it asks for 3 nodes, each with 4 cpus (it names no memory); there can never be that many nodes at once, for max is 2. Ask for fewer nodes, or raise max of this guest’s controller to at least 3.',
    )
    const busy = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [busyNode('u1', 'r')],
      jobs: [runningOn('r', 'u1'), jobOf('1', { nodes: 3 })],
    })
    expect(say(busy, '1', configOf({ max: 3 }))).toContain('Units that are free are kept for it')
  })

  test('what blocks an order is said: hold, max, the threshold, refusals, failures, failing looks', () => {
    const jobs = jobsOf(1)
    expect(say(viewOf([], { jobs }, { hold: 'frozen' }))).toContain('nothing may be asked for: frozen.')
    expect(say(viewOf([], { jobs }, { hold: 'frozen', still: 'frozen' }))).toContain(
      'nothing may be asked for: frozen; `sublet thaw` ends that.',
    )
    expect(say(viewOf([], { jobs }), '1', configOf({ grow: { wait: '15s' } }), T0 + 5 * SECOND)).toContain(
      '15 s, in 10 s',
    )
    expect(say(viewOf([], { jobs }, { refusals: [refusalOf('l1', T0)] }))).toContain(
      'the next ask is at 2026-03-02T08:00:30Z',
    )
    const failures = [0, 1].map((i) => refusalOf(`l${i}`, T0 - i * MINUTE, { by: 'site', reason: 'no boot' }))
    const tooLong = [refusalOf('l1', T0, { reason: 'it is lent for at most 5 min (term-too-long)' })]
    expect(say(viewOf([], { jobs }, { refusals: tooLong }))).toContain(
      '(it is lent for at most 5 min (term-too-long)); set the controller’s `term` to at most that',
    )
    expect(say(viewOf([], { jobs }, { refusals: failures }))).toContain('2 failures in a row of image debian')
    expect(say(viewOf([], { jobs }, { blind: { since: T0, reason: 'no answer' } }))).toContain(
      'looks have failed since',
    )
  })
})

describe('why of many jobs', () => {
  const queue = (n: number) =>
    Array.from({ length: n }, (_, i) =>
      jobOf(`j${i}`, {
        ...{ user: `u${i % 5}`, cpusPerNode: 1 + (i % 4), nodes: i % 11 === 0 ? 2 : 1 },
        ...(i % 13 === 0 ? { state: 'held' as const } : {}),
        submittedAt: T0 - (i % 7) * MINUTE,
      }),
    )

  test('says of each what is said of it alone', () => {
    const jobs = queue(60)
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], { jobs, nodes: [nodeOf('u1')] })
    const config = configOf({ userMax: 2 })
    const ids = [...jobs.map(({ id }) => id), 'unknown']
    const many = groc.explainJobs!(ids, view, groc.firstMemory, config, T0)
    expect([...many.keys()]).toEqual(jobs.map(({ id }) => id))
    for (const { id } of jobs) expect(many.get(id)?.join(' ')).toBe(say(view, id, config))
  })

  test('is rehearsed once, however many are asked for', () => {
    let looks = 0
    const jobs = queue(500)
    const counted = (ids: number): number => {
      looks = 0
      const view = viewOf([], {
        // What a job waits for is read at each pass over the queue.
        jobs: jobs.map((job) =>
          Object.defineProperty({ ...job }, 'cpusPerNode', {
            get: () => {
              looks += 1
              return job.cpusPerNode
            },
          }),
        ),
      })
      const asked = jobs.slice(0, ids).map(({ id }) => id)
      expect(groc.explainJobs!(asked, view, groc.firstMemory, configOf(), T0).size).toBe(ids)
      return looks
    }
    const one = counted(2)
    expect(one).toBeGreaterThan(400)
    // A few times more for the sentences of the job itself.
    expect(counted(400)).toBeLessThan(one + 400 * 10)
  })
})
