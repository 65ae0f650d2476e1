import { describe, expect, test } from 'vitest'
import { MINUTE } from './desk.ts'
import { Holder, LEAVE_BUDGET_MS, SKEW_MS_MAX } from './holder.ts'

const GRACE_MS = 30_000
const conditions = { recallable: true, noticeMs: 1_000, graceMs: GRACE_MS }

/** A lease of two units on which work runs that does not end. */
function working(): { holder: Holder; id: string } {
  const holder = new Holder()
  const id = holder.ask()
  holder.grant(id, { conditions })
  holder.update(id)
  for (const unitId of holder.lease(id).units) holder.done(unitId, 'join')
  return { holder, id }
}

/** The site has agreed to another term of it. */
function extended(holder: Holder, id: string): { first: string; end: number; start: number } {
  const { ticket, term } = holder.lease(id)
  const wish = { kind: 'extend' as const, leaseId: id, durationMs: 10 * MINUTE, victims: [], reason: 'more' }
  holder.wish([wish])
  holder.grant(id, { conditions })
  const { next } = holder.lease(id)
  holder.update(id, { ticketId: next!.id, term: { start: term!.start, end: next!.term.end } })
  expect(holder.lease(id)).toMatchObject({ leaseState: 'active', term: { end: next!.term.end } })
  return { first: ticket!.id, end: term!.end, start: term!.start }
}

const requeueTimes = (holder: Holder, id: string) =>
  holder.lease(id).units.map((unitId) => holder.unit(unitId).requeueFrom)

describe('a holder whose site ends a lease before its term', () => {
  test('lets work go on as long as the site does, and puts it back before that cuts it off', () => {
    const { holder, id } = working()
    const { start } = holder.lease(id).term!
    const at = holder.desk.now + MINUTE
    holder.desk.now = at
    holder.update(id, { state: 'closing', term: { start, end: at }, reason: 'its ticket was given back' })
    expect(holder.lease(id).leaseState).toBe('leaving')
    const due = at + GRACE_MS - LEAVE_BUDGET_MS
    expect(requeueTimes(holder, id)).toEqual([due, due])
  })

  test('and says so only when its units leave already, puts work back sooner than it had meant to', () => {
    const { holder, id } = working()
    const { start, end } = holder.lease(id).term!
    holder.update(id, { state: 'closing', reason: 'so few machines came up' })
    const late = end + GRACE_MS - LEAVE_BUDGET_MS
    expect(requeueTimes(holder, id)).toEqual([late, late])
    holder.update(id, { state: 'closing', term: { start, end: end - MINUTE } })
    expect(requeueTimes(holder, id)).toEqual([late - MINUTE, late - MINUTE])
    // A later end is no news, for its ticket says when it ends at the latest.
    holder.update(id, { state: 'closing', term: { start, end } })
    expect(requeueTimes(holder, id)).toEqual([late - MINUTE, late - MINUTE])
  })
})

describe('a holder whose site undoes an extension that it had confirmed', () => {
  test('leaves by the end of the ticket before it', () => {
    const { holder, id } = working()
    const { first, start, end } = extended(holder, id)
    const extensionRefused = 'its holder gave the ticket for its extension back to broker'
    holder.update(id, { ticketId: first, term: { start, end }, extensionRefused })
    expect(holder.lease(id)).toMatchObject({
      ...{ leaseState: 'active', term: { start, end } },
      extendRefused: { reason: extensionRefused },
    })
    expect(holder.lease(id).due).toBe(end - SKEW_MS_MAX - LEAVE_BUDGET_MS)
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    expect(holder.lease(id).leaseState).toBe('leaving')
    const due = end + GRACE_MS - LEAVE_BUDGET_MS
    expect(requeueTimes(holder, id)).toEqual([due, due])
  })

  test('and leaves already, puts work back sooner', () => {
    const { holder, id } = working()
    const { first, start, end } = extended(holder, id)
    holder.wish([{ kind: 'release', leaseId: id, reason: 'enough' }])
    expect(holder.lease(id).leaseState).toBe('leaving')
    holder.update(id, { ticketId: first, term: { start, end } })
    const due = end + GRACE_MS - LEAVE_BUDGET_MS
    expect(requeueTimes(holder, id)).toEqual([due, due])
  })

  test('does not go by an end that is of no ticket it had', () => {
    const { holder, id } = working()
    const { start, end } = extended(holder, id)
    const { term } = holder.lease(id)
    holder.update(id, { ticketId: 'ticket-x', term: { start, end } })
    expect(holder.lease(id).term).toEqual(term)
  })
})
