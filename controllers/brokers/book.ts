import type { Supply } from '../../actors/leases/calendar.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { Allocation, TicketRequest } from '../controller.ts'
import { hour, some } from '../sentence.ts'
import { earliestItem, type Place, without } from './placing.ts'
import { type Item, isExtension, least, termFrom } from './requests.ts'
import { sitesFor } from './sites.ts'

export type Grant = Extract<Allocation, { kind: 'grant' }>

/** What is decided so far in one batch, and what is left. */
export class Book {
  readonly now: Instant
  left: Supply
  readonly #answers = new Map<string, Allocation>()
  readonly #places = new Map<string, Place>()
  /** What those who were refused could have: asked when everything else is decided. */
  readonly #prospects: (() => void)[] = []

  constructor(supply: Supply, now: Instant) {
    this.left = supply
    this.now = now
  }

  granted(leaseId: string): Grant | undefined {
    const answer = this.#answers.get(leaseId)
    return answer?.kind === 'grant' ? answer : undefined
  }

  /** Where it was granted or planned in this batch. */
  placeOf(leaseId: string): Place | undefined {
    return this.#places.get(leaseId)
  }

  grant(place: Place, because = ''): void {
    const { request, site, units, start } = place
    const { leaseId, type } = request
    const term = termFrom(request, start)
    const free = this.left.free(site, type, term)
    const part =
      units < request.units
        ? `${units} of ${some(request.units, 'unit')}, all that is free`
        : some(units, 'unit')
    const reason = `${part} of ${type} at ${site} from ${hour(term.start)} to ${hour(term.end)}; ${free - units} of ${this.left.offered(site, type)} left${because}`
    this.left = this.left.take(site, type, units, term)
    this.#answers.set(leaseId, { kind: 'grant', leaseId, site, units, term, reason })
    this.#places.set(leaseId, place)
  }

  /** Takes a grant back, so that it can be given anew. */
  ungrant(request: TicketRequest): Grant | undefined {
    const grant = this.granted(request.leaseId)
    if (grant === undefined) return undefined
    this.left = this.left.take(grant.site, request.type, -grant.units, grant.term)
    this.#answers.delete(request.leaseId)
    this.#places.delete(request.leaseId)
    return grant
  }

  /** Sets units aside; later requests pass only where they do not delay it. */
  plan(places: readonly Place[], why: string): void {
    this.left = without(this.left, places)
    for (const place of places) {
      const { request, site, start } = place
      const { leaseId } = request
      const reason = `${why}; planned to start at ${site} at ${hour(start)}`
      this.#answers.set(leaseId, { kind: 'wait', leaseId, reason, planned: { site, start } })
      this.#places.set(leaseId, place)
    }
  }

  wait(members: readonly TicketRequest[], reason: string): void {
    for (const { leaseId } of members) this.#answers.set(leaseId, { kind: 'wait', leaseId, reason })
  }

  /** `view` is what the item may have of the supply, if that is not all of it. */
  refuse(
    item: Item,
    why: string | ((earliest: Instant | undefined) => string),
    view: (left: Supply) => Supply = (left) => left,
  ): void {
    this.#prospects.push(() => {
      const left = view(this.left)
      const start = Math.max(item.start, this.now)
      const earliest = earliestItem(item, left, start, Number.POSITIVE_INFINITY)?.[0]?.start
      const reason = typeof why === 'string' ? why : why(earliest)
      for (const request of item.members) {
        const { leaseId, type } = request
        const rooms = sitesFor(request, left).map((site) => left.free(site, type, termFrom(request, start)))
        const unitsNow = Math.max(0, ...rooms)
        this.#answers.set(leaseId, { kind: 'refuse', leaseId, reason, earliest, unitsNow })
      }
    })
  }

  /** An extension stays at its site. Without `possible` nothing would do any more. */
  refuseExtension(request: TicketRequest, reason: string, possible = true): void {
    const { leaseId, type, durationMs, start } = request
    this.#answers.set(leaseId, { kind: 'refuse', leaseId, reason, earliest: undefined, unitsNow: 0 })
    if (!possible || !isExtension(request)) return
    const { site } = request.extends
    this.#prospects.push(() => {
      const { left } = this
      const unitsNow = left.free(site, type, termFrom(request, start))
      const earliest = left.earliest(site, type, least(request), durationMs, start, Number.POSITIVE_INFINITY)
      this.#answers.set(leaseId, { kind: 'refuse', leaseId, reason, earliest, unitsNow })
    })
  }

  /** The answers in the order of the requests. */
  close(requests: readonly TicketRequest[]): readonly Allocation[] {
    for (const look of this.#prospects.splice(0)) look()
    return requests.flatMap(({ leaseId }) => this.#answers.get(leaseId) ?? [])
  }
}
