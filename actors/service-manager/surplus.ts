import type { Body } from '../leases/messages.ts'
import { someUnits } from '../leases/words.ts'
import { isOut } from './members.ts'
import type { LeaseRow, UnitRow } from './rows.ts'

type Report = Body<'lease-update'>['units'][number]

/** Why a unit that a site names is not taken. */
export interface Unbelieved {
  readonly unitId: string
  readonly code: 'unit-twice' | 'name-twice' | 'beyond-ticket'
  readonly reason: string
}

/**
 * What of an update is to be believed. A site may end units and make others in their place; it does not hold two under
 * one name at a time, and gives no more at a time than the ticket that it was shown, or the extension that it was
 * sent. What goes already, or is not taken into the extension, is not counted: its work may still end.
 *
 * Units that are known are left as they are: they were taken when they were within the ticket.
 */
export function believable(
  lease: LeaseRow,
  reports: readonly Report[],
  unitOf: (id: string) => UnitRow | undefined,
): { readonly believed: readonly Report[]; readonly unbelieved: readonly Unbelieved[] } {
  const most = Math.max(lease.ticket?.units ?? 0, lease.next?.units ?? 0)
  // After a restore it is the site that knows which units there are.
  const isForgetful = lease.unsure === true || lease.unheard === true
  const stays = (report: Report): boolean => {
    const known = unitOf(report.id)
    return known !== undefined && isHere(report) && !isGoing(known, lease)
  }
  let live = reports.filter(stays).length
  const ids = new Set<string>()
  const names = new Set(reports.filter(stays).map(({ name }) => name))
  const believed: Report[] = []
  const unbelieved: Unbelieved[] = []
  for (const report of reports) {
    const { id: unitId, name } = report
    const refuse = (code: Unbelieved['code'], reason: string): number =>
      unbelieved.push({ unitId, code, reason: `${unitId} (${name}): ${reason}` })
    const isNew = unitOf(unitId) === undefined && isHere(report) && !isForgetful
    if (ids.has(unitId)) refuse('unit-twice', 'it is named twice at once')
    else if (isNew && names.has(name)) refuse('name-twice', 'another unit of the lease has that name')
    else if (isNew && live >= most)
      refuse('beyond-ticket', `the ticket is for ${someUnits(most)}, and there are as many`)
    else {
      believed.push(report)
      if (isNew) {
        live++
        names.add(name)
      }
    }
    ids.add(unitId)
  }
  return { believed, unbelieved }
}

const isHere = ({ report }: Report): boolean => report === 'coming' || report === 'active'

const isGoing = (unit: UnitRow, lease: LeaseRow): boolean =>
  isOut(unit) || unit.mustLeave || unit.withoutFrom !== undefined || lease.victims.includes(unit.id)
