import { describe, expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { MINUTE as M, Stage } from './authority-stage.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW } from './broker-desk.ts'

const offersOf = (stage: Stage): Body<'delegation'>[] =>
  stage.sent.flatMap(({ kind, body }) => (kind === 'delegation' ? [body as Body<'delegation'>] : []))

const recalled = (stage: Stage, units = 2): string =>
  (
    stage.command('recall', { type: 'vm.small', units, by: stage.now + 5 * M, reason: 'a course' }) as {
      recallId: string
    }
  ).recallId

describe('a recall that is called off', () => {
  test('takes nothing: as many are lent as before, and its broker hears that it is settled', () => {
    const stage = new Stage()
    stage.lease({ leaseId: 'lease-1', units: 4 })
    const { units } = offersOf(stage).at(-1)!
    const recallId = recalled(stage)
    expect(stage.command('call off', { recallId, reason: 'no course' })).toEqual({ lent: units, withheld: 0 })
    expect(offersOf(stage).at(-1)).toMatchObject({ units, settledRecalls: [recallId] })
    const told = offersOf(stage).length
    stage.pass(6 * M)
    expect(
      offersOf(stage)
        .slice(told)
        .every((offer) => offer.units === units),
    ).toBe(true)
    expect(stage.live('lease-1')).toHaveLength(4)
    expect(stage.notes.map(({ kind }) => kind)).toContain('recall called off')
  })

  test('lets what is given back for it all the same be lent to others: the site says whose tickets are without it', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 4 })
    const recallId = recalled(stage)
    stage.command('call off', { recallId, reason: 'no course' })
    const [unit] = stage.live('lease-1')
    stage.tell('vacate', 'lease-1', { units: [unit!.id], reason: 'recalled', recalled: [unit!.id] })
    stage.pass(2_000)
    expect(offersOf(stage).at(-1)).toMatchObject({ back: [{ ticketId: ticket.id, units: 1 }] })
  })

  test('... also where work on it ended in the grace only, when the lease had gone on with the next ticket', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 4 })
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * M }
    const next = stage.ticket({ leaseId: 'lease-1', units: 4, term, predecessor: ticket.id })
    stage.pass(5 * M - 4_000)
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    // It is wanted four seconds before the boundary, and leaves three after.
    const recallId = recalled(stage)
    stage.pass(1_000)
    stage.command('call off', { recallId, reason: 'no course' })
    stage.pass(5 * M + 6_000)
    expect(stage.row().ticket.id).toBe(next.id)
    const [unit] = stage.live('lease-1')
    stage.tell('vacate', 'lease-1', { units: [unit!.id], reason: 'recalled', recalled: [unit!.id] })
    stage.pass(2_000)
    expect(offersOf(stage).at(-1)).toMatchObject({ back: [{ ticketId: next.id, units: 1 }] })
  })

  test('leaves another that stands in force', () => {
    const stage = new Stage()
    stage.lease({ leaseId: 'lease-1', units: 4 })
    const { units } = offersOf(stage).at(-1)!
    const [first, second] = [recalled(stage), recalled(stage, 1)]
    stage.command('call off', { recallId: first, reason: 'no course' })
    stage.pass(6 * M)
    expect(offersOf(stage).at(-1)).toMatchObject({ units: units - 1, settledRecalls: [first, second] })
  })

  test('is one that there is, and that has not taken effect', () => {
    const stage = new Stage()
    expect(() => stage.command('call off', { recallId: 'recall-9', reason: '' })).toThrow(
      expect.objectContaining({ code: 'unknown-id' }),
    )
    stage.lease({ leaseId: 'lease-1', units: 4 })
    const recallId = recalled(stage, 4)
    stage.pass(5 * M + 1_000)
    expect(() => stage.command('call off', { recallId, reason: '' })).toThrow(/taken effect|no recall/)
  })

  test('is none at its broker from then on: what is free may be promised beyond its time again', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    const order = { recallId: 'r-1', type: 't', units: 4, by: NOW + 5 * MINUTE, reason: 'needed' }
    desk.tell('site', 'recall-units', 'offer-t', order)
    desk.ask('lease-1', { durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-1 refused'])
    desk.offer(4, { settledRecalls: ['r-1'] })
    desk.ask('lease-2', { durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 4'])
  })

  test('keeps back what was promised for it until the site says that it is back', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    const ticket = desk.granted('lease-1', { units: 4, durationMs: HOUR })
    const order = { recallId: 'r-1', type: 't', units: 1, by: NOW + 5 * MINUTE, reason: 'needed' }
    desk.tell('site', 'recall-units', 'offer-t', order)
    desk.tell('manager', 'recall-plan', 'lease-1', { recallId: 'r-1', units: 1, by: order.by, reason: 'yes' })
    desk.offer(4, { settledRecalls: ['r-1'] })
    desk.now = NOW + 6 * MINUTE
    desk.ask('lease-2', { units: 1, durationMs: 10 * MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
    desk.offer(4, { settledRecalls: ['r-1'], back: [{ ticketId: ticket.id, units: 1 }] })
    desk.ask('lease-3', { units: 1, durationMs: 10 * MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-3 granted 1'])
  })

  test('... also where its holder promised it only after that', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    const ticket = desk.granted('lease-1', { units: 4, durationMs: HOUR })
    const order = { recallId: 'r-1', type: 't', units: 1, by: NOW + 5 * MINUTE, reason: 'needed' }
    desk.tell('site', 'recall-units', 'offer-t', order)
    desk.offer(4, { settledRecalls: ['r-1'] })
    desk.tell('manager', 'recall-plan', 'lease-1', { recallId: 'r-1', units: 1, by: order.by, reason: 'yes' })
    desk.now = NOW + 6 * MINUTE
    desk.ask('lease-2', { units: 1, durationMs: 10 * MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
    desk.offer(4, { settledRecalls: ['r-1'], back: [{ ticketId: ticket.id, units: 1 }] })
    desk.ask('lease-3', { units: 1, durationMs: 10 * MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-3 granted 1'])
  })
})
