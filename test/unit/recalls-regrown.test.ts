import { describe, expect, test } from 'vitest'
import type { DrawnRow } from '../../actors/authority/rows.ts'
import { stillReduced } from '../../actors/broker/promises.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { MINUTE as M, Stage } from './authority-stage.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW, ticketsIn } from './broker-desk.ts'

const lastOffer = (stage: Stage): Body<'delegation'> =>
  stage.sent.findLast(({ kind }) => kind === 'delegation')!.body as Body<'delegation'>

/** One of four is promised back and lent again; the lease grows back to four with its extension; then one more is. */
function regrown() {
  const desk = new BrokerDesk({ sites: ['site'] })
  desk.offer(8)
  desk.granted('lease-0', { units: 4, durationMs: 10 * HOUR })
  const first = desk.granted('lease-1', { units: 4, durationMs: 30 * MINUTE })
  const recall = (recallId: string, by: number) => {
    const order = { recallId, type: 't', units: 1, by, reason: 'needed' }
    const said = desk.tell('site', 'recall-units', 'offer-t', order)
    expect(said.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual(['recall lease-1'])
    desk.tell('manager', 'recall-plan', 'lease-1', { recallId, units: 1, by, reason: 'agreed' })
    desk.now = by
  }
  recall('r-1', NOW + 5 * MINUTE)
  const came = { settledRecalls: ['r-1'], back: [{ ticketId: first.id, units: 1 }] }
  desk.offer(7, came)
  desk.offer(8, came)
  desk.extend('lease-1', { units: 4, durationMs: HOUR })
  const [next] = ticketsIn(desk.decide())
  expect(next).toMatchObject({ leaseId: 'lease-1', units: 4 })
  recall('r-2', NOW + 10 * MINUTE)
  const back = [
    { ticketId: first.id, units: 2 },
    { ticketId: next!.id, units: 1 },
  ]
  desk.offer(7, { settledRecalls: ['r-1', 'r-2'], back })
  return { desk, first, next: next! }
}

describe('an extension that was granted between two promises to give units back', () => {
  test('counts as without the second at its broker: seven are lent, and seven promised', () => {
    const { desk, first, next } = regrown()
    expect(desk.row('lease-1').reduced).toMatchObject({ units: 2, off: { [first.id]: 2, [next.id]: 1 } })
    desk.ask('lease-2', { units: 1, start: next.term.start, durationMs: 10 * MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
  })

  test('counts so at its site', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 4 })
    const give = () => {
      stage.command('recall', { type: 'vm.small', units: 1, by: stage.now + 2_000, reason: 'needed' })
      const [unit] = stage.live('lease-1')
      stage.pass(2_000)
      stage.tell('vacate', 'lease-1', { units: [unit!.id], reason: 'recalled', recalled: [unit!.id] })
      stage.pass(2_000)
    }
    give()
    stage.command('lend again', { type: 'vm.small', units: 1, reason: 'no longer' })
    stage.pass(1_000)
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * M }
    const next = stage.ticket({ leaseId: 'lease-1', units: 4, term, predecessor: ticket.id })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    stage.pass(1_000)
    give()
    expect(lastOffer(stage).units).toBe(5)
    expect((stage.rows.get('drawn', next.id) as unknown as DrawnRow).units).toBe(3)
  })

  test('goes on from rows of an earlier program as those reckoned', () => {
    const { desk, first, next } = regrown()
    const { off: _, ...reduced } = desk.row('lease-1').reduced!
    const row = { ...desk.row('lease-1'), reduced: { ...reduced, tickets: [first.id, next.id] } }
    expect([first, next].map((ticket) => stillReduced(row, ticket))).toEqual([2, 2])
    desk.rows.set('ticket', 'lease-1', row)
    // One is free, as it reckons.
    const by = desk.now + MINUTE
    desk.tell('site', 'recall-units', 'offer-t', { recallId: 'r-3', type: 't', units: 2, by, reason: 'mine' })
    desk.tell('manager', 'recall-plan', 'lease-1', { recallId: 'r-3', units: 1, by, reason: 'agreed' })
    expect(desk.row('lease-1').reduced).toMatchObject({ units: 3, off: { [first.id]: 3, [next.id]: 3 } })
  })
})
