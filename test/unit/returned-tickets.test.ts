import { describe, expect, test } from 'vitest'
import { refusalForReturned } from '../../actors/broker/returns.ts'
import type { BrokerDraft } from '../../actors/broker/rows.ts'
import {
  RETURNED_AT_SITE_MAX,
  RETURNED_ENDED_MAX,
  RETURNED_KEPT_MAX,
  RETURNED_OF_HOLDER_MAX,
} from '../../actors/leases/given-back.ts'
import { type Body, HOLDINGS_MAX } from '../../actors/leases/messages.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import { seal } from '../../actors/runtime/envelope.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import { cheapIdentity } from '../simulation/identities.ts'
import { givenBackBy, MINUTE, NOW, Stage } from './authority-stage.ts'
import { BrokerDesk, HOUR, inShort, reasonsIn } from './broker-desk.ts'

type Returned = Body<'tickets-returned'>['tickets'][number]

describe('a broker that has a ticket back', () => {
  test('tells its site, of several in one message', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const tickets = ['lease-1', 'lease-2'].map((id) => desk.granted(id, { units: 2 }))
    desk.extend('lease-1', { units: 2 })
    desk.decide()
    const extension = desk.row('lease-1').tickets.at(-1)!
    for (const { leaseId } of tickets) desk.tell('manager', 'relinquish', leaseId, { reason: 'done' })
    const [first, ...others] = desk.due('telling', 'site')
    expect(others).toEqual([])
    expect(first).toMatchObject({ to: 'site', kind: 'tickets-returned' })
    const told = (first!.body as Body<'tickets-returned'>).tickets
    expect(told.map(({ ticketId }) => ticketId).sort()).toEqual(
      [...tickets, extension].map(({ id }) => id).sort(),
    )
    expect([...desk.rows.all('telling')]).toEqual([])
    desk.now = extension.term.end
    for (const { id } of [...desk.rows.all('returned')]) desk.due('returned', id)
    expect([...desk.rows.all('returned')]).toEqual([])
  })

  test('shows a site that asks by which word of its holder a lease was given back', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const { id: predecessor } = desk.granted('lease-1', { units: 2 })
    desk.extend('lease-1', { units: 6 })
    desk.decide()
    desk.extend('lease-1', { predecessor, units: 1 })
    desk.tell('manager', 'relinquish', 'lease-1', { reason: 'done' })
    const [said] = desk.tell('site', 'holdings-query', 'holdings-1', { page: 0 })
    expect((said!.body as Body<'holdings'>).holdings).toMatchObject([
      { leaseId: 'lease-1', closed: true, ticket: null, proof: { from: 'manager', kind: 'relinquish' } },
    ])
  })

  test('tells of an extension that its holder says he did not get to use', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const { id: predecessor } = desk.granted('lease-1', { units: 2 })
    desk.extend('lease-1', { units: 6 })
    desk.decide()
    const { id: unused } = desk.row('lease-1').tickets.at(-1)!
    desk.extend('lease-1', { predecessor, units: 1 })
    const [told] = desk.due('telling', 'site')
    const proof = { from: 'manager', kind: 'extend-ticket', subject: 'lease-1', signature: 'signed' }
    expect(told!.body).toMatchObject({ tickets: [{ ticketId: unused, leaseId: 'lease-1', proof }] })
    // The lease itself goes on: a site that asks what is held there does not hear that it was given back, but this again.
    const said = desk.tell('site', 'holdings-query', 'holdings-1', { page: 0 })
    expect(said.at(-1)).toMatchObject({ to: 'site', kind: told!.kind, body: told!.body })
    expect((said[0]!.body as Body<'holdings'>).holdings).toMatchObject([
      { leaseId: 'lease-1', closed: false },
    ])
  })

  test('frees nothing of an extension that has begun, whatever its holder asks for', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    const { id: predecessor, term } = desk.granted('lease-1', { units: 4 })
    desk.extend('lease-1', { units: 4 })
    desk.decide()
    const { id: begun } = desk.row('lease-1').tickets.at(-1)!
    desk.now = term.end
    expect(inShort(desk.extend('lease-1', { predecessor, units: 4 }))).toEqual(['lease-1 extension-refused'])
    expect(desk.row('lease-1').tickets.map(({ id }) => id)).toContain(begun)
    expect([...desk.rows.all('returned')]).toEqual([])
    desk.ask('lease-2', { units: 4, durationMs: HOUR / 2 }, 'other')
    expect(inShort(desk.decide())).not.toContain('lease-2 granted 4')
  })

  test('tells a site that asks what is held of it after all that is held, and grants no more to who fills it', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    desk.granted('lease-z', { units: 2 })
    for (let i = 0; i < RETURNED_OF_HOLDER_MAX; i++)
      desk.rows.set('returned', `ticket-${i}`, {
        ...{ id: `ticket-${i}`, leaseId: `lease-${i}`, holder: 'manager', site: 'site', due: NOW + HOUR },
      } as never)
    const [said] = desk.tell('site', 'holdings-query', 'holdings-1', { page: 0 })
    const { holdings, pages } = said!.body as Body<'holdings'>
    expect(holdings.map(({ closed }) => closed)).toEqual([false, ...Array(HOLDINGS_MAX - 1).fill(true)])
    expect(pages).toBe(Math.ceil((RETURNED_OF_HOLDER_MAX + 1) / HOLDINGS_MAX))
    const [refused] = desk.ask('lease-y', { units: 1 })
    expect(refused!.body).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining('too-many-returned'),
    })
    desk.ask('lease-x', { units: 1 }, 'other')
    expect(inShort(desk.decide())).toEqual(['lease-x granted 1'])
  })

  test('grants nothing to who fills it while he waits, nor another term, nor a group', () => {
    const desk = new BrokerDesk()
    desk.offer(9)
    desk.granted('lease-1', { units: 1 })
    desk.ask('lease-2', { units: 1 })
    for (const id of ['lease-3', 'lease-4'])
      desk.ask(id, { units: 1, properties: { 'group.id': 'g', 'group.size': '2' } })
    for (let i = 0; i < RETURNED_OF_HOLDER_MAX; i++)
      desk.rows.set('returned', `ticket-${i}`, {
        ...{ id: `ticket-${i}`, leaseId: `lease-${i}`, holder: 'manager', site: 'site', due: NOW + HOUR },
      } as never)
    const tooMany = expect.stringContaining('too-many-returned')
    const extension = desk.extend('lease-1', { units: 1 })
    expect(inShort(extension)).toEqual(['lease-1 extension-refused'])
    const said = desk.decide()
    expect(inShort(said)).toEqual(['lease-2 refused', 'lease-3 refused', 'lease-4 refused'])
    expect(reasonsIn([...extension, ...said])).toEqual([tooMany, tooMany, tooMany, tooMany])
    expect(desk.row('lease-1').state).toBe('granted')
  })

  test('refuses those first who fill what a site remembers, so that it never has to forget which they are', () => {
    const at = (atSite: number, ofHolder: number): string | undefined => {
      const sizes = new Map([
        ['site', { size: atSite }],
        ['manager', { size: ofHolder }],
      ])
      const draft = { view: () => sizes } as unknown as BrokerDraft
      return refusalForReturned('manager', 'site', draft)
    }
    expect(at(100_000, RETURNED_OF_HOLDER_MAX - 1)).toBeUndefined()
    expect(at(100_000, RETURNED_OF_HOLDER_MAX)).toContain('too-many-returned')
    // Four fifths are full: there is as much left for each of the others as for him.
    const left = RETURNED_AT_SITE_MAX / 5
    expect(at(RETURNED_AT_SITE_MAX - left, left - 1)).toBeUndefined()
    expect(at(RETURNED_AT_SITE_MAX - left, left)).toContain('too-many-returned')
    expect(at(RETURNED_AT_SITE_MAX - 1, 0)).toBeUndefined()
    expect(at(RETURNED_AT_SITE_MAX, 0)).toContain('too-many-returned')
    // What is out then may still come back, and the site keeps that, too.
    expect(RETURNED_AT_SITE_MAX + RETURNED_OF_HOLDER_MAX).toBeLessThanOrEqual(RETURNED_KEPT_MAX)
  })

  test('says nothing of one that is over, nor of a request that got none', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const { term } = desk.granted('lease-1')
    desk.ask('lease-2', { units: 6, properties: { deferrable: 'true', deadline: '10h' } })
    desk.now = term.end
    for (const leaseId of ['lease-1', 'lease-2'])
      desk.tell('manager', 'relinquish', leaseId, { reason: 'done' })
    expect([...desk.rows.all('returned')]).toEqual([])
  })
})

