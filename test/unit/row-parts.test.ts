import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Draft } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { Links } from '../../actors/runtime/links.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { dueIn, rowAt, rowsIn, textAt } from '../../actors/runtime/row-parts.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { partsOf } from '../simulation/parts.ts'

interface AnyRow extends Row {
  readonly [field: string]: unknown
}

const textOf = (row: Row): string => JSON.stringify(row)
const stored = (table: string, rows: Iterable<AnyRow>) =>
  [...rows].map((row) => ({ table, id: row.id, json: textOf(row) }))

/** Texts and values that look like what is looked for. */
const tricky = fc.oneof(
  fc.string(),
  fc.constantFrom('"due":7}', '"due":', '{"state":"x"', '[', '{', '}', '\\', '"', '\\"state":"', 'a"b'),
)
const field = fc.constantFrom('due', 'state', 'inner', 'other')
const value = fc.oneof(tricky, fc.integer(), fc.double({ noNaN: true }), fc.constant(null), fc.boolean())
const nested = fc.dictionary(field, fc.oneof(value, fc.array(fc.dictionary(field, value))))
const anyRow: fc.Arbitrary<AnyRow> = fc
  .tuple(tricky, fc.array(fc.tuple(field, fc.oneof(value, nested, fc.array(nested)))))
  .map(([id, fields]) => ({ id, ...Object.fromEntries(fields) }))

describe('a row that was not parsed', () => {
  test('says when it is due as it does when it is, whatever else stands in it', () => {
    fc.assert(
      fc.property(anyRow, (row) => {
        expect(dueIn(textOf(row))).toEqual(JSON.parse(textOf(row)).due)
      }),
    )
    expect(dueIn('{"id":"a","due":1795950514279}')).toBe(1795950514279)
    expect(dueIn('{"id":"a","due":5,"inner":{"due":6}}')).toBe(5)
    expect(dueIn('{"id":"a","inner":{"due":6}}')).toBeUndefined()
  })

  test('says what text it has in a field as it does when it is', () => {
    fc.assert(
      fc.property(fc.array(anyRow, { minLength: 1 }), (rows) => {
        const [part] = partsOf(stored('note', rows))
        rows.forEach((row, place) => {
          const { state } = row
          expect(textAt(part!, place, 'state')).toBe(typeof state === 'string' ? state : undefined)
        })
      }),
    )
  })
})

describe('rows in parts', () => {
  test('are all there, each table by itself and in its order', () => {
    const rows = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), anyRow), { maxLength: 30 })
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 9 }), (given, most) => {
        const parts = [
          ...partsOf(
            given.flatMap(([table, row]) => stored(table, [row])),
            most,
          ),
        ]
        for (const table of ['a', 'b', 'c']) {
          const own = given.filter(([name]) => name === table).map(([, row]) => JSON.parse(textOf(row)))
          const found = parts.filter((part) => part.table === table)
          expect(found.flatMap((part) => rowsIn(part))).toEqual(own)
          expect(found.flatMap((part) => part.ids.map((_, place) => rowAt(part, place)))).toEqual(own)
          expect(found.flatMap(({ ids }) => ids)).toEqual(own.map(({ id }) => id))
        }
      }),
    )
  })
})

