import type { Commit, LedgerEntry } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import type { Store } from '../../adapters/store.ts'
import type { World } from './world.ts'

/** What happens to one commit: nothing, or the power goes before or after it is on disk. */
export type CommitFate = 'done' | 'crash before' | 'crash after'

/** The disk of one actor; it outlives the actor's lives. */
export class Disk {
  readonly rows = new Map<string, StoredRow>()
  readonly ledger: LedgerEntry[] = []
  commits = 0
  #open = false

  /** The store of one life. `fate` decides on each commit; `crash` ends the life. */
  store(
    world: World,
    alive: () => boolean,
    fate: () => CommitFate,
    crash: () => void,
    syncMs: () => number,
    restart: (rows: readonly StoredRow[]) => readonly StoredRow[] = (rows) => rows,
  ): Store {
    return {
      open: async () => {
        if (this.#open) throw new SubletError('store-locked', 'the simulated disk is in use')
        this.#open = true
        const last = this.ledger.at(-1)
        return {
          rows: restart([...this.rows.values()]),
          head: { seq: last?.seq ?? 0, hash: last?.hash ?? '' },
        }
      },
      commit: (commit) =>
        new Promise((resolve) => {
          world.after(syncMs(), () => {
            if (!alive()) return
            const what = fate()
            this.commits++
            if (what !== 'crash before') this.#apply(commit)
            if (what === 'done') resolve()
            else crash()
          })
        }),
      entries: async ({ afterSeq, limit, subject }) =>
        this.ledger
          .filter((entry) => entry.seq > afterSeq && (subject === undefined || entry.subject === subject))
          .slice(0, limit),
      close: async () => this.release(),
    }
  }

  /** The process that had it open is gone. */
  release(): void {
    this.#open = false
  }

  #apply({ rows, ledger }: Commit): void {
    for (const row of rows) {
      const key = `${row.table}\n${row.id}`
      if (row.json === undefined) this.rows.delete(key)
      else this.rows.set(key, row)
    }
    this.ledger.push(...ledger)
  }
}
