import { describe, expect, test } from 'vitest'
import { FLAW_CHARS_MAX, isMessageKind, readBody } from '../../actors/leases/messages.ts'
import { DIMENSIONS_MAX } from '../../actors/leases/resources.ts'

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
