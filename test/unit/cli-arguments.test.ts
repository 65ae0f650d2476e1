import { describe, expect, test } from 'vitest'
import { duration, wholeNumber } from '../../deploy/commands/cli-arguments.ts'

describe('a whole number', () => {
  test.each([
    ['1', 1],
    ['007', 7],
    ['999999999999999', 999_999_999_999_999],
  ])('%s is read', (text, value) => expect(wholeNumber(text)).toBe(value))

  test.each([
    '',
    '0',
    '-1',
    '+1',
    '1.0',
    '1e3',
    '0x2',
    '0b1',
    ' 2',
    '2 ',
    '١',
    'many',
    '9'.repeat(16),
  ])('%j is none', (text) =>
    expect(() => wholeNumber(text)).toThrow('Expected a whole number of at least 1.'))
})

describe('a duration', () => {
  test.each([
    ['20m', 1_200_000],
    ['8h', 28_800_000],
  ])('%s is read', (text, ms) => expect(duration(text)).toBe(ms))

  test.each(['', '20', '0s', '-1h', 'soon'])('%j is none', (text) =>
    expect(() => duration(text)).toThrow('Expected a duration'))
})
