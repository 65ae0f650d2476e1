import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { ArchivedRange, LedgerArchive } from '../../adapters/sqlite/archive.ts'
import type { KeptStore } from '../../adapters/store.ts'
import type { Ledger } from '../reports/site-view.ts'

/**
 * Old lines leave the database for the archive:
 *
 *   lines ──up to a checkpoint──▶ archived ──older than `keptMs`──▶ pruned from the database
 */
export interface Archived {
  readonly ranges: readonly ArchivedRange[]
  /** The last line that has left the database. */
  readonly base: number
}

/** Lines of one file, unless checkpoints lie farther apart. */
const FILE_LINES = 10_000
/** Without a checkpoint within so many lines none is archived: they would not fit into memory. */
const PENDING_LINES_MAX = 200_000
const PAGE = 1_000

export async function archiveLedger(
  store: Pick<KeptStore, 'entries' | 'base' | 'prune'>,
  archive: LedgerArchive,
  { now, keptMs }: { readonly now: Instant; readonly keptMs: Millis },
): Promise<Archived> {
  const written = await archiveNew(store, archive)
  const old = archive.ranges().findLast(({ to }) => to < now - keptMs)
  if (old !== undefined) await store.prune(old.last)
  return { ranges: written, base: store.base().seq }
}

async function archiveNew(
  store: Pick<KeptStore, 'entries' | 'base'>,
  archive: LedgerArchive,
): Promise<readonly ArchivedRange[]> {
  const written: ArchivedRange[] = []
  let pending: LedgerEntry[] = []
  /** Lines of `pending` up to the last checkpoint in it. */
  let signed = 0
  const put = async (): Promise<void> => {
    if (signed === 0) return
    written.push(await archive.append(pending.slice(0, signed)))
    pending = pending.slice(signed)
    signed = 0
  }
  for (let afterSeq = archive.ranges().at(-1)?.last ?? 0; ; ) {
    const page = await store.entries({ afterSeq, limit: PAGE })
    for (const entry of page) {
      pending.push(entry)
      if (entry.kind === 'checkpoint') signed = pending.length
      if (signed >= FILE_LINES) await put()
    }
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE || last.seq <= afterSeq) break
    if (pending.length > PENDING_LINES_MAX && signed === 0) break
    afterSeq = last.seq
  }
  await put()
  return written
}

/** One ledger of the lines in the archive and those in the database. */
export function withArchive(ledger: Ledger, archive: LedgerArchive): Ledger {
  return {
    async entries(query) {
      const base = ledger.base?.().seq ?? 0
      if (query.afterSeq >= base) return ledger.entries(query)
      // The archive may hold more: what the database still has comes from there.
      const old = (await archive.entries(query)).filter(({ seq }) => seq <= base)
      if (old.length >= query.limit) return old
      const limit = query.limit - old.length
      return [...old, ...(await ledger.entries({ ...query, afterSeq: base, limit }))]
    },
  }
}
