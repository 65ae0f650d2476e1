import type { LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { fitsChecksum, type Row, type StoredRow } from '../../actors/runtime/rows.ts'
import { syncFile } from '../durable-file.ts'
import { withDatabase } from './copy.ts'
import { damaged, newer } from './failures.ts'
import { headOf, lastLine, lineOf } from './ledger-ends.ts'
import { VERSION, versionOf } from './migration.ts'

/** A database of which rows are damaged, and its ledger is whole: what is left to rebuild them from. */
export interface Damage {
  readonly rows: readonly { readonly table: string; readonly id: string }[]
  /** Every row that is well. */
  readonly well: readonly { readonly table: string; readonly row: Row }[]
  readonly lines: readonly LedgerEntry[]
  readonly head: LedgerHead
}

export function damageOf(path: string): Damage {
  return withDatabase(path, true, (database) => {
    refuseOtherLayout(versionOf(database))
    const checked = Object.values(database.prepare('PRAGMA quick_check').get() ?? {})[0]
    if (checked !== 'ok') throw damaged(`${checked}: more than single rows; go back to a backup`)
    const head = headOf(database)
    const last = lastLine(database)
    if (last.seq !== head.seq || last.hash !== head.hash)
      throw damaged(`its ledger ends at line ${last.seq}, and line ${head.seq} was the last one written`)
    const rows: { table: string; id: string }[] = []
    const well: { table: string; row: Row }[] = []
    for (const found of database.prepare('SELECT tbl, id, json, checksum FROM row').iterate()) {
      const { tbl, id, json, checksum } = found as Record<'tbl' | 'id' | 'json', string> & {
        checksum: number
      }
      if (fitsChecksum(tbl, id, json, checksum)) well.push({ table: tbl, row: JSON.parse(json) as Row })
      else rows.push({ table: tbl, id })
    }
    // Of a database that is well its ledger need not be read.
    if (rows.length === 0) return { rows, well, lines: [], head }
    const lines = database.prepare('SELECT json FROM ledger ORDER BY seq').all()
    return { rows, well, lines: lines.map(({ json }) => lineOf(json)), head }
  })
}

/** What another version means by its rows is not for this one to guess. */
function refuseOtherLayout(layout: number): void {
  if (layout > VERSION) throw newer(layout)
  if (layout === 0) throw damaged('it is none of an actor')
  if (layout < VERSION)
    throw new SubletError('store-failed', `it was written by an older version (layout ${layout})`, {
      cure: 'Start Sublet once: it brings the layout up to date, also of a database with damaged rows. Then repair.',
    })
}

/** Puts rows in the place of damaged ones, removes those without `json`, and says so in the ledger: at once. */
export function mend(path: string, rows: readonly StoredRow[], lines: readonly LedgerEntry[]): void {
  withDatabase(path, false, (database) => {
    database.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE')
    for (const { table, id, json, checksum } of rows)
      if (json === undefined) database.prepare('DELETE FROM row WHERE tbl = ? AND id = ?').run(table, id)
      else
        database
          .prepare('INSERT OR REPLACE INTO row (tbl, id, json, checksum) VALUES (?, ?, ?, ?)')
          .run(table, id, json, checksum)
    for (const { seq, subject, hash, ...rest } of lines) {
      const line = JSON.stringify({ ...rest, seq, subject, hash })
      database.prepare('INSERT INTO ledger (seq, subject, json) VALUES (?, ?, ?)').run(seq, subject, line)
      database.prepare('INSERT OR REPLACE INTO head (one, seq, hash) VALUES (1, ?, ?)').run(seq, hash)
    }
    database.exec('COMMIT')
  })
  syncFile(path)
}
