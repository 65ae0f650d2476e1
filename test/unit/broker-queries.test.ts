import { describe, expect, test } from 'vitest'
import { type Body, bodies } from '../../actors/leases/messages.ts'
import { BrokerDesk, conditions, HOUR, MINUTE, NOW } from './broker-desk.ts'

function asked(broker: BrokerDesk, query: object, from = 'other'): Body<'query-answer'> {
  const [said] = broker.tell(from, 'query', 'query-1', query)
  expect(said).toMatchObject({ to: from, kind: 'query-answer', subject: 'query-1' })
  return bodies['query-answer'].parse(said!.body)
}

describe('a query', () => {
  test('of types is answered with what is lent, and what of it is free now', () => {
    const broker = new BrokerDesk()
    broker.offer(6)
    broker.granted('lease-1')
    const { types } = asked(broker, { about: 'types' })
    const until = NOW + 24 * HOUR
    expect(types).toEqual([
      { site: 'site', type: 't', vector: { cpu: 1 }, units: 6, free: 2, conditions, until },
    ])
  })

  test('of availability says when it would fit, how many are free, and how that changes', () => {
    const broker = new BrokerDesk()
    broker.offer(6)
    const { term } = broker.granted('lease-1')
    broker.granted('lease-2', { units: 1, start: NOW + 3 * HOUR })
    const query = { about: 'availability', type: 't', units: 4, durationMs: HOUR }
    expect(asked(broker, query)).toMatchObject({ earliest: term.end, unitsNow: 2, refused: null })
    expect(asked(broker, query).profile.slice(0, 3)).toEqual([
      { from: broker.now, free: 2 },
      { from: term.end, free: 6 },
      { from: NOW + 3 * HOUR, free: 5 },
    ])
    expect(asked(broker, { ...query, latest: NOW + MINUTE }).earliest).toBeNull()
    expect(asked(broker, { ...query, after: NOW + 2 * HOUR, units: 6, durationMs: 2 * HOUR }).earliest).toBe(
      NOW + 4 * HOUR,
    )
  })

  test('of what is not there, or of nothing, says so', () => {
    const broker = new BrokerDesk()
    broker.offer(6)
    expect(asked(broker, { about: 'availability', type: 'x' }).refused).toBe('no site lends units of type x')
    expect(asked(broker, { about: 'availability' }).refused).toContain('name it')
  })

  test('has a bounded answer', () => {
    const broker = new BrokerDesk()
    broker.offer(1_000)
    for (let i = 0; i < 600; i++) broker.ask(`lease-${i}`, { units: 1, durationMs: MINUTE + i })
    broker.decide()
    expect(asked(broker, { about: 'availability', type: 't' }).profile).toHaveLength(500)
  })

  test('is a command, too, and its conversation is forgotten', () => {
    const broker = new BrokerDesk()
    broker.offer(6)
    broker.give({ kind: 'command', name: 'query', args: { about: 'types' } })
    expect(broker.reply).toMatchObject({ types: [{ type: 't', units: 6 }] })
    const message = { kind: 'query', subject: 'query-9', body: { about: 'types' } }
    broker.tell('other', message.kind, message.subject, message.body)
    expect(broker.retired).toContain('query-9')
  })
})
