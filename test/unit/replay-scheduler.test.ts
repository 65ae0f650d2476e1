import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Cluster } from '../../deploy/replay/cluster.ts'
import { replay } from '../../deploy/replay/replay.ts'
import { type QueuedJob, Scheduler } from '../../deploy/replay/scheduler.ts'
import { shapeOf, type TraceExtras, type TraceJob, widthClassOf } from '../../deploy/replay/trace.ts'
import { optionsOf, SECOND, T0, traceJob } from './replay-stage.ts'

const NOTHING: TraceExtras = { consumables: {}, features: [], exclusive: false }

const startsOf = (jobs: readonly TraceJob[], scheduler: 'fifo' | 'easy', units = 4, cpus = 1): number[] =>
  replay(jobs, optionsOf({ units, unit: { cpus, memoryMiB: 1024 }, scheduler })).jobs.map(
    ({ startedAt = Number.NaN }) => (startedAt - T0) / SECOND,
  )

describe('the law of where jobs lie', () => {
  test.each([
    [1, 16, { nodes: 1, cpus: 1 }],
    [16, 16, { nodes: 1, cpus: 16 }],
    [17, 16, { nodes: 2, cpus: 9 }],
    [33, 16, { nodes: 3, cpus: 11 }],
    [5, 1, { nodes: 5, cpus: 1 }],
  ])('%i processors on units of %i', (processors, cpus, shape) => {
    expect(shapeOf(traceJob('1', 0, 1, processors), { cpus, memoryMiB: 1 })).toMatchObject(shape)
  })

  test('believes nodes and processors per node of the trace, unless a unit is smaller', () => {
    const job = traceJob('1', 0, 1, 24, { spread: { nodes: 2, cpusPerNode: 12 } })
    expect(shapeOf(job, { cpus: 16, memoryMiB: 1 })).toMatchObject({ nodes: 2, cpus: 12 })
    expect(shapeOf(job, { cpus: 8, memoryMiB: 1 })).toMatchObject({ nodes: 3, cpus: 8 })
  })

  test('takes memory by processor or by node, and has no place for more than a unit has', () => {
    const job = traceJob('1', 0, 1, 4, { memoryMiBPerProcessor: 300 })
    expect(shapeOf(job, { cpus: 4, memoryMiB: 1200 })?.memoryMiB).toBe(1200)
    expect(shapeOf(job, { cpus: 4, memoryMiB: 1199 })).toBeUndefined()
  })

  test('has a place only where a unit has what the job asks for besides, and all of a unit for one that is alone', () => {
    const rich = { cpus: 8, memoryMiB: 1, consumables: { 'gpu:a100': 2 }, features: ['ssd'] }
    const shape = (extras: Partial<TraceExtras>, unit = rich) =>
      shapeOf(traceJob('1', 0, 1, 2, { extras: { ...NOTHING, ...extras } }), unit)
    expect(shape({ consumables: { gpu: 2 }, features: ['ssd|nvme'] })).toEqual({
      ...{ nodes: 1, cpus: 2, memoryMiB: 0, amounts: [2] },
    })
    expect(shape({ exclusive: true })).toEqual({ nodes: 1, cpus: 8, memoryMiB: 0, cpusAsked: 2 })
    expect([
      shape({ consumables: { gpu: 3 } }),
      shape({ consumables: { 'gpu:v100': 1 } }),
      shape({ features: ['nvme'] }),
      shape({ consumables: { gpu: 1 } }, { ...rich, consumables: { gpu: 0 } as never }),
    ]).toEqual([undefined, undefined, undefined, undefined])
  })

  test('classes of width do not overlap', () => {
    expect([1, 2, 4, 5, 16, 64, 256, 257].map(widthClassOf)).toEqual([
      ...['1', '2-4', '2-4', '5-16', '5-16', '17-64', '65-256', '257+'],
    ])
  })
})

describe('FIFO', () => {
  test('nobody passes the head', () => {
    const jobs = [traceJob('1', 0, 100, 3), traceJob('2', 1, 10, 2), traceJob('3', 2, 10, 1)]
    expect(startsOf(jobs, 'fifo')).toEqual([0, 100, 100])
  })
})

