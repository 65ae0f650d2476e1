import { describe, expect, test } from 'vitest'
import { dayWeights, lublin } from '../../deploy/replay/lublin.ts'
import { T0 } from './replay-stage.ts'

const COUNT = 20_000
const { jobs } = lublin({ jobs: COUNT, seed: 'statistics', processors: 128, from: T0 })
const share = (of: (job: (typeof jobs)[number]) => boolean): number => jobs.filter(of).length / COUNT
const isPowerOfTwo = (size: number): boolean => Number.isInteger(Math.log2(size))
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

describe('the synthetic workload', () => {
  test('has the share of serial jobs, of powers of two and of large jobs that the model says', () => {
    // A serial job is one by itself; the least other size, 2^1.2, is two when rounded.
    expect(share(({ processors }) => processors === 1)).toBeCloseTo(0.293, 1)
    // Of the others two thirds are rounded; some of the rest are powers by chance.
    const powers = share(({ processors }) => processors > 1 && isPowerOfTwo(processors)) / (1 - 0.2927)
    expect(powers).toBeGreaterThan(0.66)
    expect(powers).toBeLessThan(0.85)
    // The upper stage begins at 2^4.5: an eighth of those that are not serial, and what is rounded up to 32.
    expect(share(({ processors }) => processors > 32)).toBeCloseTo(0.125 * 0.7 * 0.72, 1)
    expect(Math.max(...jobs.map(({ processors }) => processors))).toBe(128)
  })

  test('has run times of two kinds, and more long ones among wide jobs', () => {
    const logs = jobs.map(({ runMs }) => Math.log(runMs / 1000))
    expect(Math.max(...logs)).toBeLessThanOrEqual(12.001)
    // The means of the two are 5.41 and 9.97; the first loses its tail to the limit.
    const long = (from: number, to: number): number => {
      const of = jobs.filter(({ processors }) => processors >= from && processors <= to)
      return of.filter(({ runMs }) => Math.log(runMs / 1000) > 8.7).length / of.length
    }
    expect(long(64, 128)).toBeGreaterThan(long(1, 4) + 0.1)
    expect(mean(logs)).toBeGreaterThan(0.67 * 5.3 + 0.3 * 9.97 - 0.4)
    expect(mean(logs)).toBeLessThan(0.67 * 5.5 + 0.35 * 9.97 + 0.4)
  })

  test('comes in the working day rather than at night', () => {
    const byHour = new Array<number>(24).fill(0)
    for (const { submittedAt } of jobs) byHour[new Date(submittedAt).getUTCHours()]! += 1
    const of = (from: number, to: number): number => byHour.slice(from, to).reduce((a, b) => a + b, 0)
    expect(of(11, 17)).toBeGreaterThan(3 * of(2, 8))
    expect(mean(dayWeights())).toBeCloseTo(1)
    expect(dayWeights().indexOf(Math.max(...dayWeights()))).toBe(27)
  })

  test('asks for 2.25 times what it runs on the average, and never for less', () => {
    expect(jobs.every(({ runMs, walltimeMs = 0 }) => walltimeMs >= runMs)).toBe(true)
    const long = jobs.filter(({ runMs }) => runMs > 3_600_000)
    expect(mean(long.map(({ runMs, walltimeMs = 0 }) => walltimeMs / runMs))).toBeCloseTo(2.25, 0)
  })

  test('is the same of the same seed, and fits any machine', () => {
    const of = (seed: string, processors: number) => lublin({ jobs: 50, seed, processors, from: T0 }).jobs
    expect(of('a', 16)).toEqual(of('a', 16))
    expect(of('a', 16)).not.toEqual(of('b', 16))
    for (const processors of [1, 2, 3, 100])
      expect(of('a', processors).every((job) => job.processors <= processors)).toBe(true)
  })
})
