import type { GuestView, HeldLease, HeldUnit, Modification } from '../../controllers/controller.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { written } from '../runtime/sentence.ts'
import { isPinned } from './brakes.ts'
import { waitsFor } from './line.ts'
import { isOut } from './members.ts'
import { restoringNow } from './restoring.ts'
import type { BrakeRow, GuestRow, LeaseRow, UnitRow } from './rows.ts'
import { isFinished } from './steps.ts'

/** What a controller is shown of its leases: plain, complete, without what is not its business. */
export function guestView<Observation>(
  leases: readonly LeaseRow[],
  unitOf: (id: string) => UnitRow | undefined,
  guest: GuestRow | undefined,
  observation: Observation | undefined,
  blindReason: string | undefined,
  leaveAt: (lease: LeaseRow) => Instant | undefined,
  now: Instant,
  isAhead: (lease: LeaseRow) => boolean = () => false,
  brake?: BrakeRow,
): GuestView<Observation> {
  const frozen = brake && `frozen since ${written(brake.since)} by ${brake.by} (${brake.reason})`
  const open = leases
    .filter((lease) => !isFinished(lease))
    .sort((a, b) => a.requestedAt - b.requestedAt || (a.id < b.id ? -1 : 1))
  return {
    observation,
    blind: blindReason === undefined ? undefined : { since: guest?.blindSince ?? now, reason: blindReason },
    leases: open.map((lease) => held(lease, unitOf, leaveAt(lease), isAhead(lease), now)),
    refusals: guest?.refusals ?? [],
    hold: frozen,
    still: frozen,
  }
}

function held(
  lease: LeaseRow,
  unitOf: (id: string) => UnitRow | undefined,
  leaveAt: Instant | undefined,
  isAhead: boolean,
  now: Instant,
): HeldLease {
  const units = lease.units
    .map(unitOf)
    .filter((unit) => unit !== undefined)
    .filter((unit) => !hasParted(unit, now))
  return {
    id: lease.id,
    state: stateOf(lease, units),
    type: lease.type,
    units: lease.ticket?.units ?? lease.unitsAsked,
    term: lease.term,
    requestedAt: lease.requestedAt,
    site: lease.ticket?.site,
    extending: lease.ticketState === 'extending' || lease.leaseState === 'extending' || isAhead,
    extendBy: leaveAt,
    extendRefused: lease.extendRefused?.byHand === true ? undefined : lease.extendRefused,
    recall: lease.recall && { units: lease.recall.units, by: lease.recall.by },
    label: lease.label,
    blockedOn: waitsFor(lease),
    modification: lease.modification && shown(lease.modification),
    restoring: restoringNow(lease, now),
    held: withoutReplaced(units, lease).map((unit) => heldUnit(unit, now)),
  }
}

/**
 * More machines than the ticket is for: its site set up others in the place of those that left for their hosts' sake, and
 * the lease holds no unit for these any more. What was lost is replaced first, and is still shown: controllers learn by it.
 */
function withoutReplaced(units: readonly UnitRow[], { ticket }: LeaseRow): readonly UnitRow[] {
  // What an extension was agreed without stands for its old ticket to the end of that.
  const own = units.filter(({ withoutFrom }) => withoutFrom === undefined)
  const lost = own.filter(({ state }) => state === 'lost').length
  const most = own.length - lost - (ticket?.units ?? own.length)
  if (most <= 0) return units
  const out = own.filter(({ state }) => state === 'left').sort(byHost)
  const replaced = new Set(out.slice(0, most))
  return units.filter((unit) => !replaced.has(unit))
}

/** What is wanted off its host is replaced; of what left otherwise that is not to be expected. */
const byHost = (a: UnitRow, b: UnitRow): number =>
  Number(b.leaveBy !== undefined) - Number(a.leaveBy !== undefined) || a.since - b.since

function stateOf(lease: LeaseRow, units: readonly UnitRow[]): HeldLease['state'] {
  if (lease.ticketState === 'asked') return 'requested'
  if (lease.leaseState === 'active' || lease.leaseState === 'extending') return 'active'
  if (lease.leaseState === 'blocked') return 'ticketed'
  if (lease.leaseState !== 'redeeming') return 'closing'
  return units.some((unit) => unit.joinedAt !== undefined) ? 'active' : 'ticketed'
}

/** It is out, and nothing is held for it any more: the lease was extended without it. */
const hasParted = (unit: UnitRow, now: Instant): boolean =>
  isOut(unit) && unit.withoutFrom !== undefined && unit.withoutFrom <= now

const shown = ({ askedAt, properties, state, reason, failed }: Modification): Modification => ({
  askedAt,
  properties,
  state,
  reason,
  failed,
})

/** While it is being drained or resumed no look can show what will have come of it. */
const isChanging = ({ doing }: UnitRow): boolean => doing === 'drain' || doing === 'resume'

const heldUnit = (unit: UnitRow, now: Instant): HeldUnit => {
  const { id, name, state, joinedAt, suspect, leaveBy } = unit
  return {
    id,
    name: unit.node ?? name,
    state,
    since: isChanging(unit) ? now : unit.since,
    joinedAt,
    suspect,
    leaveBy: leaveBy?.by,
    leaveBinding: leaveBy?.binding || undefined,
    mustLeave: unit.mustLeave || undefined,
    pinned: isPinned(unit, now) ? unit.pinned : undefined,
  }
}

/** How long a controller may be blind before it is told nothing at all, not even the last picture. */
export const BLIND_MS_MAX: Millis = 120_000
