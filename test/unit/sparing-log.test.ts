import { expect, test } from 'vitest'
import { SPARING_MAX, SPARING_MS, SparingLog } from '../../actors/runtime/log.ts'

test('of what strangers bring about so much is written in a minute, and how much was not', () => {
  let now = 0
  const written: [object, string][] = []
  const log = new SparingLog(
    { warn: (fields, message) => void written.push([fields, message]) },
    { monotonic: () => now },
  )
  for (let i = 0; i < 5 * SPARING_MAX; i++) log.warn({ i }, 'refused')
  expect(written).toHaveLength(SPARING_MAX)
  now += SPARING_MS
  log.warn({ i: -1 }, 'refused')
  log.warn({ i: -2 }, 'refused')
  expect(written.slice(SPARING_MAX)).toEqual([
    [{ i: -1, unwrittenBefore: 4 * SPARING_MAX }, 'refused'],
    [{ i: -2 }, 'refused'],
  ])
})
