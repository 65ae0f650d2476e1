import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Promised, supplyOf } from '../../actors/leases/calendar.ts'
import type { WeightedShareConfig } from '../../controllers/brokers/config.ts'
import { earliestDeadline } from '../../controllers/brokers/earliest-deadline.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import { classOf, priority } from '../../controllers/brokers/priority.ts'
import { waterFill } from '../../controllers/brokers/water-filling.ts'
import { weightedShare } from '../../controllers/brokers/weighted-share.ts'
import type { Holding, TicketRequest } from '../../controllers/controller.ts'
import { ask, extension, holding, inShort, MINUTE, NOW, offer, promised } from './policy-world.ts'

const later = (minutes: number) => ({ startBy: NOW + minutes * MINUTE })
const supply = (units: number, ...promises: readonly Promised[]) => supplyOf([offer('a', units)], promises)

describe('a group', () => {
  const member = (i: number, units: number, size: number, over: Partial<TicketRequest> = {}) =>
    ask(`m${i}`, units, { ...later(200), group: { id: 'g', size }, arrivedAt: NOW + i, ...over })

  test('starts at once if all members fit', () => {
    expect(inShort(firstCome([member(1, 2, 2), member(2, 3, 2)], supply(5), NOW))).toEqual([
      'm1: 2 at a from 0 to 60',
      'm2: 3 at a from 0 to 60',
    ])
  })

  test('waits for the first start at which all of it fits, and units are set aside until then', () => {
    const requests = [member(1, 2, 2), member(2, 3, 2), ask('late', 2, { arrivedAt: NOW + 9 })]
    const answers = firstCome(requests, supply(5, promised('a', 1, 0, 30), promised('a', 1, 40, 45)), NOW)
    expect(inShort(answers)).toEqual([
      'm1: waits for 45',
      'm2: waits for 45',
      'late: refused, from 105, now 0',
    ])
  })

  test('is refused whole if one member cannot start in time', () => {
    const requests = [member(1, 1, 2, later(10)), member(2, 5, 2)]
    expect(inShort(firstCome(requests, supply(5, promised('a', 1, 0, 30)), NOW))).toEqual([
      'm1: waits',
      'm2: waits',
    ])
    const dated = requests.map((one) => ({ ...one, startBy: NOW }))
    expect(inShort(firstCome(dated, supply(5, promised('a', 1, 0, 30)), NOW))).toEqual([
      'm1: refused, never, now 4',
      'm2: refused, never, now 4',
    ])
  })

  test('that is not whole waits for its last member', () => {
    expect(inShort(firstCome([member(1, 1, 2)], supply(5), NOW))).toEqual(['m1: waits'])
  })
})

describe('priority', () => {
  const policy = priority({
    guests: { grid: { class: 1 }, lab: { class: 5, most: 7 } },
    otherwise: { class: 0 },
  })
  const held = promised('a', 4, -50, 10)

  test('serves the higher class first', () => {
    const requests = [ask('low', 4), ask('high', 4, { holder: 'lab', arrivedAt: NOW + 1 })]
    expect(inShort(policy(requests, supply(4), NOW, []))).toEqual([
      'low: refused, from 60, now 0',
      'high: 4 at a from 0 to 60',
    ])
  })

  test('lets a lower class yield at its boundary what the higher one needs, and says who yields to whom', () => {
    const requests = [extension('x', 4, 4, { unitsMin: 1 }), ask('high', 2, { holder: 'lab', ...later(60) })]
    const answers = policy(requests, supply(4, held), NOW, [])
    expect(inShort(answers)).toEqual(['x: 2 at a from 10 to 70', 'high: waits for 10'])
    expect(answers[0]?.reason).toContain('yields 2 units of class 1')
    expect(answers[0]?.reason).toContain('to high of lab (class 5)')
    expect(answers[1]?.reason).toContain('x of grid (class 1) yields to it')
  })

  test('takes nothing under the minimum, from no extension that is not elastic, and not for the same class', () => {
    const high = ask('high', 3, { holder: 'lab', ...later(60) })
    const least2 = extension('x', 4, 4, { unitsMin: 2 })
    expect(inShort(policy([least2, high], supply(4, held), NOW, []))).toEqual([
      'x: 4 at a from 10 to 70',
      'high: waits',
    ])
    expect(inShort(policy([extension('x', 4, 4), high], supply(4, held), NOW, []))[0]).toContain('4 at a')
    const peer = ask('peer', 2, later(60))
    const elastic = extension('x', 4, 4, { unitsMin: 1 })
    expect(inShort(policy([elastic, peer], supply(4, held), NOW, []))).toEqual([
      'x: 4 at a from 10 to 70',
      'peer: waits',
    ])
  })

  test('shrinks the lowest class first, and nobody for more than is needed', () => {
    const requests = [
      extension('low', 2, 2, { holder: 'other', unitsMin: 1 }),
      extension('mid', 2, 2, { unitsMin: 1 }),
      ask('high', 1, { holder: 'lab', ...later(60) }),
    ]
    expect(inShort(policy(requests, supply(4, held), NOW, []))).toEqual([
      'low: 1 at a from 10 to 70',
      'mid: 2 at a from 10 to 70',
      'high: waits for 10',
    ])
  })

  test('lets a request ask for less, and for more only up to what its guest may', () => {
    const config = {
      guests: { lab: { class: 5, most: 7 }, 'sm/a': { class: 3 } },
      otherwise: { class: 0 },
    }
    const of = (holder: string, properties: Record<string, string> = {}) =>
      classOf(ask('l', 1, { holder, properties }), config)
    expect([of('lab'), of('lab', { priority: '2' }), of('lab', { priority: '9' })]).toEqual([5, 2, 7])
    expect([of('grid', { priority: '9' }), of('lab', { priority: 'high' })]).toEqual([0, 5])
    expect([of('sm', { guest: 'a' }), of('sm', { guest: 'b' }), of('x', { guest: 'a' })]).toEqual([3, 0, 0])
  })
})

