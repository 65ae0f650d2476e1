import { describe, expect, test } from 'vitest'
import { ROLES, Trial, type TrialOptions, trial } from './trial.ts'

/** Few jobs and no other fault, so that each run differs from the next in one crash only. */
const QUIET: TrialOptions = { seed: 1, calm: true, jobs: 4, stormMs: 90_000 }

describe('check 8: a crash before or after any one commit changes nothing in the end', async () => {
  const calm = new Trial(QUIET)
  const { commits, violations } = await calm.run()
  test('without a crash everything holds', () => expect(violations).toEqual([]))
  test('its commits are those of joins, drains, leaves and extensions', () => {
    const kinds = calm.managers.flatMap(({ disk }) =>
      [...disk.forgotten, ...disk.ledger].map(({ kind }) => kind),
    )
    expect(kinds).toEqual(
      expect.arrayContaining([
        'requested',
        'unit joined',
        'unit draining',
        'unit left',
        'extended',
        'lease closed',
      ]),
    )
  })
  for (const role of ROLES)
    for (const when of ['before', 'after'] as const)
      test(`${role}: ${when} each of its commits`, { timeout: 600_000 }, async () => {
        expect(commits[role]!).toBeGreaterThan(5)
        for (let commit = 1; commit <= commits[role]!; commit++) {
          const result = await trial({ ...QUIET, crashAt: { role, commit, when } })
          expect(result.violations, `${when} commit ${commit} of the ${role}`).toEqual([])
          expect(result.crashes).toBe(1)
        }
      })
})
