import { describe, expect, test } from 'vitest'
import { doubtTicket, issueTicket, type Ticket, ticketSchema } from '../../actors/leases/ticket.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'

const NOW = Date.UTC(2026, 0, 5, 8)
const trust = cheapTrust(['broker', 'manager'])
const ticket = issueTicket(
  {
    ...{ id: 'ticket-1', leaseId: 'lease-1', holder: 'manager', site: 'site', type: 'small', units: 2 },
    term: { start: NOW, end: NOW + 60_000 },
    predecessor: null,
    conditions: { recallable: true, noticeMs: 1_000, graceMs: 5_000 },
    issuedAt: NOW,
  },
  cheapIdentity('broker'),
)
const expected = { holder: 'manager', site: 'site', broker: 'broker', now: NOW }

describe('a ticket', () => {
  test('is relied on as it was issued', () => expect(doubtTicket(ticket, expected, trust)).toBeUndefined())

  test('has the form in which it travels', () =>
    expect(ticketSchema.parse(JSON.parse(JSON.stringify(ticket)))).toEqual(ticket))

  const changes: Record<string, Partial<Ticket>> = {
    id: { id: 'ticket-2' },
    lease: { leaseId: 'lease-2' },
    type: { type: 'large' },
    units: { units: 3 },
    start: { term: { ...ticket.term, start: NOW - 1 } },
    end: { term: { ...ticket.term, end: NOW + 60_001 } },
    predecessor: { predecessor: 'ticket-0' },
    grace: { conditions: { ...ticket.conditions, graceMs: 6_000 } },
    'instant of issue': { issuedAt: NOW + 1 },
    signature: { signature: 'none' },
  }
  test.each(Object.entries(changes))('is not, with another %s', (_, change) =>
    expect(doubtTicket({ ...ticket, ...change }, expected, trust)).toBe('it is not signed by broker'))

  test('is its holder’s alone', () =>
    expect(doubtTicket(ticket, { ...expected, holder: 'thief' }, trust)).toBe(
      'it was issued to manager, not to thief',
    ))

  test('is for one site', () =>
    expect(doubtTicket(ticket, { ...expected, site: 'other' }, trust)).toBe('it is for the site site'))

  test('is from the broker that is asked', () =>
    expect(doubtTicket(ticket, { ...expected, broker: 'other' }, trust)).toBe(
      'it is from broker, not from other',
    ))

  test('is signed by its broker and by nobody else', () => {
    const forged = issueTicket(ticket, { ...cheapIdentity('manager'), name: 'broker' })
    expect(doubtTicket(forged, expected, trust)).toBe('it is not signed by broker')
  })

  test('is not relied on once the key that signed it is past its time', () => {
    const keys = cheapTrust(['broker'], { broker: [{ key: cheapKey('broker'), notAfter: NOW + 30_000 }] })
    expect(doubtTicket(ticket, { ...expected, now: NOW + 29_999 }, keys)).toBeUndefined()
    expect(doubtTicket(ticket, { ...expected, now: NOW + 30_000 }, keys)).toBe('it is not signed by broker')
  })

  test('is worth nothing at its end, and is until then', () => {
    expect(doubtTicket(ticket, { ...expected, now: NOW + 59_999 }, trust)).toBeUndefined()
    expect(doubtTicket(ticket, { ...expected, now: NOW + 60_000 }, trust)).toBe('its term has ended')
  })

  test.each([
    ['a term that ends as it starts', { term: { start: NOW, end: NOW } }],
    ['a term beyond any date', { term: { start: NOW, end: 9_007_199_254_740_991 } }],
    ['a term before any date', { term: { start: -1, end: NOW } }],
    ['no units', { units: 0 }],
    ['half a unit', { units: 0.5 }],
    ['a grace beyond any date', { conditions: { ...ticket.conditions, graceMs: 9_007_199_254_740_991 } }],
    ['an unknown key', { note: 'x' }],
  ])('has not the form of one with %s', (_, change) =>
    expect(ticketSchema.safeParse({ ...ticket, ...change }).success).toBe(false))
})
