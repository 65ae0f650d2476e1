import { describe, expect, test } from 'vitest'
import { type Offer, type Promised, type Supply, supplyOf } from '../../actors/leases/calendar.ts'
import { seededRandom } from '../../actors/runtime/random.ts'

const offer = (units: number, site = 'a'): Offer => ({ site, type: 't', units, term: undefined })
const promise = (units: number, start: number, end: number, site = 'a'): Promised => ({
  ...{ site, type: 't', units },
  term: { start, end },
})
const free = (supply: Supply, start: number, end: number): number => supply.free('a', 't', { start, end })

describe('what is free over time', () => {
  test('is all that is offered while nothing is promised', () =>
    expect(free(supplyOf([offer(4)], []), 0, 100)).toBe(4))

  test('is the least over the term', () => {
    const supply = supplyOf([offer(4)], [promise(1, 10, 20), promise(2, 15, 30)])
    expect(free(supply, 0, 10)).toBe(4)
    expect(free(supply, 0, 11)).toBe(3)
    expect(free(supply, 0, 100)).toBe(1)
    expect(free(supply, 20, 30)).toBe(2)
    expect(free(supply, 30, 31)).toBe(4)
  })

  test('counts terms as half-open: two that meet share no instant', () =>
    expect(free(supplyOf([offer(1)], [promise(1, 0, 10)]), 10, 20)).toBe(1))

  test('is never less than nothing, and a promise beyond the offer still counts', () => {
    const supply = supplyOf([offer(1)], [promise(3, 0, 10)])
    expect(free(supply, 0, 10)).toBe(0)
    expect(supply.earliest('a', 't', 1, 5, 0, 100)).toBe(10)
  })

  test('is nothing of a type or site that nobody offers', () => {
    const supply = supplyOf([offer(1)], [])
    expect(supply.free('a', 'other', { start: 0, end: 1 })).toBe(0)
    expect(supply.free('b', 't', { start: 0, end: 1 })).toBe(0)
    expect(supply.offered('b', 't')).toBe(0)
    expect(supply.earliest('b', 't', 1, 1, 0, 10)).toBeUndefined()
  })

  test('is nothing for a term longer than its site lends', () => {
    const supply = supplyOf([{ ...offer(2), termMsMax: 10 }, offer(1, 'b')], [])
    expect([free(supply, 0, 10), free(supply, 0, 11)]).toEqual([2, 0])
    expect(supply.earliest('a', 't', 2, 10, 0, 100)).toBe(0)
    expect(supply.earliest('a', 't', 2, 11, 0, 100)).toBeUndefined()
    const less = supply.take('a', 't', 1, { start: 0, end: 5 })
    expect([free(less, 0, 10), free(less, 0, 11)]).toEqual([1, 0])
    expect(['a', 'b', 'c'].map((site) => less.longest(site, 't'))).toEqual([10, Infinity, undefined])
  })

  test('names of types do not run into one another', () => {
    const supply = supplyOf([{ ...offer(3), type: 't\nu' }, offer(1)], [])
    expect(free(supply, 0, 1)).toBe(1)
  })

  test('an offer for a time is nothing before and after', () => {
    const supply = supplyOf([{ ...offer(2), term: { start: 10, end: 20 } }], [])
    expect(free(supply, 10, 20)).toBe(2)
    expect(free(supply, 9, 20)).toBe(0)
    expect(supply.earliest('a', 't', 2, 10, 0, 100)).toBe(10)
    expect(supply.earliest('a', 't', 2, 11, 0, 100)).toBeUndefined()
  })

  test('what is taken is taken from a new one only', () => {
    const supply = supplyOf([offer(2)], [])
    const less = supply.take('a', 't', 2, { start: 5, end: 10 })
    expect([free(supply, 0, 20), free(less, 0, 20), free(less, 10, 20)]).toEqual([2, 0, 2])
  })

  test('the earliest start is not after the latest', () => {
    const supply = supplyOf([offer(1)], [promise(1, 0, 50)])
    expect(supply.earliest('a', 't', 1, 10, 0, 50)).toBe(50)
    expect(supply.earliest('a', 't', 1, 10, 0, 49)).toBeUndefined()
  })

  test('agrees with counting instant by instant', () => {
    const random = seededRandom(3)
    const length = 40
    for (let round = 0; round < 200; round++) {
      const offered = 1 + random.int(5)
      const promises = Array.from({ length: random.int(8) }, () => {
        const start = random.int(length - 1)
        return promise(1 + random.int(2), start, start + 1 + random.int(10))
      })
      const taken = promises.splice(0, random.int(3))
      let supply = supplyOf([offer(offered)], promises)
      for (const { site, type, units, term } of taken) supply = supply.take(site, type, units, term)
      const all = [...promises, ...taken]
      const at = (instant: number): number =>
        offered -
        all.reduce(
          (sum, { units, term }) => sum + (term.start <= instant && instant < term.end ? units : 0),
          0,
        )
      const least = (start: number, end: number): number =>
        Math.max(0, Math.min(...Array.from({ length: end - start }, (_, i) => at(start + i))))
      const start = random.int(length)
      const end = start + 1 + random.int(10)
      expect(free(supply, start, end)).toBe(least(start, end))
      const units = 1 + random.int(offered)
      const wanted = supply.earliest('a', 't', units, end - start, start, 1_000)
      let counted = start
      while (least(counted, counted + end - start) < units) counted += 1
      expect(wanted).toBe(counted)
    }
  })
})
