import type { Instant } from '../../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../../actors/runtime/commit.ts'

/** A machine as it was seen from outside: what is written on itself, and from when to when it was there. */
export interface Sighting {
  readonly unitId: string
  readonly leaseId: string
  readonly name: string
  readonly firstAt: Instant
  readonly lastAt: Instant
}

/** One look in so many may fail, such as over a folder that goes while it is read. */
const FAILED_PART_MAX = 10

/** Sightings of machines, one look after the other. */
export class Sightings {
  readonly #seen = new Map<string, Sighting>()
  #looks = 0
  #failures: string[] = []

  /** A look that failed saw nothing, which is not to say that nothing was there. */
  failed(reason: string): void {
    this.#failures.push(reason)
  }

  /** Why what was seen is too little to rely on; undefined if it is enough. */
  doubt(): string | undefined {
    const failed = this.#failures.length
    if (this.#looks > 0 && failed * FAILED_PART_MAX <= this.#looks + failed) return undefined
    return `${failed} of ${this.#looks + failed} looks from outside failed: ${this.#failures.at(-1) ?? 'none was taken'}`
  }

  get counts(): { readonly taken: number; readonly failed: number } {
    return { taken: this.#looks, failed: this.#failures.length }
  }

  /** `at`: when the look began. */
  look(at: Instant, machines: readonly Pick<Sighting, 'unitId' | 'leaseId' | 'name'>[]): void {
    this.#looks++
    for (const { unitId, leaseId, name } of machines) {
      const known = this.#seen.get(unitId)
      // A folder that is made or removed just now may not say everything.
      const mark = { unitId, leaseId: leaseId || known?.leaseId || '', name: name || known?.name || '' }
      this.#seen.set(unitId, { ...mark, firstAt: known?.firstAt ?? at, lastAt: at })
    }
  }

  all(): readonly Sighting[] {
    return [...this.#seen.values()]
  }
}

/**
 * What machines say of themselves against what their site wrote of them, as sentences; none if both agree.
 *
 *   ledger      assigned ├──────────────────────────────┤ ended        of one unit, lease and name
 *   outside            firstAt ├───────────────┤ lastAt
 *
 * A name is that of one machine at a time.
 */
export function compareMarks(
  sightings: readonly Sighting[],
  entries: readonly LedgerEntry[],
): readonly string[] {
  const ended = new Map(
    entries.flatMap(({ kind, subject, at }) => (kind === 'unit ended' ? [[subject, at]] : [])),
  )
  const assigned = new Map(
    entries.flatMap(({ kind, subject, at, data }) =>
      kind === 'unit assigned' ? [[subject, { at, ...(data as { leaseId: string; name: string }) }]] : [],
    ),
  )
  const wrong = sightings.flatMap(({ unitId, leaseId, name, firstAt, lastAt }) => {
    const line = assigned.get(unitId)
    if (line === undefined) return [`${unitId} was there and was never assigned`]
    const end = ended.get(unitId)
    return [
      ...(leaseId !== '' && leaseId !== line.leaseId
        ? [`${unitId} says ${leaseId}, its site ${line.leaseId}`]
        : []),
      ...(name !== '' && name !== line.name ? [`${unitId} says ${name}, its site ${line.name}`] : []),
      ...(firstAt < line.at ? [`${unitId} was there ${line.at - firstAt} ms before it was assigned`] : []),
      ...(end !== undefined && lastAt > end
        ? [`${unitId} was there ${lastAt - end} ms after it had ended`]
        : []),
    ]
  })
  const inOrder = sightings.filter(({ name }) => name !== '').toSorted((a, b) => a.firstAt - b.firstAt)
  const twice = inOrder.flatMap((one, i) =>
    inOrder
      .slice(i + 1)
      .filter(({ name, firstAt }) => name === one.name && firstAt <= one.lastAt)
      .map(({ unitId }) => `${one.name} was ${one.unitId} and ${unitId} at once`),
  )
  return [...wrong, ...twice]
}
