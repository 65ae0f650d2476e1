import { Worker } from 'node:worker_threads'
import { type Clock, systemClock } from '../../actors/runtime/clock.ts'
import type { Commit, LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type RowsPart, rowsIn } from '../../actors/runtime/row-parts.ts'
import type { CheckedRow } from '../../actors/runtime/rows.ts'
import type { KeptStore, Store } from '../store.ts'
import { type StoreCode, sentence } from './failures.ts'

export type EntriesQuery = Parameters<Store['entries']>[0]

type Ask =
  | { readonly kind: 'open'; readonly now: number }
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'entries'; readonly query: EntriesQuery }
  | { readonly kind: 'prune'; readonly upTo: number }
  | { readonly kind: 'close' }

/** What goes to the worker, and what comes back: of an opening, the rows in parts before the answer. */
export type Question = Ask & { readonly id: number }
export type Answer =
  | { readonly id: number; readonly part: RowsPart }
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: StoreCode; readonly reason: string }

export interface Opened {
  /** The last line that is only in archives any more. */
  readonly base: LedgerHead
  /** The last line that was written. */
  readonly head: LedgerHead
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly part?: (part: RowsPart) => void
}

/** A ledger that is only read, also while another process writes to it. */
export interface LedgerReader extends Pick<Store, 'entries' | 'close'> {
  /** Resolves with where it begins and ends, as the writer says. */
  open(): Promise<Opened>
}

/** One actor's database in one SQLite file, written by a worker; every commit is synced to disk. */
export function sqliteStore(path: string, clock: Pick<Clock, 'now'> = systemClock): KeptStore {
  const { ask, begin, entries, close } = databaseOf(path, false, clock)
  let base: LedgerHead = { seq: 0, hash: '' }
  return {
    async open(take) {
      const rows: CheckedRow[] = []
      const keep = (part: RowsPart): void => {
        for (const row of rowsIn(part)) rows.push({ table: part.table, id: row.id, row })
      }
      const opened = await begin(take ?? keep)
      base = opened.base
      return { rows, head: opened.head }
    },
    async commit(commit) {
      await ask({ kind: 'commit', commit })
    },
    entries,
    base: () => base,
    async prune(upTo) {
      for (let before = -1; base.seq < upTo && base.seq > before; ) {
        before = base.seq
        base = (await ask({ kind: 'prune', upTo })) as LedgerHead
      }
    },
    close,
  }
}

/** The ledger in the file of a `sqliteStore`; takes no lock and changes nothing. */
export function sqliteLedger(path: string): LedgerReader {
  const { begin, entries, close } = databaseOf(path, true, systemClock)
  return { open: () => begin(), entries, close }
}

function databaseOf(path: string, readOnly: boolean, clock: Pick<Clock, 'now'>) {
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let lastId = 0

  function work(): Worker {
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
      if ('part' in answer) return asked?.part?.(answer.part)
      waiting.delete(answer.id)
      if (answer.ok) asked?.resolve(answer.value)
      else asked?.reject(new SubletError(answer.code, sentence(path, answer.code, answer.reason)))
    })
    started.on('error', gone)
    started.on('exit', () => gone(new Error('its worker has ended')))
    return started
  }

  function ask(question: Ask, part?: (part: RowsPart) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (worker === undefined)
        return reject(new SubletError('store-failed', `the database ${path} is not open`))
      const id = ++lastId
      waiting.set(id, { resolve, reject, ...(part === undefined ? {} : { part }) })
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
    async begin(part?: (part: RowsPart) => void): Promise<Opened> {
      if (worker !== undefined) throw new SubletError('store-locked', `the database ${path} is open already`)
      worker = work()
      try {
        return (await ask({ kind: 'open', now: clock.now() }, part)) as Opened
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
