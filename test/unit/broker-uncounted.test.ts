import { describe, expect, test } from 'vitest'
import type { DelegationRow } from '../../actors/broker/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW } from './broker-desk.ts'

type Offer = Partial<Body<'delegation'>>

const SETTLED: Offer = { settledRecalls: ['recall-1'] }

describe('units that are promised back and lent again', () => {
  test('are promised when their site says that it counts them no more', () => {
    const { desk, back } = recalled({ promised: 3 })
    desk.offer(3, SETTLED)
    desk.offer(6, SETTLED)
    expect(desk.notes.at(-1)).toBe(
      'offer changed site/t: site lends 6 of t (before: 3): begun; 3 of them only when it has them back, for they are still in tickets that it counts',
    )
    expect(ask(desk, 'lease-2', 1)).toEqual(['lease-2 refused'])
    desk.offer(6, { ...SETTLED, back: back(2) })
    expect(ask(desk, 'lease-3', 3)).toEqual(['lease-3 refused'])
    expect(ask(desk, 'lease-4', 2)).toEqual(['lease-4 granted 2'])
    desk.offer(6, { ...SETTLED, back: back(3) })
    expect(ask(desk, 'lease-5', 1)).toEqual(['lease-5 granted 1'])
  })

  test('are promised from the end of their ticket on, and whoever waits for them gets them then', () => {
    const { desk, end } = recalled({ promised: 3 })
    desk.offer(3, SETTLED)
    desk.offer(6, SETTLED)
    desk.ask('lease-2', { units: 3, durationMs: MINUTE, properties: { deferrable: 'true' } })
    expect(inShort(desk.decide())).toEqual([])
    desk.now = desk.row('lease-2').asked!.planned!.start
    expect(desk.now).toBe(end)
    expect(inShort(desk.decide())).toContain('lease-2 granted 3')
  })

  test('are not missed while the site keeps as many: others are extended as ever', () => {
    const { desk, end } = recalled({ promised: 3, others: 3 })
    desk.offer(3, SETTLED)
    desk.extend('lease-0', { units: 3, durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-0 granted 3'])
    // Three more were repaired, and of those taken it still keeps all but these.
    desk.offer(4, SETTLED)
    desk.ask('lease-2', { units: 1, start: end, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 1'])
  })

  test('are as many as are lent again, where only some are', () => {
    const { desk } = recalled({ promised: 3, units: 4 })
    desk.offer(2, SETTLED)
    desk.offer(3, SETTLED)
    // One of the four lent again may be any of the three promised back, but the site keeps three.
    expect(desk.notes.at(-1)).not.toContain('only when')
    desk.offer(5, SETTLED)
    expect(desk.notes.at(-1)).toContain('2 of them only when')
  })

  test('count in an extension that was granted before, until it ends or its site counts them no more', () => {
    const { desk, back } = recalled({ promised: 3, extended: true })
    const [, next] = desk.row('lease-1').tickets
    desk.offer(3, SETTLED)
    desk.offer(6, { ...SETTLED, back: back(3) })
    desk.now = next!.term.start + MINUTE
    expect(ask(desk, 'lease-2', 1)).toEqual(['lease-2 refused'])
    desk.offer(6, { ...SETTLED, back: [{ ticketId: next!.id, units: 3 }] })
    expect(ask(desk, 'lease-3', 3)).toEqual(['lease-3 granted 3'])
  })

  test('are held back of an extension from its beginning, and not besides what is held back of the ticket before', () => {
    const { desk, back } = recalled({ promised: 3, extended: true })
    desk.offer(3, SETTLED)
    desk.offer(6, { ...SETTLED, back: back(3) })
    expect(ask(desk, 'lease-2', 3)).toEqual(['lease-2 granted 3'])
  })

  test('are held back from when they are promised back, and until then they are what the lease has', () => {
    const { desk } = recalled({ promised: 3 })
    desk.now = NOW
    // The site has three more, and lends again what it had recalled before it had taken it.
    desk.offer(9, SETTLED)
    expect(ask(desk, 'lease-2', 3)).toEqual(['lease-2 granted 3'])
  })

  test('are not held back besides where another recall takes them', () => {
    const { desk } = recalled({ promised: 3 })
    desk.offer(3, SETTLED)
    desk.offer(7, SETTLED)
    const by = desk.now + 5 * MINUTE
    desk.tell('site', 'recall-units', 'offer-t', {
      recallId: 'r-2',
      type: 't',
      units: 3,
      by,
      reason: 'needed',
    })
    // Of seven the lease has three, three are wanted back, and one is free.
    desk.ask('lease-2', { units: 1, start: by, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 1'])
  })

  test('are what another recall takes first: nobody else is asked for them', () => {
    const { desk } = recalled({ promised: 3, others: 3 })
    desk.offer(3, SETTLED)
    desk.offer(6, SETTLED)
    const order = { recallId: 'recall-2', units: 3, by: desk.now + MINUTE, reason: 'needed' }
    const said = desk.tell('site', 'recall-units', 'offer-t', { ...order, type: 't' })
    expect(said.map(({ kind }) => kind)).not.toContain('recall')
  })

  test('are given away as before by what a store of an earlier program says', () => {
    const { desk } = recalled({ promised: 3 })
    desk.offer(3, SETTLED)
    const { owed: _, back: __, ...row } = desk.rows.get('delegation', 'site/t') as DelegationRow
    desk.rows.set('delegation', 'site/t', row)
    desk.offer(6, SETTLED)
    expect(ask(desk, 'lease-2', 3)).toEqual(['lease-2 granted 3'])
    // From then on it is reckoned as it should be.
    desk.offer(3, SETTLED)
    desk.offer(9, SETTLED)
    expect(desk.notes.at(-1)).toContain('3 of them only when')
  })

  test('are held back of a site of the program before, too, which says nothing of them', () => {
    const { desk } = recalled({ promised: 3 }, 1)
    desk.offer(3, SETTLED)
    desk.offer(6, SETTLED)
    expect(ask(desk, 'lease-2', 1)).toEqual(['lease-2 refused'])
    desk.now += HOUR
    expect(ask(desk, 'lease-3', 3)).toEqual(['lease-3 granted 3'])
  })
})

/** Of six units one lease has what the `others` have not, for half an hour; `units` are recalled, and so many promised back. */
interface Plan {
  readonly promised: number
  readonly units?: number
  readonly others?: number
  readonly extended?: boolean
}

function recalled({ promised, units = promised, others = 0, extended = false }: Plan, protocol = 2) {
  const desk = new BrokerDesk()
  desk.protocol = protocol
  desk.offer(6)
  if (others > 0) desk.granted('lease-0', { units: others, durationMs: 20 * MINUTE })
  const { id: ticketId, term } = desk.granted('lease-1', { units: 6 - others, durationMs: 30 * MINUTE })
  if (extended) {
    desk.extend('lease-1', { units: 6 - others, durationMs: 30 * MINUTE })
    desk.decide()
  }
  const order = { recallId: 'recall-1', units, by: NOW + 5 * MINUTE, reason: 'needed' }
  desk.tell('site', 'recall-units', 'offer-t', { ...order, type: 't' })
  desk.tell('manager', 'recall-plan', 'lease-1', { ...order, units: promised })
  desk.now = NOW + 5 * MINUTE
  return { desk, end: term.end, back: (count: number) => [{ ticketId, units: count }] }
}

function ask(desk: BrokerDesk, leaseId: string, units: number): string[] {
  desk.ask(leaseId, { units, durationMs: MINUTE })
  return inShort(desk.decide())
}
