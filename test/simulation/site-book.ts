import type {
  HostRow,
  OfferRow,
  LeaseRow as SiteLease,
  SiteRow,
  UnitRow as SiteUnit,
} from '../../actors/authority/rows.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import type { Change } from './disk.ts'
import { lentAgainIn } from './operator.ts'
import { STARTS_PER_MINUTE } from './roles.ts'
import type { SiteScene } from './scene.ts'

/** What a site holds: who has which unit, who has which slot. */
export class SiteBook {
  readonly name: string
  readonly disk: SiteScene['disk']
  /** The leases that the last commit touched. */
  touched: readonly string[] = []
  readonly #largestOffer = new Map<string, number>()
  readonly #leaseOf = new Map<string, string>()
  readonly #unitIn = new Map<number, string>()
  readonly #inService = new Map<string, Set<string>>()
  /** As the ledger tells it, replayed line by line. */
  readonly #assigned = new Set<string>()
  /** Units of each recall, and what was lent again of each type, by the ledger. */
  readonly #recalled = new Map<string, number>()
  readonly #lentAgain = new Map<string, number>()
  /** When units were assigned since the last power cut. */
  readonly #started: number[] = []
  #isSetBack = false

  constructor({ name, disk }: SiteScene) {
    this.name = name
    this.disk = disk
  }