describe('a site that hears of a ticket that was given back', () => {
  test('honours it no more', () => {
    const stage = new Stage()
    const ticket = stage.ticket()
    returned(stage, ticket)
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    expect(stage.row()).toBeUndefined()
    expect(stage.lastUpdate()).toMatchObject({
      state: 'closed',
      reason: expect.stringContaining('given back'),
    })
    stage.pass(11 * MINUTE)
    expect([...stage.rows.all('returned')]).toEqual([])
  })

  test('closes the lease that stands on it, and lets work end within the grace', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    returned(stage, ticket)
    expect(stage.row().state).toBe('closing')
    expect(stage.units().map(({ forceFrom }) => forceFrom)).toEqual([NOW + 10_000, NOW + 10_000])
    // From now the grace runs, as its holder hears.
    const { start, end } = stage.lastUpdate().term
    expect(end + 10_000).toBeLessThanOrEqual(NOW + 10_001)
    expect(start).toBeLessThan(end)
    // The units are promised to somebody else.
    stage.lease({ leaseId: 'lease-2', units: 6 })
    expect(stage.live('lease-2')).toHaveLength(6)
    stage.pass(MINUTE)
    expect(stage.row()).toMatchObject({
      state: 'closed',
      closeReason: expect.stringContaining('gave its ticket back'),
    })
    returned(stage, ticket)
    expect(stage.row().state).toBe('closed')
  })

  test('writes nothing down where it comes in the ordinary course, and notes what is said again', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    stage.tell('close', 'lease-1', { reason: 'its jobs are done' })
    stage.settle()
    expect(stage.row().state).toBe('closed')
    const over = stage.ticket({ leaseId: 'lease-2', term: { start: NOW - MINUTE, end: NOW } })
    for (const one of [ticket, over]) {
      const before = stage.notes.length
      returned(stage, one)
      expect(stage.notes.slice(before)).toEqual([])
      returned(stage, one)
      expect(stage.notes.slice(before).map(({ kind }) => kind)).toEqual(['message noted'])
    }
    stage.pass(HOUR + MINUTE)
    expect([...stage.rows.all('returned')]).toEqual([])
  })

  test('forgets it when its broker does, at its end, and of one that has ended for an hour that it was said', () => {
    const stage = new Stage()
    const term = { start: NOW + 1_000, end: NOW + 2_000 }
    const { ticket } = stage.lease({ term })
    stage.tell('close', 'lease-1', { reason: 'not needed' })
    returned(stage, ticket)
    stage.settle()
    expect([stage.row().state, stage.rows.get('returned', `broker ${ticket.id}`)]).toMatchObject([
      'closed',
      { due: term.end },
    ])
    stage.now = term.end
    stage.settle()
    expect([...stage.rows.all('returned')]).toEqual([])
    const lines = () => stage.notes.filter(({ kind }) => kind === 'message noted').length
    const before = lines()
    returned(stage, ticket)
    stage.pass(HOUR - MINUTE)
    expect(lines()).toBe(before)
    returned(stage, ticket)
    expect(lines()).toBe(before + 1)
    stage.pass(2 * MINUTE)
    expect([...stage.rows.all('returned')]).toEqual([])
  })

  test('redeems those of a broker that says of ever so many others that they have ended', () => {
    const stage = new Stage()
    for (let i = 0; i < RETURNED_ENDED_MAX; i++)
      stage.rows.set('returned', `broker ticket-a${i}`, {
        ...{ id: `broker ticket-a${i}`, broker: 'broker', ended: true, due: NOW + HOUR },
      } as never)
    const rows = () => [...stage.rows.all('returned')].length
    returned(stage, { id: 'ticket-y', leaseId: 'lease-y', term: { start: NOW - 2, end: NOW - 1 } })
    expect(rows()).toBe(RETURNED_ENDED_MAX)
    for (let i = RETURNED_ENDED_MAX; i < RETURNED_KEPT_MAX; i++)
      stage.rows.set('returned', `broker ticket-a${i}`, {
        ...{ id: `broker ticket-a${i}`, broker: 'broker', ended: true, due: NOW + HOUR },
      } as never)
    returned(stage, { id: 'ticket-z', leaseId: 'lease-z', term: { start: NOW, end: NOW + HOUR } })
    expect(stage.rows.get('returned', 'broker ticket-z')).toBeDefined()
    expect(stage.lease().state).toBe('active')
  })

  test('lets a lease end as its present ticket does where only the one for its extension was given back', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
    const next = stage.ticket({ term, units: 6, predecessor: ticket.id })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    expect(stage.row().next?.id).toBe(next.id)
    returned(stage, next)
    expect(stage.row()).toMatchObject({ state: 'active', next: undefined, term: ticket.term })
    expect(stage.lastUpdate().extensionRefused).toContain('gave the ticket for its extension back')
    // It is not taken again, and the units are there for who got them.
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    expect(stage.row().next).toBeUndefined()
    stage.lease({ leaseId: 'lease-2', units: 6, term })
    stage.pass(11 * MINUTE)
    expect(stage.row().state).toBe('closed')
    expect(stage.live('lease-2')).toHaveLength(6)
  })

  test('is shown which extension its holder gave back, and not only that he gave one back', () => {
    const { stage, ticket, next } = extended()
    const back = (ticketId: string, leaseId = 'lease-1', holder = 'manager') =>
      givenBackBy(holder, leaseId, stage.now, 'return-extension', { ticketId })
    for (const proof of [
      back('ticket-x'),
      back(next.id, 'lease-2'),
      back(next.id, 'lease-1', 'manager-2'),
      { ...back(next.id), bodyHash: back('ticket-x').bodyHash! },
      { ...back('ticket-x'), bodyHash: back(next.id).bodyHash! },
    ])
      returned(stage, next, 'broker', proof)
    // One that was given back says nothing of the ticket that the lease stands on.
    returned(stage, ticket, 'broker', back(next.id))
    expect(stage.row()).toMatchObject({ state: 'active', next: { id: next.id } })
    expect(stage.notes.filter(({ kind }) => kind === 'message refused')).toHaveLength(6)
    returned(stage, next, 'broker', back(next.id))
    expect(stage.row()).toMatchObject({ state: 'active', next: undefined, term: ticket.term })
    expect([...stage.rows.all('drawn')].map(({ id }) => id)).not.toContain(next.id)
  })

  test('ends a lease that goes on with an extension which its holder gave back', () => {
    const { stage, next } = extended()
    stage.pass(11 * MINUTE)
    expect(stage.row()).toMatchObject({ state: 'active', ticket: { id: next.id } })
    const proof = givenBackBy('manager', 'lease-1', stage.now, 'return-extension', { ticketId: next.id })
    returned(stage, next, 'broker', proof)
    expect(stage.row().state).toBe('closing')
    expect([...stage.rows.all('drawn')].map(({ id }) => id)).not.toContain(next.id)
  })

  test('believes the broker that it lent to before', () => {
    const stage = new Stage()
    const ticket = stage.ticket()
    const other = new Stage({ broker: 'other-broker' })
    for (const row of [...stage.rows.all('claim')]) other.rows.set('claim', row.id, row)
    returned(other, ticket)
    other.tell('redeem', 'lease-1', { ticket, properties: {} })
    expect(other.row()).toBeUndefined()
    expect(other.lastUpdate().reason).toContain('given back')
  })

  test('ends no lease by the word of its broker alone', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    const signed = givenBackBy('manager', 'lease-1', stage.now)
    for (const proof of [
      {},
      givenBackBy('manager-2', 'lease-1', stage.now),
      givenBackBy('manager', 'lease-2', stage.now),
      givenBackBy('manager', 'lease-1', stage.now, 'recall-plan'),
      { ...signed, subject: 'lease-1', sentAt: stage.now + 1 },
      { ...signed, to: 'other-broker' },
    ])
      returned(stage, ticket, 'broker', proof)
    expect(stage.row().state).toBe('active')
    expect(stage.notes.filter(({ kind }) => kind === 'message refused')).toHaveLength(6)
    returned(stage, ticket, 'broker', signed)
    expect(stage.row().state).toBe('closing')
  })

  test('takes no request for an extension for a word that its holder has it not', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
    const asked = asksFor('lease-1', { number: 2, seq: 2, sentAt: stage.now })
    const request = { proof: { request: asked } as unknown as NonNullable<Ticket['proof']> }
    const next = stage.ticket({ ...request, term, predecessor: ticket.id })
    const agree = { kind: 'extend-lease', subject: 'lease-1', body: { ticket: next, victims: [] } } as const
    const place = { generation: 0, seq: 5 }
    const said = { ...agree, id: 'message-5', from: 'manager', to: 'duke', number: 2 }
    const envelope = seal(
      { ...said, sentAt: stage.now, until: stage.now + MINUTE },
      cheapIdentity('manager'),
      place,
    )
    stage.give({ kind: 'message', envelope })
    expect(stage.row().next?.id).toBe(next.id)
    for (const proof of [
      // The one that it was granted for, one before that, and one that was asked before it was agreed.
      asked,
      asksFor('lease-1', { number: 1, seq: 9, sentAt: stage.now + 9 }),
      asksFor('lease-1', { number: 3, seq: 4, sentAt: stage.now + 9 }),
    ])
      returned(stage, next, 'broker', proof)
    expect(stage.row()).toMatchObject({ state: 'active', next: { id: next.id } })
    expect(stage.notes.filter(({ kind }) => kind === 'message refused')).toHaveLength(3)
    returned(stage, next, 'broker', asksFor('lease-1', { number: 3, seq: 6, sentAt: stage.now }))
    expect(stage.row()).toMatchObject({ state: 'active', next: undefined, term: ticket.term })
  })

  test('goes by the time of the request where an extension of protocol 1 does not show it', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
    const { proof: _, chain: __, ...plain } = stage.ticket({ term, predecessor: ticket.id })
    const next = issueTicket(plain, cheapIdentity('broker'))
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    expect(stage.row().next?.id).toBe(next.id)
    returned(stage, next, 'broker', asksFor('lease-1', { number: 2, seq: 2, sentAt: next.issuedAt }))
    expect(stage.row().next?.id).toBe(next.id)
    returned(stage, next, 'broker', asksFor('lease-1', { number: 3, seq: 3, sentAt: next.issuedAt + 1 }))
    expect(stage.row().next).toBeUndefined()
  })

  test('believes nobody but the broker of the ticket', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    for (const from of ['other-broker', 'manager-2']) returned(stage, ticket, from)
    expect(stage.row().state).toBe('active')
    expect([...stage.rows.all('returned')]).toEqual([])
    // Of a lease that stands on another ticket nothing is given back.
    returned(stage, { ...ticket, id: 'ticket-x' })
    expect(stage.row().state).toBe('active')
  })

  test('remembers only so many of one broker', () => {
    const stage = new Stage()
    for (let i = 0; i < RETURNED_KEPT_MAX; i++)
      stage.rows.set('returned', `broker ticket-a${i}`, {
        ...{ id: `broker ticket-a${i}`, broker: 'broker', due: NOW + HOUR },
      } as never)
    const old = stage.ticket()
    stage.now += 1
    returned(stage, { id: 'ticket-y', leaseId: 'lease-y', term: { start: NOW, end: NOW + HOUR } })
    expect(stage.notes.at(-1)).toMatchObject({ kind: 'ticket returned', subject: 'broker' })
    // Which of the older ones it is nobody knows any more.
    stage.tell('redeem', 'lease-1', { ticket: old, properties: {} })
    expect(stage.row()).toBeUndefined()
    // Nor by how much the clock of the broker is ahead.
    stage.now += 1
    expect(stage.lease({ leaseId: 'lease-3' })).toBeUndefined()
    stage.now += MINUTE
    expect(stage.lease({ leaseId: 'lease-2' }).state).toBe('active')
  })
})

/** The head of a message by which the holder asks for an extension. */
function asksFor(subject: string, { seq, ...at }: { number: number; seq: number; sentAt: number }) {
  const letter = {
    ...at,
    id: `message-${seq}`,
    from: 'manager',
    to: 'broker',
    kind: 'extend-ticket',
    subject,
  }
  const place = { generation: 0, seq }
  return requestProof(
    seal({ ...letter, body: {}, until: at.sentAt + MINUTE }, cheapIdentity('manager'), place),
  )
}

/** A lease, and an extension that is agreed. */
function extended() {
  const stage = new Stage()
  const { ticket } = stage.lease()
  const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
  const next = stage.ticket({ term, predecessor: ticket.id })
  stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
  return { stage, ticket, next }
}

function returned(
  stage: Stage,
  { id, leaseId, term }: { id: string; leaseId: string; term: { start: number; end: number } },
  from = 'broker',
  proof: Returned['proof'] = givenBackBy('manager', leaseId, stage.now),
): void {
  const tickets = [{ ticketId: id, leaseId, until: term.end, ...(proof && { proof }) }]
  stage.tell('tickets-returned', 'returned', { tickets }, from)
}
