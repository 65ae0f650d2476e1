import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Offer, Promised } from '../../actors/leases/calendar.ts'
import { supplyOf } from '../../actors/leases/calendar.ts'
import type { Term } from '../../actors/leases/term.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import type { Allocation, BrokerPolicy, TicketRequest } from '../../controllers/controller.ts'

const NOW = Date.parse('2026-03-02T08:00:00Z')
const MINUTE = 60_000

const offer = (site: string, units: number, over: Partial<Offer> = {}): Offer => ({
  site,
  type: 'vm',
  units,
  term: undefined,
  ...over,
})
const term = (fromMinute: number, toMinute: number): Term => ({
  start: NOW + fromMinute * MINUTE,
  end: NOW + toMinute * MINUTE,
})
const promised = (site: string, units: number, from: number, to: number): Promised => ({
  site,
  type: 'vm',
  units,
  term: term(from, to),
})

const ask = (leaseId: string, units: number, over: Partial<TicketRequest> = {}): TicketRequest => ({
  leaseId,
  holder: 'grid',
  type: 'vm',
  units,
  unitsMin: units,
  durationMs: 60 * MINUTE,
  start: NOW,
  startBy: over.start ?? NOW,
  arrivedAt: NOW,
  extends: undefined,
  ...over,
})

const told = (one: Allocation): string => {
  switch (one.kind) {
    case 'grant':
      return `${one.leaseId}: ${one.units} at ${one.site} from ${(one.term.start - NOW) / MINUTE} to ${(one.term.end - NOW) / MINUTE}`
    case 'wait':
      return `${one.leaseId}: waits`
    case 'refuse':
      return `${one.leaseId}: refused, ${one.earliest === undefined ? 'never' : `from ${(one.earliest - NOW) / MINUTE}`}, now ${one.unitsNow}`
  }
}

