import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { actorsOf, type SiteView } from './site-view.ts'

const PAGE = 500

/**
 * Hands over what is appended to any of the site's ledgers from now on, in the order of their times, soon
 * after each commit. To be stopped before the stores are closed; resolves when everything up to then was
 * handed over, rejects if a ledger could not be read.
 */
export function ledgerTail(
  site: SiteView,
  onLines: (entries: readonly LedgerEntry[]) => void,
): () => Promise<void> {
  const after = new Map(actorsOf(site).map(({ name, head }) => [name, head.seq]))
  let reading: Promise<void> | undefined
  let again = false
  let failure: unknown

  const read = async (): Promise<void> => {
    do {
      again = false
      const fresh: LedgerEntry[] = []
      for (const { name, store } of site.stores) {
        const entries = await store.entries({ afterSeq: after.get(name) ?? 0, limit: PAGE })
        after.set(name, entries.at(-1)?.seq ?? after.get(name) ?? 0)
        if (entries.length === PAGE) again = true
        fresh.push(...entries)
      }
      if (fresh.length > 0) onLines(fresh.toSorted((a, b) => a.at - b.at))
    } while (again)
  }
  const wake = (): void => {
    again = true
    if (failure !== undefined) return
    reading ??= read()
      .catch((error: unknown) => {
        failure = error
      })
      .finally(() => {
        reading = undefined
      })
  }
  const forget = site.onChange(wake)
  return async () => {
    forget()
    wake()
    await reading
    if (failure !== undefined) throw failure
  }
}
