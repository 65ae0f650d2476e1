import { canonical, digest } from '../runtime/canonical.ts'
import type { LedgerEntry, LedgerHead } from '../runtime/commit.ts'
import { flawOfLine } from '../runtime/ledger-line.ts'
import type { Check } from './check.ts'

export const NO_LINE: LedgerHead = { seq: 0, hash: '' }

/** Each line follows the one before and none was changed. `after` is the line before the first. */
export function chainCheck(after: LedgerHead = NO_LINE): Check {
  let head = after
  return {
    line(entry) {
      const { hash, ...line } = entry
      const faults: string[] = []
      if (entry.seq !== head.seq + 1)
        faults.push(`line ${entry.seq} follows line ${head.seq}: lines are missing or swapped`)
      if (entry.prev !== head.hash) faults.push(`line ${entry.seq} does not continue the chain`)
      if (hashOf(line) !== hash) faults.push(`line ${entry.seq} was altered`)
      head = { seq: entry.seq, hash }
      return faults
    },
  }
}

/** Undefined for what never came from a ledger: it has no canonical form. */
function hashOf(line: Omit<LedgerEntry, 'hash'>): string | undefined {
  return flawOfLine(line) === undefined ? digest(canonical(line)) : undefined
}
