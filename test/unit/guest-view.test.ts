import { expect, test } from 'vitest'
import type { LeaseRow, UnitRow } from '../../actors/service-manager/rows.ts'
import { guestView } from '../../actors/service-manager/view.ts'

const BEGUN = 1_000
const NOW = 1_900
const LEASE = {
  id: 'lease-1',
  units: ['unit-1'],
  requestedAt: 0,
  ticketState: 'granted',
  leaseState: 'active',
}

const sinceOf = (state: UnitRow['state'], doing: UnitRow['doing']): number | undefined => {
  const unit = { id: 'unit-1', name: 'n1', state, doing, since: BEGUN }
  const view = guestView(
    [LEASE as unknown as LeaseRow],
    () => unit as UnitRow,
    undefined,
    undefined,
    undefined,
    () => undefined,
    NOW,
  )
  return view.leases[0]?.held[0]?.since
}

// A drain may take seconds where the head of a batch system is busy. A look that began meanwhile shows the node without
// it: it was said that somebody had taken the drain back, and the machine stayed.
test.each(['drain', 'resume'] as const)('while a %s is being done no look speaks of the unit', (verb) => {
  expect(sinceOf('draining', verb)).toBe(NOW)
})

test('a unit to which nothing is being done is as old as its state', () => {
  expect(sinceOf('draining', undefined)).toBe(BEGUN)
  expect(sinceOf('joined', undefined)).toBe(BEGUN)
})
