import { describe, expect, test } from 'vitest'
import { type Body, bodies } from '../../actors/leases/messages.ts'
import { PAGE_CHARS_MAX } from '../../actors/leases/pages.ts'
import { DIMENSIONS_MAX } from '../../actors/leases/resources.ts'
import { BODY_CHARS_MAX } from '../../actors/runtime/envelope.ts'
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

  test('of availability while a recall is open says nothing of what no recall says: that it ends', () => {
    const broker = new BrokerDesk()
    broker.offer(6, { claim: undefined })
    const by = NOW + 2 * HOUR
    const order = { recallId: 'recall-1', type: 't', units: 6, by, reason: 'a course' }
    broker.tell('site', 'recall-units', 'offer-t', order)
    const query = { about: 'availability', type: 't', units: 1, durationMs: 3 * HOUR }
    const { earliest, profile } = asked(broker, query)
    expect(earliest).toBeNull()
    expect(profile).toEqual([
      { from: broker.now, free: 6 },
      { from: by, free: 0 },
    ])
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

  test('has an answer that travels, however long the types are that are lent, with those of each site', () => {
    const broker = new BrokerDesk()
    const long = Array.from({ length: DIMENSIONS_MAX }, (_, i) => [String(i).padEnd(60, '\u0001'), 1])
    const vector = Object.fromEntries(long)
    const offer = (type: string, site: string) => broker.offer(0, { type, vector }, site)
    for (let i = 0; i < 1_000; i++) offer(`t-${i}`, 'other-site')
    for (const type of ['x', 'y']) offer(type, 'site')
    const { types } = asked(broker, { about: 'types' })
    expect(JSON.stringify(types).length).toBeGreaterThan(PAGE_CHARS_MAX / 2)
    expect(JSON.stringify(types).length).toBeLessThan(BODY_CHARS_MAX)
    expect(types.slice(-2)).toMatchObject([
      { site: 'site', type: 'x' },
      { site: 'site', type: 'y' },
    ])
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
