import type { LeaseRow as SiteLeaseRow } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { LeaseRow, UnitRow } from '../../actors/service-manager/rows.ts'
import type { MemberState } from '../../controllers/controller.ts'
import type { SiteView } from './site-view.ts'

/** Leases as they are shown: plain JSON, read from the rows of the last commits. */

export type LeaseStanding = 'requested' | 'ticketed' | 'active' | 'closing' | 'closed'

export interface LeaseReport {
  readonly id: string
  /** Where its holder does not run: the holder. */
  readonly guest: string
  readonly state: LeaseStanding
  readonly type: string
  /** Granted; until then, asked for. */
  readonly units: number
  readonly site: string | null
  readonly start: Instant | null
  readonly end: Instant | null
  readonly extending: boolean
  readonly recall: { readonly units: number; readonly by: Instant } | null
  readonly requestedAt: Instant
  /** Somebody has to approve the request, or its extension; null if nobody has to. */
  readonly approval: { readonly since: Instant; readonly reason: string } | null
  readonly reason: string
  readonly closeReason: string
  readonly members: readonly { readonly unitId: string; readonly name: string; readonly state: MemberState }[]
}

/** A request that waits at the broker until somebody approves it. */
export interface Approval {
  readonly leaseId: string
  readonly holder: string
  readonly type: string
  readonly units: number
  readonly durationMs: Millis
  readonly since: Instant
  readonly reason: string
}

export const approvalsOf = (site: SiteView): readonly Approval[] =>
  (site.broker?.rows('ticket') ?? []).flatMap(({ id, holder, type, asked }) => {
    if (asked?.approval === undefined) return []
    const { units, durationMs, approval } = asked
    return [{ leaseId: id, holder, type, units, durationMs, ...approval }]
  })

/**
 * Every lease that is still in the store, those that are closed too, as its holder knows it; where none runs, as the
 * site does, and where there is no site, as the broker. The latest comes first.
 */
export function leasesOf(site: SiteView): readonly LeaseReport[] {
  const approvals = new Map(approvalsOf(site).map((one) => [one.leaseId, one]))
  const latestFirst = (a: LeaseReport, b: LeaseReport): number =>
    b.requestedAt - a.requestedAt || (a.id < b.id ? -1 : 1)
  const { serviceManager, authority, broker } = site
  if (serviceManager !== undefined) {
    const units = new Map(serviceManager.rows('unit').map((unit) => [unit.id, unit]))
    return serviceManager
      .rows('lease')
      .map((lease) =>
        leaseReport(
          lease,
          lease.units.flatMap((id) => units.get(id) ?? []),
          approvals.get(lease.id),
        ),
      )
      .toSorted(latestFirst)
  }
  if (authority !== undefined) {
    const names = new Map(authority.rows('unit').map(({ id, name, state }) => [id, { name, state }]))
    return authority
      .rows('lease')
      .map((lease) => siteLeaseReport(lease, names))
      .toSorted(latestFirst)
  }
  return (broker?.rows('ticket') ?? [])
    .map((row) => ticketReport(row, approvals.get(row.id)))
    .toSorted(latestFirst)
}

const leaseReport = (
  lease: LeaseRow,
  units: readonly UnitRow[],
  approval: Approval | undefined,
): LeaseReport => ({
  id: lease.id,
  guest: lease.guest,
  state: standing(lease, units),
  type: lease.type,
  units: lease.ticket?.units ?? lease.unitsAsked,
  site: lease.ticket?.site ?? null,
  start: lease.term?.start ?? null,
  end: lease.term?.end ?? null,
  extending: lease.ticketState === 'extending' || lease.leaseState === 'extending',
  recall: lease.recall === undefined ? null : { units: lease.recall.units, by: lease.recall.by },
  requestedAt: lease.requestedAt,
  approval: approval === undefined ? null : { since: approval.since, reason: approval.reason },
  reason: lease.reason,
  closeReason: lease.closeReason,
  members: units.map(({ id, name, state }) => ({ unitId: id, name, state })),
})

/** What a site knows of a lease; where its units stand in the middleware it does not. */
function siteLeaseReport(
  lease: SiteLeaseRow,
  units: ReadonlyMap<string, { readonly name: string; readonly state: string }>,
): LeaseReport {
  const { ticket, state } = lease
  const held = lease.units.flatMap((id) => {
    const unit = units.get(id)
    return unit === undefined || unit.state === 'ended' ? [] : [{ unitId: id, name: unit.name }]
  })
  return {
    ...{ id: lease.id, guest: lease.holder, state: state === 'pending' ? 'ticketed' : state },
    ...{ type: ticket.type, units: ticket.units, site: ticket.site },
    ...{ start: ticket.term.start, end: lease.term.end, extending: lease.next !== undefined, recall: null },
    ...{
      requestedAt: ticket.issuedAt,
      approval: null,
      reason: lease.waits ?? '',
      closeReason: lease.closeReason,
    },
    members: held.map((unit) => ({ ...unit, state: state === 'pending' ? 'awaited' : 'joined' })),
  }
}

/** What a broker knows of a lease: whether it is active, it does not. */
function ticketReport(row: TicketRow, approval: Approval | undefined): LeaseReport {
  const last = row.tickets.at(-1)
  const state = row.state === 'closed' ? 'closed' : row.state === 'asked' ? 'requested' : 'ticketed'
  return {
    ...{ id: row.id, guest: row.holder, state, type: row.type, site: last?.site ?? null },
    units: last?.units ?? row.asked?.units ?? 0,
    ...{ start: row.tickets[0]?.term.start ?? null, end: last?.term.end ?? null },
    ...{ extending: row.state === 'extending', recall: null, requestedAt: row.arrivedAt },
    approval: approval === undefined ? null : { since: approval.since, reason: approval.reason },
    ...{ reason: row.waitReason, closeReason: row.waitReason, members: [] },
  }
}

function standing({ ticketState, leaseState }: LeaseRow, units: readonly UnitRow[]): LeaseStanding {
  if (leaseState === 'closed') return ticketState === 'closed' ? 'closed' : 'closing'
  if (ticketState === 'asked') return 'requested'
  if (leaseState === 'active' || leaseState === 'extending') return 'active'
  if (leaseState !== 'redeeming') return 'closing'
  return units.some(({ joinedAt }) => joinedAt !== undefined) ? 'active' : 'ticketed'
}

/** What is there of a lease that is not closed: units that left or were lost are not. */
export function present({ state, units, members }: LeaseReport): {
  readonly units: number
  readonly names: readonly string[]
} {
  const there =
    state === 'closed' ? members : members.filter((unit) => unit.state !== 'left' && unit.state !== 'lost')
  return {
    units: there.length === members.length ? units : there.length,
    names: there.map(({ name }) => name),
  }
}

export const remaining = (end: Instant, now: Instant): Millis => Math.max(0, end - now)
