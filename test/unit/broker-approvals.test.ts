import { describe, expect, test } from 'vitest'
import type { ApprovalRule } from '../../actors/broker/config.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW, reasonsIn } from './broker-desk.ts'

function desk(approval: ApprovalRule): BrokerDesk {
  const broker = new BrokerDesk({ approval })
  broker.offer(6)
  return broker
}
const order = (name: string, args: object) => ({ kind: 'command', name, args }) as const

describe('a request that a person has to approve', () => {
  test.each<[string, ApprovalRule]>([
    ['for many units', { unitsOver: 3 }],
    ['for long', { durationOverMs: HOUR - 1 }],
    ['of a type', { types: ['u', 't'] }],
  ])('%s waits, and is decided on once that is done', (_, rule) => {
    const broker = desk(rule)
    broker.ask('lease-1')
    expect(inShort(broker.decide())).toEqual([])
    expect(broker.row('lease-1')).toMatchObject({
      waitReason: expect.stringMatching(/^awaits approval: /),
      asked: { approval: { since: expect.any(Number) } },
    })
    broker.give(order('approve', { leaseId: 'lease-1', by: 'uid 7' }))
    expect(broker.notes.at(-1)).toBe('approved lease-1: by uid 7')
    expect(inShort(broker.due('round', 'round'))).toEqual(['lease-1 granted 4'])
  })

  test('does not stand in the way of others', () => {
    const broker = desk({ unitsOver: 3 })
    broker.ask('lease-1')
    broker.ask('lease-2', { units: 3 })
    expect(inShort(broker.decide())).toEqual(['lease-2 granted 3'])
  })

  test('is refused when that is said, or when its time is over', () => {
    const broker = desk({ unitsOver: 3 })
    broker.ask('lease-1')
    const said = broker.give(order('disapprove', { leaseId: 'lease-1', reason: 'too dear' }))
    expect(reasonsIn(said)).toEqual(['it was not approved: too dear'])
    expect(said[0]!.body).toMatchObject({ earliest: null, unitsNow: 6 })
    expect(broker.row('lease-1').waitReason).toBe('it was not approved: too dear')
    broker.ask('lease-2')
    broker.now = broker.row('lease-2').due!
    expect(reasonsIn(broker.due('ticket', 'lease-2'))[0]).toMatch(/^nobody approved it in time/)
  })

  test('has as much time if the clock of its holder is a little ahead', () => {
    const broker = desk({ unitsOver: 3 })
    broker.ask('lease-1')
    broker.ask('lease-2', { start: broker.now + 20 })
    expect(broker.row('lease-2').due).toBeGreaterThanOrEqual(broker.row('lease-1').due!)
  })

  test('does not wait beyond its deadline, and is told when it could have started', () => {
    const broker = desk({ unitsOver: 3 })
    broker.ask('lease-1', { properties: { deferrable: 'true', deadline: String(NOW + MINUTE) } })
    expect(broker.row('lease-1').due).toBe(NOW + MINUTE)
    broker.now = NOW + MINUTE
    const [said] = broker.due('ticket', 'lease-1')
    expect(said!.body).toMatchObject({ outcome: 'refused', earliest: NOW + MINUTE })
  })

  test('may be a growing extension, and the lease goes on if nobody does', () => {
    const broker = desk({ unitsOver: 3 })
    const { term } = broker.granted('lease-1', { units: 2 })
    broker.extend('lease-1', { units: 4 })
    expect(inShort(broker.decide())).toEqual([])
    expect(broker.row('lease-1').due).toBe(term.end)
    broker.now = term.end
    expect(inShort(broker.due('ticket', 'lease-1'))).toEqual(['lease-1 extension-refused'])
    expect([broker.row('lease-1').state, broker.row('lease-1').asked]).toEqual(['granted', undefined])
  })

  test('need not be an extension that keeps what was approved', () => {
    const broker = desk({ unitsOver: 3 })
    broker.ask('lease-1')
    broker.give(order('approve', { leaseId: 'lease-1' }))
    broker.decide()
    broker.extend('lease-1', { units: 4 })
    expect(inShort(broker.decide())).toEqual(['lease-1 granted 4'])
  })

  test('takes its group with it', () => {
    const broker = desk({ unitsOver: 3 })
    const properties = { 'group.id': 'g', 'group.size': '2' }
    broker.ask('lease-1', { properties })
    broker.ask('lease-2', { units: 1, properties })
    expect(inShort(broker.decide())).toEqual([])
    expect(inShort(broker.give(order('disapprove', { leaseId: 'lease-1', reason: 'no' })))).toEqual([
      'lease-1 refused',
      'lease-2 refused',
    ])
  })

  test('is the only thing that can be approved', () => {
    const broker = desk({})
    broker.granted('lease-1')
    for (const leaseId of ['lease-1', 'lease-9'])
      expect(() => broker.give(order('approve', { leaseId }))).toThrow(`no request ${leaseId} waits`)
  })
})
