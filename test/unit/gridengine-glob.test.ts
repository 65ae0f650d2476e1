import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fits } from '../../adapters/gridengine/glob.ts'
import { leastOf } from '../../adapters/gridengine/sizes.ts'

describe('GridEngine’s wildcards', () => {
  test.each<[string, string, boolean]>([
    ['d*', 'dyn', true],
    ['d?n', 'dyn', true],
    ['d?n', 'dn', false],
    ['all.q', 'allxq', false],
    ['*.q', 'all.q', true],
    ['m*-i*b', 'mpi-x-ib', true],
    ['m*-i*b', 'mpi-x-i', false],
    ['*', '', true],
    ['?', '', false],
    ['mpi[0-9]', 'mpi7', true],
    ['mpi[0-9]', 'mpix', false],
    ['mpi[!0-9]', 'mpix', true],
    ['mpi[^0-9]', 'mpi7', false],
    ['[]x]*', ']a', true],
    ['[a-]', '-', true],
    ['[', 'dyn', false],
    ['d[yn', 'd[yn', true],
    ['[n*', '[nodes', true],
    ['(a+)+', 'aaa', false],
  ])('“%s” and “%s”: %s', (pattern, name, expected) => {
    expect(fits(pattern, name)).toBe(expected)
  })

  test('fit what a regular expression of the same meaning fits', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '[ab]', '[!a]'), maxLength: 8 })
    const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 })
    const sameAs = (text: string): RegExp =>
      new RegExp(`^${text.replaceAll('*', '.*').replaceAll('?', '.').replaceAll('[!', '[^')}$`)
    fc.assert(
      fc.property(pattern, name, (text, word) => {
        expect(fits(text, word)).toBe(sameAs(text).test(word))
      }),
      { numRuns: 2_000 },
    )
  })

  // Real GridEngine 8.1 takes `qsub -pe '****…p' 2` (40 and 400 stars), and prints it in requested_pe.
  test('of which a user writes hundreds come to an end', () => {
    const name = 'openmpi-ib'.repeat(20)
    expect(fits(`${'*'.repeat(400)}p`, name)).toBe(false)
    expect(fits(`${'*i'.repeat(400)}p`, name)).toBe(false)
    expect(fits(`${'*?'.repeat(150)}x`, name)).toBe(false)
    expect(fits('*[a-z]'.repeat(200), name)).toBe(false)
    expect(fits(`${'*'.repeat(400)}b`, name)).toBe(true)
  })
})

test('the least of a range is found, however long the range is', () => {
  const many = Array.from({ length: 200_000 }, (_, i) => 2 * i + 3)
  expect(leastOf(many.join(','))).toBe(3)
  expect(leastOf('9'.repeat(400))).toBe(1e9)
})