describe('earliest deadline', () => {
  test('refuses at once what it cannot meet, and says what it could', () => {
    const request = ask('l', 4, later(20))
    const [answer] = earliestDeadline([request], supply(4, promised('a', 1, 0, 30)), NOW)
    expect(inShort([answer!])).toEqual(['l: refused, from 30, now 3'])
    expect(answer?.reason).toContain(
      'cannot meet the deadline 2026-03-02T08:20:00Z; the earliest is 2026-03-02T08:30:00Z',
    )
  })

  test('plans the urgent one first, whoever came first', () => {
    const requests = [ask('lax', 4, later(300)), ask('urgent', 4, { ...later(40), arrivedAt: NOW + 1 })]
    expect(inShort(earliestDeadline(requests, supply(4, promised('a', 1, 0, 30)), NOW))).toEqual([
      'lax: waits for 90',
      'urgent: waits for 30',
    ])
  })

  test('accepts nobody who would make an accepted one late', () => {
    const accepted = ask('first', 4, { ...later(60), planned: { site: 'a', start: NOW + 30 * MINUTE } })
    const rival = ask('rival', 4, { ...later(40), arrivedAt: NOW + 1 })
    expect(inShort(earliestDeadline([accepted, rival], supply(4, promised('a', 1, 0, 30)), NOW))).toEqual([
      'first: waits for 30',
      'rival: refused, from 90, now 0',
    ])
  })

  test('gives an elastic one what nobody else is planned on', () => {
    const requests = [
      ask('elastic', 4, { unitsMin: 1, ...later(60) }),
      ask('other', 2, { arrivedAt: NOW + 1 }),
    ]
    expect(inShort(earliestDeadline(requests, supply(4), NOW))).toEqual([
      'elastic: 2 at a from 0 to 60',
      'other: 2 at a from 0 to 60',
    ])
  })

  test('starts an elastic one where it gets most, and everybody else’s minimum stays where it was', () => {
    const sites = supplyOf([offer('a', 2), offer('b', 8)], [])
    const elastic = ask('elastic', 5, { unitsMin: 1, ...later(60) })
    expect(inShort(earliestDeadline([elastic], sites, NOW))).toEqual(['elastic: 5 at b from 0 to 60'])
    const wide = ask('wide', 6, { ...later(60), arrivedAt: NOW + 1 })
    expect(inShort(earliestDeadline([elastic, wide], sites, NOW))).toEqual([
      'elastic: 2 at a from 0 to 60',
      'wide: 6 at b from 0 to 60',
    ])
  })
})

