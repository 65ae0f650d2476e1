import { isBinding } from '../actors/authority/recalls.ts'
import type { HostRow, LeaseRow, UnitRow } from '../actors/authority/rows.ts'
import type { Vector } from '../actors/leases/resources.ts'
import type { Instant } from '../actors/runtime/clock.ts'
import type { SiteView } from './site-view.ts'

/** What is shown of the hosts of a site: plain JSON, read from the rows of the last commits. */

export interface HostUnit {
  readonly unitId: string
  readonly name: string
  readonly type: string
  readonly leaseId: string
  readonly machine: UnitRow['state']
  /** Of a host under maintenance: when the unit goes from there; null if that cannot be known yet. */
  readonly leavesAt: Instant | null
  /** ... with work that is let end. */
  readonly latestAt: Instant | null
  /** It goes then for the sake of the host; false: its lease lets it stay until then, or longer. */
  readonly binding: boolean
}

export interface HostReport {
  readonly name: string
  readonly capacity: Vector
  /** Unconfigured: it was taken out of the configuration, and something is still held there. */
  readonly state: 'in service' | 'leaving' | 'empty' | 'unconfigured'
  readonly units: readonly HostUnit[]
  readonly maintenance: {
    readonly since: Instant
    readonly by: Instant
    readonly reason: string
    /** Units by type that are not lent until it is back. */
    readonly withheld: Readonly<Record<string, number>>
  } | null
  /** The last unit is gone by then, with work that may go on within the grace; null if that cannot be known yet. */
  readonly emptyBy: Instant | null
}

/** As configured, in that order; of a process without a site there are none. */
export function hostsOf({ settings, authority }: SiteView): readonly HostReport[] {
  if (authority === undefined) return []
  const configured = new Map((settings.site?.hosts ?? []).map(({ name, capacity }) => [name, capacity]))
  const rows = new Map(authority.rows('host').map((row) => [row.id, row]))
  const leases = new Map(authority.rows('lease').map((lease) => [lease.id, lease]))
  const held = Map.groupBy(
    authority.rows('unit').filter(({ state }) => state !== 'ended'),
    ({ host }) => host,
  )
  return [...new Set([...configured.keys(), ...held.keys()])].map((name) => {
    const row = rows.get(name)
    const units = (held.get(name) ?? []).toSorted((a, b) => a.slot - b.slot)
    const ends = units.map((unit) =>
      row === undefined ? UNKNOWN : endOn(row, unit, leases.get(unit.leaseId)),
    )
    const latest = ends.map((end) => end.latest)
    return {
      name,
      capacity: { ...configured.get(name) },
      state: !configured.has(name)
        ? 'unconfigured'
        : row === undefined
          ? 'in service'
          : units.length > 0
            ? 'leaving'
            : 'empty',
      units: units.map(({ id, name: node, type, leaseId, state: machine }, i) => {
        const { at: leavesAt, latest: latestAt, binding } = ends[i]!
        return { unitId: id, name: node, type, leaseId, machine, leavesAt, latestAt, binding }
      }),
      maintenance:
        row === undefined
          ? null
          : { since: row.orderedAt, by: row.by, reason: row.reason, withheld: row.withheld },
      emptyBy:
        row === undefined || latest.includes(null)
          ? null
          : Math.max(row.by, ...latest.filter((at) => at !== null)),
    }
  })
}

interface UnitEnd {
  readonly at: Instant | null
  readonly latest: Instant | null
  readonly binding: boolean
}

const UNKNOWN: UnitEnd = { at: null, latest: null, binding: false }

/** What its terms let be taken goes at the time; the rest at the first end of its ticket that is not before it. */
function endOn(host: HostRow, unit: UnitRow, lease: LeaseRow | undefined): UnitEnd {
  if (unit.forceFrom !== undefined) return { at: unit.forceFrom, latest: unit.forceFrom, binding: true }
  if (lease === undefined || host.lapsed === true) return UNKNOWN
  const { graceMs } = lease.ticket.conditions
  if (isBinding(host, lease.ticket.conditions))
    return { at: host.by, latest: host.by + graceMs, binding: true }
  const ends = [lease.ticket.term.end, ...(lease.next === undefined ? [] : [lease.next.term.end])]
  const at = ends.find((end) => end >= host.by)
  return at === undefined ? UNKNOWN : { at, latest: at + graceMs, binding: false }
}
