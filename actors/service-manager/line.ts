import type { Claim } from '../leases/claim.ts'
import { tell } from '../leases/correspondence.ts'
import type { Properties } from '../leases/properties.ts'
import { own } from '../runtime/plain.ts'
import type { Members } from './members.ts'
import { isOut } from './members.ts'
import type { LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'
import { isGivenBack, stepLease, unitsOf } from './steps.ts'

/** What a property may be long, as messages carry it. */
const KEY_CHARS_MAX = 100
const VALUE_CHARS_MAX = 4_000

/** In the place of a lease that is waited for: it is not known yet whether the ticket still stands. */
export const THE_RECOVERY = 'the recovery'

interface Life {
  readonly members: Members
  put(lease: LeaseRow, draft: ServiceManagerDraft): void
  leaveAll(lease: LeaseRow, requeueFrom: undefined, reason: string, draft: ServiceManagerDraft): void
}

/**
 * Leases that wait for others of the same guest.
 *
 *   after.redeem   ticketed ──▶ blocked ──the other one's units have joined──▶ redeemed, with facts of those units
 *   after.join     redeemed at once; its units join when the other one's have
 *   group          ticketed ──▶ blocked ──all members are ticketed, for one start──▶ redeemed, all of them
 *   after a restore   ticketed ──▶ blocked ──all have said what they hold──▶ redeemed
 *
 * One that is over before it joined ends those that wait for it; a member that is over before all are ticketed
 * ends the others.
 */
export function line({ members, put, leaveAll }: Life) {
  return { ticketed, joined, over, recovered }

  /** With a ticket in hand: redeems it, or keeps it until what it waits for has come. */
  function ticketed(lease: LeaseRow, chain: readonly Claim[] | undefined, draft: ServiceManagerDraft): void {
    if (lease.group === undefined && lease.afterRedeem === undefined) return redeem(lease, chain, draft)
    block(lease, chain, draft)
    if (lease.group !== undefined) gather(lease.group, draft)
  }

  function block(lease: LeaseRow, chain: readonly Claim[] | undefined, draft: ServiceManagerDraft): void {
    put(lease.leaseState === 'blocked' ? lease : stepLease(lease, 'block'), draft)
    if (chain !== undefined) draft.put('chain', { id: lease.id, chain })
    draft.note('blocked', lease.id, `it waits for ${waitsFor(lease)}`)
  }

  function redeem(lease: LeaseRow, chain: readonly Claim[] | undefined, draft: ServiceManagerDraft): void {
    // It may have been given back in the time forgotten, and then its units are promised to others.
    if (draft.get('recovery', 'recovery') !== undefined)
      return block({ ...lease, afterRedeem: THE_RECOVERY }, chain, draft)
    put(stepLease(lease, 'redeem'), draft)
    draft.remove('chain', lease.id)
    const ticket = chain === undefined ? lease.ticket! : { ...lease.ticket!, chain: [...chain] }
    const body = { ticket, properties: { ...lease.properties } }
    tell(draft, ticket.site, 'redeem', lease.id, body, ticket.term.end)
  }

  function unblock(lease: LeaseRow, draft: ServiceManagerDraft): void {
    if (lease.leaseState !== 'blocked' || lease.group !== undefined || lease.afterRedeem !== undefined)
      return draft.put('lease', lease)
    redeem(lease, draft.get('chain', lease.id)?.chain, draft)
  }

  /** All have said what they hold. A ticket that came back meanwhile was given back before. */
  function recovered(lease: LeaseRow, draft: ServiceManagerDraft): void {
    const free: LeaseRow = { ...lease, afterRedeem: undefined }
    if (lease.leaseState !== 'blocked') return draft.put('lease', free)
    if (lease.ticketState === 'held') return unblock(free, draft)
    leaveAll(free, undefined, 'its ticket was given back before the store was restored', draft)
  }

  /** All members are ticketed: from now on each is a lease as any other. */
  function gather(group: string, draft: ServiceManagerDraft): void {
    const found = draft.where('lease', 'group', group).sort(byAge)
    const size = found[0]?.groupSize ?? 0
    if (found.length < size || found.some(({ leaseState }) => leaseState !== 'blocked')) return
    const starts = new Set(found.map(({ term }) => term!.start))
    if (starts.size > 1) return disband(group, 'its members were granted for different starts', draft)
    for (const { id } of found) {
      draft.note('group complete', id, `all ${size} members have their tickets`)
      unblock({ ...draft.get('lease', id)!, group: undefined }, draft)
    }
  }

  function disband(group: string, reason: string, draft: ServiceManagerDraft): void {
    const found = draft.where('lease', 'group', group).sort(byAge)
    for (const member of found) draft.put('lease', { ...member, group: undefined })
    for (const { id } of found) end(id, `its group is given back: ${reason}`, draft)
  }

  /** A unit has joined. Only leases with a label are ever waited for. */
  function joined(leaseId: string, draft: ServiceManagerDraft): void {
    const lease = draft.get('lease', leaseId)
    if (lease?.label === undefined || lease.joinedAt !== undefined) return
    const units = unitsOf(lease, draft).filter((unit) => !isOut(unit))
    const isThere = lease.leaseState === 'active' || lease.leaseState === 'extending'
    if (!isThere || units.length === 0 || units.some(({ joinedAt }) => joinedAt === undefined)) return
    draft.put('lease', { ...lease, joinedAt: draft.now })
    for (const follower of draft.where('lease', 'afterRedeem', leaseId).sort(byAge)) {
      draft.note('may be redeemed', follower.id, `all units of ${lease.label} (${leaseId}) have joined`)
      const properties = { ...follower.properties, ...factsOf(lease.label, units) }
      unblock({ ...follower, afterRedeem: undefined, properties }, draft)
    }
    for (const follower of draft.where('lease', 'afterJoin', leaseId).sort(byAge)) {
      draft.note('may join', follower.id, `all units of ${lease.label} (${leaseId}) have joined`)
      draft.put('lease', { ...follower, afterJoin: undefined })
      members.mayJoin(follower.id, draft)
    }
  }

  /** The lease leaves, or came to nothing. Whoever still waits for it waits in vain. */
  function over(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.group !== undefined) {
      draft.put('lease', { ...draft.get('lease', lease.id)!, group: undefined })
      disband(lease.group, `${lease.id}: ${reason}`, draft)
    }
    if (lease.label === undefined) return
    const why = `${lease.label} (${lease.id}), which it waits for, ended before it joined: ${reason}`
    for (const field of ['afterRedeem', 'afterJoin'] as const)
      for (const follower of draft.where('lease', field, lease.id).sort(byAge)) {
        draft.put('lease', { ...follower, [field]: undefined })
        end(follower.id, why, draft)
      }
  }

  function end(leaseId: string, reason: string, draft: ServiceManagerDraft): void {
    const lease = draft.get('lease', leaseId)!
    if (!isGivenBack(lease)) leaveAll(lease, undefined, reason.slice(0, 500), draft)
  }
}

/** In words; undefined if it waits for nobody. */
export function waitsFor({ group, groupSize, afterRedeem, afterJoin }: LeaseRow): string | undefined {
  if (group !== undefined) return `the ${groupSize} members of group ${group}`
  if (afterRedeem === THE_RECOVERY)
    return 'what others say they hold after the restore, before it is redeemed'
  if (afterRedeem !== undefined) return `the units of ${afterRedeem} before it is redeemed`
  if (afterJoin !== undefined) return `the units of ${afterJoin} before its own join`
  return undefined
}

/** What the site says of units, for those that come after: of several units side by side, as the lease lists them. */
export function factsOf(label: string, units: readonly UnitRow[]): Properties {
  const names = [...new Set(units.flatMap(({ facts }) => Object.keys(facts)))]
  const entries = names.map((name) => [
    `predecessor.${label}.${name}`,
    units.map(({ facts }) => own(facts, name) ?? '').join(','),
  ])
  return Object.fromEntries(
    entries.filter(([key, value]) => key!.length <= KEY_CHARS_MAX && value!.length <= VALUE_CHARS_MAX),
  )
}

const byAge = (a: LeaseRow, b: LeaseRow): number => a.requestedAt - b.requestedAt || (a.id < b.id ? -1 : 1)
