import { beforeAll, describe, expect, test } from 'vitest'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import { weightedShare } from '../../controllers/brokers/weighted-share.ts'
import { type FairnessOutcome, fairness, GUESTS } from './fairness.ts'
import { SHARES, weightOf } from './fairness-shares.ts'

/** The week is `npm run sim:fairness`. */
const HOURS = 16

const offWeight = ({ guests }: FairnessOutcome): readonly number[] => {
  const all = guests.reduce((sum, { unitHours }) => sum + unitHours, 0)
  return guests.map(({ name, unitHours }) => Math.abs(unitHours / all / weightOf(name) - 1))
}

describe('three guests that always want more than there is, by weighted share', () => {
  let outcome: FairnessOutcome
  beforeAll(async () => {
    outcome = await fairness(weightedShare(SHARES), {
      hours: HOURS,
      maxOf: (guest) => SHARES.guests[guest]?.max,
    })
  }, 180_000)

  test('get their weights, within 5 %', () => {
    for (const off of offWeight(outcome)) expect(off).toBeLessThan(0.05)
  })

  test('are never under their minimum, once the others had a term', () => {
    for (const { name, leastUnits } of outcome.guests)
      expect(leastUnits).toBeGreaterThanOrEqual(SHARES.guests[name]!.min)
  })

  test('leave no unit idle that a waiting request could start with', () => {
    expect(outcome.violations).toEqual([])
  })

  test('come to their shares within a few terms, though one held everything when the others came', () => {
    const [, , third] = outcome.hourlyShares
    for (const [i, name] of GUESTS.entries()) expect(Math.abs(third![i]! - weightOf(name))).toBeLessThan(0.05)
  })
})

test('first come first served knows no weights', async () => {
  const outcome = await fairness(firstCome, { hours: 8 })
  expect(outcome.violations).toEqual([])
  expect(Math.max(...offWeight(outcome))).toBeGreaterThan(0.1)
}, 180_000)
