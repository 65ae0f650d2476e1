import { expect, test } from 'vitest'
import { lastLook, listKeeper } from '../../controllers/guests/groc/last-look.ts'

test('a step is taken again only where something that it rests on is another object, and for each owner alone', () => {
  const remembered = lastLook<number>()
  let made = 0
  const take = (owner: object, ...key: readonly unknown[]): number => {
    made += 1
    return remembered(owner, key, () => made)
  }
  const [owner, other, one, same] = [{}, {}, { a: 1 }, { a: 1 }]
  expect([
    take(owner, one),
    take(owner, one),
    take(owner, same),
    take(owner, one),
    take(owner, one, 1),
  ]).toEqual([1, 1, 3, 4, 5])
  expect([take(other, one), take(owner, one, 1)]).toEqual([6, 5])
})

test('a list is the very one of before as long as it has the very same members in the same order', () => {
  const keep = listKeeper<object>()
  const [a, b] = [{}, {}]
  const first = keep([a, b])
  expect(keep([a, b])).toBe(first)
  expect(keep([a])).not.toBe(first)
  expect(keep([a, b])).not.toBe(first)
  expect(keep([])).toBe(keep([]))
})
