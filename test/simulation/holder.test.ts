import { describe, expect, test } from 'vitest'
import { issueTicket } from '../../actors/leases/ticket.ts'
import type { LeaseRow, ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { Desk, MINUTE, NOW } from './desk.ts'
import { conditions, Holder, kindsOf, proved } from './holder.ts'
import { cheapIdentity, cheapKey } from './identities.ts'
import { Trial } from './trial.ts'

describe('the holder', () => {
  function heldLease(change: Partial<LeaseRow>): Desk<ServiceManagerTables> {
    const mind = new Trial({ seed: 1, calm: true }).serviceManagerMind()
    const desk = new Desk<ServiceManagerTables>(mind, 'service-manager')
    const ticket = issueTicket(
      {
        ...{ id: 'ticket-1', leaseId: 'lease-1', holder: 'service-manager', site: 'authority' },
        ...{ type: 'vm.small', units: 4, predecessor: null, issuedAt: NOW, conditions },
        term: { start: NOW, end: NOW + 10 * MINUTE },
      },
      cheapIdentity('broker'),
    )
    const lease: LeaseRow = {
      ...{ id: 'lease-1', guest: 'groc', ticketState: 'held', leaseState: 'active', type: 'vm.small' },
      ...{ unitsAsked: 4, durationMs: MINUTE, properties: {}, image: '', requestedAt: NOW, reason: 'wanted' },
      ...{ ticket, next: undefined, term: ticket.term, units: [], victims: [], boundary: undefined },
      ...{ extendRefused: undefined, recall: undefined, closeReason: '', graceMs: 0 },
      ...change,
    }
    desk.rows.set('lease', 'lease-1', lease)
    return desk
  }
  const lease = (desk: Desk<ServiceManagerTables>): LeaseRow => desk.rows.get('lease', 'lease-1') as LeaseRow

  test('does not wait for ever for the broker to say that a ticket is closed', () => {
    const desk = heldLease({ ticketState: 'returning', leaseState: 'closed' })
    desk.give({ kind: 'started', epoch: 2 })
    desk.now = lease(desk).due!
    desk.due('lease', 'lease-1')
    expect(lease(desk).ticketState).toBe('closed')
  })

  test('serves a second recall besides the first', () => {
    const desk = heldLease({})
    const unit = { vector: {}, facts: {}, reason: '' }
    desk.tell('authority', 'lease-update', 'lease-1', {
      ...{ state: 'active', term: lease(desk).term, ticketId: 'ticket-1', image: '', reason: '' },
      extensionRefused: null,
      units: ['a', 'b', 'c', 'd'].map((id) => ({ ...unit, id, name: id, report: 'coming' })),
    })
    const recall = { units: 2, by: NOW + 5 * MINUTE, binding: true, reason: 'needed' }
    desk.tell('broker', 'recall', 'lease-1', { ...recall, recallId: 'r1' })
    desk.tell('broker', 'recall', 'lease-1', { ...recall, recallId: 'r2', units: 1, by: NOW + 2 * MINUTE })
    expect(lease(desk).recall).toMatchObject({ units: 3, by: NOW + 2 * MINUTE })
    desk.tell('broker', 'recall', 'lease-1', { ...recall, recallId: 'r2', units: 1, by: NOW + 2 * MINUTE })
    expect(lease(desk).recall).toMatchObject({ units: 3, by: NOW + 2 * MINUTE })
  })

  test('gives nothing more for a recall that it has answered, as a broker that was restored tells it again', () => {
    const desk = heldLease({})
    const unit = { vector: {}, facts: {}, reason: '' }
    desk.tell('authority', 'lease-update', 'lease-1', {
      ...{ state: 'active', term: lease(desk).term, ticketId: 'ticket-1', image: '', reason: '' },
      extensionRefused: null,
      units: ['a', 'b', 'c', 'd'].map((id) => ({ ...unit, id, name: id, report: 'coming' })),
    })
    const recall = { units: 1, by: NOW + 5 * MINUTE, binding: true, reason: 'needed' }
    const planFor = (recallId: string, units = 1): unknown =>
      desk
        .tell('broker', 'recall', 'lease-1', { ...recall, recallId, units })
        .outgoing.map(({ body }) => body)
    const promised = (recallId: string, units: number) => [expect.objectContaining({ recallId, units })]
    expect(planFor('r1')).toEqual(promised('r1', 1))
    expect(planFor('r2', 2)).toEqual(promised('r2', 2))
    expect(planFor('r1')).toEqual(promised('r1', 1))
    expect(planFor('r2', 2)).toEqual(promised('r2', 2))
    expect(planFor('r2', 1)).toEqual(promised('r2', 1))
    expect(lease(desk).recall).toMatchObject({ units: 3 })
    // All three have left before the time of the recall.
    desk.rows.set('lease', 'lease-1', { ...lease(desk), recall: undefined } as LeaseRow)
    expect(planFor('r1')).toEqual(promised('r1', 1))
    expect(lease(desk).recall).toBeUndefined()
    expect(planFor('r3')).toEqual(promised('r3', 1))
  })

  test('promises nothing for a recall that is only advice', () => {
    const desk = heldLease({})
    const advice = { recallId: 'r1', units: 2, by: NOW + MINUTE, binding: false, reason: 'needed' }
    const draft = desk.tell('broker', 'recall', 'lease-1', advice)
    expect(lease(desk).recall).toBeUndefined()
    expect(draft.outgoing.map(({ kind, body }) => [kind, (body as { units: number }).units])).toEqual([
      ['recall-plan', 0],
    ])
  })

  test('takes no ticket for another type or for more than it asked for', () => {
    for (const change of [{ type: 'vm.large' }, { units: 5 }]) {
      const desk = heldLease({ ticketState: 'asked', leaseState: 'none' })
      const { signature: _, broker: __, ...record } = lease(desk).ticket!
      desk.rows.set('lease', 'lease-1', { ...lease(desk), ticket: undefined, term: undefined } as LeaseRow)
      const ticket = issueTicket({ ...record, ...change }, cheapIdentity('broker'))
      const draft = desk.tell('broker', 'ticket-update', 'lease-1', {
        ...{ outcome: 'granted', ticket, reason: 'granted', earliest: null, unitsNow: 0 },
      })
      expect(draft.outgoing.map(({ kind }) => kind)).toEqual(['relinquish'])
    }
  })

  test('does not give up a unit on which work runs, though its join was never answered', () => {
    const holder = new Holder()
    const id = holder.ask()
    holder.grant(id)
    holder.update(id)
    holder.wish([{ kind: 'release', leaseId: id, reason: 'not needed' }])
    const [unit] = holder.lease(id).units
    holder.done(unit!, 'leave', { kind: 'busy', jobs: ['7'] })
    for (let i = 0; i < 12; i++) {
      holder.desk.due('unit', unit!)
      holder.failed(unit!, 'leave')
    }
    expect(holder.unit(unit!).state).not.toBe('lost')
    holder.desk.due('unit', unit!)
    holder.done(unit!, 'leave')
    expect(holder.unit(unit!).state).toBe('left')
  })

  test('says of a refusal how many are free where its broker says that some are', () => {
    for (const [unitsNow, free] of [
      [2, '; units free now: 2'],
      [0, ''],
    ] as const) {
      const holder = new Holder()
      const { notes } = holder.answer(holder.ask(), 'refused', { reason: 'too many today', unitsNow })
      expect(notes.find(({ kind }) => kind === 'refused')?.reason).toBe(`too many today${free}`)
    }
  })

  test('takes no refusal of before for one of what its broker is just asked', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [], reason: 'more' }])
    holder.update(id, { extensionRefused: 'one before came late' })
    expect(holder.lease(id)).toMatchObject({ ticketState: 'extending', leaseState: 'extending' })
    const letter = { to: 'broker', kind: 'extend-ticket', subject: id, body: {} }
    holder.desk.give({
      ...{ kind: 'undelivered', envelope: letter as never },
      ...{ code: 'peer-silent', reason: 'the broker was silent' },
    })
    expect(holder.lease(id)).toMatchObject({ ticketState: 'held', leaseState: 'active' })
  })

  test('believes a site about its own leases’ units only', () => {
    const desk = heldLease({})
    const other = { id: 'unit-1', leaseId: 'lease-2', state: 'joined' }
    desk.rows.set('unit', 'unit-1', other as never)
    const unit = { id: 'unit-1', name: 'n1', report: 'ended', vector: {}, facts: {}, reason: '' }
    desk.tell('authority', 'lease-update', 'lease-1', {
      ...{ state: 'active', term: lease(desk).term, ticketId: 'ticket-1', image: '', reason: '' },
      ...{ extensionRefused: null, units: [unit] },
    })
    expect(desk.rows.get('unit', 'unit-1')).toEqual(other)
  })
})

