import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { canonical, digest } from '../../actors/runtime/canonical.ts'
import type { Commit, LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import type { Answer, EntriesQuery, Question } from './store.ts'

/**
 * Owns one database file. Requests come one by one and are answered in order; the thread of the actors
 * never waits for the disk.
 *
 *   row(tbl, id, json, checksum)      the actor's state
 *   ledger(seq, subject, json)        one line each, never changed
 *   head(seq, hash)                   the last line that was written, so that lines cut off at the end are missed
 *   meta(key, value)                  the version of this layout
 */
const VERSION = 2

const LAYOUT = `
  CREATE TABLE IF NOT EXISTS row (tbl TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,
    PRIMARY KEY (tbl, id)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, json TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS ledger_subject ON ledger (subject, seq);
  CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,
    hash TEXT NOT NULL) STRICT;`

const NO_LINE: LedgerHead = { seq: 0, hash: '' }

const { path, readOnly } = workerData as { path: string; readOnly: boolean }
const port = parentPort!
let database: DatabaseSync | undefined
let lock: DatabaseSync | undefined
let statements: Record<'put' | 'remove' | 'append' | 'head', StatementSync>

port.on('message', (question: Question) => {
  port.postMessage(answer(question))
})

function answer(question: Question): Answer {
  try {
    return { id: question.id, ok: true, value: outcomeOf(question) }
  } catch (error) {
    if (question.kind === 'open') close()
    const reason = error instanceof Error ? error.message : String(error)
    return { id: question.id, ok: false, code: codeOf(error), reason }
  }
}

function outcomeOf(question: Question): unknown {
  switch (question.kind) {
    case 'open':
      return readOnly ? look() : own()
    case 'commit':
      return commit(question.commit)
    case 'entries':
      return entries(question.query)
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

/** Takes the database for this process and reads all rows. */
function own(): unknown {
  // A transaction held for ever on a file beside it: the lock goes with the process, however it ends.
  lock = new DatabaseSync(`${path}.lock`, { timeout: 0 })
  lock.exec('BEGIN EXCLUSIVE')
  database = new DatabaseSync(path, { timeout: 2_000 })
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = FULL')
  arrange(database)
  statements = {
    put: database.prepare('INSERT OR REPLACE INTO row (tbl, id, json, checksum) VALUES (?, ?, ?, ?)'),
    remove: database.prepare('DELETE FROM row WHERE tbl = ? AND id = ?'),
    append: database.prepare('INSERT INTO ledger (seq, subject, json) VALUES (?, ?, ?)'),
    head: database.prepare('INSERT OR REPLACE INTO head (one, seq, hash) VALUES (1, ?, ?)'),
  }
  const head = headOf(database)
  const last = lastLine(database)
  if (last.seq !== head.seq || last.hash !== head.hash)
    throw damaged(`its ledger ends at line ${last.seq}, and line ${head.seq} was the last one written`)
  // A row that its index has lost would not be read, and not be missed: what it holds would look free.
  const checked = Object.values(database.prepare('PRAGMA quick_check(row)').get() ?? {})[0]
  if (checked !== 'ok') throw damaged(String(checked))
  const rows = database.prepare('SELECT tbl AS "table", id, json, checksum FROM row').all()
  return { rows: rows.map((row) => ({ ...row })), head }
}

/** Opens the ledger beside whoever owns it; what is wrong with its end is for the reader to find. */
function look(): unknown {
  database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 })
  const version = versionOf(database)
  if (version > VERSION) throw newer(version)
  return { rows: [], head: version < 2 ? lastLine(database) : headOf(database) }
}

function arrange(opened: DatabaseSync): void {
  opened.exec('BEGIN IMMEDIATE')
  opened.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT')
  const version = versionOf(opened)
  if (version > VERSION) throw newer(version)
  opened.exec(LAYOUT)
  if (version < 2) {
    const { seq, hash } = lastLine(opened)
    opened.prepare('INSERT INTO head (one, seq, hash) VALUES (1, ?, ?)').run(seq, hash)
    opened.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('version', ?)").run(VERSION)
  }
  opened.exec('COMMIT')
}

/** 0 for a new database. */
function versionOf(opened: DatabaseSync): number {
  const value = opened.prepare("SELECT value FROM meta WHERE key = 'version'").get()?.value
  return typeof value === 'number' ? value : 0
}

function headOf(opened: DatabaseSync): LedgerHead {
  const head = opened.prepare('SELECT seq, hash FROM head').get()
  if (typeof head?.seq !== 'number' || typeof head.hash !== 'string')
    throw damaged('it does not say how long its ledger is')
  return { seq: head.seq, hash: head.hash }
}

function lastLine(opened: DatabaseSync): LedgerHead {
  const last = opened.prepare('SELECT seq, json FROM ledger ORDER BY seq DESC LIMIT 1').get()
  if (last === undefined) return NO_LINE
  const { hash, ...line } = lineOf(last.json)
  if (line.seq !== last.seq || digest(canonical(line)) !== hash)
    throw damaged(`line ${last.seq}, the last of its ledger, was altered`)
  return { seq: line.seq, hash }
}

function commit({ rows, ledger }: Commit): undefined {
  database!.exec('BEGIN IMMEDIATE')
  try {
    for (const { table, id, json, checksum } of rows)
      if (json === undefined) statements.remove.run(table, id)
      else statements.put.run(table, id, json, checksum)
    for (const entry of ledger) statements.append.run(entry.seq, entry.subject, JSON.stringify(entry))
    const last = ledger.at(-1)
    if (last !== undefined) statements.head.run(last.seq, last.hash)
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

function lineOf(json: unknown): LedgerEntry {
  try {
    return JSON.parse(String(json)) as LedgerEntry
  } catch (error) {
    throw damaged(`a line of its ledger is no JSON: ${String(json).slice(0, 80)}`, error)
  }
}

const damaged = (reason: string, cause?: unknown): SubletError =>
  new SubletError('store-corrupt', reason, { cause })

const newer = (version: number): SubletError => new SubletError('store-newer', String(version))

/** Primary result codes of SQLite (https://sqlite.org/rescode.html); the extended ones keep them in the low byte. */
const BUSY = 5
const LOCKED = 6
const CORRUPT = 11
const NOT_A_DATABASE = 26

function codeOf(error: unknown): Extract<ErrorCode, `store-${string}`> {
  if (error instanceof SubletError && (error.code === 'store-corrupt' || error.code === 'store-newer'))
    return error.code
  const primary = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
  if (primary === BUSY || primary === LOCKED) return 'store-locked'
  if (primary === CORRUPT || primary === NOT_A_DATABASE) return 'store-corrupt'
  return 'store-failed'
}
