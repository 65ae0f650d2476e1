import { Worker } from 'node:worker_threads'
import type { Commit, LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import type { Store } from '../store.ts'

export type EntriesQuery = Parameters<Store['entries']>[0]

type Ask =
  | { readonly kind: 'open' }
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'entries'; readonly query: EntriesQuery }
  | { readonly kind: 'close' }

/** What goes to the worker, and what comes back. */
export type Question = Ask & { readonly id: number }
export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number
      readonly ok: false
      readonly code: Extract<ErrorCode, `store-${string}`>
      readonly reason: string
    }

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** A ledger that is only read, also while another process writes to it. */
export interface LedgerReader extends Pick<Store, 'entries' | 'close'> {
  /** Resolves with the last line that was written, as the writer says. */
  open(): Promise<LedgerHead>
}

/** One actor's database in one SQLite file, written by a worker; every commit is synced to disk. */
export function sqliteStore(path: string): Store {
  const { ask, open, entries, close } = databaseOf(path, false)
  return {
    open,
    async commit(commit) {
      await ask({ kind: 'commit', commit })
    },
    entries,
    close,
  }
}

/** The ledger in the file of a `sqliteStore`; takes no lock and changes nothing. */
export function sqliteLedger(path: string): LedgerReader {
  const { open, entries, close } = databaseOf(path, true)
  return { open: async () => (await open()).head, entries, close }
}

function databaseOf(path: string, readOnly: boolean) {
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let lastId = 0

  function begin(): Worker {
    const started = new Worker(new URL('./database-worker.ts', import.meta.url), {
      workerData: { path, readOnly },
    })
    const gone = (cause: Error): void => {
      if (worker === started) worker = undefined
      const failure = new SubletError('store-failed', `the database ${path} is gone`, { cause })
      for (const { reject } of waiting.values()) reject(failure)
      waiting.clear()
    }
    started.on('message', (answer: Answer) => {
      const asked = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (answer.ok) asked?.resolve(answer.value)
      else asked?.reject(new SubletError(answer.code, sentence(path, answer)))
    })
    started.on('error', gone)
    started.on('exit', () => gone(new Error('its worker has ended')))
    return started
  }

  function ask(question: Ask): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (worker === undefined)
        return reject(new SubletError('store-failed', `the database ${path} is not open`))
      const id = ++lastId
      waiting.set(id, { resolve, reject })
      worker.postMessage({ ...question, id })
    })
  }

  async function end(): Promise<void> {
    const ended = worker
    worker = undefined
    await ended?.terminate()
  }

  return {
    ask,
    async open(): Promise<{ rows: readonly StoredRow[]; head: LedgerHead }> {
      if (worker !== undefined) throw new SubletError('store-locked', `the database ${path} is open already`)
      worker = begin()
      try {
        return (await ask({ kind: 'open' })) as { rows: StoredRow[]; head: LedgerHead }
      } catch (error) {
        await end()
        throw error
      }
    },
    async entries(query: EntriesQuery): Promise<readonly LedgerEntry[]> {
      return (await ask({ kind: 'entries', query })) as LedgerEntry[]
    },
    async close(): Promise<void> {
      if (worker === undefined) return
      try {
        await ask({ kind: 'close' })
      } finally {
        await end()
      }
    },
  }
}

function sentence(path: string, { code, reason }: Extract<Answer, { ok: false }>): string {
  if (code === 'store-locked') return `the database ${path} is in use by another process`
  if (code === 'store-newer') return `the database ${path} was written by a newer version (layout ${reason})`
  if (code === 'store-corrupt') return `the database ${path} is damaged: ${reason}`
  return `the database ${path} failed: ${reason}`
}
