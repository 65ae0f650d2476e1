import { describe, expect, test } from 'vitest'
import { supplyOf } from '../../actors/leases/calendar.ts'
import { earliestDeadline } from '../../controllers/brokers/earliest-deadline.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import { priority } from '../../controllers/brokers/priority.ts'
import { weightedShare } from '../../controllers/brokers/weighted-share.ts'
import type { BrokerPolicy, TicketRequest } from '../../controllers/controller.ts'
import { ask, inShort, MINUTE, NOW, offer, promised } from './policy-world.ts'

const policies: [string, BrokerPolicy][] = [
  ['first-come', firstCome],
  ['priority', priority({ guests: {}, otherwise: { class: 0 } })],
  ['earliest-deadline', earliestDeadline],
  ['weighted-share', weightedShare({ guests: {}, otherwise: { weight: 1, min: 0 } })],
]

const prefer = (...sites: string[]): Partial<TicketRequest> => ({
  properties: { 'sites.prefer': sites.join(' ') },
})
const avoid = (...sites: string[]): Partial<TicketRequest> => ({
  properties: { 'sites.avoid': sites.join(',') },
})
const supply = supplyOf([offer('a', 2), offer('b', 3), offer('c', 8)], [])

describe.each(policies)('under %s', (_, policy) => {
  const decided = (requests: readonly TicketRequest[], of = supply): readonly string[] =>
    inShort(policy(requests, of, NOW, []))

  test('a request goes to the first of the sites it prefers that has room', () => {
    expect(decided([ask('x', 2)])).toEqual(['x: 2 at a from 0 to 60'])
    expect(decided([ask('x', 2, prefer('c', 'b'))])).toEqual(['x: 2 at c from 0 to 60'])
    expect(decided([ask('x', 4, prefer('b', 'c'))])).toEqual(['x: 4 at c from 0 to 60'])
  })

  test('where it prefers none that has room, the others come as ever', () => {
    expect(decided([ask('x', 2, prefer('nowhere', 'other'))])).toEqual(['x: 2 at a from 0 to 60'])
  })

  test('it gets no fewer units for it', () => {
    for (const units of [5, 9]) {
      const elastic = ask('x', units, { unitsMin: 1 })
      expect(decided([{ ...elastic, ...prefer('a') }])).toEqual(decided([elastic]))
    }
  })

  test('nor does it start later', () => {
    const later = supplyOf([offer('a', 2), offer('b', 2)], [promised('a', 2, 0, 10), promised('b', 2, 0, 20)])
    const startBy = NOW + 60 * MINUTE
    expect(decided([ask('x', 2, { startBy, ...prefer('b') })], later)).toEqual(['x: waits for 10'])
    const same = supplyOf([offer('a', 2), offer('b', 2)], [promised('a', 2, 0, 10), promised('b', 2, 0, 10)])
    const [answer] = policy([ask('x', 2, { startBy, ...prefer('b') })], same, NOW, [])
    expect(answer).toMatchObject({ kind: 'wait', planned: { site: 'b' } })
  })

  test('it gets nothing of a site that it is to avoid, and is told why', () => {
    expect(decided([ask('x', 2, avoid('a', 'b'))])).toEqual(['x: 2 at c from 0 to 60'])
    expect(decided([ask('x', 9, { unitsMin: 3, ...avoid('c') })])).toEqual(['x: 3 at b from 0 to 60'])
    const [all] = policy([ask('x', 1, avoid('a', 'b', 'c'))], supply, NOW, [])
    expect(all).toMatchObject({
      ...{ kind: 'refuse', unitsNow: 0, earliest: undefined },
      reason: expect.stringContaining('it is to avoid a, b, c'),
    })
    const [none] = policy([ask('x', 4, avoid('c'))], supply, NOW, [])
    expect(none).toMatchObject({ kind: 'refuse', unitsNow: 3 })
  })

  test('each member of a group goes where it prefers', () => {
    const group = { id: 'g', size: 2 }
    const members = [ask('x', 2, { group, ...prefer('c') }), ask('y', 3, { group, ...avoid('b') })]
    expect(decided(members)).toEqual(['x: 2 at c from 0 to 60', 'y: 3 at c from 0 to 60'])
  })
})