describe('a ticket of protocol 2', () => {
  test('is redeemed with its claims, and kept without them', () => {
    const holder = new Holder()
    const id = holder.ask()
    const ticket = proved(holder.ticketFor(id))
    const draft = holder.answer(id, 'granted', { ticket })
    expect(draft.outgoing.map(({ kind, body }) => [kind, (body as { ticket: unknown }).ticket])).toEqual([
      ['redeem', ticket],
    ])
    expect(holder.lease(id).ticket?.proof).toEqual(ticket.proof)
    expect(JSON.stringify([...holder.desk.rows.all('lease')])).not.toContain('claim-1')
    expect([...holder.desk.rows.all('chain')]).toEqual([])
  })

  test.each([
    ['without its claims', (ticket: ReturnType<typeof proved>) => ({ ...ticket, chain: undefined })],
    [
      'for a key of somebody else',
      (ticket: ReturnType<typeof proved>) => proved(ticket, { holderKey: cheapKey('thief') }),
    ],
    [
      'for larger units than delegated',
      (ticket: ReturnType<typeof proved>) => proved(ticket, { vector: { cpu: 3 } }),
    ],
    ['drawn from another claim', (ticket: ReturnType<typeof proved>) => proved(ticket, { parent: 'none' })],
  ])('%s goes back at once', (_, change) => {
    const holder = new Holder()
    const id = holder.ask()
    const { chain, ...ticket } = change(proved(holder.ticketFor(id)))
    const draft = holder.answer(id, 'granted', {
      ticket: chain === undefined ? ticket : { ...ticket, chain },
    })
    expect(kindsOf(draft)).toEqual(['relinquish'])
    expect(holder.lease(id).closeReason).toMatch(/^the ticket cannot be relied on: /)
  })

  test('extends a lease with its claims', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [], reason: 'more' }])
    const ticket = proved(holder.ticketFor(id))
    const draft = holder.answer(id, 'granted', { ticket })
    expect(draft.outgoing.map(({ kind, body }) => [kind, (body as { ticket: unknown }).ticket])).toEqual([
      ['extend-lease', ticket],
    ])
    expect(holder.lease(id).next?.chain).toBeUndefined()
  })
})

