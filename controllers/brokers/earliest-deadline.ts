import type { Supply } from '../../actors/leases/calendar.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { BrokerPolicy } from '../controller.ts'
import { hour } from '../sentence.ts'
import { Book } from './book.ts'
import { extendAll } from './extending.ts'
import { waitForTheRest } from './first-come.ts'
import { impossible, lacks } from './line.ts'
import { earliestItem, leastAt, type Place, placeAt, toldPlaces, without } from './placing.ts'
import { type Item, inOrder, isExtension, itemsOf, termFrom } from './requests.ts'

/**
 * The earliest deadline first, and no promise that cannot be kept:
 *
 *   1. extensions, up to what they hold, then those that grow
 *   2. admission, in order of arrival: a request is accepted if all that were accepted before it and itself
 *      start in time in a plan made in order of their deadlines; otherwise it is refused at once
 *   3. who is planned for now starts, with its minimum and as much more as nobody is planned on; others wait
 *
 * The deadline is the latest start. What was accepted is planned before anything that came later is looked at, and
 * keeps the places it was told if no plan in order of deadlines serves all: a later one never makes it late. Only
 * an extension or a smaller supply can, and then it is told at once. Tickets never move.
 */
export const earliestDeadline = ((requests, supply, now) => {
  const book = new Book(supply, now)
  extendAll(inOrder(requests.filter(isExtension)), book)
  const { items, unready } = itemsOf(requests.filter((one) => !isExtension(one)))
  const possible = items.filter((item) => {
    const never = impossible(item, book.left, now)
    if (never !== undefined) book.refuse(item, never)
    return never === undefined
  })
  const { accepted, refused } = admit(possible, book.left, now)
  // In order of their plan, so that each reason tells what those before it have left.
  const starting: (readonly Place[])[] = []
  for (const { item, places } of accepted)
    if (places[0]!.start === startOf(item, now)) {
      starting.push(places)
      book.left = without(book.left, places)
    } else wait(item, places, book)
  for (const places of starting) begin(places, book)
  for (const item of refused) {
    // The plan may have left it a gap after all.
    const gap = earliestItem(item, book.left, startOf(item, now), deadlineOf(item, now))
    if (gap !== undefined) {
      if (gap[0]!.start > startOf(item, now)) wait(item, gap, book)
      else {
        book.left = without(book.left, gap)
        begin(gap, book)
      }
      continue
    }
    const has = lacks(item, book.left, now)
    book.refuse(item, (earliest) => {
      const works = earliest === undefined ? 'no start is in sight' : `the earliest is ${hour(earliest)}`
      return `cannot meet the deadline ${hour(deadlineOf(item, now))}; ${works}: ${has}`
    })
  }
  waitForTheRest(unready, book)
  return book.close(requests)
}) satisfies BrokerPolicy

interface Planned {
  readonly item: Item
  readonly places: readonly Place[]
}

interface Plan {
  readonly planned: readonly Planned[]
  /** What is left beside them. */
  readonly left: Supply
}

const startOf = (item: Item, now: Instant): Instant => Math.max(item.start, now)

const deadlineOf = (item: Item, now: Instant): Instant => Math.max(item.startBy, startOf(item, now))

const byDeadline = (a: Item, b: Item): number => a.startBy - b.startBy || a.arrivedAt - b.arrivedAt

const wasAccepted = ({ members }: Item): boolean => members.every(({ planned }) => planned !== undefined)

/** How often a plan is tried anew with the one that came too late moved to the front. */
const MOVES_MAX = 3

/** So many requests are placed at most in search of plans by deadline; then only what is beside the last one counts. */
const PLACINGS_MAX = 3_000

