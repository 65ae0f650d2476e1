import { describe, expect, test } from 'vitest'
import { clues, cobald, parallelCluster, slurmPowerSaving } from '../../bench/replay/rivals.ts'
import { measure } from '../../deploy/replay/measure.ts'
import { type Policy, replay } from '../../deploy/replay/replay.ts'
import { optionsOf, SECOND, synthetic, T0, traceJob } from './replay-stage.ts'

const size = { cpus: 1, max: 16 }
const MINUTE = 60_000

const startOf = (policy: Policy): number =>
  (replay([traceJob('1', 1, 60)], optionsOf({ policy })).jobs[0]!.startedAt! - T0) / SECOND

describe('what others do', () => {
  test('a job that waits has a machine after the next turn of the loop, a ticket and a boot', () => {
    expect(startOf(clues(5 * MINUTE, size))).toBe(5 + 1 + 90)
    expect(startOf(slurmPowerSaving(5 * MINUTE, size))).toBe(10 + 1 + 90)
    expect(startOf(parallelCluster(5 * MINUTE, size))).toBe(60 + 1 + 90)
  })

  test('COBalD has machines though nobody asked, for it cannot see that', () => {
    const policy = cobald({ rate: 1 / 30, low: 0.5, high: 0.5 }, size)
    const replayed = replay([traceJob('1', 0, 60), traceJob('2', 3600, 60)], optionsOf({ policy }))
    expect(replayed.boots).toBeGreaterThan(4)
  })

  // 15 nodes are there and idle, and one is busy for two hours more: the job of 16 waits for it.
  const wide = [traceJob('1', 0, 7200), traceJob('2', 0, 60, 15), traceJob('3', 600, 60, 16)]

  test('CLUES turns off what a wide job is collecting, and boots it again', () => {
    const replayed = replay(wide, optionsOf({ scheduler: 'fifo', policy: clues(10 * MINUTE, size) }))
    expect(replayed.takenWhileWanted).toBe(15)
    expect(replayed.boots).toBe(16 + 15)
  })

  test.each([
    clues(5 * MINUTE, size),
    parallelCluster(5 * MINUTE, size),
    slurmPowerSaving(5 * MINUTE, size),
  ])('$name runs all jobs, cuts none, and never has more than there are', (policy) => {
    const jobs = synthetic(200, 'rivals')
    const replayed = replay(jobs, optionsOf({ policy }))
    expect(measure(replayed, replay(jobs, optionsOf()))).toMatchObject({ cut: 0, neverStarted: 0 })
    expect(Math.max(...replayed.curve.points.map(({ paid }) => paid))).toBeLessThanOrEqual(16)
  })
})
