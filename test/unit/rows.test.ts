import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Draft } from '../../actors/runtime/draft.ts'
import { DueQueue } from '../../actors/runtime/due-queue.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import { decodeRow, encodeRow, type Row } from '../../actors/runtime/rows.ts'

interface NameRow extends Row {
  readonly name: string
}

describe('a row as it is kept', () => {
  test('is read back as it was', () => {
    const row = { id: 'unit-1', due: 5, name: 'naïve 🙂 \u0000' }
    expect(decodeRow(encodeRow('unit', 'unit-1', row))).toEqual(row)
  })

  test('is found out when any part of it was changed', () => {
    const stored = encodeRow('unit', 'unit-1', { id: 'unit-1' })
    for (const change of [
      { table: 'units' },
      { id: 'unit-2' },
      { json: '{"id":"unit-1" }' },
      { json: undefined },
    ])
      expect(() => decodeRow({ ...stored, ...change })).toThrow(
        /^row unit-[12] of table units? does not fit its checksum$/,
      )
    const other = encodeRow('unit', 'unit-2', { id: 'unit-2' })
    expect(() => decodeRow({ ...stored, checksum: other.checksum })).toThrow('does not fit')
  })

  test('cannot be kept under the id of another', () => {
    expect(() => encodeRow('unit', 'unit-2', { id: 'unit-1' })).toThrow(
      'row unit-1 of table unit was to be kept as unit-2',
    )
  })
})

describe('a draft', () => {
  const base = new RowSet()
  for (const id of ['a', 'b', 'c']) base.set('name', id, { id, name: id } as NameRow)
  const draftOf = () => new Draft<{ name: NameRow }>(base, 'actor', 1, idSource(seededRandom(1)))
  const names = (draft: ReturnType<typeof draftOf>): string[] =>
    draft
      .all('name')
      .map(({ name }) => name)
      .toSorted()

  test('shows the rows of the last commit with its changes on top, and changes none of them', () => {
    const draft = draftOf()
    draft.put('name', { id: 'a', name: 'A' })
    draft.put('name', { id: 'd', name: 'd' })
    draft.remove('name', 'b')
    expect(names(draft)).toEqual(['A', 'c', 'd'])
    expect([draft.get('name', 'a')?.name, draft.get('name', 'b')]).toEqual(['A', undefined])
    expect(names(draftOf())).toEqual(['a', 'b', 'c'])
  })

  test('hands out a list of its own', () => {
    const draft = draftOf()
    draft.all('name').length = 0
    expect(names(draft)).toEqual(['a', 'b', 'c'])
  })

  test('takes back exactly what was done since a mark, whatever it was', () => {
    const step = fc.record({
      what: fc.constantFrom('put', 'remove', 'send', 'effect', 'endEffect', 'note', 'retire', 'endMessage'),
      id: fc.constantFrom('a', 'b', 'x', 'y'),
      n: fc.nat(9),
    })
    type Step = { what: string; id: string; n: number }
    const apply = (draft: ReturnType<typeof draftOf>, { what, id, n }: Step): void => {
      if (what === 'put') draft.put('name', { id, name: `${n}` })
      if (what === 'remove') draft.remove('name', id)
      if (what === 'send') draft.send({ to: 'peer', kind: 'say', subject: id, body: n, until: 1 })
      if (what === 'effect') draft.effect({ key: id, verb: 'setup', args: n, timeoutMs: 1 })
      if (what === 'endEffect') draft.endEffect(id)
      if (what === 'note') draft.note('said', id, `${n}`)
      if (what === 'retire') draft.retire(id, n)
      if (what === 'endMessage') draft.endMessage(`${id} ${n}`)
    }
    const seen = (draft: ReturnType<typeof draftOf>): unknown => [
      draft.all('name').toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      ...[draft.outgoing, draft.notes, [...draft.intended].toSorted(), [...draft.retired].toSorted()],
      [...draft.outDone].toSorted(),
    ]
    fc.assert(
      fc.property(fc.array(step), fc.array(step), (kept, undone) => {
        const draft = draftOf()
        for (const one of kept) apply(draft, one)
        const before = structuredClone(seen(draft))
        const mark = draft.mark()
        for (const one of undone) apply(draft, one)
        draft.rollback(mark)
        expect(seen(draft)).toEqual(before)
      }),
    )
  })
})

describe('the queue of due rows', () => {
  test('gives every row once, in order of time, then of arrival, whatever was moved or taken out before', () => {
    const move = fc.tuple(fc.nat(20), fc.option(fc.nat(50), { nil: undefined }))
    fc.assert(
      fc.property(
        fc.array(move, { maxLength: 200 }),
        fc.nat(50),
        fc.integer({ min: 1, max: 30 }),
        (moves, now, max) => {
          const queue = new DueQueue()
          const model = new Map<string, { at: number; order: number }>()
          moves.forEach(([row, at], order) => {
            const id = `row ${row}`
            queue.set('note', id, at)
            if (at === undefined) model.delete(id)
            else if (model.get(id)?.at !== at) model.set(id, { at, order })
          })
          const due = [...model]
            .filter(([, { at }]) => at <= now)
            .toSorted(([, a], [, b]) => a.at - b.at || a.order - b.order)
            .map(([id]) => id)
          expect(queue.size).toBe(model.size)
          expect(queue.take(now, max).map(({ id }) => id)).toEqual(due.slice(0, max))
          expect(queue.size).toBe(model.size - Math.min(max, due.length))
          const left = [...model].filter(([id]) => !due.slice(0, max).includes(id)).map(([, { at }]) => at)
          expect(queue.next()).toBe(left.length === 0 ? undefined : Math.min(...left))
        },
      ),
    )
  })

  test('has one place for a row, however often it is moved', () => {
    const queue = new DueQueue()
    for (let i = 0; i < 10_000; i++) queue.set('lease', 'lease-1', i % 7)
    expect(queue.size).toBe(1)
  })
})

describe('rows that are found by a field', () => {
  const draftOf = (rows: RowSet): Draft<{ unit: NameRow }> =>
    new Draft<{ unit: NameRow }>(rows, 'me', 0, idSource(seededRandom(1)))

  test('are those that a look at all rows finds, whatever was put, changed and removed', () => {
    const change = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      name: fc.constantFrom('x', 'y', undefined),
      drafted: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const rows = new RowSet()
        const draft = draftOf(rows)
        for (const { id, name, drafted } of changes) {
          draft.where('unit', 'name', 'x')
          const row = name === undefined ? undefined : { id, name }
          if (!drafted) rows.set('unit', id, row)
          else if (row === undefined) draft.remove('unit', id)
          else draft.put('unit', row)
        }
        for (const name of ['x', 'y', 'z'])
          expect(
            draft
              .where('unit', 'name', name)
              .map(({ id }) => id)
              .sort(),
          ).toEqual(
            draft
              .all('unit')
              .filter((row) => row.name === name)
              .map(({ id }) => id)
              .sort(),
          )
      }),
    )
  })
})
