import { describe, expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import type { Allocation, BrokerPolicy } from '../../controllers/controller.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW, reasonsIn, ticketsIn } from './broker-desk.ts'

const inGroup = (size: number, id = 'g', more: Record<string, string> = {}) => ({
  properties: { 'group.id': id, 'group.size': String(size), ...more },
})
const deferrable = { deferrable: 'true', deadline: String(NOW + 2 * HOUR) }

function desk(units = 6, policy?: BrokerPolicy): BrokerDesk {
  const broker = new BrokerDesk(policy === undefined ? {} : { policy })
  broker.offer(units)
  return broker
}

describe('a group of requests', () => {
  test('starts together, once all members are there', () => {
    const broker = desk()
    broker.ask('lease-1', { units: 2, ...inGroup(2) })
    expect(inShort(broker.decide())).toEqual([])
    broker.ask('lease-2', { units: 3, durationMs: 2 * HOUR, ...inGroup(2) })
    const tickets = ticketsIn(broker.decide())
    expect(tickets.map(({ leaseId, units }) => `${leaseId} ${units}`)).toEqual(['lease-1 2', 'lease-2 3'])
    expect(new Set(tickets.map(({ term }) => term.start)).size).toBe(1)
    expect(broker.notes.filter((note) => note.startsWith('decision dropped'))).toEqual([])
  })

  test('starts together later, when there is not room for all now', () => {
    const broker = desk()
    broker.granted('lease-0', { units: 4, durationMs: 30 * MINUTE })
    broker.ask('lease-1', { units: 2, ...inGroup(2, 'g', deferrable) })
    broker.ask('lease-2', { units: 3, ...inGroup(2, 'g', deferrable) })
    expect(inShort(broker.decide())).toEqual([])
    broker.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
    expect(inShort(broker.due('round', 'round'))).toEqual(['lease-1 granted 2', 'lease-2 granted 3'])
  })

  test('that is refused is told what there is', () => {
    const broker = desk()
    broker.ask('lease-1', { units: 1, ...inGroup(2) })
    broker.ask('lease-2', { units: 9, ...inGroup(2) })
    const said = broker.decide()
    expect(reasonsIn(said).every((reason) => reason.startsWith('its group g gets nothing: '))).toBe(true)
    expect(said.map(({ body }) => (body as Body<'ticket-update'>).unitsNow)).toEqual([6, 6])
  })

  test('gets nothing if it is not complete in time, and late members are refused', () => {
    const broker = desk()
    broker.ask('lease-1', { units: 1, ...inGroup(3) })
    broker.ask('lease-2', { units: 1, ...inGroup(3) })
    broker.now = broker.rows.get('group', 'manager g')!.due!
    const said = broker.due('group', 'manager g')
    expect(inShort(said)).toEqual(['lease-1 refused', 'lease-2 refused'])
    expect(reasonsIn(said)[0]).toContain('1 of its 3 members had not come by')
    expect(reasonsIn(broker.ask('lease-3', { units: 1, ...inGroup(3) }))[0]).toContain('comes too late')
    broker.now = broker.rows.get('group', 'manager g')!.due!
    broker.due('group', 'manager g')
    expect(broker.rows.count('group')).toBe(0)
  })

  test('that waits fails whole at the earliest of the latest starts', () => {
    const broker = desk(4)
    broker.granted('lease-0', { units: 4, durationMs: 10 * HOUR })
    broker.ask('lease-1', { units: 2, ...inGroup(2, 'g', deferrable) })
    broker.ask('lease-2', { units: 2, ...inGroup(2, 'g', { ...deferrable, deadline: String(NOW + HOUR) }) })
    broker.decide()
    expect(broker.rows.get('group', 'manager g')!.due).toBe(NOW + HOUR)
    broker.now = NOW + HOUR
    expect(inShort(broker.due('group', 'manager g'))).toEqual(['lease-1 refused', 'lease-2 refused'])
  })

  test('takes no member too many, none that counts otherwise, and none that is elastic', () => {
    const broker = desk()
    broker.ask('lease-1', { units: 1, ...inGroup(2) })
    expect(reasonsIn(broker.ask('lease-2', { units: 1, ...inGroup(3) }))[0]).toContain('has 3 members')
    broker.ask('lease-3', { units: 1, ...inGroup(2) })
    expect(reasonsIn(broker.ask('lease-4', { units: 1, ...inGroup(2) }))[0]).toContain('one too many')
    expect(inShort(broker.ask('lease-5', { units: 1, ...inGroup(2, 'h', { elastic: 'true' }) }))).toEqual([
      'lease-5 refused',
    ])
    expect(inShort(broker.decide())).toEqual(['lease-1 granted 1', 'lease-3 granted 1'])
  })

  test('of one holder has nothing to do with that of another', () => {
    const broker = desk()
    broker.ask('lease-1', { units: 1, ...inGroup(2) })
    broker.ask('lease-2', { units: 1, ...inGroup(2) }, 'other')
    expect(inShort(broker.decide())).toEqual([])
  })

  test('fails when a member gives up before the grant', () => {
    const broker = desk()
    broker.ask('lease-1', { units: 1, ...inGroup(2) })
    broker.ask('lease-2', { units: 1, ...inGroup(2) })
    const said = broker.tell('manager', 'relinquish', 'lease-1', { reason: 'no need' })
    expect(inShort(said).sort()).toEqual(['lease-1 closed', 'lease-2 refused'])
  })

  const grant = (leaseId: string, startMs = 0): Allocation => ({
    ...{ kind: 'grant', leaseId, site: 'site', units: 2, reason: 'so it is' },
    term: { start: NOW + MINUTE + startMs, end: NOW + HOUR },
  })
  const refuse: Allocation = {
    kind: 'refuse',
    leaseId: 'lease-2',
    reason: 'no',
    earliest: undefined,
    unitsNow: 0,
  }
  test.each<[string, readonly Allocation[], readonly string[]]>([
    ['in part', [grant('lease-1')], []],
    ['to one and not to the other', [grant('lease-1'), refuse], []],
    ['at two times', [grant('lease-1'), grant('lease-2', 1)], []],
    ['beyond what is there', [grant('lease-1'), { ...grant('lease-2'), units: 3 } as Allocation], []],
    ['twice to one', [grant('lease-1'), grant('lease-1'), grant('lease-2')], []],
    ['whole', [grant('lease-2'), grant('lease-1')], ['lease-1 granted 2', 'lease-2 granted 2']],
    ['to nobody', [refuse], ['lease-1 refused', 'lease-2 refused']],
  ])('is granted as a whole or not at all: %s', (_, allocations, outcome) => {
    const broker = desk(4, () => allocations)
    for (const id of ['lease-1', 'lease-2']) broker.ask(id, { units: 2, ...inGroup(2, 'g', deferrable) })
    expect(inShort(broker.decide()).sort()).toEqual(outcome)
    if (outcome.length === 0)
      expect(broker.notes.at(-1)).toMatch(/^decision dropped manager g: by the policy/)
  })
})

describe('a reservation that begins later', () => {
  test('is a ticket for then, and others go round it', () => {
    const broker = desk(4)
    const ticket = broker.granted('lease-1', { start: NOW + HOUR })
    expect(ticket.term).toEqual({ start: NOW + HOUR, end: NOW + 2 * HOUR })
    broker.ask('lease-2', { units: 1, durationMs: 2 * HOUR })
    broker.ask('lease-3', { units: 4, durationMs: 30 * MINUTE })
    expect(inShort(broker.decide())).toEqual(['lease-2 refused', 'lease-3 granted 4'])
  })

  test('beyond all calendars is refused', () => {
    const broker = desk()
    expect(inShort(broker.ask('lease-1', { start: Date.UTC(9999, 0) - MINUTE }))).toEqual(['lease-1 refused'])
  })
})
