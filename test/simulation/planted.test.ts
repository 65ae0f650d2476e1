import { describe, expect, test } from 'vitest'
import { PLANTED } from './planted.ts'
import { find, PLANTED_SEEDS } from './table.ts'

describe('a fault that is planted is found', () => {
  test('there are enough of them', () => expect(Object.keys(PLANTED).length).toBeGreaterThanOrEqual(15))

  for (const [fault, plants] of Object.entries(PLANTED))
    test(`${fault}, within ${PLANTED_SEEDS} seeds`, { timeout: 600_000 }, async () => {
      const { seeds } = await find(fault, plants)
      expect(seeds).toBeDefined()
    })
})
