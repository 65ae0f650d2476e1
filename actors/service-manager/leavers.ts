import type { Instant } from '../runtime/clock.ts'
import { isOut } from './members.ts'
import type { LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'
import { unitsOf } from './steps.ts'

/** Units that go before their lease ends, because their site or their guest wants so. */

/**
 * By when a unit has to leave for its host's sake. What is advice stays as long as its ticket, but its site does not take
 * it along into another one that begins after that time: there it goes, as if the lease ended.
 */
export function leaveTimeOf({ leaveBy }: UnitRow, { ticket }: LeaseRow): Instant | undefined {
  if (leaveBy === undefined || leaveBy.binding) return leaveBy?.by
  if (ticket === undefined || ticket.predecessor === null) return undefined
  const boundary = ticket.term.start
  // Ordered later than the boundary, it stays for the rest of this ticket.
  return Math.max(leaveBy.by, leaveBy.orderedAt ?? 0) <= boundary ? boundary : undefined
}

/** Units that have to leave by a time, and do not yet. */
export const wantedBack = (lease: LeaseRow, draft: ServiceManagerDraft): UnitRow[] =>
  unitsOf(lease, draft).filter(
    (unit) => leaveTimeOf(unit, lease) !== undefined && !isOut(unit) && !unit.mustLeave,
  )

/** With the earliest time by which one of its units has to leave for its host's sake. */
export function wantedBy(lease: LeaseRow, draft: ServiceManagerDraft): LeaseRow {
  const times = wantedBack(lease, draft).map((unit) => leaveTimeOf(unit, lease)!)
  return { ...lease, leaveBy: times.length === 0 ? undefined : Math.min(...times) }
}

/**
 * Units that answer a recall of so many: first those that go anyway, so that each is one of both, then those that are
 * missed least.
 */
export function recalledUnits(lease: LeaseRow, units: number, draft: ServiceManagerDraft): UnitRow[] {
  const turn = (unit: UnitRow): number => {
    if (unit.mustLeave || unit.state === 'leaving') return 0
    if (lease.victims.includes(unit.id)) return 1
    if (leaveTimeOf(unit, lease) !== undefined) return 2
    return 3 + IN_TURN.indexOf(unit.state)
  }
  return unitsOf(lease, draft)
    .filter((unit) => !isOut(unit) && mayAnswer(unit, draft.now))
    .sort((a, b) => turn(a) - turn(b))
    .slice(0, units)
}

const IN_TURN: readonly UnitRow['state'][] = ['awaited', 'joining', 'draining', 'joined']

/** From the time on by which its host is wanted empty its site may have given the lease another one in its place. */
export const mayAnswer = ({ leaveBy }: UnitRow, now: Instant): boolean =>
  leaveBy?.binding !== true || now < leaveBy.by
