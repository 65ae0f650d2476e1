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

type Shown = Pick<UnitRow, 'id' | 'state'> & Partial<UnitRow>

function heldOf(units: readonly Shown[], ticketUnits: number): readonly string[] {
  const rows = new Map(units.map((unit) => [unit.id, { name: unit.id, since: BEGUN, ...unit } as UnitRow]))
  const lease = { ...LEASE, units: [...rows.keys()], ticket: { units: ticketUnits } } as unknown as LeaseRow
  const nothing = [undefined, undefined, undefined] as const
  const view = guestView(
    [lease],
    (id) => rows.get(id),
    ...nothing,
    () => undefined,
    NOW,
  )
  return view.leases[0]!.held.map(({ id }) => id)
}

// After the maintenance of a host they counted as held beside those that the site had set up in their place.
test('what left and was replaced in its lease is not held any more; what left and was not still is', () => {
  const leaveBy = { by: BEGUN, binding: true }
  const out: Shown[] = [
    { id: 'a', state: 'left', leaveBy },
    { id: 'b', state: 'left' },
  ]
  const live: Shown[] = ['c', 'd', 'e'].map((id) => ({ id, state: 'joined' }))
  expect(heldOf([...out, ...live], 3)).toEqual(['c', 'd', 'e'])
  expect(heldOf([...out, ...live], 4)).toEqual(['b', 'c', 'd', 'e'])
  expect(heldOf([...out, ...live], 5)).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('what died is replaced first, and is shown; what an extension goes on without counts to the end of its old ticket', () => {
  const live: Shown[] = ['c', 'd'].map((id) => ({ id, state: 'joined' }))
  const lost: Shown = { id: 'a', state: 'lost' }
  expect(heldOf([lost, { id: 'b', state: 'left' }, ...live], 3)).toEqual(['a', 'b', 'c', 'd'])
  const victim: Shown = { id: 'b', state: 'left', withoutFrom: NOW + 1 }
  expect(heldOf([victim, ...live], 2)).toEqual(['b', 'c', 'd'])
})

test('what has to leave is shown as such', () => {
  const unit = { id: 'unit-1', name: 'n1', state: 'draining', since: BEGUN, mustLeave: true }
  const nothing = [undefined, undefined, undefined] as const
  const view = guestView(
    [LEASE as unknown as LeaseRow],
    () => unit as UnitRow,
    ...nothing,
    () => undefined,
    NOW,
  )
  expect(view.leases[0]?.held[0]?.mustLeave).toBe(true)
})
