import { describe, expect, test } from 'vitest'
import { parseDuration } from '../../actors/runtime/durations.ts'
import { duration, name } from '../../actors/runtime/settings.ts'

describe('a length of time', () => {
  test.each([
    ['1500ms', 1_500],
    ['20s', 20_000],
    ['1.5m', 90_000],
    ['10min', 600_000],
    ['72h', 259_200_000],
    [' 3 d ', 259_200_000],
    ['0s', 0],
  ])('%s is %i ms', (text, ms) => expect(parseDuration(text)).toBe(ms))

  test.each([
    '',
    '20',
    's',
    '-5s',
    '1e3s',
    '5 weeks',
    '1,5h',
    '999999999999d',
    `${'9'.repeat(400)}s`,
  ])('“%s” is none', (text) => {
    expect(parseDuration(text)).toBeUndefined()
    expect(duration.safeParse(text).error?.issues[0]?.message).toContain('expected a duration such as 20s')
  })
})

test.each(['a', 'xen-01.site', 'Rack_2'])('%s is a name', (text) =>
  expect(name.safeParse(text).success).toBe(true))

test.each(['', '-a', 'a-', 'a b', '__proto__', 'a/b', 'x'.repeat(64)])('“%s” is no name', (text) =>
  expect(name.safeParse(text).success).toBe(false))
