import type { OfferRow, LeaseRow as SiteLease, UnitRow as SiteUnit } from '../../actors/authority/rows.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Change } from './disk.ts'
import type { SiteScene } from './scene.ts'

const RECALLED = 'it was recalled and not given back'

/**
 * What a site takes before its term is over because its owner wants it, held against what he ordered: as many units
 * as are too many, no more than were recalled with binding notice, and none before the grace has passed.
 */
export class Takings {
  readonly #site: SiteScene
  /** From when on whatever runs there may be ended. */
  readonly #from = new Map<string, Instant>()
  /** What was taken for recalls, and when. */
  #taken: { readonly type: string; readonly at: Instant }[] = []

  constructor(site: SiteScene) {
    this.#site = site
  }

  /** Of a unit that was taken; undefined of all others. */
  from(unitId: string): Instant | undefined {
    return this.#from.get(unitId)
  }

  /** The site knows nothing of what it took since, and takes it once more. */
  forgotten(since: Instant): void {
    this.#taken = this.#taken.filter(({ at }) => at < since)
  }

  committed(changes: readonly Change[], now: Instant): string[] {
    const taken = changes.flatMap(({ table, before, after }) => {
      if (table !== 'unit' || after === undefined) return []
      const [was, is] = [before as SiteUnit | undefined, after as SiteUnit]
      const isSooner =
        (is.forceFrom ?? Number.POSITIVE_INFINITY) < (was?.forceFrom ?? Number.POSITIVE_INFINITY)
      return isSooner && is.reason === RECALLED ? [is] : []
    })
    this.#forHosts(changes)
    return [...new Set(taken.map(({ type }) => type))].flatMap((type) =>
      this.#recalled(
        type,
        taken.filter((unit) => unit.type === type),
        changes,
        now,
      ),
    )
  }

  /** A host is to be worked on by a time that has come, and the notice was long enough. */
  #forHosts(changes: readonly Change[]): void {
    for (const { table, before, after } of changes) {
      if (table !== 'unit' || after === undefined) continue
      const [was, is] = [before as SiteUnit | undefined, after as SiteUnit]
      const isMoved = is.lost === 'moved' && was?.lost !== 'moved' && is.forceFrom !== undefined
      if (!isMoved) continue
      // Without the notice of its ticket it goes where that ends and the next one begins.
      const boundary = this.#leaseOf(is)?.ticket.term.start ?? Number.POSITIVE_INFINITY
      const from = this.#site.caretaker.takesFrom(is.host) ?? boundary
      this.#from.set(is.id, Math.max(is.forceFrom, from + this.#graceOf(is)))
    }
  }

  #recalled(type: string, taken: readonly SiteUnit[], changes: readonly Change[], now: Instant): string[] {
    this.#taken.push(...taken.map(() => ({ type, at: now })))
    const total = this.#taken.filter((one) => one.type === type).length
    const excess = this.#heldBefore(type, changes) - this.#lent(type)
    const wanted = this.#wanted(type, taken, now)
    for (const { id, forceFrom } of taken) this.#from.set(id, forceFrom!)
    const words = `${this.#site.name} takes ${taken.map(({ id }) => id).join(' ')} as recalled`
    if (taken.length > excess) return [`${words}, and ${excess} of ${type} are too many`]
    return total > wanted ? [`${words}: ${total} of ${type} by now, of ${wanted} that are due`] : []
  }

  /** Recalls of which also the grace of the tickets is over. */
  #wanted(type: string, taken: readonly SiteUnit[], now: Instant): number {
    const graceMs = Math.min(...taken.map((unit) => this.#graceOf(unit)))
    return this.#site.operator.recalls
      .filter((one) => one.type === type && one.mayBind && now >= one.by + graceMs - SKEW_MS)
      .reduce((sum, { units }) => sum + units, 0)
  }

  #leaseOf({ leaseId }: SiteUnit): SiteLease | undefined {
    return this.#site.disk.table<SiteLease>('lease').get(leaseId)
  }

  #graceOf(unit: SiteUnit): Millis {
    return (unit.pastConditions ?? this.#leaseOf(unit)?.ticket.conditions)?.graceMs ?? 0
  }

  /** What is stuck is not lent any more, and does not count. */
  #heldBefore(type: string, changes: readonly Change[]): number {
    const isHeld = (unit: SiteUnit | undefined): boolean =>
      unit !== undefined && unit.type === type && unit.state !== 'ended' && unit.state !== 'stuck'
    const units = this.#site.disk.table<SiteUnit>('unit').values()
    const ended = changes.filter(
      ({ table, before, after }) =>
        table === 'unit' && isHeld(before as SiteUnit | undefined) && !isHeld(after as SiteUnit | undefined),
    )
    return units.filter(isHeld).length + ended.length
  }

  #lent(type: string): number {
    const offer = this.#site.disk.table<OfferRow>('offer').get(type)
    return Math.max(0, (offer?.units ?? 0) - (offer?.withheld ?? 0))
  }
}

/** Clocks differ. */
const SKEW_MS = 2_000
