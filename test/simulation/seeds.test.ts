import { describe, expect, test } from 'vitest'
import { trial } from './trial.ts'

/** SUBLET_SEEDS=n runs n of each; the first ones are always the same. Many more: npm run sim. */
const SEEDS = Number(process.env.SUBLET_SEEDS ?? 8)
const FEDERATIONS = Number(process.env.SUBLET_SEEDS ?? 1)
const PER_TEST = 8

describe('no storm of lost messages and crashes breaks an invariant', () => {
  for (let first = 1; first <= SEEDS; first += PER_TEST)
    test(`of one actor of each role, seeds ${first} to ${first + PER_TEST - 1}`, {
      timeout: 600_000,
    }, async () => {
      for (let seed = first; seed < first + PER_TEST; seed++) {
        const { violations, leases } = await trial({ seed })
        expect(violations, `again with: npm run sim -- --small --seed ${seed}`).toEqual([])
        expect(leases).toBeGreaterThan(0)
      }
    })

  for (let seed = 1; seed <= FEDERATIONS; seed++)
    test(`of a federation, seed ${seed}`, { timeout: 600_000 }, async () => {
      const { violations, leases } = await trial({ seed, size: 'federation' })
      expect(violations, `again with: npm run sim -- --seed ${seed}`).toEqual([])
      expect(leases).toBeGreaterThan(100)
    })
})
