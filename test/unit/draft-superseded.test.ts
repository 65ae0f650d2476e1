import { expect, test } from 'vitest'
import { Draft, LINE_CHARS_MAX } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'

test('of what tells the whole state only the last of a batch goes out, and what is taken back takes nothing with it', () => {
  const draft = new Draft(new RowSet(), 'site', 0, idSource(seededRandom(1)))
  const tell = (body: number, options: { subject?: string; whole?: boolean } = {}): void =>
    draft.send({ to: 'manager', kind: 'update', subject: 'lease', body, until: 1, whole: true, ...options })
  const left = (): unknown[] =>
    draft.outgoing.filter((message) => !draft.superseded.has(message)).map(({ body }) => body)
  tell(1)
  tell(2, { subject: 'other' })
  tell(3)
  expect(left()).toEqual([2, 3])
  tell(4, { whole: false })
  expect(left()).toEqual([2, 4])
  const mark = draft.mark()
  tell(5)
  tell(6)
  expect(left()).toEqual([2, 4, 6])
  draft.rollback(mark)
  expect(left()).toEqual([2, 4])
})

test('no reason is longer than a line may be; one that is ends so that it shows', () => {
  const draft = new Draft(new RowSet(), 'site', 0, idSource(seededRandom(1)))
  for (const reason of [
    'short',
    'x'.repeat(LINE_CHARS_MAX),
    'x'.repeat(1_000_000),
    '\u{1f4a5}'.repeat(500_000),
  ])
    draft.note('noted', 'lease', reason)
  const [short, full, long, cut] = draft.notes.map(({ reason }) => reason)
  expect([short, full]).toEqual(['short', 'x'.repeat(LINE_CHARS_MAX)])
  expect(long).toBe(`${'x'.repeat(LINE_CHARS_MAX - 3)}...`)
  expect(cut).toMatch(/\.\.\.$/)
  expect(cut!.isWellFormed()).toBe(true)
  expect(cut!.length).toBeLessThanOrEqual(LINE_CHARS_MAX)
})
