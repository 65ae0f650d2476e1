import type { GuestIntent } from '../../controllers/controller.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import { factsOf } from './line.ts'
import type { LeaseRow, ServiceManagerDraft } from './rows.ts'
import { isGivenBack, unitsOf } from './steps.ts'

type Request = Extract<GuestIntent, { kind: 'request' }>

export const NO_GROUPS = 'its broker speaks an older protocol, which knows no groups'

/**
 * Gives a new request its place among the leases of its guest: its label, whom it comes after, its group. A
 * sentence if there is no such place.
 */
export function takePlace(lease: LeaseRow, intent: Request, draft: ServiceManagerDraft): LeaseRow | string {
  const { label, after, group } = intent
  if (label === undefined && after === undefined && group === undefined) return lease
  const open = draft.where('lease', 'openFor', lease.guest).filter((other) => !isGivenBack(other))
  const named = new Map(open.map((other) => [other.label, other]))
  if (label !== undefined && named.has(label)) return `${named.get(label)!.id} is called ${label} already`
  let placed = lease
  if (after?.redeem !== undefined) {
    const first = named.get(after.redeem)
    if (first === undefined) return `no lease called ${after.redeem} is held or asked for`
    placed =
      first.joinedAt === undefined
        ? { ...placed, afterRedeem: first.id }
        : { ...placed, properties: { ...placed.properties, ...factsOf(after.redeem, unitsOf(first, draft)) } }
  }
  if (after?.join !== undefined) {
    const first = named.get(after.join)
    if (first === undefined) return `no lease called ${after.join} is held or asked for`
    if (first.joinedAt === undefined) placed = { ...placed, afterJoin: first.id }
  }
  if (group === undefined) return placed
  const name = `${lease.guest}/${group.id}`
  const members = open.filter((other) => other.group === name)
  if (speaksOnly1(lease.broker!, draft)) return NO_GROUPS
  if (intent.unitsMin < intent.units) return 'the members of a group are not elastic'
  if (members.some((other) => other.groupSize !== group.size || other.broker !== lease.broker))
    return `another member of group ${group.id} says another size or broker`
  if (members.length >= group.size) return `all ${group.size} members of group ${group.id} are there already`
  const properties = { ...placed.properties, 'group.id': name, 'group.size': String(group.size) }
  return { ...placed, group: name, groupSize: group.size, properties }
}
