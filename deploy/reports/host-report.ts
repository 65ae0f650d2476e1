import { isBinding } from '../../actors/authority/recalls.ts'
import type { HostRow, LeaseRow, UnitRow } from '../../actors/authority/rows.ts'
import type { Vector } from '../../actors/leases/resources.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
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
  /** Why it is not taken at that time; null if it is, if it goes already, or where nothing is known of its lease. */
  readonly kept: Kept | null
}

export type Kept = 'by its terms' | 'its holder is not told' | 'the order has lapsed'

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
    /** Its time came in the time that a restored site has forgotten: it binds nobody before it is given anew. */
    readonly lapsed: boolean
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
  const old = new Set(
    (authority.peers?.() ?? []).flatMap(({ peer, protocol }) => (protocol === 1 ? [peer] : [])),
  )
  const held = Map.groupBy(
    authority.rows('unit').filter(({ state }) => state !== 'ended'),
    ({ host }) => host,
  )
  return [...new Set([...configured.keys(), ...held.keys()])].map((name) => {
    const row = rows.get(name)
    const units = (held.get(name) ?? []).toSorted((a, b) => a.slot - b.slot)
    const ends = units.map((unit) =>
      row === undefined ? UNKNOWN : endOn(row, unit, leases.get(unit.leaseId), old),
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
        const { at: leavesAt, latest: latestAt, binding, kept } = ends[i]!
        return { unitId: id, name: node, type, leaseId, machine, leavesAt, latestAt, binding, kept }
      }),
      maintenance:
        row === undefined
          ? null
          : {
              ...{ since: row.orderedAt, by: row.by, reason: row.reason },
              ...{ lapsed: row.lapsed === true, withheld: row.withheld },
            },
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
  readonly kept: Kept | null
}

const UNKNOWN: UnitEnd = { at: null, latest: null, binding: false, kept: null }

/**
 * What its terms let be taken goes at the time; the rest at the first end of its ticket that is not before it. Of holders
 * who speak only protocol 1 nothing is taken, for they cannot be told; it may be extended again and again.
 */
function endOn(host: HostRow, unit: UnitRow, lease: LeaseRow | undefined, old: ReadonlySet<string>): UnitEnd {
  if (unit.forceFrom !== undefined)
    return { at: unit.forceFrom, latest: unit.forceFrom, binding: true, kept: null }
  if (lease === undefined) return UNKNOWN
  if (host.lapsed === true) return { ...UNKNOWN, kept: 'the order has lapsed' }
  if (old.has(lease.holder)) return { ...UNKNOWN, kept: 'its holder is not told' }
  const { graceMs } = lease.ticket.conditions
  if (isBinding(host, lease.ticket.conditions))
    return { at: host.by, latest: host.by + graceMs, binding: true, kept: null }
  const ends = [lease.ticket.term.end, ...(lease.next === undefined ? [] : [lease.next.term.end])]
  const kept = 'by its terms'
  const at = ends.find((end) => end >= Math.max(host.by, host.orderedAt))
  return at === undefined ? { ...UNKNOWN, kept } : { at, latest: at + graceMs, binding: false, kept }
}
