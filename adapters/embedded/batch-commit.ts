import type { BatchChanges, BatchStore } from './batch-store.ts'

/**
 * Group commit: whatever happens in one turn of the event loop becomes one commit.
 *
 *   changes ──▶ (end of the turn) ──▶ plan ──▶ one commit ──▶ orders leave ──▶ waiters go on
 */
export interface BatchCommit {
  jobChanged(id: string): void
  nodeChanged(name: string): void
  /** Performed once everything said so far is on the disk. */
  order(perform: () => void): void
  /** Resolves when everything said so far is on the disk; rejects if it never will be. */
  settled(): Promise<void>
}

export function batchCommit(deps: {
  readonly store: BatchStore
  /** The last word on what this turn changes. */
  readonly plan: () => void
  /** The rows as they are now; null for one that is no more. */
  readonly rows: (jobs: ReadonlySet<string>, nodes: ReadonlySet<string>) => BatchChanges
  readonly onSettled: () => void
  /** What is in memory is not on the disk, so nothing may go on. */
  readonly onFatal: (error: unknown) => void
}): BatchCommit {
  const jobs = new Set<string>()
  const nodes = new Set<string>()
  let orders: (() => void)[] = []
  let waiters: { readonly resolve: () => void; readonly reject: (reason: unknown) => void }[] = []
  let settling = false

  function soon(): void {
    if (settling) return
    settling = true
    setImmediate(settle)
  }

  function settle(): void {
    deps.plan()
    settling = false
    const [told, woken] = [orders, waiters]
    orders = []
    waiters = []
    try {
      if (jobs.size + nodes.size > 0) deps.store.commit(deps.rows(jobs, nodes))
    } catch (error) {
      for (const waiter of woken) waiter.reject(error)
      deps.onFatal(error)
      return
    }
    jobs.clear()
    nodes.clear()
    for (const perform of told) perform()
    for (const waiter of woken) waiter.resolve()
    deps.onSettled()
  }

  soon()
  return {
    jobChanged(id) {
      jobs.add(id)
      soon()
    },
    nodeChanged(name) {
      nodes.add(name)
      soon()
    },
    order(perform) {
      orders.push(perform)
      soon()
    },
    settled: () =>
      settling ? new Promise((resolve, reject) => waiters.push({ resolve, reject })) : Promise.resolve(),
  }
}
