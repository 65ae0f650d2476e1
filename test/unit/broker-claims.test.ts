import { describe, expect, test } from 'vitest'
import type { DelegationRow } from '../../actors/broker/rows.ts'
import { doubtChain } from '../../actors/leases/chain.ts'
import type { Claim } from '../../actors/leases/claim.ts'
import { hashOfClaim } from '../../actors/leases/claim.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { doubtTicket } from '../../actors/leases/ticket.ts'
import { BODY_CHARS_MAX } from '../../actors/runtime/envelope.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NAMES, NOW, reasonsIn, ticketsIn } from './broker-desk.ts'

const trust = cheapTrust(NAMES)

describe('a ticket that the broker draws from a claim', () => {
  test('holds at its holder and at the site, and is kept without the chain', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const ticket = desk.granted('lease-1')
    expect(ticket.chain).toHaveLength(1)
    expect(ticket.proof).toMatchObject({
      parent: hashOfClaim(ticket.chain![0]!),
      holderKey: cheapKey('manager'),
    })
    expect(ticket.proof!.request).toMatchObject({ from: 'manager', kind: 'ticket', subject: 'lease-1' })
    const expected = { holder: 'manager', site: 'site', broker: 'broker', now: desk.now }
    expect(doubtTicket(ticket, expected, trust)).toBeUndefined()
    expect(doubtChain(ticket, desk.now, trust)).toBeUndefined()
    expect(desk.row('lease-1').tickets[0]).toEqual({ ...ticket, chain: undefined })
  })

  test('shows the signed question for each extension', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    desk.granted('lease-1')
    desk.extend('lease-1')
    const [extension] = ticketsIn(desk.decide())
    expect(extension!.proof!.request).toMatchObject({ kind: 'extend-ticket' })
    expect(doubtChain(extension!, desk.now, trust)).toBeUndefined()
  })

  test('keeps the claim of a ticket whose site told it twice', () => {
    const desk = new BrokerDesk()
    const claim = desk.claim(6)
    desk.offer(6, { claim })
    const ticket = desk.granted('lease-1')
    desk.offer(6, { claim })
    desk.offer(4)
    const said = desk.tell('manager', 'holdings-query', 'holdings-1', { page: 0 })
    const shown = said.map(({ body }) => (body as Body<'holdings'>).holdings[0]?.ticket)
    expect(shown).toEqual([ticket])
  })

  test('is refused where it could not travel, as an earlier program took the offer; others get theirs', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const row = desk.rows.get('delegation', 'site/t') as DelegationRow
    const vector = Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`${'d'.repeat(54)}${i}`, 1]))
    const claim = { ...row.claim!, claim: desk.claim(6, { vector }) }
    desk.rows.set('delegation', 'site/t', { ...row, vector, claim } as DelegationRow)
    desk.offer(4, { type: 'u', claim: desk.claim(4, { type: 'u' }, 'other-site') }, 'other-site')
    desk.ask('lease-1', { units: 1 })
    desk.ask('lease-2', { type: 'u' })
    for (const id of ['lease-3', 'lease-4'])
      desk.ask(id, { units: 1, properties: { 'group.id': 'g', 'group.size': '2' } })
    const said = desk.decide()
    expect(inShort(said).sort()).toEqual([
      'lease-1 refused',
      'lease-2 granted 4',
      'lease-3 refused',
      'lease-4 refused',
    ])
    expect(reasonsIn(said)[0]).toMatch(/^a ticket on t of site would be too long to travel/)
    for (const { body } of said) expect(JSON.stringify(body).length).toBeLessThan(BODY_CHARS_MAX)
  })

  test('is not given back by the word of another than its holder', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const first = desk.granted('lease-1')
    desk.extend('lease-1')
    desk.decide()
    const before = desk.row('lease-1')
    const said = desk.tell('other', 'extend-ticket', 'lease-1', {
      ...{ predecessor: first.id, units: 1, durationMs: HOUR },
    })
    expect(inShort(said)).toEqual(['lease-1 extension-refused'])
    expect(desk.row('lease-1')).toEqual(before)
  })

  test.each([
    ['the holder speaks protocol 1', 2, 1],
    ['the site speaks protocol 1', 1, 2],
    ['neither speaks protocol 2', 1, 1],
  ])('is one of protocol 1 where %s', (_, site, holder) => {
    const desk = new BrokerDesk()
    desk.protocol = site
    desk.offer(6)
    desk.protocol = holder
    const ticket = desk.granted('lease-1')
    expect([ticket.proof, ticket.chain]).toEqual([undefined, undefined])
    const expected = { holder: 'manager', site: 'site', broker: 'broker', now: desk.now }
    expect(doubtTicket(ticket, expected, trust)).toBeUndefined()
  })

  test('ends with the claim at the latest', () => {
    const desk = new BrokerDesk()
    desk.offer(6, { claim: desk.claim(6, { term: { start: NOW, end: NOW + 2 * HOUR } }) })
    desk.ask('lease-1', { durationMs: 2 * HOUR })
    desk.ask('lease-2', { durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-1 refused', 'lease-2 granted 4'])
  })

  test('is drawn from the claim before, until a later one begins', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const later = { term: { start: NOW + 10 * MINUTE, end: NOW + 48 * HOUR } }
    desk.offer(4, { claim: desk.claim(4, later) })
    const ticket = desk.granted('lease-1')
    expect(ticket.chain![0]!.units).toBe(6)
    expect(doubtChain(ticket, desk.now, trust)).toBeUndefined()
    desk.now = NOW + 10 * MINUTE
    desk.ask('lease-2', { units: 1 })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
  })
})

