import type { LedgerEntry, LedgerHead } from '../runtime/commit.ts'
import { chainCheck, NO_LINE } from './chain-check.ts'
import type { Check } from './check.ts'
import { holdsCheck } from './holds.ts'

/** What is wrong with a ledger, and where. */
export interface Fault {
  readonly actor: string
  readonly seq: number
  readonly sentence: string
}

const FAULTS_MAX = 1_000

/** Everything that can be checked of one actor's ledger, page by page. */
export class LedgerCheck {
  readonly #checks: readonly Check[]
  readonly #faults: Fault[] = []
  #unsaid = 0
  #last: LedgerEntry | undefined

  constructor(checks: readonly Check[] = [chainCheck(), holdsCheck()]) {
    this.#checks = checks
  }

  read(entries: Iterable<LedgerEntry>): void {
    for (const entry of entries) {
      for (const check of this.#checks)
        for (const sentence of check.line(entry)) this.#fault(entry.actor, entry.seq, sentence)
      this.#last = entry
    }
  }

  /** `head` is what the actor wrote last: whether lines are missing at the end. */
  end(head: LedgerHead): readonly Fault[] {
    const last = this.#last
    const found = last ?? NO_LINE
    if (found.seq !== head.seq || found.hash !== head.hash)
      this.#fault(
        last?.actor ?? '',
        head.seq,
        found.seq === head.seq
          ? `the last line is not the one that was written`
          : `the ledger ends at line ${found.seq}, and line ${head.seq} was the last one written`,
      )
    for (const check of this.#checks)
      for (const sentence of check.end?.() ?? []) this.#fault(last?.actor ?? '', found.seq, sentence)
    return this.faults
  }

  get faults(): readonly Fault[] {
    if (this.#unsaid === 0) return this.#faults
    const { actor, seq } = this.#faults.at(-1)!
    return [...this.#faults, { actor, seq, sentence: `and ${this.#unsaid} more` }]
  }

  #fault(actor: string, seq: number, sentence: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push({ actor, seq, sentence })
    else this.#unsaid++
  }
}

/** Checks that each line follows the one before and that none was changed. */
export function verifyChain(entries: readonly LedgerEntry[], after: LedgerHead = NO_LINE): Fault[] {
  const check = new LedgerCheck([chainCheck(after)])
  check.read(entries)
  return [...check.faults]
}

/** Checks that nothing is held twice. */
export function verifyHolds(entries: readonly LedgerEntry[]): Fault[] {
  const check = new LedgerCheck([holdsCheck()])
  check.read(entries)
  return [...check.faults]
}

/** Everything that can be checked of one actor's ledger. `head` is what the actor wrote last. */
export function verifyLedger(entries: readonly LedgerEntry[], head: LedgerHead): Fault[] {
  const check = new LedgerCheck()
  check.read(entries)
  return [...check.end(head)]
}
