import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Offer, Promised } from '../../actors/leases/calendar.ts'
import { supplyOf } from '../../actors/leases/calendar.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import type { BrokerPolicy, TicketRequest } from '../../controllers/controller.ts'
import { ask, inShort, MINUTE, NOW, offer, promised, term, worldArbitrary } from './policy-world.ts'

const decide = (
  requests: readonly TicketRequest[],
  offers: readonly Offer[],
  promises: readonly Promised[] = [],
) => firstCome(requests, supplyOf(offers, promises), NOW)

describe('supply', () => {
  const supply = supplyOf([offer('a', 4)], [promised('a', 3, 0, 30), promised('a', 2, 60, 90)])

  test('is the least that is free during a term; terms are half-open', () => {
    expect(supply.free('a', 'vm', term(0, 10))).toBe(1)
    expect(supply.free('a', 'vm', term(30, 60))).toBe(4)
    expect(supply.free('a', 'vm', term(30, 61))).toBe(2)
    expect(supply.free('a', 'vm', term(-10, 1))).toBe(1)
    expect(supply.free('a', 'disk', term(0, 1))).toBe(0)
    expect(supply.free('b', 'vm', term(0, 1))).toBe(0)
  })

  test('knows the earliest start, past everything that is in the way', () => {
    const after = NOW + 0
    expect(supply.earliest('a', 'vm', 1, 60 * MINUTE, after, Number.POSITIVE_INFINITY)).toBe(NOW)
    expect(supply.earliest('a', 'vm', 3, 30 * MINUTE, after, Number.POSITIVE_INFINITY)).toBe(
      NOW + 30 * MINUTE,
    )
    expect(supply.earliest('a', 'vm', 3, 31 * MINUTE, after, Number.POSITIVE_INFINITY)).toBe(
      NOW + 90 * MINUTE,
    )
    expect(supply.earliest('a', 'vm', 3, 31 * MINUTE, after, NOW + 89 * MINUTE)).toBeUndefined()
    expect(supply.earliest('a', 'vm', 5, MINUTE, after, Number.POSITIVE_INFINITY)).toBeUndefined()
  })

  test('taking makes a new supply and leaves the old one', () => {
    const taken = supply.take('a', 'vm', 1, term(0, 10))
    expect(taken.free('a', 'vm', term(0, 10))).toBe(0)
    expect(taken.free('a', 'vm', term(10, 20))).toBe(1)
    expect(supply.free('a', 'vm', term(0, 10))).toBe(1)
  })

  test('an offer for a time is free in that time only', () => {
    const lent = supplyOf([offer('a', 4, { term: term(10, 20) })], [])
    expect(lent.free('a', 'vm', term(10, 20))).toBe(4)
    expect(lent.free('a', 'vm', term(9, 20))).toBe(0)
    expect(lent.offered('a', 'vm')).toBe(4)
  })

  test('a site that took units back has no negative room', () => {
    expect(supplyOf([offer('a', 1)], [promised('a', 3, 0, 10)]).free('a', 'vm', term(0, 1))).toBe(0)
  })
})