describe('rows that were taken up', () => {
  const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const step = fc.record({
    what: fc.constantFrom('get', 'has', 'set', 'remove', 'all', 'count', 'where', 'glimpses'),
    id: fc.constantFrom(...ids, 'new'),
    state: fc.constantFrom('open', 'closed'),
  })

  test('are what they would be if all had been parsed, whatever is asked, changed and removed', () => {
    const begin = fc.array(fc.constantFrom('open', 'closed', undefined), { maxLength: ids.length })
    fc.assert(
      fc.property(begin, fc.array(step), (states, steps) => {
        const first = states.map((state, n) => ({ id: ids[n]!, due: n === 3 ? undefined : n, state }))
        const rows = new RowSet()
        for (const part of partsOf(stored('note', first), 3)) rows.takeUp(part)
        const model = new Map<string, AnyRow>(first.map((row) => [row.id, JSON.parse(textOf(row))]))
        const sorted = (found: Iterable<Row>) => [...found].toSorted((a, b) => (a.id < b.id ? -1 : 1))
        const all = () => sorted(model.values())
        for (const { what, id, state } of steps) {
          if (what === 'get') expect(rows.get('note', id)).toEqual(model.get(id))
          if (what === 'has') expect(rows.has('note', id)).toBe(model.has(id))
          if (what === 'count') expect(rows.count('note')).toBe(model.size)
          if (what === 'all') expect(sorted(rows.all('note'))).toEqual(all())
          if (what === 'where')
            expect(sorted(rows.where('note', 'state', state))).toEqual(
              all().filter((row) => (row as AnyRow).state === state),
            )
          if (what === 'glimpses')
            expect(sorted(rows.glimpses('note', 'state'))).toEqual(
              all().map((row) => ({ id: row.id, due: row.due, text: (row as AnyRow).state })),
            )
          const row = what === 'set' ? { id, due: 99, state } : undefined
          if (what === 'set' || what === 'remove') rows.set('note', id, row)
          if (what === 'set') model.set(id, row!)
          if (what === 'remove') model.delete(id)
        }
        expect(sorted(rows.all('note'))).toEqual(all())
      }),
    )
  })

  test('are one and the same object from the first time somebody asked on', () => {
    const rows = new RowSet()
    for (const part of partsOf(stored('note', [{ id: 'a' }, { id: 'b' }, { id: 'c' }]))) rows.takeUp(part)
    const row = rows.get('note', 'a')
    expect(rows.get('note', 'a')).toBe(row)
    expect([...rows.all('note')][0]).toBe(row)
  })

  test('are seen by a draft with what it changed on top', () => {
    const rows = new RowSet()
    for (const part of partsOf(stored('note', [{ id: 'a' }, { id: 'b', state: 'x' }, { id: 'c' }])))
      rows.takeUp(part)
    const draft = new Draft<{ note: AnyRow }>(rows, 'me', 0, idSource(seededRandom(1)))
    draft.put('note', { id: 'c', due: 4, state: 'y' })
    draft.remove('note', 'a')
    draft.put('note', { id: 'd' })
    expect([...draft.glimpses('note', 'state')]).toEqual([
      { id: 'b', due: undefined, text: 'x' },
      { id: 'c', due: 4, text: 'y' },
      { id: 'd', due: undefined, text: undefined },
    ])
  })
})

test('links that were taken up say how far each peer was heard, and are found by their subject', () => {
  const link = fc.record({
    peer: fc.constantFrom('broker', 'site', 'other'),
    subject: fc.constantFrom('lease-1', 'lease-2', '"inSeq":9', 'of two words'),
    inSeq: fc.option(fc.nat(1_000), { nil: undefined }),
    inHash: fc.constantFrom('ticket x', '"inSeq":5'),
  })
  fc.assert(
    fc.property(fc.uniqueArray(link, { selector: ({ peer, subject }) => `${peer} ${subject}` }), (given) => {
      const all = given.map(({ peer, subject, ...rest }) => ({
        id: `${peer} ${subject}`,
        out: 1,
        in: 1,
        ...rest,
      }))
      const [taken, told] = [new RowSet(), new RowSet()]
      const [links, same] = [new Links(taken, 0), new Links(told, 0)]
      for (const part of partsOf(stored('$link', all), 3)) {
        taken.takeUp(part)
        links.takeUp(part)
      }
      for (const row of all) {
        told.set('$link', row.id, row)
        same.adopt(row.id, row, false)
      }
      for (const peer of ['broker', 'site', 'other']) expect(links.seenSeq(peer)).toBe(same.seenSeq(peer))
      expect([...links.peers()].toSorted()).toEqual([...new Set(given.map(({ peer }) => peer))].toSorted())
      const of = (subject: string) =>
        given.filter((one) => one.subject === subject).map(({ peer }) => `${peer} ${subject}`)
      for (const { subject } of given) expect(links.of(subject).toSorted()).toEqual(of(subject).toSorted())
    }),
  )
})
