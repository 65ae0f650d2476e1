import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { verifyChain } from '../../actors/ledger/verify.ts'
import { canonical, digest } from '../../actors/runtime/canonical.ts'
import { chain, type LedgerEntry, type LedgerNote } from '../../actors/runtime/commit.ts'
import { decideOn, jobOf, viewOf } from './groc-world.ts'

const NO_LINE = { seq: 0, hash: '' }

/** As a store and an export hand it over. */
const kept = (note: LedgerNote): LedgerEntry =>
  JSON.parse(JSON.stringify(chain(note, 1_000, 'site', NO_LINE))) as LedgerEntry

const noteOf = (data: unknown): LedgerNote => ({
  kind: 'said',
  subject: 's-1',
  reason: 'somebody says so',
  data,
})

describe('whatever is written to a ledger can be verified', () => {
  test.each<[string, unknown, unknown]>([
    ['a whole number that is not exact', { units: 2 ** 53 }, { units: Number.MAX_SAFE_INTEGER }],
    ['one below all', [-1e300], [Number.MIN_SAFE_INTEGER]],
    ['nothing with a sign', { x: -0 }, { x: 0 }],
    ['text that is cut in the middle of a character', { x: '\ud83d' }, { x: '\ufffd' }],
    ['a key that is cut there', { '\ud83d': 1 }, { '\ufffd': 1 }],
    ['a key for a prototype', JSON.parse('{"__proto__":{"x":1}}'), { '(__proto__)': { x: 1 } }],
  ])('%s', (_, data, read) => {
    const line = kept(noteOf(data))
    expect(line.data).toEqual(read)
    expect(verifyChain([line])).toEqual([])
  })

  test('data deeper or longer than a line may be, and long words', () => {
    let deep: unknown = 1
    for (let i = 0; i < 200; i++) deep = i % 2 === 0 ? [deep] : { deep }
    const long = { text: 'x'.repeat(70 * 1024 * 1024) }
    for (const note of [
      noteOf(deep),
      noteOf(long),
      { kind: 'k'.repeat(5_000), subject: 's'.repeat(5_000), reason: 'r\ud83d'.repeat(5_000) },
    ])
      expect(verifyChain([kept(note)])).toEqual([])
    expect(kept(noteOf(long)).data).toHaveProperty('leftOut')
  })

  test('notes of every form', () => {
    const word = fc.string({ unit: 'binary', maxLength: 20 })
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'large' },
        ...[fc.boolean(), fc.constant(null), fc.constant(undefined), word],
        ...[fc.double({ noNaN: true, noDefaultInfinity: true }), fc.maxSafeInteger()],
        fc.constantFrom(2 ** 53, -(2 ** 60), 1e21, Number.MAX_VALUE, -0, '\ud83d', '\udc00x'),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.oneof(word, fc.constantFrom('__proto__', '10', 'toJSON', '\ud83d')), tie('value'), {
          maxKeys: 4,
        }),
      ),
    }))
    const note = fc.record({ kind: word, subject: word, reason: word, data: value })
    fc.assert(
      fc.property(fc.array(note, { maxLength: 5 }), (notes) => {
        const entries: LedgerEntry[] = []
        for (const each of notes) entries.push(chain(each, 1, 'site', entries.at(-1) ?? NO_LINE))
        expect(verifyChain(JSON.parse(JSON.stringify(entries)) as LedgerEntry[])).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('and a figure that is none is refused', () => {
    for (const figure of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => kept(noteOf({ figure }))).toThrow('which JSON cannot carry')
  })

  test('a line of an earlier program that wrote a whole number that is not exact is no fault', () => {
    const line = { ...noteOf({ units: 2 ** 53 }), seq: 1, at: 1, actor: 'site', prev: '' }
    const entry = { ...line, hash: digest(canonical(line)) } as LedgerEntry
    expect(verifyChain([entry])).toEqual([])
    expect(verifyChain([{ ...entry, data: { units: 2 ** 54 } }])).not.toEqual([])
  })

  test('what GROC decides for a job of whatever size', () => {
    for (const nodes of [Number.MAX_SAFE_INTEGER, 1_000_000, Number.POSITIVE_INFINITY, Number.NaN, 0]) {
      const wide = Array.from({ length: 3 }, (_, i) => jobOf(`wide-${i}`, { nodes, tasks: 1_000_000_000 }))
      const { reason, figures, intents } = decideOn(viewOf([], { jobs: [...wide, jobOf('2')] }))
      expect(intents, `${nodes} nodes`).not.toEqual([])
      expect(Object.values(figures).every(Number.isSafeInteger), `${nodes} nodes`).toBe(true)
      expect(
        verifyChain([kept({ kind: 'decided', subject: 'batch', reason, data: { figures, intents } })]),
      ).toEqual([])
    }
  })
})
