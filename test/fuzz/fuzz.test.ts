import { expect, test } from 'vitest'
import { seededRandom } from '../../actors/runtime/random.ts'
import { fuzz } from './fuzz.ts'
import { restored } from './restored.ts'
import { Tally } from './tally.ts'

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

test('a site is found that was put back and looks at no signature', { timeout: 60_000 }, async () => {
  const faults: string[] = []
  class Listing extends Tally {
    override wrong(sentence: string): void {
      faults.push(sentence)
    }
  }
  const tally = new Listing()
  const blind = () => true
  await restored(1_500, seededRandom(1), tally, { verify: blind, verifyBy: blind, hasKey: blind })
  expect(tally.crashes).toBe(0)
  expect(faults.join('\n')).toContain('stands on a ticket that was never issued')
  expect(faults.join('\n')).toMatch(/of neighbour is clos\w+, and was active/)
})
