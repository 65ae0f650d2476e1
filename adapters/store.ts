import type { CommitLog, LedgerEntry, LedgerHead } from '../actors/runtime/commit.ts'

/**
 * One actor's database: its rows and its ledger.
 *
 * Law (test/conformance/store.ts): a commit is there whole or not at all, also after kill -9; commits
 * become durable in the order they were given; open takes the database for one process (`store-locked`
 * for a second one) and returns every row and the last line of the ledger; a database of a newer
 * version is refused (`store-newer`); a full or failing disk rejects the commit (`store-failed`).
 */
export interface Store extends CommitLog {
  /** Lines from `afterSeq` on, in order, at most `limit`; only those of the subject if one is given. */
  entries(query: {
    readonly afterSeq: number
    readonly limit: number
    readonly subject?: string
  }): Promise<readonly LedgerEntry[]>
}

/** A store whose old lines may leave once they are archived. The last line never does. */
export interface KeptStore extends Store {
  /** The last line that has left. */
  base(): LedgerHead
  /** Lines up to this one leave. Whoever asks has archived them. */
  prune(upTo: number): Promise<void>
}
