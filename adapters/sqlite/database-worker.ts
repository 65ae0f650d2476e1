import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { Commit, LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { codeOf, damaged, newer, reasonOf } from './failures.ts'
import { baseOf, headOf, lastLine, lineOf } from './ledger-ends.ts'
import { takeLock } from './lock.ts'
import { migrate, VERSION, versionOf } from './migration.ts'
import { realPlace, refuseRemote } from './place.ts'
import { rowsInParts } from './rows-in-parts.ts'
import type { Answer, EntriesQuery, Opened, Question } from './store.ts'

/**
 * Owns one database file. Requests come one by one and are answered in order; the thread of the actors
 * never waits for the disk.
 *
 *   row(tbl, id, json, checksum)      the actor's state
 *   ledger(seq, subject, json)        one line each, never changed; old ones leave for archives
 *   base(seq, hash)                   the last line that has left
 *   head(seq, hash)                   the last line that was written, so that lines cut off at the end are missed
 *   meta(key, value)                  the version of this layout
 */
const { path, readOnly } = workerData as { path: string; readOnly: boolean }
const port = parentPort!
let database: DatabaseSync | undefined
let lock: DatabaseSync | undefined
let statements: Record<'put' | 'remove' | 'append' | 'head', StatementSync>

/**
 * Of a new database; one that is there keeps what it was made with. The row of a lease is on one page then: on smaller
 * ones it would need another page of its own for what is left over, and the whole database twice the room.
 */
const PAGE_BYTES = 8_192
/** Lines that leave in one transaction, so that commits need not wait long. */
const PRUNE_LINES = 2_000

port.on('message', (question: Question) => {
  port.postMessage(answer(question))
})

function answer(question: Question): Answer {
  try {
    return { id: question.id, ok: true, value: outcomeOf(question) }
  } catch (error) {
    if (question.kind === 'open') close()
    return { id: question.id, ok: false, code: codeOf(error), reason: reasonOf(error) }
  }
}

function outcomeOf(question: Question): unknown {
  switch (question.kind) {
    case 'open':
      return readOnly ? look() : own(question)
    case 'commit':
      return commit(question.commit)
    case 'entries':
      return entries(question.query)
    case 'prune':
      return prune(question.upTo)
    case 'close':
      return close()
  }
}

function close(): undefined {
  database?.close()
  lock?.close()
  database = undefined
  lock = undefined
}

/** Takes the database for this process, reads all rows, and sends them on part by part. */
function own({ id, now }: Question & { kind: 'open' }): Opened {
  refuseRemote(dirname(realPlace(path)))
  lock = takeLock(path)
  database = new DatabaseSync(path, { timeout: 2_000 })
  if (versionOf(database) > VERSION) throw newer(versionOf(database))
  database.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`)
  migrate(database, path, now)
  statements = {
    put: database.prepare('INSERT OR REPLACE INTO row (tbl, id, json, checksum) VALUES (?, ?, ?, ?)'),
    remove: database.prepare('DELETE FROM row WHERE tbl = ? AND id = ?'),
    append: database.prepare('INSERT INTO ledger (seq, subject, json) VALUES (?, ?, ?)'),
    head: database.prepare('INSERT OR REPLACE INTO head (one, seq, hash) VALUES (1, ?, ?)'),
  }
  const head = headOf(database)
  const base = baseOf(database)
  const here = lastLine(database)
  const last = here.seq === 0 ? base : here
  if (last.seq !== head.seq || last.hash !== head.hash)
    throw damaged(`its ledger ends at line ${last.seq}, and line ${head.seq} was the last one written`)
  for (const part of rowsInParts(database, VERSION)) port.postMessage({ id, part } satisfies Answer)
  // A row that its index has lost is not read, and would not be missed: what it holds would look free. Done last, for
  // whoever takes the rows up is not done with them yet.
  const checked = Object.values(database.prepare('PRAGMA quick_check(row)').get() ?? {})[0]
  if (checked !== 'ok') throw damaged(String(checked))
  return { base, head }
}

/** Opens the ledger beside whoever owns it; what is wrong with its end is for the reader to find. */
function look(): Opened {
  database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 })
  const version = versionOf(database)
  if (version > VERSION) throw newer(version)
  return {
    base: version < 3 ? { seq: 0, hash: '' } : baseOf(database),
    head: version < 2 ? lastLine(database) : headOf(database),
  }
}

function commit({ rows, ledger }: Commit): undefined {
  atOnce(() => {
    for (const { table, id, json, checksum } of rows)
      if (json === undefined) statements.remove.run(table, id)
      else statements.put.run(table, id, json, checksum)
    for (const entry of ledger) statements.append.run(entry.seq, entry.subject, JSON.stringify(entry))
    const last = ledger.at(-1)
    if (last !== undefined) statements.head.run(last.seq, last.hash)
  })
}

/** Some of the lines up to `upTo` leave; returns the last one that did. */
function prune(upTo: number): LedgerHead {
  const base = baseOf(database!)
  const last = Math.min(upTo, base.seq + PRUNE_LINES, headOf(database!).seq - 1)
  if (last <= base.seq) return base
  const found = database!.prepare('SELECT json FROM ledger WHERE seq = ?').get(last)
  if (found === undefined) throw damaged(`line ${last} of its ledger is not there`)
  const { seq, hash } = lineOf(found.json)
  atOnce(() => {
    database!.prepare('DELETE FROM ledger WHERE seq <= ?').run(last)
    database!.prepare('UPDATE base SET seq = ?, hash = ?').run(last, hash)
  })
  return { seq, hash }
}

function atOnce(change: () => void): undefined {
  database!.exec('BEGIN IMMEDIATE')
  try {
    change()
    database!.exec('COMMIT')
  } catch (error) {
    if (database!.isTransaction) database!.exec('ROLLBACK')
    throw error
  }
}

function entries({ afterSeq, limit, subject }: EntriesQuery): readonly LedgerEntry[] {
  const found =
    subject === undefined
      ? database!.prepare('SELECT json FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?').all(afterSeq, limit)
      : database!
          .prepare('SELECT json FROM ledger WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?')
          .all(subject, afterSeq, limit)
  return found.map(({ json }) => lineOf(json))
}
