import { expect, test } from 'vitest'
import { SPARING_MAX, SPARING_MS, SparingLog } from '../../actors/runtime/log.ts'

test.each([
  'warn',
  'error',
] as const)('of what strangers bring about (%s) so much is written in a minute, and how much was not', (level) => {
  let now = 0
  const written: [object, string][] = []
  const write = (fields: object, message: string): void => void written.push([fields, message])
  const log = new SparingLog({ warn: write, error: write }, { monotonic: () => now })
  for (let i = 0; i < 5 * SPARING_MAX; i++) log[level]({ i }, 'refused')
  expect(written).toHaveLength(SPARING_MAX)
  now += SPARING_MS
  log[level]({ i: -1 }, 'refused')
  log[level]({ i: -2 }, 'refused')
  expect(written.slice(SPARING_MAX)).toEqual([
    [{ i: -1, unwrittenBefore: 4 * SPARING_MAX }, 'refused'],
    [{ i: -2 }, 'refused'],
  ])
})