describe('an offer', () => {
  const claims: readonly [string, (desk: BrokerDesk) => Claim][] = [
    ['of another site', (desk) => desk.claim(6, { site: 'other-site' })],
    ['drawn from a further claim', (desk) => desk.claim(6, { parent: 'hash' })],
    ['for somebody else', (desk) => desk.claim(6, { holder: 'other' })],
    ['for a key that is not ours', (desk) => desk.claim(6, { holderKey: cheapKey('other') })],
    ['on more units than are offered', (desk) => desk.claim(7)],
    ['on another type', (desk) => desk.claim(6, { type: 'u' })],
    [
      'under other conditions',
      (desk) => desk.claim(6, { conditions: { recallable: false, noticeMs: 0, graceMs: 0 } }),
    ],
    ['on larger units', (desk) => desk.claim(6, { vector: { cpu: 2 } })],
    ['that is over', (desk) => desk.claim(6, { term: { start: NOW - HOUR, end: NOW } })],
    ['that was changed', (desk) => ({ ...desk.claim(6), id: 'another' })],
    [
      'signed by another site',
      (desk) => ({ ...desk.claim(6, {}, 'other-site'), site: 'site', issuer: 'site' }),
    ],
    [
      'whose key is unknown',
      (desk) => ({ ...desk.claim(6), issuerKey: cheapIdentity('x', cheapKey('x')).key }),
    ],
  ]
  test.each(claims)('with a claim %s is refused, and what was offered before stays', (_, claim) => {
    const desk = new BrokerDesk()
    desk.offer(3)
    desk.offer(6, { claim: claim(desk) })
    expect(desk.notes.at(-1)).toMatch(
      /^offer refused site\/t: site offers 6 of t with a claim that will not do: /,
    )
    desk.ask('lease-1', { units: 4 })
    desk.ask('lease-2', { units: 3 })
    expect(inShort(desk.decide())).toEqual(['lease-1 refused', 'lease-2 granted 3'])
  })

  test('that shrinks or is withdrawn promises nothing new, and the chain of what was promised is kept', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const ticket = desk.granted('lease-1')
    desk.offer(4)
    desk.ask('lease-2', { units: 1 })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
    desk.offer(0)
    expect(desk.rows.get('claim', ticket.proof!.parent)).toMatchObject({ claim: ticket.chain![0] })
    desk.extend('lease-1')
    expect(inShort(desk.decide())).toEqual(['lease-1 extension-refused'])
    desk.now = ticket.chain![0]!.term.end + HOUR
    desk.due('claim', ticket.proof!.parent)
    expect(desk.rows.count('claim')).toBe(0)
  })

  test('told anew without a ticket in between leaves nothing behind', () => {
    const desk = new BrokerDesk()
    for (let i = 0; i < 100; i++) desk.offer(6)
    expect(desk.rows.count('claim')).toBe(0)
  })

  test('that is reclaimed is asked back of its holders, also of those who begin later', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    desk.granted('lease-1', { durationMs: HOUR })
    desk.granted('lease-2', { start: NOW + 2 * HOUR })
    desk.offer(0)
    const recall = { recallId: 'r', type: 't', units: 4, by: NOW + 10 * MINUTE, reason: 'sold' }
    const said = desk.tell('site', 'recall-units', 'offer-t', recall)
    expect(said.map(({ kind, subject, body }) => [kind, subject, (body as { units: number }).units])).toEqual(
      [
        ['recall', 'lease-2', 4],
        ['recall', 'lease-1', 4],
      ],
    )
  })
})

