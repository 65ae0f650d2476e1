import { describe, expect, test } from 'vitest'
import { ROLES, type TrialOptions, trial } from './trial.ts'

/** Few jobs and no other fault, so that each run differs from the next in one crash only. */
const QUIET: TrialOptions = { seed: 1, calm: true, jobs: 4 }

describe('a crash before or after any one commit changes nothing in the end', async () => {
  const { commits, violations } = await trial(QUIET)
  test('without a crash everything holds', () => expect(violations).toEqual([]))
  for (const role of ROLES)
    for (const when of ['before', 'after'] as const)
      test(`${role}: ${when} each of its commits`, { timeout: 240_000 }, async () => {
        expect(commits[role]!).toBeGreaterThan(5)
        for (let commit = 1; commit <= commits[role]!; commit++) {
          const result = await trial({ ...QUIET, crashAt: { role, commit, when } })
          expect(result.violations, `${when} commit ${commit} of the ${role}`).toEqual([])
          expect(result.crashes).toBe(1)
        }
      })
})
