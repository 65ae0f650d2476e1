import { describe, expect, test } from 'vitest'
import { FLAW_CHARS_MAX, isMessageKind, readBody } from '../../actors/leases/messages.ts'
import { DIMENSIONS_MAX } from '../../actors/leases/resources.ts'
import { proofSchema } from '../../actors/leases/ticket.ts'
import { BODY_CHARS_MAX } from '../../actors/runtime/envelope.ts'

const ask = { type: 'small', units: 2, durationMs: 60_000, start: 0, properties: { elastic: 'true' } }

describe('the body of a message', () => {
  test('is read in its form', () => expect(readBody('ticket', ask)).toEqual({ ok: true, body: ask }))

  test.each([
    ['nothing', undefined, 'body'],
    ['null', null, 'body'],
    ['a list', [], 'body'],
    ['a key too few', { ...ask, type: undefined }, 'type'],
    ['a key too many', { ...ask, more: 1 }, 'body'],
    ['no units', { ...ask, units: 0 }, 'units'],
    ['a million and one units', { ...ask, units: 1_000_001 }, 'units'],
    ['a length of nothing', { ...ask, durationMs: 0 }, 'durationMs'],
    ['a length beyond any date', { ...ask, durationMs: 9_007_199_254_740_991 }, 'durationMs'],
    ['a start before any date', { ...ask, start: -1 }, 'start'],
    ['a start beyond any date', { ...ask, start: 9_007_199_254_740_991 }, 'start'],
    ['a property that is no text', { ...ask, properties: { elastic: true } }, 'properties.elastic'],
    ['a property too long', { ...ask, properties: { note: 'x'.repeat(4_001) } }, 'properties.note'],
  ])('with %s is refused, with the place', (_, body, place) => {
    const read = readBody('ticket', body)
    expect(read.ok ? '' : read.reason).toMatch(new RegExp(`^ticket: ${place}: `))
  })

  test.each([
    ['a key too many', { ...ask, ['x'.repeat(900_000)]: 1 }],
    ['a property with a name too long', { ...ask, properties: { ['x'.repeat(900_000)]: 'y' } }],
    [
      'a hundred thousand keys too many',
      { ...ask, ...Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 1])) },
    ],
  ])('with %s is refused in few words', (_, body) => {
    const read = readBody('ticket', body)
    expect(read.ok ? '' : read.reason).toMatch(/^ticket: .*\.\.\.$/)
    expect(read.ok ? 0 : read.reason.length).toBe(FLAW_CHARS_MAX)
  })

  test('carries no vector that could not be said again with all that it is said with', () => {
    const conditions = { recallable: true, noticeMs: 0, graceMs: 0 }
    const offer = { type: 'small', units: 0, conditions, settledRecalls: [], reason: '' }
    const dimensions = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`d${i}`, 1]))
    const read = (vector: object) => {
      const told = readBody('delegation', { ...offer, vector })
      return told.ok ? '' : told.reason
    }
    expect(read(dimensions(DIMENSIONS_MAX))).toBe('')
    expect(read(dimensions(DIMENSIONS_MAX + 1))).toBe('delegation: vector: expected at most 32 dimensions')
    expect(read({ cpu: -1 })).toMatch(/^delegation: vector.cpu: /)
    expect(read({ ['d'.repeat(61)]: 1 })).toMatch(/^delegation: vector/)
  })

  test('shows no head of a message with more fields than a message has', () => {
    const head = (fields: number) =>
      Object.fromEntries(Array.from({ length: fields }, (_, i) => [`f${i}`, i]))
    const told = (fields: number) => ({
      tickets: [{ ticketId: 't', leaseId: 'l', until: 1, proof: head(fields) }],
    })
    expect(readBody('tickets-returned', told(32)).ok).toBe(true)
    expect(readBody('tickets-returned', told(33))).toMatchObject({
      reason: 'tickets-returned: tickets.0.proof: expected the head of a message, with at most 32 fields',
    })
    const order = { units: 1, reason: '', proof: head(33) }
    const recall = { recallId: 'r', units: 1, by: 1, binding: true, reason: '', order }
    expect(readBody('recall', recall).ok).toBe(false)
    expect(proofSchema.shape.request.safeParse(head(33)).success).toBe(false)
  })

  test('calls no unit what takes more room where it travels, so that what is held of one lease always fits', () => {
    const holdingOf = (called: string) => {
      const units = Array.from({ length: 1_000 }, (_, i) => ({
        ...{ id: called.slice(0, 74) + (1e5 + i), name: called.slice(0, 249) + (1e5 + i), report: 'active' },
        ...{ facts: {}, leaveBy: Date.UTC(9000, 0), leaveOrderedAt: Date.UTC(9000, 0) },
      }))
      const properties = { long: '\u0001'.repeat(4_000) }
      const held = { leaseId: 'l', state: 's', closed: false, ticket: null, next: null, properties }
      return { page: 0, pages: 1, holdings: [{ ...held, units, victims: units.map(({ id }) => id) }] }
    }
    const longest = holdingOf('é'.repeat(255))
    expect(readBody('holdings', longest).ok).toBe(true)
    expect(JSON.stringify(longest).length).toBeLessThan(BODY_CHARS_MAX / 2 + 100_000)
    for (const sign of ['\u0001', '"', '\\'])
      expect(readBody('holdings', holdingOf(sign.repeat(255)))).toMatchObject({
        reason: 'holdings: holdings.0.units.0.id: expected no control characters, quotes or backslashes',
      })
  })

  test('names of things that every object has are no kinds', () => {
    expect(isMessageKind('ticket')).toBe(true)
    expect(isMessageKind('constructor')).toBe(false)
    expect(isMessageKind('__proto__')).toBe(false)
  })

  test('what is recalled by the latest instant there is can still be written as a date', () => {
    const by = Date.UTC(9999, 0)
    const recall = { recallId: 'r', type: 'small', units: 1, reason: '' }
    expect(readBody('recall-units', { ...recall, by }).ok).toBe(true)
    expect(readBody('recall-units', { ...recall, by: by + 1 }).ok).toBe(false)
  })
})