describe('a second recall', () => {
  test('asks for what the first has not, before anybody has answered', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    desk.granted('lease-1', { units: 4 })
    const recall = { type: 't', units: 1, by: NOW + 10 * MINUTE, reason: 'needed' }
    const asked = (recallId: string): unknown[] =>
      desk
        .tell('site', 'recall-units', 'offer-t', { ...recall, recallId })
        .map(({ subject, body }) => [subject, (body as { units: number }).units])
    expect([asked('r1'), asked('r2')]).toEqual([[['lease-1', 1]], [['lease-1', 1]]])
  })
})

describe('an extension', () => {
  test('grows a lease from the boundary on, with what is free then', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    desk.granted('lease-1', { units: 2 })
    desk.extend('lease-1', { units: 5 })
    const [ticket] = ticketsIn(desk.decide())
    expect(ticket).toMatchObject({ units: 5, term: { start: NOW + 50 + HOUR } })
  })

  test('grows in part only if fewer will do', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    desk.granted('lease-1', { units: 2 })
    desk.extend('lease-1', { units: 8 })
    expect(inShort(desk.decide())).toEqual(['lease-1 extension-refused'])
    desk.extend('lease-1', { units: 8, unitsMin: 2 })
    expect(inShort(desk.decide())).toEqual(['lease-1 granted 6'])
  })

  test('keeps before another one grows, and grows before a new one begins', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    desk.ask('lease-1', { units: 2 })
    desk.ask('lease-2', { units: 3 })
    expect(inShort(desk.decide())).toEqual(['lease-1 granted 2', 'lease-2 granted 3'])
    desk.ask('lease-3', { units: 2, start: NOW + 50 + HOUR })
    desk.extend('lease-1', { units: 6, unitsMin: 1 })
    desk.extend('lease-2', { units: 3 })
    expect(inShort(desk.decide()).sort()).toEqual([
      'lease-1 granted 3',
      'lease-2 granted 3',
      'lease-3 refused',
    ])
  })

  test('is never shrunk under what will do, whatever the policy says', () => {
    const grant = { kind: 'grant', leaseId: 'lease-1', site: 'site', reason: 'so it is' } as const
    const desk = new BrokerDesk({
      policy: (requests) =>
        requests.map(({ start }) => ({ ...grant, units: 2, term: { start, end: start + HOUR } })),
    })
    desk.offer(6)
    desk.ask('lease-1', { units: 2 })
    desk.decide()
    desk.extend('lease-1', { units: 3 })
    expect(inShort(desk.decide())).toEqual([])
    expect(desk.notes.at(-1)).toContain(
      'decision dropped lease-1: by the policy: 2 units: not what was asked for',
    )
  })

  test('that comes or is decided after the end is answered that the lease has ended', () => {
    const desk = new BrokerDesk()
    desk.offer(6)
    const { term } = desk.granted('lease-1')
    desk.now = term.end - 20
    desk.extend('lease-1')
    const late = desk.decide()
    expect([inShort(late), reasonsIn(late)[0]]).toEqual([
      ['lease-1 extension-refused'],
      expect.stringMatching(/^ended/),
    ])
    expect(reasonsIn(desk.extend('lease-1'))[0]).toMatch(/^ended/)
  })

  test('is closed with the lease: what is granted and what is asked come free together', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    desk.granted('lease-1')
    desk.extend('lease-1')
    desk.decide()
    desk.extend('lease-1')
    expect(inShort(desk.tell('manager', 'relinquish', 'lease-1', { reason: 'done' }))).toEqual([
      'lease-1 closed',
    ])
    desk.ask('lease-2', { durationMs: 4 * HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 4'])
  })
})
