import type { Conditions } from '../leases/conditions.ts'
import type { Instant } from '../runtime/clock.ts'
import type { AuthorityDraft, LeaseRow, OfferRow, UnitRow } from './rows.ts'

/** The store was put back, and it is not known yet what has happened since. */
export const isRecovering = (draft: AuthorityDraft): boolean =>
  draft.get('recovery', 'recovery') !== undefined

/** In service, or on its way there. */
export const isLive = (unit: UnitRow): boolean => !['teardown', 'stuck', 'ended'].includes(unit.state)

export const unitsOf = (lease: LeaseRow, draft: AuthorityDraft): UnitRow[] =>
  lease.units.map((id) => draft.get('unit', id)).filter((unit) => unit !== undefined)

/** When the next boundary comes, or its end: after a restore its machines may have been told a later one than its ticket. */
export const nextEndOf = ({ next, ticket, term }: LeaseRow): Instant =>
  next === undefined ? term.end : ticket.term.end

/** How long after the end work is let go on: as signed, whatever is configured since. */
export const graceOf = (lease: LeaseRow): number => lease.ticket.conditions.graceMs

/** What it was lent for: of what went under an earlier ticket, by that one. */
export const conditionsOf = (unit: UnitRow, draft: AuthorityDraft): Conditions | undefined =>
  unit.pastConditions ?? draft.get('lease', unit.leaseId)?.ticket.conditions

/** What the site lends of a type at present; of a type that is withdrawn, what was promised is kept. */
export function lentOf(type: string, draft: AuthorityDraft): number {
  const offer = draft.get('offer', type)
  return offer === undefined ? 0 : Math.max(0, offer.units - offer.withheld)
}

/** What may be promised of it. */
export const offeredOf = ({ units, withheld, withdrawn }: OfferRow): number =>
  withdrawn === undefined ? Math.max(0, units - withheld) : 0

/** Those that wait for room are served in the next commit, if there are any. */
export function pokeRoom(draft: AuthorityDraft): void {
  const room = draft.get('room', 'room')
  if (room !== undefined) draft.put('room', { ...room, due: draft.now })
}

/** They are served at this time at the latest. */
export function awaitRoom(due: Instant, draft: AuthorityDraft): void {
  const known = draft.get('room', 'room')?.due ?? due
  draft.put('room', { id: 'room', due: Math.min(known, due) })
}