describe('EASY', () => {
  test('what ends before the shadow time passes the head', () => {
    const jobs = [traceJob('1', 0, 100, 3), traceJob('2', 1, 10, 2), traceJob('3', 2, 98, 1)]
    expect(startsOf(jobs, 'easy')).toEqual([0, 100, 2])
  })

  test('what would delay the head does not', () => {
    const jobs = [traceJob('1', 0, 100, 3), traceJob('2', 1, 10, 4), traceJob('3', 2, 99, 1)]
    expect(startsOf(jobs, 'easy')).toEqual([0, 100, 110])
  })

  test('what lies on what the head leaves over passes it, however long it is', () => {
    const jobs = [
      traceJob('1', 0, 100, 3),
      traceJob('2', 1, 10, 3),
      traceJob('3', 2, 5000, 1),
      traceJob('4', 3, 200, 1),
    ]
    expect(startsOf(jobs, 'easy')).toEqual([0, 100, 2, 110])
  })

  test('small jobs share nodes, and go to the fullest one that fits', () => {
    const jobs = [
      traceJob('1', 0, 100, 3),
      traceJob('2', 1, 100, 2),
      traceJob('3', 2, 10, 1),
      traceJob('4', 3, 10, 2),
    ]
    expect(startsOf(jobs, 'easy', 2, 4)).toEqual([0, 1, 2, 3])
  })

  test('memory keeps jobs apart that cpus would let together', () => {
    const hungry = { memoryMiBPerProcessor: 600 }
    const jobs = [traceJob('1', 0, 100, 1, hungry), traceJob('2', 1, 100, 1, hungry)]
    expect(startsOf(jobs, 'easy', 1, 4)).toEqual([0, 100])
  })

  describe('of consumables', () => {
    const gpus = (gpu: number): Partial<TraceJob> => ({ extras: { ...NOTHING, consumables: { gpu } } })
    const startsOn = (jobs: readonly TraceJob[], units: number): number[] =>
      replay(
        jobs,
        optionsOf({ units, unit: { cpus: 4, memoryMiB: 1024, consumables: { gpu: 2 } }, scheduler: 'easy' }),
      ).jobs.map(({ startedAt = Number.NaN }) => (startedAt - T0) / SECOND)

    test('no node gives more than it has, and what it has left serves others', () => {
      const jobs = [
        traceJob('1', 0, 100, 1, gpus(2)),
        traceJob('2', 1, 100, 1, gpus(1)),
        traceJob('3', 2, 10, 1),
        traceJob('4', 3, 10, 1, gpus(1)),
      ]
      expect(startsOn(jobs, 1)).toEqual([0, 100, 2, 100])
      expect(startsOn(jobs, 2)).toEqual([0, 1, 2, 3])
    })

    test('a backfilled job does not take what the head is to have', () => {
      const jobs = [
        traceJob('1', 0, 100, 1, gpus(1)),
        traceJob('2', 1, 10, 1, gpus(2)),
        // Ends after the head is to start: it may have processors, but no GPU.
        traceJob('3', 2, 500, 1, gpus(1)),
        traceJob('4', 3, 500, 1),
        traceJob('5', 4, 90, 1, gpus(1)),
      ]
      expect(startsOn(jobs, 1)).toEqual([0, 100, 110, 3, 4])
    })

    test('one that shares with nobody waits for a node of its own', () => {
      const alone: Partial<TraceJob> = { extras: { ...NOTHING, exclusive: true } }
      const jobs = [traceJob('1', 0, 100, 1), traceJob('2', 1, 10, 1, alone), traceJob('3', 2, 10, 1)]
      expect(startsOn(jobs, 1)).toEqual([0, 100, 2])
    })
  })

  test('a head that needs more nodes than there are keeps nobody waiting', () => {
    const cluster = new Cluster(4, { cpus: 1, memoryMiB: 1 })
    cluster.add(0)
    const scheduler = new Scheduler('easy', cluster)
    const job = (number: number, nodes: number): QueuedJob => ({
      ...{ number, shape: { nodes, cpus: 1, memoryMiB: 0 }, limitMs: 100_000 },
      ...{ startedAt: undefined, slots: [] },
    })
    scheduler.submit(job(0, 2))
    scheduler.submit(job(1, 1))
    expect(scheduler.pass(T0).map(({ number }) => number)).toEqual([1])
  })
})