const inShort = (allocations: readonly Allocation[]): readonly string[] => allocations.map(told)

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
      'wide: waits',
      'long: refused, from 90, now 0',
      'short: 2 at a from 0 to 30',
    ])
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

  // ── properties ─────────────────────────────────────────────────────────────────────────────────

  const minutes = (max: number) => fc.integer({ min: 0, max })
  const offersArbitrary = fc
    .array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 3 })
    .map((sizes) => sizes.map((units, i) => offer(`s${i}`, units)))
  const heldArbitrary = fc.array(
    fc.record({
      site: fc.nat(2),
      units: fc.integer({ min: 1, max: 3 }),
      from: minutes(40),
      lasts: fc.integer({ min: 1, max: 60 }),
    }),
    { maxLength: 6 },
  )
  const newArbitrary = fc
    .record({
      units: fc.integer({ min: 1, max: 6 }),
      least: fc.integer({ min: 1, max: 6 }),
      lasts: fc.integer({ min: 1, max: 90 }),
      start: minutes(20),
      defer: fc.option(minutes(60), { nil: undefined }),
      arrived: minutes(10),
    })
    .map(({ units, least, lasts, start, defer, arrived }) => ({
      units,
      unitsMin: Math.min(units, least),
      durationMs: lasts * MINUTE,
      start: NOW + start * MINUTE,
      startBy: NOW + (start + (defer ?? 0)) * MINUTE,
      arrivedAt: NOW - arrived * MINUTE,
    }))
  const worldArbitrary = fc
    .tuple(
      offersArbitrary,
      heldArbitrary,
      fc.array(newArbitrary, { maxLength: 8 }),
      fc.array(fc.nat(100), { maxLength: 3 }),
    )
    .map(([offers, held, news, extending]) => {
      // Held leases that would not fit their site are left out: the promises themselves are consistent.
      let supply = supplyOf(offers, [])
      const promises: Promised[] = []
      for (const { site, units, from, lasts } of held) {
        const one = promised(`s${site % offers.length}`, units, from - 20, from - 20 + lasts)
        if (supply.free(one.site, 'vm', one.term) < units) continue
        supply = supply.take(one.site, 'vm', units, one.term)
        promises.push(one)
      }
      const live = promises.filter((one) => one.term.start <= NOW && one.term.end > NOW)
      const extensions = extending.flatMap((pick, i) => {
        const one = live[i]
        if (one === undefined) return []
        const units = 1 + (pick % 4)
        return [
          ask(`x${i}`, units, {
            unitsMin: Math.min(units, one.units),
            start: one.term.end,
            durationMs: 30 * MINUTE,
            extends: one,
          }),
        ]
      })
      const requests = [
        ...extensions,
        ...news.map((over, i) => ask(`n${i}`, over.units, over)).sort((a, b) => a.arrivedAt - b.arrivedAt),
      ]
      return { offers, promises, supply, requests }
    })
  const grantsOf = (allocations: readonly Allocation[]) => allocations.filter((one) => one.kind === 'grant')

  test('every request gets exactly one answer', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ requests, supply }) => {
        expect(firstCome(requests, supply, NOW).map(({ leaseId }) => leaseId)).toEqual(
          requests.map(({ leaseId }) => leaseId),
        )
      }),
    )
  })

  test('at no instant is more promised than a site offers', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ offers, promises, requests, supply }) => {
        const all = [...promises, ...grantsOf(firstCome(requests, supply, NOW))]
        for (const { site, units } of offers)
          for (const at of all.flatMap(({ term }) => [term.start, term.end])) {
            const used = all.filter((one) => one.site === site && one.term.start <= at && at < one.term.end)
            expect(used.reduce((sum, one) => sum + one.units, 0)).toBeLessThanOrEqual(units)
          }
      }),
      { numRuns: 400 },
    )
  })

  test('nobody gets fewer than its minimum, more than it asked for, another length, or a start it did not ask for', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ requests, supply }) => {
        for (const { leaseId, units, term } of grantsOf(firstCome(requests, supply, NOW))) {
          const request = requests.find((one) => one.leaseId === leaseId)
          expect(units).toBeGreaterThanOrEqual(request?.unitsMin ?? 0)
          expect(units).toBeLessThanOrEqual(request?.units ?? 0)
          expect(term.end - term.start).toBe(request?.durationMs)
          expect(term.start).toBe(Math.max(NOW, request?.start ?? 0))
        }
      }),
    )
  })

  test('no unit idles while a request that could start waits', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ requests, supply }) => {
        const answers = new Map(firstCome(requests, supply, NOW).map((one) => [one.leaseId, one]))
        let left = supply
        const take = (one: Allocation | undefined): void => {
          if (one?.kind === 'grant') left = left.take(one.site, 'vm', one.units, one.term)
        }
        const tooLittle = (
          { durationMs, unitsMin }: TicketRequest,
          sites: readonly string[],
          start: number,
        ): void => {
          for (const site of sites)
            expect(left.free(site, 'vm', { start, end: start + durationMs })).toBeLessThan(unitsMin)
        }
        const extensions = requests.filter((one) => one.extends !== undefined)
        for (const { leaseId } of extensions) take(answers.get(leaseId))
        for (const request of extensions)
          if (answers.get(request.leaseId)?.kind !== 'grant')
            tooLittle(request, [request.extends?.site ?? ''], request.start)
        for (const request of requests.filter((one) => one.extends === undefined)) {
          const answer = answers.get(request.leaseId)
          take(answer)
          if (answer?.kind !== 'grant') tooLittle(request, left.sites, Math.max(NOW, request.start))
          // From here on units may be set aside for it.
          if (answer?.kind === 'wait') return
        }
      }),
      { numRuns: 400 },
    )
  })

  test('who extends keeps at least what it holds, unless that is promised to somebody from then on', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ offers, promises, requests }) => {
        const live = promises.filter(({ term }) => term.start <= NOW)
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

  test('extensions never starve: new requests change no answer to them', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ requests, supply }) => {
        const extensions = requests.filter((one) => one.extends !== undefined)
        const together = firstCome(requests, supply, NOW).filter(({ leaseId }) => leaseId.startsWith('x'))
        expect(together).toEqual(firstCome(extensions, supply, NOW))
      }),
    )
  })

  test('a waiting request is not overtaken for ever: its planned start never moves back, whoever comes later', () => {
    fc.assert(
      fc.property(worldArbitrary, fc.array(newArbitrary, { maxLength: 5 }), ({ requests, supply }, later) => {
        const plans = (allocations: readonly Allocation[]) =>
          allocations.flatMap((one) =>
            one.kind === 'wait' ? [`${one.leaseId} ${/at (\S+Z)$/.exec(one.reason)?.[1]}`] : [],
          )
        const before = plans(firstCome(requests, supply, NOW))
        const crowd = later.map((over, i) => ask(`later${i}`, over.units, { ...over, arrivedAt: NOW + 1 }))
        const after = plans(firstCome([...requests, ...crowd], supply, NOW)).filter(
          (plan) => !plan.startsWith('later'),
        )
        expect(after).toEqual(before)
      }),
    )
  })

  test('names decide nothing: other ids, the same answers', () => {
    fc.assert(
      fc.property(worldArbitrary, ({ requests, supply }) => {
        const renamed = requests.map((one, i) => ({ ...one, leaseId: `renamed-${requests.length - i}` }))
        const plain = (allocations: readonly Allocation[]) =>
          allocations.map(({ leaseId: _, ...rest }) => rest)
        expect(plain(firstCome(renamed, supply, NOW))).toEqual(plain(firstCome(requests, supply, NOW)))
      }),
    )
  })
})
