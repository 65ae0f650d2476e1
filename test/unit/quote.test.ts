import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { quote, quoteAll } from '../../adapters/exec/quote.ts'

/** Any text but NUL and lone surrogates, which no argument can hold. */
const argument = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed())

describe('quoting', () => {
  test('a shell reads back what was quoted, whatever it holds', () => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1, maxLength: 8 }), (words) => {
        const line = `printf '%s\\0' ${quoteAll(words)}`
        expect(execFileSync('sh', ['-c', line], { encoding: 'utf8' })).toBe(`${words.join('\0')}\0`)
      }),
      { numRuns: 150, seed: 20_261_121 },
    )
  })

  test('plain words stay plain, and the empty word is not lost', () => {
    expect(quoteAll(['scontrol', 'show', 'job=17_3', ''])).toBe("scontrol show 'job=17_3' ''")
  })

  test('a single quote is closed, escaped and opened again', () => {
    expect(quote("it's")).toBe(`'it'\\''s'`)
  })

  test('NUL, which no argument can hold, is refused', () => {
    expect(() => quote('a\0b')).toThrow(TypeError)
  })
})
