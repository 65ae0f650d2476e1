import type { Supply } from '../../actors/leases/calendar.ts'
import { overlap } from '../../actors/leases/term.ts'
import { smallest } from '../../actors/runtime/extremes.ts'
import type { BrokerPolicy, TicketRequest } from '../controller.ts'
import { hour, some } from '../sentence.ts'
import { Book } from './book.ts'
import type { PriorityConfig } from './config.ts'
import { extendAll } from './extending.ts'
import { waitForTheRest } from './first-come.ts'
import { guestOf, settingOf } from './guests.ts'
import { impossible, lacks, serve } from './line.ts'
import { earliestItem, itemAt, type Place, without } from './placing.ts'
import { type Extension, type Item, inOrder, isExtension, itemsOf, least, termFrom } from './requests.ts'

/**
 * Classes, the higher first; within a class first come, first served:
 *
 *   1. extensions, up to what they hold, then those that grow     the higher class first
 *   2. new requests and groups                                    the higher class first
 *
 * Where a request finds no units, extensions of lower classes that are elastic yield at their boundary what it
 * needs to start, the lowest class first and the latest of it, none under its minimum. What somebody holds within
 * a term is never touched, and neither is an extension that was granted before.
 *
 *   X (class 1) 4 ┤████████|──┐ yields 2              without H:  ████████|████████
 *               2 ┤████████|████████
 *   H (class 5) 2 ┤   waits|████████  planned at the boundary
 *
 * A planned start slips only behind a higher class, by an extension, or when a site takes units back.
 */
export const priority =
  (config: PriorityConfig): BrokerPolicy =>
  (requests, supply, now) => {
    const book = new Book(supply, now)
    const classes = new Map(requests.map((one) => [one.leaseId, classOf(one, config)]))
    const rank = (one: TicketRequest): number => classes.get(one.leaseId)!
    const extensions = inOrder(requests.filter(isExtension)).toSorted((a, b) => rank(b) - rank(a))
    extendAll(extensions, book)

    const { items, unready } = itemsOf(requests.filter((one) => !isExtension(one)))
    // A group is as urgent as the least urgent of its members: one of them cannot lift the others.
    const rankOf = ({ members }: Item): number => smallest(members.map(rank), Number.POSITIVE_INFINITY)
    const yielding = new Yielding(extensions, rank, book)
    for (const item of items.toSorted((a, b) => rankOf(b) - rankOf(a))) {
      serveOrYield(item, rankOf(item), yielding, book)
      yielding.took(item)
    }
    waitForTheRest(unready, book)
    return book.close(requests)
  }

/** What the configuration says of its guest, or less or more if the request says so, up to the guest's most. */
export function classOf(request: TicketRequest, { guests, otherwise }: PriorityConfig): number {
  const setting = settingOf(guestOf(request, guests), guests, otherwise)
  const asked = request.properties?.priority
  if (asked === undefined || !/^-?\d{1,6}$/.test(asked)) return setting.class
  return Math.min(Number(asked), Math.max(setting.most ?? setting.class, setting.class))
}

function serveOrYield(item: Item, rank: number, yielding: Yielding, book: Book): void {
  const because = ` (class ${rank})`
  const start = Math.max(item.start, book.now)
  const floor = yielding.floor(rank)
  if (
    floor === undefined ||
    impossible(item, book.left, book.now) !== undefined ||
    itemAt(item, book.left, start) !== undefined
  )
    return serve(item, book, undefined, because)
  const latest = Math.max(item.startBy, start)
  const planned = earliestItem(item, book.left, start, latest)?.[0]?.start ?? Number.POSITIVE_INFINITY
  const better = earliestItem(item, floor, start, Math.min(latest, planned - 1))
  if (better === undefined) return serve(item, book, undefined, because)
  const has = lacks(item, book.left, book.now)
  const by = yielding.makeRoom(better, rank)
  const thanks = `; ${by.join(' and ')} to it`
  if (better[0]!.start === start) for (const place of better) book.grant(place, `${because}${thanks}`)
  else book.plan(better, `${has}${because}${thanks}`)
  yielding.growAgain()
}

interface Given {
  readonly request: Extension
  readonly rank: number
  /** What it was granted before it yielded. */
  readonly units: number
  /** Whom it yielded to. */
  readonly to: string[]
}

/** Extensions that were granted more than their minimum in this batch, the first to yield first. */
class Yielding {
  readonly #given: readonly Given[]
  readonly #book: Book
  #released: Given[] = []
  #floor: Supply | undefined
  #floorOf: number | undefined

  constructor(extensions: readonly Extension[], rank: (one: TicketRequest) => number, book: Book) {
    this.#book = book
    this.#given = extensions
      .flatMap((request) => {
        const units = book.granted(request.leaseId)?.units ?? 0
        return units > least(request) ? [{ request, rank: rank(request), units, to: [] }] : []
      })
      .toSorted((a, b) => a.rank - b.rank || b.request.arrivedAt - a.request.arrivedAt)
  }

  /**
   * What would be left if all classes below yielded what they can; undefined if none can. Classes come in falling
   * order, and what is given away between two calls is told by `took`.
   */
  floor(rank: number): Supply | undefined {
    if (this.#floorOf === rank) return this.#floor
    this.#floorOf = rank
    this.#floor = undefined
    for (const one of this.#given) {
      if (one.rank >= rank) break
      const { leaseId, type } = one.request
      const { site, units, term } = this.#book.granted(leaseId)!
      if (units > least(one.request))
        this.#floor = (this.#floor ?? this.#book.left).take(site, type, least(one.request) - units, term)
    }
    return this.#floor
  }

  took(item: Item): void {
    for (const { leaseId } of item.members) {
      const place = this.#book.placeOf(leaseId)
      if (place !== undefined && this.#floor !== undefined) this.#floor = without(this.#floor, [place])
    }
  }

  /** Lower classes yield until the places are free; says who yields. */
  makeRoom(places: readonly Place[], rank: number): readonly string[] {
    let left = this.#book.left
    const names: string[] = []
    for (const { request, site, units, start } of places) {
      const term = termFrom(request, start)
      for (const one of this.#given) {
        if (one.rank >= rank || left.free(site, request.type, term) >= units) break
        const grant = this.#book.granted(one.request.leaseId)
        if (grant === undefined || grant.units <= least(one.request)) continue
        if (grant.site !== site || one.request.type !== request.type || !overlap(grant.term, term)) continue
        this.#book.ungrant(one.request)
        this.#book.grant({ request: one.request, site, units: least(one.request), start: grant.term.start })
        left = left.take(site, request.type, least(one.request) - grant.units, grant.term)
        this.#released.push(one)
        one.to.push(`${request.leaseId} of ${request.holder} (class ${rank})`)
        names.push(`${one.request.leaseId} of ${one.request.holder} (class ${one.rank}) yields`)
      }
      left = left.take(site, request.type, units, term)
    }
    return names
  }

  /** What was released and not needed goes back, to the highest class first. */
  growAgain(): void {
    for (const { request, rank, units, to } of this.#released.toReversed()) {
      const { site, term } = this.#book.ungrant(request)!
      const free = this.#book.left.free(site, request.type, term)
      const now = Math.max(least(request), Math.min(units, free))
      const gives =
        now < units
          ? `; yields ${some(units - now, 'unit')} of class ${rank} at ${hour(term.start)} to ${to.join(', ')}`
          : ''
      this.#book.grant({ request: { ...request, units: now }, site, units: now, start: term.start }, gives)
    }
    this.#released = []
  }
}
