import { describe, expect, test } from 'vitest'
import { Draft } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { indexOf } from '../../actors/runtime/views.ts'

interface Fruit extends Row {
  readonly colour: string | undefined
}

const byColour = indexOf<Fruit>('fruit', ({ colour }) => colour)

describe('an index', () => {
  test('finds what going through all rows finds, whatever is committed and drafted', () => {
    const random = seededRandom(3)
    const rows = new RowSet()
    const colours = ['red', 'green', undefined]
    const some = (): Fruit => ({ id: `fruit-${random.int(20)}`, colour: colours[random.int(3)] })
    for (let commit = 0; commit < 50; commit++) {
      const draft = new Draft<{ fruit: Fruit }>(rows, 'me', 0, idSource(random))
      for (let i = 0; i < 10; i++) {
        const fruit = some()
        if (random.next() < 0.3) draft.remove('fruit', fruit.id)
        else draft.put('fruit', fruit)
        const mark = draft.mark()
        draft.put('fruit', some())
        if (random.next() < 0.5) draft.rollback(mark)
        for (const colour of ['red', 'green']) {
          const all = draft.all('fruit').filter((row) => row.colour === colour)
          const found = draft.having(byColour, colour)
          const ids = (some: readonly Fruit[]) => some.map(({ id }) => id).sort()
          expect(ids(found)).toEqual(ids(all))
        }
      }
      for (const [id, row] of draft.changed.get('fruit') ?? []) rows.set('fruit', id, row)
    }
  })
})
