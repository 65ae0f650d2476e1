import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { Answer, Question } from './store.ts'

/**
 * Owns one database file. Requests come one by one and are answered in order; the thread of the actors
 * never waits for the disk.
 *
 *   row(tbl, id, json, checksum)      the actor's state
 *   ledger(seq, subject, json)        one line each, never changed
 *   meta(key, value)                  the version of this layout
 */
const VERSION = 1

const { path } = workerData as { path: string }
const port = parentPort!
let database: DatabaseSync | undefined
let lock: DatabaseSync | undefined
let statements: Record<'put' | 'remove' | 'append', StatementSync>

port.on('message', (question: Question) => {
  port.postMessage(answer(question))
})

function answer(question: Question): Answer {
  try {
    switch (question.kind) {
      case 'open':
        return { id: question.id, ok: true, value: open() }
      case 'commit':
        return { id: question.id, ok: true, value: commit(question.commit) }
      case 'entries':
        return { id: question.id, ok: true, value: entries(question.query) }
      case 'close':
        database?.close()
        lock?.close()
        return { id: question.id, ok: true, value: undefined }
    }
  } catch (error) {
    return {
      id: question.id,
      ok: false,
      code: codeOf(error),
      reason: error instanceof Error ? error.message : String(error),
    }
  }
}

function open(): unknown {
  // A transaction held for ever on a file beside it: the lock goes with the process, however it ends.
  lock = new DatabaseSync(`${path}.lock`, { timeout: 0 })
  lock.exec('BEGIN EXCLUSIVE')
  database = new DatabaseSync(path, { timeout: 2_000 })
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = FULL')
  database.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT')
  const version = database.prepare("SELECT value FROM meta WHERE key = 'version'").get()?.value
  if (typeof version === 'number' && version > VERSION) throw new Error(`newer:${version}`)
  database.exec(`
    CREATE TABLE IF NOT EXISTS row (tbl TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,
      PRIMARY KEY (tbl, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, json TEXT NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS ledger_subject ON ledger (subject, seq);
    INSERT OR IGNORE INTO meta (key, value) VALUES ('version', ${VERSION});`)
  statements = {
    put: database.prepare('INSERT OR REPLACE INTO row (tbl, id, json, checksum) VALUES (?, ?, ?, ?)'),
    remove: database.prepare('DELETE FROM row WHERE tbl = ? AND id = ?'),
    append: database.prepare('INSERT INTO ledger (seq, subject, json) VALUES (?, ?, ?)'),
  }
  const rows = database.prepare('SELECT tbl AS "table", id, json, checksum FROM row').all()
  const last = database.prepare('SELECT json FROM ledger ORDER BY seq DESC LIMIT 1').get()?.json
  const head =
    typeof last === 'string' ? (JSON.parse(last) as { seq: number; hash: string }) : { seq: 0, hash: '' }
  return { rows: rows.map((row) => ({ ...row })), head: { seq: head.seq, hash: head.hash } }
}

function commit({ rows, ledger }: Extract<Question, { kind: 'commit' }>['commit']): undefined {
  database!.exec('BEGIN IMMEDIATE')
  try {
    for (const { table, id, json, checksum } of rows)
      if (json === undefined) statements.remove.run(table, id)
      else statements.put.run(table, id, json, checksum)
    for (const entry of ledger) statements.append.run(entry.seq, entry.subject, JSON.stringify(entry))
    database!.exec('COMMIT')
  } catch (error) {
    if (database!.isTransaction) database!.exec('ROLLBACK')
    throw error
  }
}

function entries({ afterSeq, limit, subject }: Extract<Question, { kind: 'entries' }>['query']): unknown {
  const found =
    subject === undefined
      ? database!.prepare('SELECT json FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?').all(afterSeq, limit)
      : database!
          .prepare('SELECT json FROM ledger WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?')
          .all(subject, afterSeq, limit)
  return found.map(({ json }) => JSON.parse(String(json)))
}

function codeOf(error: unknown): Extract<Answer, { ok: false }>['code'] {
  if (!(error instanceof Error)) return 'store-failed'
  if (error.message.startsWith('newer:')) return 'store-newer'
  if ('errcode' in error && (error.errcode === 5 || error.errcode === 6)) return 'store-locked'
  if ('errcode' in error && (error.errcode === 11 || error.errcode === 26)) return 'store-corrupt'
  return 'store-failed'
}
