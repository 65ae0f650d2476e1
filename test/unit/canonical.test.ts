import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { canonical, digest } from '../../actors/runtime/canonical.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { excerpt, flawOf, plainCopy } from '../../actors/runtime/plain.ts'

const json = fc
  .jsonValue({ maxDepth: 5, noUnicodeString: false })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)

/** What JSON would change, too: dates, dropped and odd keys, figures that are none, text cut in the middle. */
const anything = fc.oneof(
  json,
  fc.anything({ withNullPrototype: true, withDate: true, withBoxedValues: true, withSparseArray: true }),
  fc.dictionary(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('10', '9', '2a', '__proto__')), json),
  fc.object({ key: fc.string({ unit: 'binary' }), values: [fc.string({ unit: 'binary' }), fc.double()] }),
)

/** The result, or that there is none. */
function outcomeOf(make: () => unknown): unknown {
  try {
    const text = make()
    return text === undefined ? 'nothing' : { text }
  } catch {
    return 'nothing'
  }
}

describe('the canonical form', () => {
  test('is one text for one value, whatever the order of its keys', () => {
    expect(canonical({ b: 1, a: [true, null, 'x'] })).toBe('{"a":[true,null,"x"],"b":1}')
    fc.assert(
      fc.property(json, (value) => {
        expect(canonical(JSON.parse(canonical(value)))).toBe(canonical(value))
      }),
    )
  })

  test('is that of RFC 8785, as the package writes it', () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(outcomeOf(() => canonical(value))).toEqual(outcomeOf(() => canonicalize(value)))
      }),
      { numRuns: 2_000 },
    )
  })

  test('puts keys in the order of their code units, also those that an object keeps elsewhere', () => {
    const value = { b: 1, '10': 2, '9': 3, a: { '\u{1f600}': 1, '\ufb33': 2 }, A: undefined }
    expect(canonical(value)).toBe('{"10":2,"9":3,"a":{"\u{1f600}":1,"\ufb33":2},"b":1}')
    expect(canonical({ z: '\\ud800', y: 0 })).toBe('{"y":0,"z":"\\\\ud800"}')
  })

  test('differs for values that differ, and so does its hash', () => {
    for (const [a, b] of [
      [{ a: 1 }, { a: '1' }],
      [
        [1, 2],
        [2, 1],
      ],
      [{ a: null }, {}],
      [['a,b'], ['a', 'b']],
    ])
      expect(digest(canonical(a))).not.toBe(digest(canonical(b)))
  })

  test('does not exist for what is not JSON', () => {
    for (const value of [undefined, Number.NaN, '\ud83d', () => 1]) expect(() => canonical(value)).toThrow()
  })
})

describe('a plain value', () => {
  test('is copied as JSON would', () => {
    const throughJson = (value: unknown): unknown =>
      JSON.parse(
        JSON.stringify(value ?? null, (_, inner: unknown) => {
          if (typeof inner === 'number' && !Number.isFinite(inner)) throw new Error('none')
          return typeof inner === 'string' ? inner.toWellFormed() : inner
        }),
      )
    fc.assert(
      fc.property(anything, (value) => {
        const text = outcomeOf(() => JSON.stringify(plainCopy(value)))
        expect(text).toEqual(outcomeOf(() => JSON.stringify(throughJson(value))))
      }),
      { numRuns: 2_000 },
    )
  })

  test('is its own copy, and has no flaw', () => {
    const nothingOdd = json.filter((value) => !JSON.stringify(value).includes('__proto__') && safe(value))
    fc.assert(
      fc.property(nothingOdd, (value) => {
        expect(plainCopy(value)).toEqual(value)
        expect(flawOf(value, 1_000_000)).toBeUndefined()
      }),
    )
  })

  test('is made of what JSON drops, and never of a figure that is none', () => {
    expect(plainCopy({ a: undefined, at: new Date(0), n: -0 })).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      n: 0,
    })
    expect(plainCopy(undefined)).toBeNull()
    expect(() => plainCopy({ load: [1, Number.NaN] })).toThrow('“1” is NaN, which JSON cannot carry')
    expect(() => plainCopy({ n: 1n })).toThrow()
  })

  test('that is large is called so long before it is walked to its end', () => {
    const large = { list: Array.from({ length: 1_000 }, () => 'x'.repeat(10_000)) }
    let walked = 0
    const watched = new Proxy(large.list, {
      get: (list, key) => {
        if (typeof key === 'string' && /^\d+$/.test(key)) walked++
        return Reflect.get(list, key) as unknown
      },
    })
    expect(flawOf({ list: watched }, 20_000)).toContain('longer than 20000')
    expect(walked).toBeLessThanOrEqual(1_000)
    expect(flawOf(large, 11_000_000)).toBeUndefined()
  })
})

describe('a short text for a person', () => {
  test('is made of anything, and never thrown', () => {
    const round: { self?: unknown } = {}
    round.self = round
    expect(excerpt({ a: 1 }, 100)).toBe('{"a":1}')
    expect(excerpt(undefined, 100)).toBe('undefined')
    expect(excerpt(round, 100)).toContain('circular')
    expect(excerpt({ n: 1n }, 100)).toContain('BigInt')
    expect(excerpt('🙂🙂', 4).isWellFormed()).toBe(true)
  })

  test('of an error is its sentences and those of its causes, at most five', () => {
    const error = new SubletError('store-failed', 'the store failed', { cause: new Error('disk full') })
    expect(inOneLine(error)).toBe('the store failed: disk full')
    const round = new Error('round')
    round.cause = round
    expect(inOneLine(round)).toBe('round: round: round: round: round')
  })

  test('says where something has not its form, and not all that a schema says of it', () => {
    const form = z.strictObject({ boot: z.string(), hours: z.array(z.int().min(0)) })
    const { error } = form.safeParse({ hours: [1, -1] })
    expect(inOneLine(new SubletError('store-failed', 'it cannot be read', { cause: error }))).toBe(
      'it cannot be read: boot: Invalid input: expected string, received undefined, and 1 more',
    )
    expect(inOneLine(form.safeParse(7).error)).toBe('Invalid input: expected object, received number')
  })
})

/** Whether all its numbers are exact. */
function safe(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value)
  return typeof value !== 'object' || value === null || Object.values(value).every(safe)
}
