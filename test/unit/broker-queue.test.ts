import { describe, expect, test } from 'vitest'
import { OPEN_MAX } from '../../actors/broker/requests.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import { priority } from '../../controllers/brokers/priority.ts'
import type { BrokerPolicy } from '../../controllers/controller.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW, reasonsIn } from './broker-desk.ts'

function desk(units: number, policy: BrokerPolicy = firstCome): BrokerDesk {
  const broker = new BrokerDesk({ policy })
  broker.offer(units)
  return broker
}

describe('requests that come in one millisecond', () => {
  test('are served in the order in which they came, whatever their names', () => {
    const broker = desk(8)
    for (const id of ['lease-z', 'lease-m', 'lease-a']) broker.ask(id)
    expect(inShort(broker.decide())).toEqual(['lease-z granted 4', 'lease-m granted 4', 'lease-a refused'])
  })

  test('keep it over rounds', () => {
    const broker = desk(4)
    const deferrable = { properties: { deferrable: 'true', deadline: String(NOW + 9 * HOUR) } }
    broker.granted('lease-0', { durationMs: 30 * MINUTE })
    for (const id of ['lease-z', 'lease-a']) broker.ask(id, deferrable)
    expect(inShort(broker.decide())).toEqual([])
    for (const id of ['lease-y', 'lease-b']) broker.ask(id, deferrable)
    broker.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
    expect(inShort(broker.decide())).toContain('lease-z granted 4')
    const turns = ['lease-z', 'lease-a', 'lease-y', 'lease-b'].map((id) => broker.row(id).turn)
    expect(turns).toEqual(turns.toSorted((a, b) => a! - b!))
    broker.tell('manager', 'relinquish', 'lease-z', { reason: 'done' })
    expect(inShort(broker.decide())).toContain('lease-a granted 4')
  })
})

test('an extension is of the class that its lease was asked for with', () => {
  const policy = priority({ guests: {}, otherwise: { class: 3 } })
  const broker = desk(4, policy)
  const elastic = { elastic: 'true' }
  broker.granted('lease-1', { properties: { ...elastic, priority: '0' } })
  broker.extend('lease-1', { units: 4, unitsMin: 1 })
  broker.ask('lease-2', { units: 2, start: NOW + HOUR + 50, properties: { priority: '2' } })
  const said = inShort(broker.decide())
  expect(said.toSorted()).toEqual(['lease-1 granted 2', 'lease-2 granted 2'])
})

describe('a holder with very many open requests', () => {
  function crowded(count: number): BrokerDesk {
    const broker = desk(4)
    broker.granted('lease-0')
    const asked = { units: 1, unitsMin: 1, durationMs: HOUR, start: NOW, startBy: NOW + HOUR }
    for (let i = 0; i < count; i++) {
      const row: TicketRow = {
        ...{ id: `waiting-${i}`, holder: 'manager', state: 'asked', type: 't', arrivedAt: NOW, asked },
        ...{ waitReason: 'full', tickets: [], reduced: undefined },
      }
      broker.rows.set('ticket', row.id, row)
    }
    return broker
  }

  test('is refused the next, and told what to do', () => {
    const broker = crowded(OPEN_MAX)
    const said = broker.ask('lease-1')
    expect(inShort(said)).toEqual(['lease-1 refused'])
    expect(reasonsIn(said)[0]).toBe(
      'manager has 10000 requests open, the most that one holder may have (too-many-open). Wait until some of the ' +
        'open requests are answered, give back those that are no longer wanted, or ask for more units at once.',
    )
    expect(broker.notes.at(-1)).toContain('refused lease-1')
  })

  test('does not shut out others, and may ask again when one is given back', () => {
    const broker = crowded(OPEN_MAX)
    expect(inShort(broker.ask('lease-1', {}, 'other'))).toEqual([])
    broker.tell('manager', 'relinquish', 'waiting-7', { reason: 'not wanted' })
    expect(inShort(broker.ask('lease-2'))).toEqual([])
    expect(inShort(broker.ask('lease-3'))).toEqual(['lease-3 refused'])
  })
})
