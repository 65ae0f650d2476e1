import { describe, expect, test } from 'vitest'
import { Churn } from '../../deploy/replay/churn.ts'
import { measure, spreadOf } from '../../deploy/replay/measure.ts'
import { Meter } from '../../deploy/replay/meter.ts'
import { replay } from '../../deploy/replay/replay.ts'
import { optionsOf, SECOND, traceJob } from './replay-stage.ts'

const MINUTE = 60_000
const HOUR = 3_600_000

describe('measuring', () => {
  test('a spread is the mean, and the least values that so many of a hundred do not exceed', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i)
    expect(spreadOf(values)).toEqual({ jobs: 100, meanMs: 50.5, p50Ms: 50, p90Ms: 90, p99Ms: 99 })
    expect(spreadOf([])).toEqual({ jobs: 0, meanMs: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0 })
  })

  test('waits, slowdown and node-hours of three jobs, reckoned by hand', () => {
    // Two nodes. 1: 0-3600 on both; 2 waits 3500 s and runs for 100 on one; 3 starts with it.
    const jobs = [
      traceJob('1', 0, 3600, 2, { queue: 'wide' }),
      traceJob('2', 100, 100, 1),
      traceJob('3', 3600, 1800, 1),
    ]
    const always = replay(jobs, optionsOf({ units: 2 }))
    const twoNodes = measure(always, always)
    expect(twoNodes.wait).toEqual({
      ...{ jobs: 3, meanMs: (3500 / 3) * SECOND, p50Ms: 0 },
      ...{ p90Ms: 3500 * SECOND, p99Ms: 3500 * SECOND },
    })
    expect(twoNodes.meanSlowdown).toBeCloseTo((1 + 36 + 1) / 3)
    expect(twoNodes.nodeHoursPaid).toBeCloseTo((2 * 5400) / 3600)
    expect(twoNodes.nodeHoursWorked).toBeCloseTo((2 * 3600 + 100 + 1800) / 3600)

    const threeNodes = replay(jobs, optionsOf({ units: 3 }))
    const gained = measure(threeNodes, always)
    expect(gained.added.meanMs).toBe((-3500 / 3) * SECOND)
    expect(Object.keys(gained.addedByQueue)).toEqual(['batch', 'wide'])
    expect(gained.addedByWidth['1']).toMatchObject({ jobs: 2, p50Ms: -3500 * SECOND, p90Ms: 0 })
    expect(gained.addedByWidth['2-4']).toMatchObject({ jobs: 1, meanMs: 0 })
  })

  test('a level counts for as long as it holds, and its curve has the mean of each stretch', () => {
    const meter = new Meter(0)
    meter.set('paid', 4)
    meter.pass(30 * MINUTE)
    meter.add('paid', -2)
    meter.pass(HOUR + 30 * MINUTE)
    expect(meter.total('paid')).toBe(2 * HOUR + 2 * HOUR)
    expect(meter.curve(10)).toMatchObject({ from: 0, stepMs: HOUR, points: [{ paid: 3 }, { paid: 2 }] })
    expect(meter.curve(1)).toMatchObject({ stepMs: 2 * HOUR, points: [{ paid: 2.67 }] })
  })

  test('a unit ordered within ten minutes of one given back is an oscillation, each once', () => {
    const churn = new Churn()
    churn.givenBack(0)
    churn.givenBack(HOUR)
    churn.ordered(HOUR + 10 * MINUTE - 1)
    churn.ordered(HOUR + 10 * MINUTE - 1)
    churn.givenBack(2 * HOUR)
    churn.ordered(2 * HOUR + 10 * MINUTE)
    expect([churn.boots, churn.oscillations]).toEqual([3, 1])
  })
})