const anyJobs = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 0, max: 200 }),
      run: fc.integer({ min: 1, max: 500 }),
      over: fc.integer({ min: 0, max: 500 }),
      processors: fc.integer({ min: 1, max: 12 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((rows) => {
    let at = 0
    return rows.map(({ gap, run, over, processors }, i) => {
      at += gap
      return traceJob(`${i}`, at, run, processors, { walltimeMs: (run + over) * SECOND })
    })
  })

describe.each(['fifo', 'easy'] as const)('whatever comes, %s', (scheduler) => {
  const options = optionsOf({ units: 4, unit: { cpus: 3, memoryMiB: 1024 }, scheduler })

  test('runs every job once, for as long as it runs, on no more cpus than a node has', () => {
    fc.assert(
      fc.property(anyJobs, (jobs) => {
        const { jobs: run } = replay(jobs, options)
        const changes = run.flatMap(({ startedAt = 0, endedAt = 0, slots, shape, trace }) => {
          expect(endedAt - startedAt).toBe(trace.runMs)
          expect(startedAt).toBeGreaterThanOrEqual(trace.submittedAt)
          expect(new Set(slots).size).toBe(shape.nodes)
          return slots.flatMap((slot) => [
            { at: endedAt, order: 0, slot, cpus: -shape.cpus },
            { at: startedAt, order: 1, slot, cpus: shape.cpus },
          ])
        })
        const inUse = new Map<number, number>()
        for (const { slot, cpus } of changes.sort((a, b) => a.at - b.at || a.order - b.order)) {
          inUse.set(slot, (inUse.get(slot) ?? 0) + cpus)
          expect(inUse.get(slot)).toBeLessThanOrEqual(3)
        }
      }),
    )
  })
})

test('whatever comes, FIFO starts jobs in order', () => {
  fc.assert(
    fc.property(anyJobs, (jobs) => {
      const starts = startsOf(jobs, 'fifo', 4, 3)
      expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    }),
  )
})

test('whatever comes, EASY never starts a head after the shadow time that it was first told', () => {
  fc.assert(
    fc.property(anyJobs, (jobs) => {
      const cluster = new Cluster(12, { cpus: 1, memoryMiB: 1024 })
      for (let slot = 0; slot < 12; slot++) cluster.add(slot)
      const scheduler = new Scheduler('easy', cluster)
      const told = new Map<number, number>()
      const ends: { at: number; job: QueuedJob }[] = []
      const pass = (now: number): void => {
        for (const job of scheduler.pass(now)) {
          ends.push({ at: now + jobs[job.number]!.runMs, job })
          expect(now).toBeLessThanOrEqual(told.get(job.number) ?? now)
        }
        const [head] = scheduler.queue
        if (head !== undefined && !told.has(head.number)) told.set(head.number, scheduler.shadow)
      }
      const endBy = (now: number): void => {
        for (
          ends.sort((a, b) => a.at - b.at);
          ends[0] !== undefined && ends[0].at <= now;
          ends.sort((a, b) => a.at - b.at)
        ) {
          const { at, job } = ends.shift()!
          scheduler.ended(job)
          pass(at)
        }
      }
      jobs.forEach((job, number) => {
        endBy(job.submittedAt)
        const shape = { nodes: job.processors, cpus: 1, memoryMiB: 0 }
        scheduler.submit({ number, shape, limitMs: job.walltimeMs ?? 0, startedAt: undefined, slots: [] })
        pass(job.submittedAt)
      })
      endBy(Number.POSITIVE_INFINITY)
      expect(scheduler.queue).toEqual([])
    }),
  )
})
