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
  /** Leases that it had, of which the copy says nothing, or not of all their tickets. */
  readonly forgotten: Set<string>
  /** Others whose word it did without when it recovered. */
  readonly silent: Set<string>
  /** Others who had forgotten something themselves. */
  readonly unsure: Set<string>
}

const GRANTS: Readonly<Record<Role, ReadonlySet<string>>> = {
  broker: new Set(['ticket granted']),
  authority: new Set(['unit assigned']),
  'service-manager': new Set(['requested', 'extension asked']),
}

/** Of those who take part, in a sentence. */
const NAMES = /[a-z]+(-[a-z]+)*-\d+|authority|broker|service-manager/g

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
    const loss = this.#losses.get(name) ?? newLoss()
    this.#losses.set(name, loss)
    const table = role === 'broker' ? 'ticket' : 'lease'
    const now = disk.table(table)
    for (const id of before.table(table).keys())
      if (!isAllIn(before.table(table).get(id)!, now.get(id))) loss.forgotten.add(id)
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
        for (const part of reason.split(';')) {
          const peers = [...part.matchAll(NAMES)].map(([name]) => name)
          for (const peer of peers)
            (part.includes('may have forgotten') ? loss.unsure : loss.silent).add(peer)
        }
    if (!this.isUnsure(name, disk)) return []
    return entries
      .filter(({ kind }) => GRANTS[role].has(kind))
      .map(({ kind, subject }) => `${name} recovers, and writes: ${kind} ${subject}`)
  }

  /** It was set back, and has not found out yet what it has forgotten. */
  isUnsure(name: string, disk: Disk): boolean {
    if (!this.#losses.has(name)) return false
    return isRecovering(disk) || disk.rows.get('$meta\nmeta')!.json!.includes('"restored":{')
  }

  /** The lease was over for it, and came back with the copy. */
  isBack(name: string, leaseId: string): boolean {
    return this.#losses.get(name)?.over.has(leaseId) === true
  }

  isForgotten(name: string, leaseId: string): boolean {
    return this.#losses.get(name)?.forgotten.has(leaseId) === true
  }

  wasSetBack(name: string): boolean {
    return this.#losses.has(name)
  }

  /** It recovered without the word of this one. */
  wasSilent(name: string, peer: string): boolean {
    return this.#losses.get(name)?.silent.has(peer) === true
  }

  /** It recovered, and this one did not tell it for certain what he holds; without a name: somebody did not. */
  isUntold(name: string, peer?: string): boolean {
    const { silent = NOBODY, unsure = NOBODY } = this.#losses.get(name) ?? {}
    return peer === undefined ? silent.size > 0 : silent.has(peer) || unsure.has(peer)
  }
}

/** It asks others what they hold, also where it was only told that it had forgotten, as by a forged number. */
export const isRecovering = (disk: Disk): boolean => disk.table('recovery').has('recovery')

const NOBODY: ReadonlySet<string> = new Set()

const newLoss = (): Loss => ({
  ...{ over: new Set(), forgotten: new Set(), silent: new Set(), unsure: new Set() },
})

/** For a site and a holder, and for a broker with all the tickets of one lease. */
function isAllIn(before: object, now: object | undefined): boolean {
  if (now === undefined) return false
  const { tickets = [] } = before as Partial<TicketRow>
  const known = new Set((now as Partial<TicketRow>).tickets?.map(({ id }) => id))
  return tickets.every(({ id }) => known.has(id))
}

/** For a site, a broker and a holder alike. */
function isOver(row: object): boolean {
  const { state, leaseState } = row as Partial<SiteLease & TicketRow & LeaseRow>
  return state === 'closed' || leaseState === 'closed'
}
