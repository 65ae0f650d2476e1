import type { Body } from '../leases/messages.ts'
import { type Properties, readRequest } from '../leases/properties.ts'
import { inOneLine } from '../runtime/errors.ts'
import type { AuthorityDraft, LeaseRow } from './rows.ts'
import { isLive, unitsOf } from './standing.ts'
import type { Reports } from './statement.ts'
import type { Units } from './units.ts'

const PROPERTIES_MAX = 200

/**
 * Other properties for a live lease, in place: nothing ends, and nothing starts.
 *
 *   modify-lease ──merged──▶ lease ──pushed to each unit (modify)──▶ told: all have it, or failed with it
 *        └──refused, with the reason                └──a later one takes its place: that one is pushed instead
 */
export class Modifications {
  readonly #units: Units
  readonly #reports: Reports

  constructor(units: Units, reports: Reports) {
    this.#units = units
    this.#reports = reports
  }

  modify(lease: LeaseRow, { modificationId, properties }: Body<'modify-lease'>, draft: AuthorityDraft): void {
    if (lease.modificationId === modificationId) return this.#reports.report(lease, draft)
    const merged = mergeOf(lease.properties, properties)
    const refused = doubt(lease, merged)
    if (refused !== undefined) {
      draft.note('modification refused', lease.id, refused, { modificationId })
      return this.#reports.report(lease, draft, { modificationRefused: { modificationId, refused } })
    }
    const modified: LeaseRow = { ...lease, properties: merged, modificationId }
    draft.put('lease', modified)
    const keys = Object.keys(properties).sort().join(', ')
    draft.note('modified', lease.id, `other properties: ${keys || 'none'}`, { modificationId, keys })
    for (const unit of unitsOf(modified, draft)) if (isLive(unit)) this.#units.tend(unit, draft)
    this.#reports.report(draft.get('lease', lease.id)!, draft)
  }
}

/** The empty string takes a property away. */
const mergeOf = (before: Properties, changes: Properties): Properties =>
  Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, value]) => value !== ''))

function doubt(lease: LeaseRow, merged: Properties): string | undefined {
  if (lease.state !== 'pending' && lease.state !== 'active')
    return `the lease is ${lease.state}: it has ended`
  if (Object.keys(merged).length > PROPERTIES_MAX)
    return `a lease has at most ${PROPERTIES_MAX} properties here`
  try {
    const { image } = readRequest(merged, lease.ticket.units)
    if ((image ?? lease.image) !== lease.image)
      return `the image stays ${lease.image}: machines are not made anew within a lease`
  } catch (error) {
    return inOneLine(error)
  }
  return undefined
}
