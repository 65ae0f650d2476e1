import type { Commit, LedgerEntry } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { encodeRow, type Row, type StoredRow } from '../../actors/runtime/rows.ts'
import type { Store } from '../../adapters/store.ts'

/** A disk as it was at an instant. */
export interface Copy {
  readonly rows: ReadonlyMap<string, StoredRow>
  readonly ledger: readonly LedgerEntry[]
}

/** The disk of one actor of a scene. It outlives the actor's lives, and can be set back to an older copy. */
export class Memory {
  rows = new Map<string, StoredRow>()
  ledger: LedgerEntry[] = []
  /** Asked before each commit: whether the power goes before or after it is on disk. */
  power: () => 'stays' | 'goes before' | 'goes after' = () => 'stays'

  copy(): Copy {
    return { rows: new Map(this.rows), ledger: [...this.ledger] }
  }

  restore({ rows, ledger }: Copy): void {
    this.rows = new Map(rows)
    this.ledger = [...ledger]
  }

  /** What `sublet restore` leaves in a store that it puts back. */
  mark(at: number): void {
    const { json } = this.rows.get('$meta\nmeta')!
    const meta: Row = { ...(JSON.parse(json!) as Row), ...{ restored: { at, from: 'an older copy' } } }
    this.rows.set('$meta\nmeta', encodeRow('$meta', 'meta', meta))
  }

  /** The store of one life. */
  store(alive: () => boolean, die: () => void): Store {
    return {
      open: async () => {
        const last = this.ledger.at(-1)
        return { rows: [...this.rows.values()], head: { seq: last?.seq ?? 0, hash: last?.hash ?? '' } }
      },
      commit: (commit) =>
        new Promise((resolve) => {
          if (!alive()) return
          const power = this.power()
          if (power !== 'goes before') this.#apply(commit)
          if (power === 'stays') resolve()
          else die()
        }),
      entries: async ({ afterSeq, limit, subject }) =>
        this.ledger
          .filter((entry) => entry.seq > afterSeq && (subject === undefined || entry.subject === subject))
          .slice(0, limit),
      close: async () => {
        if (!alive()) throw new SubletError('store-failed', 'closed by the dead')
      },
    }
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