describe('an extension', () => {
  const extend = { kind: 'extend', durationMs: MINUTE, victims: [], reason: 'more' } as const

  test('may grow the lease, down to what it has', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    const draft = holder.wish([{ ...extend, leaseId, units: 5, unitsMin: 1 }])
    const predecessor = holder.lease(leaseId).ticket!.id
    expect(draft.outgoing.map(({ body }) => body)).toEqual([
      { predecessor, units: 5, unitsMin: 2, durationMs: MINUTE },
    ])
    holder.grant(leaseId, { units: 4 })
    const { next } = holder.lease(leaseId)
    holder.update(leaseId, { ticketId: next!.id, term: { start: NOW, end: next!.term.end } })
    expect(holder.shown(leaseId)).toMatchObject({ state: 'active', units: 4 })
    holder.update(leaseId, {}, [...holder.reports(leaseId).slice(0, 3), holder.report('late', 'active')])
    expect(holder.unit('late').state).toBe('joining')
  })

  test.each([
    ['more than asked for', 6],
    ['fewer than stay', 1],
  ])('for %s is not used', (_, units) => {
    const holder = new Holder()
    const leaseId = holder.active()
    holder.wish([{ ...extend, leaseId, units: 5, unitsMin: 3 }])
    const { outgoing } = holder.grant(leaseId, { units, id: 'ticket-2' })
    expect(outgoing).toMatchObject([
      { to: 'broker', kind: 'return-extension', body: { ticketId: 'ticket-2' } },
    ])
    expect(holder.lease(leaseId)).toMatchObject({ ticketState: 'held', leaseState: 'active' })
    expect(holder.shown(leaseId)?.extendRefused?.reason).toContain('cannot be relied on')
  })

  test('does not grow and give up units at once, and names those that go', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    const [victim] = holder.lease(leaseId).units
    const mixed = holder.wish([{ ...extend, leaseId, units: 5, victims: [victim!] }])
    expect(kindsOf(mixed)).toEqual([])
    expect(holder.shown(leaseId)?.extendRefused?.reason).toContain('at the same boundary')
    holder.wish([{ ...extend, leaseId, units: 1 }])
    expect(holder.shown(leaseId)?.extendRefused?.reason).toContain('have to be named')
    expect(kindsOf(holder.wish([{ ...extend, leaseId, units: 1, victims: [victim!] }]))).toEqual([
      'extend-ticket',
    ])
  })
})

