import { fitsIn, minus, type Vector } from '../leases/resources.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import { orderedBy, someUnits, whose } from '../leases/words.ts'
import { type Instant, LATEST } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import { indexOf } from '../runtime/views.ts'
import type { AuthorityConfig } from './config.ts'
import { isBinding, LATE_MS_MAX } from './recalls.ts'
import type { AuthorityDraft, HostRow, UnitRow } from './rows.ts'
import { graceOf, isLive, lentOf, pokeRoom } from './standing.ts'
import type { Reports } from './statement.ts'
import type { Units } from './units.ts'

/** A host that somebody is to work on; see `sublet host maintain`. */
export interface MaintainOrder {
  readonly host: string
  /** Absent: after the notice that the site's terms promise, and a minute for the word to get round. */
  readonly by?: Instant | undefined
  /** Absent: the one that was given before, if there is one. */
  readonly reason?: string | undefined
  /** Who, as all orders say it. */
  readonly orderedBy?: string | undefined
}

/** It was worked on; see `sublet host resume`. */
export interface MaintainedOrder {
  readonly host: string
  readonly reason?: string | undefined
  readonly orderedBy?: string | undefined
}

const unitsByHost = indexOf<UnitRow>('unit', ({ host, state }) => (state === 'ended' ? undefined : host))

type Withhold = (type: string, by: number, reason: string, draft: AuthorityDraft) => void

/**
 * Hosts that are to be worked on.
 *
 *   maintain ──▶ no new units there; those there are wanted gone by then; less is offered if the others have no room
 *      by    ──▶ what the ticket lets be taken goes, empty first, and is replaced elsewhere; the rest at its term's end
 *   maintained ──▶ as before
 */
export class Hosts {
  readonly #config: AuthorityConfig
  readonly #units: Units
  readonly #reports: Reports
  readonly #withhold: Withhold

  constructor(config: AuthorityConfig, units: Units, reports: Reports, withhold: Withhold) {
    this.#config = config
    this.#units = units
    this.#reports = reports
    this.#withhold = withhold
  }

  /** Ordered once more with another time or reason it is changed; with the same, nothing happens. */
  maintain(order: MaintainOrder, draft: AuthorityDraft): { units: number; withheld: number } {
    const { host } = order
    this.#known(host)
    const before = draft.get('host', host)
    const soonest = draft.now + this.#config.conditions.noticeMs + LATE_MS_MAX
    const by = order.by ?? (before?.lapsed === true ? undefined : before?.by) ?? soonest
    const reason = (order.reason ?? before?.reason ?? 'it is to be worked on').slice(0, 500)
    if (!Number.isInteger(by) || by < 0 || by > LATEST)
      throw new SubletError('usage', `a host cannot be maintained by ${by}: that is no time`, { cure: TIMES })
    if (before?.by === by && before.reason === reason && before.lapsed !== true)
      return this.#standing(before, draft)
    if (by < draft.now - LATE_MS_MAX)
      throw new SubletError('usage', `a host cannot be maintained by ${iso(by)}: that is past`, {
        cure: TIMES,
      })
    const row: HostRow = {
      ...{ id: host, by, orderedAt: orderedAt(before, by, draft.now), reason, due: by },
      withheld: before?.withheld ?? {},
    }
    draft.put('host', row)
    const words = `wanted empty by ${iso(by)}: ${reason}${orderedBy(order.orderedBy)}`
    draft.note('host leaves service', host, words, { by, ...whose(order.orderedBy) })
    const withheld = before === undefined ? this.#shortage(draft) : row.withheld
    if (before === undefined)
      for (const [type, units] of Object.entries(withheld))
        this.#withhold(type, units, `the other hosts have no room for ${someUnits(units)} of ${host}`, draft)
    const kept: HostRow = { ...row, withheld }
    draft.put('host', kept)
    this.#tellHolders(host, draft)
    return this.#standing(kept, draft)
  }

  maintained({ host, reason, orderedBy: who }: MaintainedOrder, draft: AuthorityDraft): { offered: number } {
    this.#known(host)
    const row = draft.get('host', host)
    if (row === undefined) throw new SubletError('usage', `host ${host} is in service`, { cure: HOSTS })
    return this.#backInService(row, reason ?? WORKED_ON, draft, who)
  }

