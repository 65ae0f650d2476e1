/** `1 unit`, `3 units`: as reasons say it. */
export const someUnits = (count: number): string => `${count} unit${count === 1 ? '' : 's'}`

/** Whose order it is, at the end of the line that says what was ordered: his uid is no word to others. */
export const orderedBy = (who: string | undefined): string => (who === undefined ? '' : `; ordered by ${who}`)

/** The same as figures of the line. */
export const whose = (who: string | undefined): { readonly orderedBy: string } | undefined =>
  who === undefined ? undefined : { orderedBy: who }

/** Who ends the process of an actor, and why; a line of its ledger, so that its next start is no riddle. */
export interface StopOrder {
  readonly by: string
  readonly reason: string
  /** All leases are given back first. */
  readonly release: boolean
}

export function stopWords(order: unknown): string {
  const { by, reason, release } = order as StopOrder
  return `${by}: ${reason}; ${release ? 'all leases are given back first' : 'leases go on'}`
}

/** Who has said what he holds, after a restore of the one who asked. */
export function spokenBy(silent: readonly string[], unsure: readonly string[]): string {
  const without = silent.length === 0 ? 'all have answered' : `without the word of ${silent.join(', ')}`
  return unsure.length === 0 ? without : `${without}; ${unsure.join(', ')} may have forgotten, too`
}
