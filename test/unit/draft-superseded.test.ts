import { expect, test } from 'vitest'
import { Draft } from '../../actors/runtime/draft.ts'
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
