import { describe, expect, test } from 'vitest'
import { MINUTE, NOW } from './desk.ts'
import { conditions, Holder, kindsOf, SKEW_MS_MAX } from './holder.ts'

describe('a holder whose broker lies', () => {
  test.each([
    [
      'for longer than was asked for',
      { term: { start: NOW, end: NOW + 11 * MINUTE } },
      /660000 ms, and 600000 ms/,
    ],
    [
      'that begins later than it may',
      { term: { start: NOW + 2 * SKEW_MS_MAX + 1, end: NOW + 9 * MINUTE } },
      /after the latest start asked for/,
    ],
    ['at a site that nobody knows', { site: 'nowhere' }, /no peer of that name is known here/],
  ])('gives a ticket %s back at once, and says why', (_, change, sentence) => {
    const holder = new Holder()
    const leaseId = holder.ask()
    const draft = holder.grant(leaseId, change)
    expect(kindsOf(draft)).toEqual(['relinquish'])
    expect(draft.outgoing[0]?.body).toMatchObject({ reason: expect.stringMatching(sentence) })
  })

  test('takes a ticket that begins as late as it said it may, or is shorter', () => {
    const holder = new Holder()
    const later = holder.ask({ startBy: NOW + 5 * MINUTE })
    const term = { start: NOW + 5 * MINUTE, end: NOW + 15 * MINUTE }
    expect(kindsOf(holder.grant(later, { term }))).toEqual(['redeem'])
    const shorter = holder.ask()
    expect(kindsOf(holder.grant(shorter, { term: { start: NOW, end: NOW + MINUTE } }))).toEqual(['redeem'])
  })

  test('uses no extension that is longer than it asked for', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    holder.wish([{ kind: 'extend', leaseId, durationMs: MINUTE, victims: [], reason: 'more' }])
    const { end } = holder.lease(leaseId).term!
    expect(kindsOf(holder.grant(leaseId, { term: { start: end, end: end + 2 * MINUTE } }))).toEqual([])
    expect(holder.shown(leaseId)?.extendRefused?.reason).toMatch(/120000 ms, and 60000 ms were asked for/)
  })

  test('lets nothing go for a recall that binds nobody by the terms of the lease', () => {
    const holder = new Holder()
    const leaseId = holder.ask()
    holder.grant(leaseId, { conditions: { ...conditions, recallable: false } })
    holder.update(leaseId)
    for (const unitId of holder.lease(leaseId).units) holder.done(unitId, 'join')
    const recall = { recallId: 'r1', units: 2, by: NOW + MINUTE, binding: true, reason: 'mine' }
    const draft = holder.desk.tell('broker', 'recall', leaseId, recall)
    expect(draft.outgoing.map(({ body }) => (body as { units: number }).units)).toEqual([0])
    expect(holder.lease(leaseId).recall).toBeUndefined()
  })
})

test('a holder whose site says that a lease goes on for longer than its ticket leaves by the end of the ticket', () => {
  const holder = new Holder()
  const leaseId = holder.active()
  holder.wish([{ kind: 'extend', leaseId, durationMs: MINUTE, victims: [], reason: 'more' }])
  holder.grant(leaseId)
  const { next } = holder.lease(leaseId)
  const term = { start: NOW, end: NOW + 1_000_000 * MINUTE }
  holder.update(leaseId, { ticketId: next!.id, term })
  expect(holder.lease(leaseId).term).toEqual({ start: NOW, end: next!.term.end })
})
