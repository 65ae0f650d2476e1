import { describe, expect, test } from 'vitest'
import { RETURNED_KEPT_MAX } from '../../actors/authority/returned.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { MINUTE, NOW, Stage } from './authority-stage.ts'
import { BrokerDesk } from './broker-desk.ts'

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

  test('closes also the lease that goes on with it', () => {
    const stage = new Stage()
    const { ticket } = stage.lease()
    const term = { start: ticket.term.end, end: ticket.term.end + MINUTE }
    const next = stage.ticket({ term, predecessor: ticket.id })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    returned(stage, next)
    expect(stage.row().state).toBe('closing')
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
        ...{ id: `broker ticket-a${i}`, broker: 'broker', due: NOW + MINUTE },
      } as never)
    returned(stage, { id: 'ticket-y', leaseId: 'lease-y', term: { start: NOW, end: NOW + MINUTE } })
    expect(stage.rows.get('returned', 'broker ticket-y')).toBeUndefined()
    expect(stage.notes.at(-1)).toMatchObject({ kind: 'message noted' })
  })
})

function returned(
  stage: Stage,
  { id, leaseId, term }: { id: string; leaseId: string; term: { start: number; end: number } },
  from = 'broker',
): void {
  const tickets = [{ ticketId: id, leaseId, until: term.end }]
  stage.tell('tickets-returned', 'returned', { tickets }, from)
}