/** Those that all start in time, in order of their plan. */
function admit(
  items: readonly Item[],
  supply: Supply,
  now: Instant,
): { readonly accepted: readonly Planned[]; readonly refused: readonly Item[] } {
  let accepted: Plan = { planned: [], left: supply }
  // The same requests at the places they were told: wide ones can be in each other's way in order of deadlines.
  let told: Plan = accepted
  const refused: Item[] = []
  const search = { placings: 0 }
  // Many are tried at once, and only where that fails in halves: a batch that fits costs one plan.
  const tryAll = (some: readonly Item[]): void => {
    const [one] = some
    if (one === undefined) return
    const all = [...accepted.planned.map(({ item }) => item), ...some]
    const stay = beside(told, some, now)
    const plan = byDeadlines(all, supply, now, search) ?? beside(accepted, some, now) ?? stay
    if (plan !== undefined) {
      told = stay ?? plan
      accepted = plan
    } else if (some.length === 1) refused.push(one)
    else {
      const half = some.length >> 1
      tryAll(some.slice(0, half))
      tryAll(some.slice(half))
    }
  }
  tryAll(items.filter(wasAccepted))
  tryAll(items.filter((item) => !wasAccepted(item) && !isLateAlone(item, supply, now, refused)))
  return { accepted: accepted.planned, refused }
}

/** Whoever is too late even alone needs no plan of all. */
function isLateAlone(item: Item, supply: Supply, now: Instant, refused: Item[]): boolean {
  const isLate = placesInTime(item, supply, now) === undefined
  if (isLate) refused.push(item)
  return isLate
}

/** A plan in order of deadlines; undefined if somebody would be late. */
function byDeadlines(
  items: readonly Item[],
  supply: Supply,
  now: Instant,
  search: { placings: number },
): Plan | undefined {
  let order = items.toSorted(byDeadline)
  for (let moves = 0; moves <= MOVES_MAX && search.placings < PLACINGS_MAX; moves++) {
    const { plan, late } = inTurn(order, { planned: [], left: supply }, now)
    search.placings += plan.planned.length + 1
    if (late === undefined) return plan
    if (late === order[0]) return undefined
    order = [late, ...order.filter((one) => one !== late)]
  }
  return undefined
}

/** More where it was told to be, or else in the gaps, and nothing of what is planned moves. */
function beside(plan: Plan, more: readonly Item[], now: Instant): Plan | undefined {
  const kept: Planned[] = []
  let { left } = plan
  const others: Item[] = []
  for (const item of more) {
    const places = toldPlaces(item, left, startOf(item, now), deadlineOf(item, now))
    if (places === undefined) others.push(item)
    else {
      left = without(left, places)
      kept.push({ item, places })
    }
  }
  const found = inTurn(others.toSorted(byDeadline), { planned: [...plan.planned, ...kept], left }, now)
  return found.late === undefined ? found.plan : undefined
}

/** With its minimum, in time; at once where the fewest units are left over, if there is room at once. */
const placesInTime = (item: Item, supply: Supply, now: Instant): readonly Place[] | undefined =>
  leastAt(item, supply, startOf(item, now)) ??
  earliestItem(item, supply, startOf(item, now), deadlineOf(item, now))

/** After what is planned already; up to the first that would be late. */
function inTurn(
  order: readonly Item[],
  { planned, left: supply }: Plan,
  now: Instant,
): { readonly plan: Plan; readonly late: Item | undefined } {
  const all = [...planned]
  let left = supply
  for (const item of order) {
    const places = placesInTime(item, left, now)
    if (places === undefined) return { plan: { planned: all, left }, late: item }
    left = without(left, places)
    all.push({ item, places })
  }
  return { plan: { planned: all, left }, late: undefined }
}

function wait(item: Item, places: readonly Place[], book: Book): void {
  book.plan(places, `${lacks(item, book.left, book.now)}; the latest start is ${hour(item.startBy)}`)
}

/**
 * Everybody's minimum is set aside by now, so nobody's surplus costs another its start. With its own minimum in hand again it
 * goes to another site where it gets more there.
 */
function begin(places: readonly Place[], book: Book): void {
  for (const { request, site, units: least, start } of places) {
    const { type } = request
    const term = termFrom(request, start)
    book.left = book.left.take(site, type, -least, term)
    const units = Math.max(least, Math.min(request.units, book.left.free(site, type, term)))
    const other = units < request.units ? placeAt(request, book.left, start) : undefined
    book.grant(other !== undefined && other.units > units ? other : { request, site, units, start })
  }
}
