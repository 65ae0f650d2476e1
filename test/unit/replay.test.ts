import { describe, expect, test } from 'vitest'
import type { GuestIntent } from '../../controllers/controller.ts'
import { grocPolicy } from '../../deploy/replay/groc-policy.ts'
import { measure } from '../../deploy/replay/measure.ts'
import { type Policy, replay } from '../../deploy/replay/replay.ts'
import type { TraceExtras } from '../../deploy/replay/trace.ts'
import { configOf, optionsOf, SECOND, synthetic, T0, traceJob } from './replay-stage.ts'

/** A policy that also writes down what it wants. */
function noted(policy: Policy, change: (decided: ReturnType<Policy['decide']>) => typeof decided = (d) => d) {
  const intents: string[] = []
  const noting: Policy = {
    ...policy,
    decide(view, now) {
      const decided = change(policy.decide(view, now))
      for (const { kind, ...rest } of decided.intents as GuestIntent[])
        intents.push(`${now - T0} ${kind} ${JSON.stringify(rest)}`)
      return decided
    },
  }
  return { noting, intents }
}

describe('a replay', () => {
  test('orders a machine for a job that waits, starts it when that has booted, and gives it back', () => {
    const jobs = [traceJob('1', 0, 600), traceJob('2', 5000, 60)]
    const { noting, intents } = noted(grocPolicy(configOf()))
    const replayed = replay(jobs, optionsOf({ policy: noting }))
    // 5 s of grow.wait since the submission, a second for the ticket, 90 s of boot.
    expect(replayed.jobs[0]?.startedAt).toBe(T0 + (5 + 1 + 90) * SECOND)
    expect(intents.map((line) => line.split(' ')[1])).toEqual([
      ...['request', 'drain', 'leave', 'release', 'request'],
    ])
    expect(replayed.boots).toBe(2)
    // From ticket to the end of its teardown; idle for a second and 5 min; drain and look 5 s; leave 2 s and a second.
    const first = 90 + 600 + 1 + 300 + 5 + 2 + 1 + 5
    expect(replayed.paidMs / SECOND).toBe(first + 90 + 60)
    expect(replayed.workedMs / SECOND).toBe(660)
  })

  test('orders as many machines as the jobs’ consumables take, and one for a job that is alone', () => {
    const unit = { cpus: 4, memoryMiB: 1024, consumables: { gpu: 2 }, features: ['ssd'] }
    const boots = (extras: TraceExtras | undefined): number => {
      const over = extras === undefined ? {} : { extras }
      const jobs = [1, 2, 3].map((id) => traceJob(`${id}`, 0, 600, 1, over))
      const replayed = replay(jobs, optionsOf({ unit, policy: grocPolicy(configOf({ unit })) }))
      expect(replayed.jobs.every(({ startedAt }) => startedAt === T0 + (5 + 1 + 90) * SECOND)).toBe(true)
      return replayed.boots
    }
    const nothing = { consumables: {}, features: ['ssd'], exclusive: false }
    expect([
      boots(undefined),
      boots(nothing),
      boots({ ...nothing, consumables: { gpu: 1 } }),
      boots({ ...nothing, consumables: { gpu: 2 } }),
      boots({ ...nothing, exclusive: true }),
    ]).toEqual([1, 1, 2, 3, 3])
  })

  test('is the same byte for byte, and another one with another seed of boots', () => {
    const run = (seed: string): string =>
      JSON.stringify(
        replay(
          synthetic(150, 'same'),
          optionsOf({ seed, bootMs: { least: 60_000, most: 120_000 }, policy: grocPolicy(configOf()) }),
        ),
      )
    expect(run('a')).toBe(run('a'))
    expect(run('a')).not.toBe(run('b'))
  })

  test.each([
    'fifo',
    'easy',
  ] as const)('that skips to where the answer may change (%s) decides what one does that decides every second', (scheduler) => {
    const jobs = synthetic(5, 'skip')
    const config = configOf({ grow: { wait: '30s', sustain: '7s' }, startsPerMinute: 6, min: 1 })
    const policy = (): Policy => ({ ...grocPolicy(config), periodMs: 1000 })
    const skipping = noted(policy())
    const plain = noted(policy(), (decided) => ({
      ...decided,
      againMs: 1000,
      steadyUntil: undefined,
    }))
    const options = optionsOf({ scheduler, bootMs: { least: 90_000, most: 90_000 } })
    const a = replay(jobs, { ...options, policy: skipping.noting })
    const b = replay(jobs, { ...options, policy: plain.noting })
    expect(skipping.intents).toEqual(plain.intents)
    expect(a.jobs.map(({ startedAt }) => startedAt)).toEqual(b.jobs.map(({ startedAt }) => startedAt))
    expect(a.decisions).toBeLessThan(b.decisions / 50)
  })

  test.each([
    'fifo',
    'easy',
  ] as const)('of the defaults takes no machine that a job waits for, cuts no job and starts all (%s)', (scheduler) => {
    const jobs = synthetic(400, 'harm')
    const always = replay(jobs, optionsOf({ scheduler }))
    const replayed = replay(jobs, optionsOf({ scheduler, policy: grocPolicy(configOf()) }))
    expect(measure(replayed, always)).toMatchObject({ takenWhileWanted: 0, cut: 0, neverStarted: 0 })
    expect(replayed.paidMs).toBeLessThan(always.paidMs)
  })

  test.each([
    'fifo',
    'easy',
  ] as const)('decides the same on the objects of the look before as on fresh copies of all (%s)', (scheduler) => {
    const config = configOf({ term: '20m', min: 1, unit: { cpus: 4, memoryMiB: 8192 } })
    const run = (copy: boolean) => {
      const policy = grocPolicy(config)
      const told: string[] = []
      const telling: Policy = {
        ...policy,
        decide(view, now) {
          const decided = policy.decide(copy ? structuredClone(view) : view, now)
          told.push(JSON.stringify([now, decided]))
          return decided
        },
      }
      const unit = { cpus: 4, memoryMiB: 8192 }
      replay(synthetic(120, 'copies'), optionsOf({ scheduler, unit, policy: telling }))
      return told
    }
    expect(run(false)).toEqual(run(true))
  })

  test('runs a job to its end that starts on a node which a decision lets take jobs again', () => {
    let turn = 0
    const backAndForth: Policy = {
      ...grocPolicy(configOf({ min: 1 })),
      periodMs: 60_000,
      decide(view) {
        const unitId = view.leases[0]?.held[0]?.id ?? ''
        const request = { type: 'node', units: 1, unitsMin: 1, durationMs: 36_000_000, startBy: undefined }
        turn += 1
        const intents: GuestIntent[] =
          turn === 1
            ? [{ kind: 'request', ...request, reason: '' }]
            : [{ kind: turn % 2 === 0 ? 'drain' : 'resume', unitId, reason: '' }]
        return { intents, againMs: 60_000 }
      },
    }
    const jobs = [1, 2, 3, 4].map((i) => traceJob(`${i}`, 90 * i, 45))
    const replayed = replay(jobs, optionsOf({ policy: backAndForth }))
    expect(replayed.jobs.map(({ startedAt = 0, endedAt = 0 }) => endedAt - startedAt)).toEqual(
      Array.from({ length: 4 }, () => 45 * SECOND),
    )
  })

  test('leaves out what no pool of this size could run, and ends though a policy never orders', () => {
    const never: Policy = {
      name: 'never',
      type: 'node',
      periodMs: 0,
      decide: () => ({ intents: [], againMs: 10_000 }),
    }
    const replayed = replay([traceJob('1', 0, 60), traceJob('2', 0, 60, 17)], optionsOf({ policy: never }))
    expect(replayed.tooLarge).toBe(1)
    expect(measure(replayed, replay([traceJob('1', 0, 60)], optionsOf())).neverStarted).toBe(1)
  })

  test('refuses what is not there, and says how much is', () => {
    const refusals: (string | undefined)[] = []
    const greedy: Policy = {
      name: 'greedy',
      type: 'node',
      periodMs: 0,
      decide(view) {
        refusals.push(view.refusals[0]?.reason)
        const intents: GuestIntent[] =
          view.leases.length > 0 || view.refusals.length > 0
            ? []
            : [17, 16].map((units) => ({
                ...{ kind: 'request', type: 'node', units, unitsMin: units, durationMs: 3_600_000 },
                ...{ startBy: undefined, reason: '' },
              }))
        return { intents, againMs: 10_000, steadyUntil: Number.POSITIVE_INFINITY }
      },
    }
    const replayed = replay([traceJob('1', 0, 60)], optionsOf({ policy: greedy }))
    expect(refusals).toContain('16 units are free')
    expect(replayed.boots).toBe(16)
  })

  test('cuts what still runs on a lease that ends, and counts it', () => {
    let asked = false
    const short: Policy = {
      name: 'short',
      type: 'node',
      periodMs: 0,
      decide() {
        const intents: GuestIntent[] = asked
          ? []
          : [
              {
                ...{ kind: 'request', type: 'node', units: 1, unitsMin: 1, durationMs: 600_000 },
                ...{ startBy: undefined, reason: '' },
              },
            ]
        asked = true
        return { intents, againMs: 10_000, steadyUntil: Number.POSITIVE_INFINITY }
      },
    }
    const replayed = replay([traceJob('1', 0, 7200)], optionsOf({ policy: short }))
    expect(replayed.jobs[0]).toMatchObject({ cut: true, endedAt: replayed.until })
  })
})
