import { describe, expect, test } from 'vitest'
import { trial } from './trial.ts'

/** SEEDS=n runs n of them; the first ones are always the same. */
const SEEDS = Number(process.env.SUBLET_SEEDS ?? 100)
const PER_TEST = 20

describe('no storm of lost messages and crashes breaks an invariant', () => {
  for (let first = 1; first <= SEEDS; first += PER_TEST)
    test(`seeds ${first} to ${first + PER_TEST - 1}`, { timeout: 60_000 }, async () => {
      for (let seed = first; seed < first + PER_TEST; seed++) {
        const { violations, leases } = await trial({ seed })
        expect(violations, `again with: npm run sim -- --seed ${seed}`).toEqual([])
        expect(leases).toBeGreaterThan(0)
      }
    })
})
