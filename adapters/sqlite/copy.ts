import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { LedgerHead } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Row, StoredRow } from '../../actors/runtime/rows.ts'
import { syncFile } from '../durable-file.ts'
import { codeOf, damaged, newer, reasonOf, sentence } from './failures.ts'
import { baseOf, headOf, lastLine } from './ledger-ends.ts'
import { takeLock } from './lock.ts'
import { copyTo, VERSION, versionOf } from './migration.ts'
import { rowsInParts } from './rows-in-parts.ts'

/** What was found in a database that nobody writes to. */
export interface Inspected {
  readonly layout: number
  readonly rows: number
  readonly base: LedgerHead
  readonly head: LedgerHead
}

/** Opens a database for the length of `work`; what goes wrong is told in the words of a store. */
export function withDatabase<T>(path: string, readOnly: boolean, work: (database: DatabaseSync) => T): T {
  if (!existsSync(path)) throw new SubletError('store-failed', `there is no database ${path}`)
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { readOnly, timeout: 2_000 })
    return work(database)
  } catch (error) {
    const code = codeOf(error)
    if (error instanceof SubletError && !error.code.startsWith('store-')) throw error
    const cure = error instanceof SubletError ? { cure: error.cure } : {}
    throw new SubletError(code, sentence(path, code, reasonOf(error)), { cause: error, ...cure })
  } finally {
    database?.close()
  }
}

/**
 * Keeps everybody else from the database while `work` runs, by the lock that its owner holds. The lock is a
 * transaction on a file beside it, which goes with the process.
 */
export async function whileLocked<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
  const locks: DatabaseSync[] = []
  try {
    for (const path of paths) {
      try {
        locks.push(takeLock(path))
      } catch (error) {
        const code = codeOf(error)
        throw new SubletError(code, sentence(path, code, reasonOf(error)), { cause: error })
      }
    }
    return await work()
  } finally {
    for (const lock of locks) lock.close()
  }
}

/** A whole copy as of one instant, also while its owner writes, who need not wait. */
export function copyDatabase(from: string, to: string): Inspected {
  withDatabase(from, true, (database) => copyTo(database, to))
  return inspect(to)
}

/** Reads everything: every row is compared with its checksum, and the ledger has to end where it is said to. */
export function inspect(path: string): Inspected {
  return withDatabase(path, true, (database) => {
    const layout = versionOf(database)
    if (layout > VERSION) throw newer(layout)
    if (layout === 0) throw damaged('it is none of an actor')
    const checked = Object.values(database.prepare('PRAGMA quick_check').get() ?? {})[0]
    if (checked !== 'ok') throw damaged(String(checked))
    let rows = 0
    for (const { ids } of rowsInParts(database, layout)) rows += ids.length
    const here = lastLine(database)
    const base = layout < 3 ? { seq: 0, hash: '' } : baseOf(database)
    const last = here.seq === 0 ? base : here
    const head = layout < 2 ? last : headOf(database)
    if (last.seq !== head.seq || last.hash !== head.hash)
      throw damaged(`its ledger ends at line ${last.seq}, and line ${head.seq} was the last one written`)
    return { layout, rows, base, head }
  })
}

export const readRow = (path: string, table: string, id: string): Row | undefined =>
  withDatabase(path, true, (database) => {
    const found = database.prepare('SELECT json FROM row WHERE tbl = ? AND id = ?').get(table, id)
    return found === undefined ? undefined : (JSON.parse(String(found.json)) as Row)
  })

/** Changes one row of a database that nobody has open; it is on disk when this returns. */
export function writeRow(path: string, { table, id, json, checksum }: StoredRow): void {
  withDatabase(path, false, (database) => {
    database
      .prepare('INSERT OR REPLACE INTO row (tbl, id, json, checksum) VALUES (?, ?, ?, ?)')
      .run(table, id, json ?? null, checksum)
  })
  syncFile(path)
}
