import { expect, test } from 'vitest'
import { PLANTED } from './planted.ts'
import { shrink, wordsOf } from './shrink.ts'
import { type TrialOptions, trial } from './trial.ts'

test('a run that fails is made smaller and fails in the same way', { timeout: 600_000 }, async () => {
  const failing: TrialOptions = {
    seed: 1,
    plants: PLANTED['messages go out before the commit they follow from is on disk'],
  }
  const result = await trial(failing)
  let asked = 0
  const small = await shrink(failing, result, 40, () => asked++)
  expect(small.result.violations.length).toBeGreaterThan(0)
  expect(small.options.without).toContain('double')
  expect(small.options.plants).toBe(failing.plants)
  expect(wordsOf({ ...small.options, size: 'small' })).toMatch(
    /^--seed 1 --small .*--without [a-zA-Z,]*double/,
  )
})

test('the same seed is the same run', { timeout: 600_000 }, async () => {
  const options: TrialOptions = { seed: 3, size: 'federation', leases: 15, stormMs: 30_000, managers: 6 }
  expect(await trial(options)).toEqual(await trial(options))
})
