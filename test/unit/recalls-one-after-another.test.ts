import { describe, expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW } from './broker-desk.ts'

/** Of ten units lease-0 has six, and lease-1 four; lease-1 gave two back, which its site has taken. */
function givenBack() {
  const desk = new BrokerDesk({ sites: ['site'] })
  desk.offer(10)
  desk.granted('lease-0', { units: 6, durationMs: 10 * HOUR })
  const { id: ticketId } = desk.granted('lease-1', { units: 4, durationMs: 10 * HOUR })
  recall(desk, 'r-1', 2, NOW + 5 * MINUTE)
  desk.now = NOW + 5 * MINUTE
  desk.offer(8, { settledRecalls: ['r-1'], back: [{ ticketId, units: 2 }] })
  return { desk, ticketId }
}

/** Its holder promises what it is asked for. */
function recall(desk: BrokerDesk, recallId: string, units: number, by: number): void {
  const order = { recallId, type: 't', units, by, reason: 'needed' }
  for (const { kind, subject, body } of desk.tell('site', 'recall-units', 'offer-t', order)) {
    if (kind !== 'recall') continue
    const asked = (body as Body<'recall'>).units
    desk.tell('manager', 'recall-plan', subject, { recallId, units: asked, by, reason: 'agreed' })
  }
}

describe('a recall for later, of a lease that has given units back for one before', () => {
  test('has those counted as promised no more until then: what comes free is given to others', () => {
    const { desk } = givenBack()
    recall(desk, 'r-2', 1, NOW + 3 * HOUR)
    expect(desk.row('lease-1').reduced).toMatchObject({ units: 3 })
    desk.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
    desk.ask('lease-2', { units: 6, durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 6'])
  })

  test('... and those that are to go only then are promised until then', () => {
    const { desk, ticketId } = givenBack()
    recall(desk, 'r-2', 1, NOW + 3 * HOUR)
    desk.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
    desk.ask('lease-2', { units: 7, durationMs: HOUR })
    desk.ask('lease-3', { units: 6, durationMs: 5 * HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused', 'lease-3 granted 6'])
    desk.now = NOW + 3 * HOUR
    const back = [{ ticketId, units: 3 }]
    desk.offer(7, { settledRecalls: ['r-1', 'r-2'], back })
    desk.ask('lease-4', { units: 1, durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-4 refused'])
    desk.offer(8, { settledRecalls: ['r-1', 'r-2'], back })
    desk.ask('lease-5', { units: 1, durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-5 granted 1'])
  })

  test('... and what of them is lent again waits until the site has it, each from its own time on', () => {
    const { desk, ticketId } = givenBack()
    recall(desk, 'r-2', 1, NOW + 3 * HOUR)
    desk.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
    // All of it is lent again: one of the two is back, the other is still in the ticket, and the third is to go later.
    desk.offer(10, { settledRecalls: ['r-1', 'r-2'], back: [{ ticketId, units: 1 }] })
    desk.ask('lease-2', { units: 8, durationMs: HOUR })
    desk.ask('lease-3', { units: 7, durationMs: 5 * HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused', 'lease-3 granted 7'])
  })
})

describe('a recall that is called off, where the site keeps what it took by one before', () => {
  test('has what is promised back for it held until the site has it: what it keeps is not that', () => {
    const { desk, ticketId } = givenBack()
    const by = NOW + 10 * MINUTE
    recall(desk, 'r-2', 1, by)
    const settled = { settledRecalls: ['r-1', 'r-2'] }
    desk.offer(8, { ...settled, back: [{ ticketId, units: 2 }] })
    desk.now = by
    desk.ask('lease-2', { units: 1, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
    desk.offer(8, { ...settled, back: [{ ticketId, units: 3 }] })
    desk.ask('lease-3', { units: 1, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-3 granted 1'])
  })

  test('... also where the ticket from which it took is over', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    desk.granted('lease-0', { units: 2, durationMs: 10 * HOUR })
    desk.granted('lease-1', { units: 2, durationMs: 30 * MINUTE })
    recall(desk, 'r-1', 1, NOW + 5 * MINUTE)
    desk.now = NOW + 5 * MINUTE
    desk.offer(3, { settledRecalls: ['r-1'] })
    desk.tell('manager', 'relinquish', 'lease-1', { reason: 'done' })
    desk.granted('lease-2', { units: 1, durationMs: HOUR })
    const by = desk.now + 5 * MINUTE
    recall(desk, 'r-2', 1, by)
    desk.offer(3, { settledRecalls: ['r-1', 'r-2'] })
    desk.now = by
    desk.ask('lease-3', { units: 1, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-3 refused'])
  })
})

test('what is promised for a recall that its site tells anew, for it has forgotten that it was called off, counts once', () => {
  const desk = new BrokerDesk({ sites: ['site'] })
  desk.offer(5)
  desk.granted('lease-0', { units: 1, durationMs: 10 * HOUR })
  const { id: ticketId } = desk.granted('lease-1', { units: 4, durationMs: 10 * HOUR })
  const by = NOW + 2 * HOUR
  recall(desk, 'r-1', 1, by)
  expect(desk.row('lease-1').reduced).toMatchObject({ units: 1, off: { [ticketId]: 1 } })
  desk.now = by
  const told = { settledRecalls: ['r-1'], back: [{ ticketId, units: 1 }] }
  desk.offer(5, told)
  desk.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
  desk.offer(3, told)
  // Its holder says again what it has given back for it.
  recall(desk, 'r-1', 1, by + HOUR)
  expect(desk.notes.at(-1)).toContain('manager gives 1 unit back')
  expect(desk.row('lease-1').reduced).toMatchObject({ units: 1, off: { [ticketId]: 1 } })
})

test('what is promised for a recall only after its site has taken it is what that keeps: nothing else is held back for it', () => {
  const desk = new BrokerDesk({ sites: ['site'] })
  desk.offer(4)
  desk.granted('lease-0', { units: 1, durationMs: 10 * HOUR })
  desk.granted('lease-1', { units: 3, durationMs: 10 * HOUR })
  const order = { recallId: 'r-1', type: 't', units: 1, by: NOW + 5 * MINUTE, reason: 'needed' }
  desk.tell('site', 'recall-units', 'offer-t', order)
  desk.now = order.by
  desk.offer(3, { settledRecalls: ['r-1'] })
  const plan = { recallId: 'r-1', units: 1, by: order.by, reason: 'it was away' }
  desk.tell('manager', 'recall-plan', 'lease-1', plan)
  desk.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
  desk.ask('lease-2', { units: 1, durationMs: HOUR })
  expect(inShort(desk.decide())).toEqual(['lease-2 granted 1'])
  // What it lends again is what comes back of that.
  desk.offer(4, { settledRecalls: ['r-1'] })
  desk.ask('lease-3', { units: 1, durationMs: HOUR })
  expect(inShort(desk.decide())).toEqual(['lease-3 refused'])
})
