import { expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'

/** `npm run fuzz` sends a hundred thousand. */
const COUNT = 6_000

test(`of ${COUNT} messages that were changed, none is taken wrongly and none makes an actor stumble`, {
  timeout: 60_000,
}, async () => {
  const tally = await fuzz(COUNT, 1)
  expect(tally.faults).toEqual([])
  expect(tally.crashes).toBe(0)
  expect(tally.acceptedWrongly).toBe(0)
  expect(tally.total).toBeGreaterThanOrEqual(COUNT)
})
