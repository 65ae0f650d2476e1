import type { LedgerEntry } from '../runtime/commit.ts'

/** Reads lines in order, one by one, and says what is wrong with each. */
export interface Check {
  line(entry: LedgerEntry): readonly string[]
  /** What is wrong with all of them together, once the last was read. */
  end?(): readonly string[]
}