describe('weighted share', () => {
  const shares = (guests: WeightedShareConfig['guests']) =>
    weightedShare({ guests, otherwise: { weight: 1, min: 0 } })
  const even = shares({})
  const waiting = (id: string, holder: string, units: number, i = 0) =>
    ask(id, units, { holder, ...later(300), arrivedAt: NOW + i })
  const held = (...all: readonly Holding[]) => ({ all, supply: supplyOf([offer('a', 4)], all) })

  test('alternates by weight', () => {
    const policy = shares({ ana: { weight: 3, min: 0 }, ben: { weight: 1, min: 0 } })
    const requests = ['ana', 'ben'].flatMap((holder, h) =>
      [0, 1, 2, 3].map((i) => waiting(`${holder}${i}`, holder, 1, h * 10 + i)),
    )
    const granted = inShort(policy(requests, supply(4), NOW, [])).filter((line) => line.includes('from 0'))
    expect(granted.map((line) => line.slice(0, 3)).sort()).toEqual(['ana', 'ana', 'ana', 'ben'])
  })

  test('lets an extension beyond the share yield to a guest below its own', () => {
    const { all, supply } = held(holding('x', 'ana', 4, 10))
    const elastic = extension('x', 4, 4, { holder: 'ana', unitsMin: 1 })
    const answers = even([elastic, waiting('l', 'ben', 2)], supply, NOW, all)
    expect(inShort(answers)).toEqual(['x: 2 at a from 10 to 70', 'l: waits for 10'])
  })

  test('refuses an extension that cannot shrink, if another’s minimum needs its units', () => {
    const policy = shares({ ben: { weight: 1, min: 2 } })
    const { all, supply } = held(holding('x', 'ana', 4, 10))
    const rigid = extension('x', 4, 4, { holder: 'ana' })
    const [answer, other] = policy([rigid, waiting('l', 'ben', 2)], supply, NOW, all)
    expect(inShort([answer!, other!])).toEqual(['x: refused, from 70, now 2', 'l: waits for 10'])
    expect(answer?.reason).toContain('not all of it lies within the share of ana, which is 2')
  })

  test('leaves an extension what nobody else can use', () => {
    const { all, supply } = held(holding('x', 'ana', 4, 10))
    expect(inShort(even([extension('x', 4, 4, { holder: 'ana' })], supply, NOW, all))).toEqual([
      'x: 4 at a from 10 to 70',
    ])
  })

  test('never grants beyond a cap, and tells a start at which there is room under it', () => {
    const policy = shares({ ana: { weight: 1, min: 0, max: 3 } })
    const { all, supply } = held(holding('x', 'ana', 2, 10))
    const answers = policy(
      [ask('l', 2, { holder: 'ana' }), ask('m', 4, { holder: 'ana', arrivedAt: NOW + 1 })],
      supply,
      NOW,
      all,
    )
    expect(inShort(answers)).toEqual(['l: refused, from 10, now 1', 'm: refused, never, now 1'])
    expect(answers[1]?.reason).toContain('ana may hold at most 3 units')
  })

  test('keeps the accounts of guests of one holder apart, if it knows them', () => {
    const policy = shares({ 'sm/a': { weight: 1, min: 0, max: 1 } })
    const request = (id: string, guest: string) => ask(id, 2, { holder: 'sm', properties: { guest } })
    expect(inShort(policy([request('l', 'a'), request('m', 'b')], supply(4), NOW, []))).toEqual([
      'l: refused, never, now 1',
      'm: 2 at a from 0 to 60',
    ])
  })
})

describe('filling shares like water', () => {
  const claim = (weight: number, least = 0, most = 100) => ({ weight, least, most })

  test('goes by weight between least and most', () => {
    expect(waterFill(60, [claim(5), claim(3), claim(2)])).toEqual([30, 18, 12])
    expect(waterFill(60, [claim(5, 0, 10), claim(3), claim(2)])).toEqual([10, 30, 20])
    expect(waterFill(60, [claim(5), claim(3), claim(2, 20)])).toEqual([25, 15, 20])
    expect(waterFill(10, [claim(1), claim(1), claim(1)])).toEqual([4, 3, 3])
    expect(waterFill(6, [claim(1, 6, 6), claim(1, 6, 6)])).toEqual([3, 3])
  })

  test('uses up what there is, as far as anybody wants it, and keeps to least and most', () => {
    const claims = fc.array(
      fc
        .tuple(fc.integer({ min: 1, max: 1000 }), fc.nat(20), fc.nat(20))
        .map(([weight, a, b]) => claim(weight / 10, Math.min(a, b), Math.max(a, b))),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(claims, fc.nat(100), (all, capacity) => {
        const shares = waterFill(capacity, all)
        const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
        expect(sum(shares)).toBe(Math.min(capacity, sum(all.map(({ most }) => most))))
        const enough = sum(all.map(({ least }) => least)) <= capacity
        for (const [i, { least, most }] of all.entries()) {
          expect(shares[i]).toBeLessThanOrEqual(most)
          if (enough) expect(shares[i]).toBeGreaterThanOrEqual(least)
        }
      }),
    )
  })
})
