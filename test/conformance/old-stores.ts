import { hash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import type { LedgerHead } from '../../actors/runtime/commit.ts'
import { numberedCommit } from './store.ts'

/**
 * Databases as earlier versions made and wrote them, statement for statement. They are never changed: what
 * once was written has to be read for ever.
 */
export const OLD_STORES: readonly {
  readonly version: number
  /** Makes one with `commits` numbered commits. */
  readonly build: (path: string, commits: number) => void
}[] = [
  {
    version: 1,
    build: (path, commits) => {
      const database = new DatabaseSync(path, { timeout: 2_000 })
      database.exec('PRAGMA journal_mode = WAL')
      database.exec('PRAGMA synchronous = FULL')
      database.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT')
      database.exec(`
    CREATE TABLE IF NOT EXISTS row (tbl TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,
      PRIMARY KEY (tbl, id)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, json TEXT NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS ledger_subject ON ledger (subject, seq);
    INSERT OR IGNORE INTO meta (key, value) VALUES ('version', 1);`)
      write(database, commits, false)
    },
  },
  {
    version: 2,
    build: (path, commits) => {
      const database = new DatabaseSync(path, { timeout: 2_000 })
      database.exec('PRAGMA journal_mode = WAL')
      database.exec('PRAGMA synchronous = FULL')
      database.exec('BEGIN IMMEDIATE')
      database.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT')
      database.exec(`
  CREATE TABLE IF NOT EXISTS row (tbl TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,
    PRIMARY KEY (tbl, id)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, json TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS ledger_subject ON ledger (subject, seq);
  CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,
    hash TEXT NOT NULL) STRICT;`)
      database.prepare('INSERT INTO head (one, seq, hash) VALUES (1, ?, ?)').run(0, '')
      database.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('version', ?)").run(2)
      database.exec('COMMIT')
      write(database, commits, true)
    },
  },
  {
    version: 3,
    build: (path, commits) => {
      const database = new DatabaseSync(path, { timeout: 2_000 })
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      database.exec('BEGIN IMMEDIATE')
      database.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT')
      database.exec(`
      CREATE TABLE row (tbl TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, checksum TEXT NOT NULL,
        PRIMARY KEY (tbl, id)) STRICT, WITHOUT ROWID;
      CREATE TABLE ledger (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, json TEXT NOT NULL) STRICT;
      CREATE INDEX ledger_subject ON ledger (subject, seq);
      CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
      INSERT INTO head (one, seq, hash) VALUES (1, 0, '');
      CREATE TABLE base (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
      INSERT INTO base (one, seq, hash) VALUES (1, 0, '');`)
      database.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('version', ?)").run(3)
      database.exec('COMMIT')
      write(database, commits, true)
    },
  },
]

/** What stood beside a row up to version 3. */
const checksumUpTo3 = (table: string, id: string, json: string): string =>
  hash('sha256', `${table}\n${id}\n${json}`, 'base64url').slice(0, 22)

function write(database: DatabaseSync, commits: number, hasHead: boolean): void {
  let head: LedgerHead = { seq: 0, hash: '' }
  for (let n = 1; n <= commits; n++) {
    const { commit, entry } = numberedCommit(n, head)
    head = entry
    database.exec('BEGIN IMMEDIATE')
    for (const { table, id, json } of commit.rows)
      database
        .prepare('INSERT OR REPLACE INTO row (tbl, id, json, checksum) VALUES (?, ?, ?, ?)')
        .run(table, id, json ?? null, checksumUpTo3(table, id, json ?? ''))
    database
      .prepare('INSERT INTO ledger (seq, subject, json) VALUES (?, ?, ?)')
      .run(entry.seq, entry.subject, JSON.stringify(entry))
    if (hasHead)
      database
        .prepare('INSERT OR REPLACE INTO head (one, seq, hash) VALUES (1, ?, ?)')
        .run(entry.seq, entry.hash)
    database.exec('COMMIT')
  }
  database.close()
}