  /** What may be taken is taken; work there may end within the grace. The rest goes at the end of its term. */
  due(host: string, draft: AuthorityDraft): void {
    const row = draft.get('host', host)
    if (row === undefined) return
    draft.put('host', { ...row, due: undefined })
    for (const unit of draft.having(unitsByHost, host)) {
      const lease = draft.get('lease', unit.leaseId)
      if (!isLive(unit) || lease === undefined || !isBinding(row, lease.ticket.conditions)) continue
      // It was never told.
      if (speaksOnly1(lease.holder, draft)) continue
      const reason = `host ${host} is to be worked on: ${row.reason}`
      const forceFrom = Math.max(row.by, draft.now) + graceOf(lease)
      this.#units.end({ ...unit, lost: 'moved' }, forceFrom, reason, draft)
    }
  }

  /** A host that was taken out of the configuration needs no maintenance; what it withheld is offered by no one. */
  begin(draft: AuthorityDraft): void {
    for (const row of draft.all('host'))
      if (!this.#config.hosts.some(({ name }) => name === row.id))
        this.#backInService(row, 'it is not in the configuration any more', draft)
  }

  #known(host: string): void {
    const names = this.#config.hosts.map(({ name }) => name)
    if (!names.includes(host))
      throw new SubletError('unknown-id', `this site has no host ${host}; it has ${names.join(', ')}`, {
        cure: HOSTS,
      })
  }

  #standing({ id, withheld }: HostRow, draft: AuthorityDraft): { units: number; withheld: number } {
    return { units: draft.having(unitsByHost, id).filter(isLive).length, withheld: sumOf(withheld) }
  }

  #backInService(
    { id, withheld }: HostRow,
    reason: string,
    draft: AuthorityDraft,
    who?: string,
  ): { offered: number } {
    draft.remove('host', id)
    draft.note('host in service', id, `${reason}${orderedBy(who)}`, whose(who))
    for (const [type, units] of Object.entries(withheld))
      this.#withhold(type, -units, `${id} was worked on`, draft)
    this.#tellHolders(id, draft)
    pokeRoom(draft)
    return { offered: sumOf(withheld) }
  }

  #tellHolders(host: string, draft: AuthorityDraft): void {
    const units = draft.having(unitsByHost, host).filter(isLive)
    for (const leaseId of new Set(units.map((unit) => unit.leaseId))) {
      const lease = draft.get('lease', leaseId)
      if (lease !== undefined) this.#reports.report(lease, draft)
    }
  }

  /** Units by type that are lent and would find no place on the hosts in service, the largest placed first. */
  #shortage(draft: AuthorityDraft): Record<string, number> {
    const rooms: Vector[] = this.#config.hosts
      .filter(({ name }) => draft.get('host', name) === undefined)
      .map(({ capacity }) => capacity)
    const size = (vector: Vector): number => Object.values(vector).reduce((sum, amount) => sum + amount, 0)
    const types = Object.entries(this.#config.types).sort(([, a], [, b]) => size(b.vector) - size(a.vector))
    const shortage = new Map<string, number>()
    for (const [type, { vector }] of types) {
      let left = lentOf(type, draft)
      for (let i = 0; i < rooms.length && left > 0; )
        if (fitsIn(vector, rooms[i]!)) {
          rooms[i] = minus(rooms[i]!, vector)
          left--
        } else i++
      if (left > 0) shortage.set(type, left)
    }
    return Object.fromEntries(shortage)
  }
}

const WORKED_ON = 'it was worked on'
const HOSTS = 'List the hosts and how they stand with `sublet host list`.'
const TIMES = 'Give a time that is to come, such as 14:00, 30m or 2026-11-21T14:00.'

/** Notice of an earlier time begins anew; a later one was given all the notice of the time before. */
const orderedAt = (before: HostRow | undefined, by: Instant, now: Instant): Instant =>
  before === undefined || before.lapsed === true || by < before.by ? now : before.orderedAt

const sumOf = (units: Readonly<Record<string, number>>): number =>
  Object.values(units).reduce((sum, count) => sum + count, 0)

const iso = (at: Instant): string => new Date(at).toISOString()
