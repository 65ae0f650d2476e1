import { Worker } from 'node:worker_threads'
import type { Commit, LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import type { Store } from '../store.ts'

type Ask =
  | { readonly kind: 'open' }
  | { readonly kind: 'commit'; readonly commit: Commit }
  | {
      readonly kind: 'entries'
      readonly query: { readonly afterSeq: number; readonly limit: number; readonly subject?: string }
    }
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

/** One actor's database in one SQLite file, written by a worker; every commit is synced to disk. */
export function sqliteStore(path: string): Store {
  const waiting = new Map<number, Waiting>()
  let worker: Worker | undefined
  let lastId = 0

  const failAll = (error: Error): void => {
    const failure = new SubletError('store-failed', `the database ${path} is gone`, { cause: error })
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
  }

  const begin = (): Worker => {
    const started = new Worker(new URL('./database-worker.ts', import.meta.url), { workerData: { path } })
    started.on('message', (answer: Answer) => {
      const asked = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (answer.ok) asked?.resolve(answer.value)
      else asked?.reject(new SubletError(answer.code, sentence(path, answer)))
    })
    started.on('error', failAll)
    started.on('exit', () => failAll(new Error('its worker has ended')))
    return started
  }

  const ask = (question: Ask): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (worker === undefined)
        return reject(new SubletError('store-failed', `the database ${path} is not open`))
      const id = ++lastId
      waiting.set(id, { resolve, reject })
      worker.postMessage({ ...question, id })
    })

  return {
    async open() {
      worker = begin()
      try {
        return (await ask({ kind: 'open' })) as { rows: StoredRow[]; head: LedgerHead }
      } catch (error) {
        await worker.terminate()
        worker = undefined
        throw error
      }
    },
    async commit(commit) {
      await ask({ kind: 'commit', commit })
    },
    async entries(query) {
      return (await ask({ kind: 'entries', query })) as LedgerEntry[]
    },
    async close() {
      if (worker === undefined) return
      await ask({ kind: 'close' })
      await worker.terminate()
      worker = undefined
    },
  }
}

function sentence(path: string, { code, reason }: Extract<Answer, { ok: false }>): string {
  if (code === 'store-locked') return `the database ${path} is in use by another process`
  if (code === 'store-newer')
    return `the database ${path} was written by a newer version (layout ${reason.slice(6)})`
  if (code === 'store-corrupt') return `the database ${path} is damaged: ${reason}`
  return `the database ${path} failed: ${reason}`
}
