import type { LedgerEntry } from '../runtime/commit.ts'
import { written } from '../runtime/sentence.ts'

/** The life of a subject in sentences, one line of the ledger each, over the actors that know it. */
export function explain(entries: readonly LedgerEntry[], subjects: ReadonlySet<string>): string[] {
  return entries
    .filter((entry) => subjects.has(entry.subject))
    .toSorted((a, b) => a.at - b.at || (a.actor < b.actor ? -1 : a.actor > b.actor ? 1 : a.seq - b.seq))
    .map((entry) => `${written(entry.at)} ${entry.actor}: ${entry.kind}: ${entry.reason}`)
}

/** Units that were assigned to the lease, in order. */
export function unitsOfLease(entries: readonly LedgerEntry[], leaseId: string): string[] {
  const units = new Set<string>()
  for (const entry of entries)
    if (entry.kind.startsWith('unit ') && (entry.data as { leaseId?: string } | null)?.leaseId === leaseId)
      units.add(entry.subject)
  return [...units]
}

/** Whether the line speaks of a unit that goes by this node name. */
export const namesNode = ({ kind, data }: LedgerEntry, name: string): boolean =>
  kind.startsWith('unit ') && (data as { name?: string } | null)?.name === name
