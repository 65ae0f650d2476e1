import type { Body } from '../leases/messages.ts'
import { someUnits } from '../leases/words.ts'
import type { ErrorCode } from '../runtime/errors.ts'
import { mostUnits } from './leases.ts'
import { isOut } from './members.ts'
import type { LeaseRow, UnitRow } from './rows.ts'

type Report = Body<'lease-update'>['units'][number]

/** Why a unit that a site names is not taken. */
export interface Unbelieved {
  readonly unitId: string
  readonly code: ErrorCode & ('unit-twice' | 'name-twice' | 'beyond-ticket' | 'too-many-units')
  readonly reason: string
}

/** Units that the site doubts: as many as may serve, and so many of a small lease. */
export const DOUBTED_MIN = 4

/** Units of one lease that are remembered besides twice as many as the ticket is for: so many machines may have died. */
export const UNITS_KEPT_MAX = 2_000

/** How many more units a site may name of a lease, whatever has become of them. */
export const roomFor = (lease: LeaseRow): number =>
  Math.max(0, 2 * mostUnits(lease) + UNITS_KEPT_MAX - lease.units.length)

/**
 * What of an update is to be believed. A site may end units and make others in their place, also before the machine of
 * one is gone, which it doubts until then; it does not hold two under one name at a time, and gives no more at a time
 * than the ticket that it was shown, or the extension that it was sent. What goes already, or is not taken into the
 * extension, is not counted: its work may still end.
 *
 *   not known, or doubted until now ──comes, is active──▶ taken while fewer serve than the ticket is for
 *   not known ──comes, is active, is doubted────────────▶ taken while there are fewer than twice as many in all
 *   known and not doubted───────────────────────────────▶ left as it is: it was taken when it was within the ticket
 *
 *   not known, has ended already, or nobody may doubt it after a restore ──▶ taken
 *   not known, and as many are remembered as may be─────▶ none of them is taken, which is said once
 *
 * What the site does not name any more is where it was.
 */
export function believable(
  lease: LeaseRow,
  reports: readonly Report[],
  unitOf: (id: string) => UnitRow | undefined,
): { readonly believed: readonly Report[]; readonly unbelieved: readonly Unbelieved[] } {
  const most = mostUnits(lease)
  // After a restore it is the site that knows which units there are.
  const isForgetful = lease.unsure === true || lease.unheard === true
  const { serving, doubted } = standing(lease, reports, unitOf)
  const there = new Set([...serving.keys(), ...doubted])
  const names = new Set(serving.values())
  const ids = new Set<string>()
  const believed: Report[] = []
  const unbelieved: Unbelieved[] = []
  let room = roomFor(lease)
  const superfluous: Report[] = []
  for (const report of reports) {
    const { id: unitId, name } = report
    const refuse = (code: Unbelieved['code'], reason: string): number =>
      unbelieved.push({ unitId, code, reason: `${unitId} (${name}): ${reason}` })
    const known = unitOf(unitId)
    const isNew = known === undefined && report.report !== 'ended' && !isForgetful
    const begins = isHere(report) && (isNew || (doubted.has(unitId) && !isForgetful))
    if (ids.has(unitId)) refuse('unit-twice', 'it is named twice at once')
    else if (begins && names.has(name)) refuse('name-twice', 'another unit of the lease has that name')
    else if (begins && serving.size >= most)
      refuse('beyond-ticket', `the ticket is for ${someUnits(most)}, and there are as many`)
    else if (isNew && there.size >= most + Math.max(most, DOUBTED_MIN))
      refuse('beyond-ticket', `the ticket is for ${someUnits(most)}, and as many more are doubted`)
    else if (known === undefined && room === 0) superfluous.push(report)
    else {
      believed.push(report)
      if (known === undefined) room--
      if (isNew) there.add(unitId)
      if (begins) {
        serving.set(unitId, name)
        names.add(name)
      }
    }
    ids.add(unitId)
  }
  const [first] = superfluous
  if (first !== undefined)
    unbelieved.push({
      ...{ unitId: first.id, code: 'too-many-units' },
      reason: `${someUnits(superfluous.length)} more than are remembered of one lease, beginning with ${first.id} (${first.name})`,
    })
  return { believed, unbelieved }
}

/** The units of the lease that neither have ended nor go: the names of those that serve, and which were doubted. */
function standing(
  lease: LeaseRow,
  reports: readonly Report[],
  unitOf: (id: string) => UnitRow | undefined,
): { readonly serving: Map<string, string>; readonly doubted: ReadonlySet<string> } {
  const said = new Map(reports.map((report) => [report.id, report]))
  const serving = new Map<string, string>()
  const doubted = new Set<string>()
  for (const id of lease.units) {
    const unit = unitOf(id)
    const now = said.get(id)?.report
    if (unit === undefined || isGoing(unit, lease) || now === 'ended') continue
    if (unit.suspect !== undefined || now === 'suspect') doubted.add(id)
    else serving.set(id, unit.name)
  }
  return { serving, doubted }
}

const isHere = ({ report }: Report): boolean => report === 'coming' || report === 'active'

const isGoing = (unit: UnitRow, lease: LeaseRow): boolean =>
  isOut(unit) || unit.mustLeave || unit.withoutFrom !== undefined || lease.victims.includes(unit.id)
