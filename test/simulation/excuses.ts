import type { LeaseRow as SiteLease } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { LeaseRow } from '../../actors/service-manager/rows.ts'
import type { Disk, Tables } from './disk.ts'
import type { Role } from './plan.ts'

/** One whose store was set back at least once. */
interface Loss {
  /** Leases that were over for it before, and stand again in the older copy. */
  readonly over: Set<string>
  /** Leases that it had, of which the copy says nothing. */
  readonly forgotten: Set<string>
  /** Others whose word it did without when it recovered. */
  readonly silent: Set<string>
}

const GRANTS: Readonly<Record<Role, ReadonlySet<string>>> = {
  broker: new Set(['ticket granted']),
  authority: new Set(['unit assigned']),
  'service-manager': new Set(['requested', 'extension asked']),
}

/**
 * What is not held against an actor whose store was set back to an older copy, and what is. Until it has heard what
 * others hold it may be wrong about every lease, and so it must give and ask for nothing:
 *
 *   set back ──marked──▶ recovering ──▶ recovered: of whoever was silent it is still wrong, of all others no more
 */
export class Excuses {
  readonly #losses = new Map<string, Loss>()

  /** The store was set back; `before` is what was in it. */
  setBack(name: string, role: Role, disk: Disk, before: Tables): void {
    const loss = this.#losses.get(name) ?? { over: new Set(), forgotten: new Set(), silent: new Set() }
    this.#losses.set(name, loss)
    const table = role === 'broker' ? 'ticket' : 'lease'
    const now = disk.table(table)
    for (const id of before.table(table).keys()) if (!now.has(id)) loss.forgotten.add(id)
    for (const id of now.keys()) {
      const was = before.table(table).get(id)
      if ((was === undefined || isOver(was)) && !isOver(now.get(id)!)) loss.over.add(id)
    }
  }

  /** What an actor does that does not know yet what it has forgotten. */
  committed(name: string, role: Role, disk: Disk, entries: readonly LedgerEntry[]): string[] {
    const loss = this.#losses.get(name)
    if (loss === undefined) return []
    for (const { kind, reason } of entries)
      if (kind === 'recovered')
        for (const [peer] of reason.matchAll(/[a-z]+(-[a-z]+)*-\d+|authority|broker|service-manager/g))
          loss.silent.add(peer)
    if (!this.isUnsure(name, disk)) return []
    return entries
      .filter(({ kind }) => GRANTS[role].has(kind))
      .map(({ kind, subject }) => `${name} recovers, and writes: ${kind} ${subject}`)
  }

  /** It was set back, and has not found out yet what it has forgotten. */
  isUnsure(name: string, disk: Disk): boolean {
    if (!this.#losses.has(name)) return false
    return (
      disk.table('recovery').has('recovery') || disk.rows.get('$meta\nmeta')!.json!.includes('"restored":{')
    )
  }

  /** The lease was over for it, and came back with the copy. */
  isBack(name: string, leaseId: string): boolean {
    return this.#losses.get(name)?.over.has(leaseId) === true
  }

  isForgotten(name: string, leaseId: string): boolean {
    return this.#losses.get(name)?.forgotten.has(leaseId) === true
  }

  /** It recovered without the word of this one. */
  wasSilent(name: string, peer: string): boolean {
    return this.#losses.get(name)?.silent.has(peer) === true
  }
}

/** For a site, a broker and a holder alike. */
function isOver(row: object): boolean {
  const { state, leaseState } = row as Partial<SiteLease & TicketRow & LeaseRow>
  return state === 'closed' || leaseState === 'closed'
}