  changed(changes: readonly Change[], entries: readonly LedgerEntry[]): string[] {
    const faults: string[] = []
    const leases = new Set<string>()
    for (const { table, id, before } of changes)
      if (before !== undefined && table === 'lease') {
        for (const unitId of (before as SiteLease).units)
          if (this.#leaseOf.get(unitId) === id) this.#leaseOf.delete(unitId)
      } else if (before !== undefined && table === 'unit') this.#unplace(before as SiteUnit)
    for (const { table, id, after } of changes) {
      if (table === 'lease') leases.add(id)
      if (after === undefined) continue
      if (table === 'lease') faults.push(...this.#hold(after as SiteLease))
      if (table === 'unit') faults.push(...this.#place(after as SiteUnit))
      if (table === 'unit') leases.add((after as SiteUnit).leaseId)
      if (table === 'offer')
        this.#largestOffer.set(id, Math.max(this.largestOffer(id), (after as OfferRow).units))
    }
    if (!this.#isSetBack) faults.push(...this.#inPowerCut(entries))
    for (const { kind, subject, reason, data } of entries)
      if (kind === 'unit assigned') {
        this.#assigned.add(subject)
        if (!isFound(reason))
          faults.push(...this.#isWorkedOn(subject, (data as { host: string }).host, changes))
      } else if (kind === 'unit ended') this.#assigned.delete(subject)
      else if (kind === 'recalled') this.#recalled.set(subject, (data as { units: number }).units)
      else if (kind === 'offered') this.#lentAgain.set(subject, this.#lent(subject) + lentAgainIn(reason))
    this.touched = [...leases]
    if (changes.some(({ table }) => table === 'offer')) faults.push(...this.#withheldAddsUp())
    return faults
  }

  /** While the site takes it for a power cut it starts machines at its pace, and gives no lease up for those that fail. */
  #inPowerCut(entries: readonly LedgerEntry[]): string[] {
    const cut = this.disk.table<SiteRow>('site').get('site')?.powerCut
    const faults: string[] = []
    for (const { at, kind, subject, reason } of entries) {
      if (cut === undefined || cut.over === true || at <= cut.noticedAt || at >= cut.until) continue
      if (kind === 'lease closing' && isGivenUp(reason))
        faults.push(`${this.name} gives ${subject} up in a power cut: ${reason}`)
      if (kind !== 'unit assigned' || isFound(reason)) continue
      this.#started.push(at)
      const inMinute = this.#started.filter((one) => one > at - 60_000 && one > cut.noticedAt).length
      if (inMinute > STARTS_PER_MINUTE + 1)
        faults.push(`${this.name} starts ${inMinute} machines in a minute after a power cut`)
    }
    return faults
  }

  /** The store was set back: what is held is what the copy says, and what is found again. */
  setBack(): void {
    this.#leaseOf.clear()
    this.#unitIn.clear()
    this.#inService.clear()
    this.#assigned.clear()
    this.#recalled.clear()
    this.#lentAgain.clear()
    const { disk } = this
    const all = <R extends Row>(table: string): Change[] =>
      disk
        .table<R>(table)
        .values()
        .map((after) => ({ table, id: after.id, before: undefined, after }))
    this.#isSetBack = true
    this.changed([...all<SiteLease>('lease'), ...all<SiteUnit>('unit')], disk.ledger)
    this.#isSetBack = false
  }

  largestOffer(type: string): number {
    return this.#largestOffer.get(type) ?? 0
  }

  /** How many of its units are in service. */
  inService(leaseId: string): number {
    return this.#inService.get(leaseId)?.size ?? 0
  }

  /** What the ledger alone says is held is what the rows say. */
  replayAgrees(): string[] {
    const held = this.disk
      .table<SiteUnit>('unit')
      .values()
      .filter(({ state, type }) => state !== 'ended' && type !== '')
    const missing = held.filter(({ id }) => !this.#assigned.has(id)).map(({ id }) => id)
    const rows = new Set(held.map(({ id }) => id))
    const more = [...this.#assigned].filter((id) => !rows.has(id))
    if (missing.length + more.length === 0) return []
    return [
      `${this.name}: its ledger does not tell of ${missing.join(' ') || 'none'}, and still holds ${more.join(' ') || 'none'}`,
    ]
  }

  #lent(type: string): number {
    return this.#lentAgain.get(type) ?? 0
  }

  /** Units of all types that were lent again after recalls. */
  lentAgain(): number {
    return [...this.#lentAgain.values()].reduce((sum, units) => sum + units, 0)
  }

  /** Withheld is what is stuck, what was recalled and not lent again, and what hosts that are worked on leave no room for. */
  #withheldAddsUp(): string[] {
    const { disk, name } = this
    const stuck = disk
      .table<SiteUnit>('unit')
      .values()
      .filter(({ state }) => state === 'stuck')
    const hosts = disk.table<HostRow>('host').values()
    const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)
    return disk
      .table<OfferRow>('offer')
      .values()
      .flatMap(({ id: type, withheld, settledRecalls }) => {
        const parts = {
          stuck: stuck.filter((unit) => unit.type === type).length,
          recalled: sum(settledRecalls.map((id) => this.#recalled.get(id) ?? 0)) - this.#lent(type),
          onHosts: sum(hosts.map((host) => host.withheld[type] ?? 0)),
        }
        if (withheld === sum(Object.values(parts))) return []
        return [`${name} withholds ${withheld} of ${type}, for which it has ${JSON.stringify(parts)}`]
      })
  }

  #hold(lease: SiteLease): string[] {
    const faults: string[] = []
    for (const unitId of lease.units) {
      const other = this.#leaseOf.get(unitId)
      if (other !== undefined && other !== lease.id)
        faults.push(`${unitId} is in ${other} and in ${lease.id}`)
      this.#leaseOf.set(unitId, lease.id)
    }
    return faults
  }

  /** Lines of long ago tell of hosts as they were then; what was ordered in this commit may be ordered after it. */
  #isWorkedOn(unitId: string, host: string, changes: readonly Change[]): string[] {
    const isNew = changes.some(
      ({ table, id, before }) => table === 'host' && id === host && before === undefined,
    )
    return !this.#isSetBack && !isNew && this.disk.table('host').has(host)
      ? [`${unitId} was placed on ${host}, which is to be worked on`]
      : []
  }

  #unplace({ id, slot, leaseId }: SiteUnit): void {
    if (this.#unitIn.get(slot) === id) this.#unitIn.delete(slot)
    this.#inService.get(leaseId)?.delete(id)
  }

  #place({ id, slot, state, leaseId }: SiteUnit): string[] {
    if (IN_SERVICE.has(state)) {
      const units = this.#inService.get(leaseId) ?? new Set()
      this.#inService.set(leaseId, units.add(id))
    }
    if (state === 'ended' || slot === 0) return []
    const other = this.#unitIn.get(slot)
    this.#unitIn.set(slot, id)
    return other === undefined || other === id
      ? []
      : [`slot ${slot} of ${this.name} is held by ${other} and by ${id}`]
  }
}

const IN_SERVICE: ReadonlySet<SiteUnit['state']> = new Set(['setup', 'probing', 'active', 'suspect'])

/** Its machines did not come up; a holder who closes a lease may quote what another site said of another one. */
const isGivenUp = (reason: string): boolean =>
  reason.includes('machines came up in') && !reason.startsWith('closed by ')

/** It was there before its site was restored, wherever that is. */
const isFound = (reason: string): boolean => reason.includes(', found')
