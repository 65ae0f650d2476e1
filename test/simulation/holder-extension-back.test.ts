import { describe, expect, test } from 'vitest'
import type { Row } from '../../actors/runtime/rows.ts'
import { MINUTE, NOW } from './desk.ts'
import { Holder, kindsOf } from './holder.ts'

const extend = { kind: 'extend', durationMs: MINUTE, victims: [], reason: 'more' } as const

/** A lease whose extension is being told to its site. */
function extending() {
  const holder = new Holder()
  const id = holder.active()
  holder.wish([{ ...extend, leaseId: id }])
  expect(kindsOf(holder.grant(id))).toEqual(['extend-lease'])
  const { ticket, next } = holder.lease(id)
  const undelivered = (code: string) => {
    const letter = { id: 'm', from: 'manager', to: 'site', kind: 'extend-lease', subject: id, body: {} }
    const sent = { ...letter, number: 1, sentAt: NOW, until: NOW, bodyHash: '' }
    return holder.desk.give({ kind: 'undelivered', envelope: sent, code, reason: 'so' } as never)
  }
  return { holder, id, ticket: ticket!, next: next!, undelivered }
}

describe('an extension that its site refuses', () => {
  test('goes back to its broker, once, and the next one follows the ticket that the lease stands on', () => {
    const { holder, id, ticket, next } = extending()
    const refused = { extensionRefused: 'no room' }
    const { outgoing } = holder.update(id, refused)
    expect(outgoing).toMatchObject([
      {
        ...{ to: 'broker', kind: 'return-extension', subject: id, body: { ticketId: next.id } },
        // It waits its turn: a plan for a recall before it is not lost.
        ...{ until: next.term.start, overtakes: false },
      },
    ])
    expect(holder.lease(id)).toMatchObject({ leaseState: 'active', next: undefined, term: ticket.term })
    expect(kindsOf(holder.update(id, refused))).toEqual([])
    const again = holder.wish([{ ...extend, leaseId: id }])
    expect(again.outgoing).toMatchObject([{ kind: 'extend-ticket', body: { predecessor: ticket.id } }])
    // Nor does a refusal that comes late give back what nobody has granted yet.
    expect(kindsOf(holder.update(id, refused))).toEqual([])
  })

  test('stays with a broker that has no word for it', () => {
    const { holder, id } = extending()
    const peer = { id: 'broker', offsetMs: 0, errorMs: 0, measuredAt: NOW, protocol: 1 }
    holder.desk.rows.set('$peer', 'broker', peer as Row)
    expect(kindsOf(holder.update(id, { extensionRefused: 'no room' }))).toEqual([])
    expect(holder.lease(id)).toMatchObject({ leaseState: 'active', next: undefined })
  })

  test('goes back where the site does not take the message, and not where it may have taken it', () => {
    const refused = extending()
    expect(kindsOf(refused.undelivered('malformed'))).toEqual(['return-extension'])
    const silent = extending()
    expect(kindsOf(silent.undelivered('peer-silent'))).toEqual([])
    for (const { holder, id } of [refused, silent])
      expect(holder.lease(id)).toMatchObject({ leaseState: 'active', next: undefined })
  })

  test('is not spoken of any more when it would have begun', () => {
    const { holder, id, next } = extending()
    holder.desk.now = next.term.start
    expect(kindsOf(holder.update(id, { extensionRefused: 'the lease has ended' }))).toEqual([])
  })

  test('goes back with the lease, after that, if its site ends it', () => {
    const { holder, id } = extending()
    const draft = holder.update(id, { state: 'closing', extensionRefused: 'the lease is closing' })
    expect(kindsOf(draft)).toEqual(['return-extension'])
    for (const unitId of holder.lease(id).units) holder.done(unitId, 'leave')
    expect(kindsOf(holder.update(id, { state: 'closed', reason: 'closed' }))).toEqual(['relinquish'])
  })
})

describe('an extension that is confirmed', () => {
  test('is not given back because its site refused another one that is forgotten here', () => {
    const { holder, id, next } = extending()
    const term = { start: NOW, end: next.term.end }
    const draft = holder.update(id, { ticketId: next.id, term, extensionRefused: 'no room' })
    expect(kindsOf(draft)).toEqual([])
    expect(holder.lease(id)).toMatchObject({ leaseState: 'active', ticket: { id: next.id }, term })
  })

  test('goes back with its lease and not before', () => {
    const { holder, id, next } = extending()
    const term = { start: NOW, end: next.term.end }
    expect(kindsOf(holder.update(id, { ticketId: next.id, term }))).toEqual([])
    expect(kindsOf(holder.update(id, { ticketId: next.id, term, extensionRefused: 'late' }))).toEqual([])
    expect(holder.lease(id)).toMatchObject({ ticket: { id: next.id }, term })
  })
})
