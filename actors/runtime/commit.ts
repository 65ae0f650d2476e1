import { canonical, digest } from './canonical.ts'
import type { Instant } from './clock.ts'
import type { ActorName } from './identity.ts'
import { lawful } from './ledger-line.ts'
import type { RowsPart } from './row-parts.ts'
import type { CheckedRow, StoredRow } from './rows.ts'

/** What happened and why, in the words of the domain. */
export interface LedgerNote {
  /** A past participle or noun, such as `ticket granted`. */
  readonly kind: string
  readonly subject: string
  /** A sentence a person can read. */
  readonly reason: string
  readonly data?: unknown
}

/** A line of the ledger: a note, chained to the one before by its hash. */
export interface LedgerEntry extends LedgerNote {
  readonly seq: number
  readonly at: Instant
  readonly actor: ActorName
  readonly prev: string
  readonly hash: string
}

/** The last line; `seq` 0 and an empty hash before the first. */
export interface LedgerHead {
  readonly seq: number
  readonly hash: string
}

/** Throws if the note has a figure that is none. */
export function chain(note: LedgerNote, at: Instant, actor: ActorName, head: LedgerHead): LedgerEntry {
  const words = lawful({ data: null, ...note })
  const line = { ...words, seq: head.seq + 1, at, actor, prev: head.hash }
  return { ...line, hash: digest(canonical(line)) }
}

/** Everything one batch changes: all of it becomes durable, or none. */
export interface Commit {
  readonly rows: readonly StoredRow[]
  readonly ledger: readonly LedgerEntry[]
}

/** What an actor needs of its store; the contract in adapters/store.ts adds what others ask of it. */
export interface CommitLog {
  /**
   * Takes the database for this actor alone and reads all of it. A store may hand rows that it has checked to `take`
   * while it reads on; they are not among `rows` then, and count for nothing if it rejects.
   */
  open(
    take?: (part: RowsPart) => void,
  ): Promise<{ readonly rows: readonly (StoredRow | CheckedRow)[]; readonly head: LedgerHead }>
  /** Resolves when the commit is on disk; rejects if it is not, and then the actor stops. */
  commit(commit: Commit): Promise<void>
  close(): Promise<void>
}