describe('first come, first served', () => {
  test('chooses the site with the fewest units left over, then by name', () => {
    expect(inShort(decide([ask('l1', 2)], [offer('big', 9), offer('z', 3), offer('c', 3)]))).toEqual([
      'l1: 2 at c from 0 to 60',
    ])
  })

  test('a non-elastic request gets all or nothing, and a refusal says what would work', () => {
    expect(inShort(decide([ask('l1', 5)], [offer('a', 6)], [promised('a', 4, 0, 30)]))).toEqual([
      'l1: refused, from 30, now 2',
    ])
    expect(inShort(decide([ask('l1', 7)], [offer('a', 6)]))).toEqual(['l1: refused, never, now 6'])
    expect(inShort(decide([ask('l1', 1, { type: 'disk' })], [offer('a', 6)]))).toEqual([
      'l1: refused, never, now 0',
    ])
  })

  test('an elastic request shrinks to what is left, but not under its minimum', () => {
    const promises = [promised('a', 4, 0, 30)]
    expect(inShort(decide([ask('l1', 5, { unitsMin: 1 })], [offer('a', 6)], promises))).toEqual([
      'l1: 2 at a from 0 to 60',
    ])
    expect(inShort(decide([ask('l1', 5, { unitsMin: 3 })], [offer('a', 6)], promises))).toEqual([
      'l1: refused, from 30, now 2',
    ])
  })

  test('a deferrable request waits until startBy and is then refused', () => {
    const waiting = ask('l1', 5, { startBy: NOW + 40 * MINUTE })
    const [planned] = decide([waiting], [offer('a', 6)], [promised('a', 4, 0, 30)])
    expect(planned).toMatchObject({ kind: 'wait' })
    expect(planned?.reason).toContain('planned to start at a at 2026-03-02T08:30:00Z')
    const [hoping] = decide([waiting], [offer('a', 6)], [promised('a', 4, 0, 50)])
    expect(hoping?.reason).toContain('waits until 2026-03-02T08:40:00Z in case some come back early')
    const late = firstCome([waiting], supplyOf([offer('a', 6)], [promised('a', 4, 0, 50)]), NOW + 41 * MINUTE)
    expect(inShort(late)).toEqual(['l1: refused, from 50, now 2'])
  })

  test('a request that no site could ever meet does not wait', () => {
    expect(inShort(decide([ask('l1', 7, { startBy: NOW + 40 * MINUTE })], [offer('a', 6)]))).toEqual([
      'l1: refused, never, now 6',
    ])
  })

  test('later requests pass a waiting one only where they do not delay it', () => {
    const requests = [
      ask('wide', 6, { startBy: NOW + 300 * MINUTE }),
      ask('long', 2, { arrivedAt: NOW + 1 }),
      ask('short', 2, { arrivedAt: NOW + 2, durationMs: 30 * MINUTE }),
    ]
    expect(inShort(decide(requests, [offer('a', 6)], [promised('a', 4, 0, 30)]))).toEqual([
      'wide: waits for 30',
      'long: refused, from 90, now 0',
      'short: 2 at a from 0 to 30',
    ])
  })

  test.each([
    [1, '1 unit of vm for 10 min is asked for'],
    [3, '1 to 3 units of vm for 10 min are asked for'],
  ])('a refusal says what was asked for: %i', (units, words) => {
    const request = ask('l1', units, { unitsMin: 1, durationMs: 10 * MINUTE })
    const [answer] = decide([request], [offer('a', 1)], [promised('a', 1, 0, 30)])
    expect(answer?.reason).toContain(words)
  })

  test('a later start that was asked for is kept', () => {
    const later = ask('l1', 6, { start: NOW + 30 * MINUTE })
    expect(inShort(decide([later], [offer('a', 6)], [promised('a', 4, 0, 30)]))).toEqual([
      'l1: 6 at a from 30 to 90',
    ])
  })

  test('extensions come first and stay at their site: shrinking ones, growing ones, then new requests', () => {
    const extension = (id: string, units: number, held: number) =>
      ask(id, units, { start: NOW + 10 * MINUTE, extends: { site: 'a', units: held }, arrivedAt: NOW + 5 })
    const requests = [ask('new', 1), extension('grows', 4, 2), extension('stays', 2, 2)]
    expect(inShort(decide(requests, [offer('a', 6), offer('b', 2)], [promised('a', 4, 0, 10)]))).toEqual([
      'new: 1 at b from 0 to 60',
      'grows: 4 at a from 10 to 70',
      'stays: 2 at a from 10 to 70',
    ])
  })

  test('an extension that grows takes nothing that another one holds', () => {
    const extension = (id: string, units: number, unitsMin: number, arrivedAt: number) =>
      ask(id, units, { unitsMin, start: NOW + 10 * MINUTE, extends: { site: 'a', units: 2 }, arrivedAt })
    const requests = [extension('greedy', 4, 1, NOW), extension('modest', 3, 2, NOW + 1)]
    expect(inShort(decide(requests, [offer('a', 5)], [promised('a', 4, 0, 10)]))).toEqual([
      'greedy: 3 at a from 10 to 70',
      'modest: 2 at a from 10 to 70',
    ])
  })

  test('an extension that comes after the end is refused', () => {
    const late = ask('l1', 2, { start: NOW, extends: { site: 'a', units: 2 } })
    expect(decide([late], [offer('a', 6)])[0]?.reason).toContain('the lease ended at')
  })

  test('a limit is a function around it, as in the README', () => {
    const twoEach: BrokerPolicy = (requests, supply, now) =>
      firstCome(
        requests.map((one) => ({
          ...one,
          units: Math.min(2, one.units),
          unitsMin: Math.min(2, one.unitsMin),
        })),
        supply,
        now,
      )
    expect(inShort(twoEach([ask('l1', 5)], supplyOf([offer('a', 6)], []), NOW, []))).toEqual([
      'l1: 2 at a from 0 to 60',
    ])
  })

  // ── properties; those of every policy are in policy-laws.test.ts ───────────────────────────────────

  test('who extends keeps at least what it holds, unless that is promised to somebody from then on', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ offers, holdings, requests }) => {
        const live = holdings.filter(({ term }) => term.start <= NOW)
        for (const allocation of firstCome(requests, supplyOf(offers, live), NOW)) {
          const request = requests.find(({ leaseId }) => leaseId === allocation.leaseId)
          if (request?.extends === undefined) continue
          expect(allocation).toMatchObject({ kind: 'grant' })
          const units = allocation.kind === 'grant' ? allocation.units : 0
          expect(units).toBeGreaterThanOrEqual(Math.min(request.units, request.extends.units))
        }
      }),
      { numRuns: 400 },
    )
  })
})
