import { expect, test } from 'vitest'
import { readBody } from '../../actors/leases/messages.ts'
import { downgrade } from '../../actors/leases/versions.ts'

const unit = { id: 'unit-1', name: 'vm1', report: 'active', vector: { cpu: 1 }, facts: {}, reason: '' }
const update = {
  ...{ state: 'active', term: { start: 1, end: 2 }, ticketId: 'ticket-1', image: '', reason: '' },
  ...{ units: [unit], extensionRefused: null },
}

test('what protocol 1 does not know is left out for a peer that speaks it', () => {
  const told = { ...update, modified: null, units: [{ ...unit, leaveBy: 5, leaveOrderedAt: 3 }] }
  expect(downgrade('lease-update', told, 1)).toEqual(update)
  expect(downgrade('lease-update', told, 2)).toBe(told)
  expect(downgrade('extend-ticket', { predecessor: 't', units: 1, durationMs: 1, unitsMin: 1 }, 1)).toEqual({
    ...{ predecessor: 't', units: 1, durationMs: 1 },
  })
  const back = { units: ['unit-1'], reason: 'its host is worked on' }
  expect(downgrade('vacate', { ...back, recalled: ['unit-1'] }, 1)).toEqual(back)
})

test('an offer of protocol 1 comes without a claim, and without the recalls that are open', () => {
  const offer = { type: 't', units: 1, settledRecalls: ['recall-1'], reason: 'begun' }
  expect(
    downgrade('delegation', { ...offer, claim: {}, openRecalls: ['recall-2'], termMsMax: 1 }, 1),
  ).toEqual(offer)
})

test('a body of protocol 1 is read as it is', () =>
  expect(readBody('lease-update', update)).toEqual({ ok: true, body: update }))

test('what cannot be said in protocol 1 is not said', () => {
  const kinds = [
    'query',
    'query-answer',
    'holdings-query',
    'holdings',
    'modify-lease',
    'return-extension',
    'gossip',
  ]
  for (const kind of kinds) expect(downgrade(kind, {}, 1), kind).toBeUndefined()
  expect(downgrade('redeem', { ticket: { proof: {} }, properties: {} }, 1)).toBeUndefined()
  expect(downgrade('ticket-update', { outcome: 'refused', ticket: null }, 1)).toEqual({
    ...{ outcome: 'refused', ticket: null },
  })
})
