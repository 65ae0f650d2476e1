import { DatabaseSync } from 'node:sqlite'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { JobRecord, NodeRecord } from './batch-records.ts'

const VERSION = 1

/** What one commit changes. A null takes the row away. */
export interface BatchChanges {
  readonly jobs: ReadonlyMap<string, JobRecord | null>
  readonly nodes: ReadonlyMap<string, NodeRecord | null>
  /** The next number a job gets. */
  readonly nextJob: number
}

export interface BatchStore {
  readonly jobs: readonly JobRecord[]
  readonly nodes: readonly NodeRecord[]
  readonly nextJob: number
  /** On the disk when it returns; all of it or nothing. */
  commit(changes: BatchChanges): void
  close(): void
}

/**
 * The batch system's memory: one row per job and node, each a JSON text. Holding it open is the lock on
 * the folder, which the system itself takes back when the process dies.
 */
export function batchStore(path: string): BatchStore {
  const database = open(path)
  try {
    const { user_version: version } = { ...database.prepare('PRAGMA user_version').get() }
    if (typeof version === 'number' && version > VERSION)
      throw new SubletError(
        'store-newer',
        `The database ${path} has version ${version}; this program knows ${VERSION}.`,
      )
    database.exec(`
      CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS nodes (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
      PRAGMA user_version = ${VERSION};
    `)
    const putJob = database.prepare('INSERT OR REPLACE INTO jobs VALUES (?, ?)')
    const dropJob = database.prepare('DELETE FROM jobs WHERE id = ?')
    const putNode = database.prepare('INSERT OR REPLACE INTO nodes VALUES (?, ?)')
    const dropNode = database.prepare('DELETE FROM nodes WHERE name = ?')
    const putNumber = database.prepare('INSERT OR REPLACE INTO numbers VALUES (?, ?)')
    const { value: nextJob } = {
      ...database.prepare(`SELECT value FROM numbers WHERE name = 'next job'`).get(),
    }
    return {
      jobs: read<JobRecord>(database, path, 'jobs').sort((a, b) => a.order - b.order),
      nodes: read<NodeRecord>(database, path, 'nodes'),
      nextJob: typeof nextJob === 'number' ? nextJob : 1,
      commit(changes) {
        database.exec('BEGIN IMMEDIATE')
        try {
          for (const [id, job] of changes.jobs)
            job === null ? dropJob.run(id) : putJob.run(id, JSON.stringify(job))
          for (const [name, node] of changes.nodes)
            node === null ? dropNode.run(name) : putNode.run(name, JSON.stringify(node))
          putNumber.run('next job', changes.nextJob)
          database.exec('COMMIT')
        } catch (error) {
          throw new SubletError('store-failed', `The database ${path} did not take a commit.`, {
            cause: error,
          })
        }
      },
      close: () => database.close(),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

function open(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  try {
    // EXCLUSIVE before WAL: no shared-memory file, and the first one in keeps the folder.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
    database.exec('BEGIN IMMEDIATE; COMMIT;')
    return database
  } catch (error) {
    database.close()
    const locked = error instanceof Error && error.message.includes('locked')
    throw locked
      ? new SubletError('store-locked', `Another process uses the database ${path}.`, { cause: error })
      : new SubletError('store-corrupt', `The database ${path} cannot be opened.`, { cause: error })
  }
}

function read<T>(database: DatabaseSync, path: string, table: 'jobs' | 'nodes'): T[] {
  return database
    .prepare(`SELECT record FROM ${table}`)
    .all()
    .map(({ record }) => {
      try {
        // Only this file writes the rows, in the version checked above.
        return JSON.parse(String(record)) as T
      } catch (error) {
        throw new SubletError('store-corrupt', `A row of the table ${table} in ${path} cannot be read.`, {
          cause: error,
        })
      }
    })
}