describe('with several brokers', () => {
  test('a guest asks its own, and no other is believed about its leases', () => {
    const holder = new Holder()
    const id = holder.ask({}, 'h')
    const draft = holder.wish([{ kind: 'release', leaseId: id, reason: 'not needed' }], 'h')
    expect(draft.outgoing.map(({ kind, to }) => [kind, to])).toEqual([['relinquish', 'broker-2']])
    holder.answer(id, 'closed', {}, 'broker')
    expect(holder.lease(id).ticketState).toBe('returning')
    holder.answer(id, 'closed', {}, 'broker-2')
    expect(holder.lease(id).ticketState).toBe('closed')
  })
})

describe('close', () => {
  const extend = { kind: 'extend', durationMs: MINUTE, victims: [], reason: 'more' } as const

  test('wins over a pending extension, and one that is granted later goes back with the lease', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ ...extend, leaseId: id }])
    const late = holder.ticketFor(id)
    holder.wish([{ kind: 'release', leaseId: id, reason: 'not needed' }])
    expect(kindsOf(holder.answer(id, 'granted', { ticket: late }))).toEqual([])
    const units = holder.lease(id).units
    const drafts = units.map((unitId) => holder.done(unitId, 'leave'))
    expect(drafts.flatMap(kindsOf)).toEqual(['close'])
    expect(kindsOf(holder.update(id, { state: 'closed', reason: 'closed' }))).toEqual(['relinquish'])
    expect(kindsOf(holder.answer(id, 'granted', { ticket: late }))).toEqual([])
    holder.answer(id, 'closed')
    expect(holder.lease(id)).toMatchObject({ ticketState: 'closed', leaseState: 'closed' })
  })

  test('gives a ticket that comes for nobody back at once', () => {
    const holder = new Holder()
    const id = holder.ask()
    const ticket = holder.ticketFor(id)
    holder.desk.rows.set('lease', id, undefined)
    const draft = holder.answer(id, 'granted', { ticket })
    expect(draft.outgoing.map(({ kind, to, subject }) => [kind, to, subject])).toEqual([
      ['relinquish', 'broker', id],
    ])
    expect(kindsOf(holder.answer(id, 'closed'))).toEqual([])
  })

  test('of what was only asked for goes to the broker at once', () => {
    const holder = new Holder()
    const id = holder.ask()
    expect(kindsOf(holder.wish([{ kind: 'release', leaseId: id, reason: 'not needed' }]))).toEqual([
      'relinquish',
    ])
  })

  test('of what was redeemed waits for the word of the site, or for the end of all that the ticket allows', () => {
    const holder = new Holder()
    const id = holder.ask()
    holder.grant(id)
    expect(kindsOf(holder.wish([{ kind: 'release', leaseId: id, reason: 'not needed' }]))).toEqual(['close'])
    holder.desk.now = holder.lease(id).term!.end + MINUTE - 1
    expect(kindsOf(holder.desk.due('lease', id))).toEqual([])
    holder.desk.now += 1
    expect(kindsOf(holder.desk.due('lease', id))).toEqual(['relinquish'])
  })
})

describe('an extension that nobody confirms', () => {
  test('saves nothing: the units leave by the old end', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: MINUTE, victims: [], reason: 'more' }])
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    expect(holder.lease(id)).toMatchObject({
      ...{ leaseState: 'leaving', closeReason: 'no extension was confirmed in time' },
    })
    const draft = holder.update(id, { ticketId: 'ticket-later', extensionRefused: 'the lease has ended' })
    expect([kindsOf(draft), holder.lease(id).leaseState]).toEqual([[], 'leaving'])
  })
})
