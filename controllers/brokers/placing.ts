import type { Supply } from '../../actors/leases/calendar.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { TicketRequest } from '../controller.ts'
import { type Item, least, termFrom } from './requests.ts'
import { rankOf, sitesFor } from './sites.ts'

/**
 * Where and when a request finds its units; nothing is decided here.
 *
 *   at a start     all of it at the site that it prefers, then the one with the fewest units left over, then by name;
 *                  else, if it is elastic, as much as there is where the most is free
 *   the earliest   the first start with room for its minimum; among equals the site that it prefers, then by name
 *
 * What it prefers (`sites.prefer`) costs it nothing: no unit, and no time. What it is to avoid (`sites.avoid`) it never gets.
 *
 * A group goes to one common start: t is put to the latest of the members' earliest starts until all fit at t
 * together. They are placed one after another, the largest first; with several sites that may miss a way in which
 * all would have fit, and then the group starts later than it could have.
 */
export interface Place {
  readonly request: TicketRequest
  readonly site: string
  readonly units: number
  readonly start: Instant
}

/** How often a common start is tried before a group is taken not to fit at all. */
export const COMMON_STARTS_MAX = 1_000

export function placeAt(request: TicketRequest, supply: Supply, start: Instant): Place | undefined {
  const { type, units } = request
  const term = termFrom(request, start)
  let whole: Room | undefined
  let part: Room | undefined
  for (const site of sitesFor(request, supply)) {
    if (supply.offered(site, type) <= 0) continue
    const free = supply.free(site, type, term)
    // Those of one rank come one after another.
    const isBetter =
      whole === undefined || (free < whole.free && rankOf(request, site) === rankOf(request, whole.site))
    if (free >= units && units >= 1 && isBetter) whole = { site, free }
    if (free >= least(request) && (part === undefined || free > part.free)) part = { site, free }
  }
  if (whole !== undefined) return { request, site: whole.site, units, start }
  return part === undefined
    ? undefined
    : { request, site: part.site, units: Math.min(units, part.free), start }
}

interface Room {
  readonly site: string
  readonly free: number
}

/** With its minimum. */
export function earliestPlace(
  request: TicketRequest,
  supply: Supply,
  after: Instant,
  latest: Instant,
): Place | undefined {
  const units = least(request)
  let best: Place | undefined
  for (const site of sitesFor(request, supply)) {
    const before = best === undefined ? latest : best.start - 1
    const start = supply.earliest(site, request.type, units, request.durationMs, after, before)
    if (start !== undefined) best = { request, site, units, start }
  }
  return best
}

/** All members at this start, or undefined. */
export function itemAt(item: Item, supply: Supply, start: Instant): readonly Place[] | undefined {
  const [only] = item.members
  if (item.group === undefined && only !== undefined) {
    const place = placeAt(only, supply, start)
    return place && [place]
  }
  const places: Place[] = []
  let left = supply
  for (const member of largestFirst(item)) {
    const place = placeAt(member, left, start)
    if (place === undefined) return toldPlaces(item, supply, start, start)
    places.push(place)
    left = without(left, [place])
  }
  return places
}

/** Likewise with its minimum. */
export function leastAt(item: Item, supply: Supply, start: Instant): readonly Place[] | undefined {
  const members = item.members.map((request) => ({ ...request, units: least(request) }))
  return itemAt({ ...item, members }, supply, start)?.map(({ request, ...place }) => ({
    ...place,
    request: item.members.find(({ leaseId }) => leaseId === request.leaseId) ?? request,
  }))
}

/** The places that it was told in the batch before, if they are still free and in [after, latest]. */
export function toldPlaces(
  { members }: Item,
  supply: Supply,
  after: Instant,
  latest: Instant,
): readonly Place[] | undefined {
  const places: Place[] = []
  let left = supply
  for (const request of members) {
    const { planned, type } = request
    if (planned === undefined || planned.start < after || planned.start > latest) return undefined
    const units = least(request)
    if (left.free(planned.site, type, termFrom(request, planned.start)) < units) return undefined
    places.push({ request, units, ...planned })
    left = without(left, places.slice(-1))
  }
  return places
}

/** The earliest start in [after, latest] at which the whole item fits, with its minimum. */
export function earliestItem(
  item: Item,
  supply: Supply,
  after: Instant,
  latest: Instant,
): readonly Place[] | undefined {
  const [only] = item.members
  if (item.group === undefined && only !== undefined) {
    const place = earliestPlace(only, supply, after, latest)
    return place && [place]
  }
  // Another order of its members is no reason to put a group off, nor to move it to where others were told to come.
  const told = toldPlaces(item, supply, after, latest)
  const start = told?.[0]?.start
  if (start === undefined) return earliestTogether(item, supply, after, latest)
  return earliestTogether(item, supply, after, Math.max(after, start - 1)) ?? told
}

function earliestTogether(
  item: Item,
  supply: Supply,
  after: Instant,
  latest: Instant,
): readonly Place[] | undefined {
  let start: Instant | undefined = after
  for (let tries = 0; tries < COMMON_STARTS_MAX; tries++) {
    start = eachFits(item, supply, start, latest)
    if (start === undefined) return undefined
    const places = itemAt(item, supply, start)
    if (places !== undefined) return places
    start = nextRise(item, supply, start, latest)
    if (start === undefined) return undefined
  }
  return undefined
}

export const without = (supply: Supply, places: readonly Place[]): Supply =>
  places.reduce(
    (left, { request, site, units, start }) => left.take(site, request.type, units, termFrom(request, start)),
    supply,
  )

/** Whoever needs the most room is placed while there is the most. */
const largestFirst = ({ members }: Item): readonly TicketRequest[] =>
  members.toSorted((a, b) => least(b) - least(a))

/** The first start at which each member alone would fit. */
function eachFits(item: Item, supply: Supply, after: Instant, latest: Instant): Instant | undefined {
  let start = after
  for (let settled = 0; settled < item.members.length; )
    for (const member of item.members) {
      const place = earliestPlace(member, supply, start, latest)
      if (place === undefined) return undefined
      settled = place.start > start ? 1 : settled + 1
      start = place.start
      if (settled >= item.members.length) break
    }
  return start
}

/** The first start at which any member has more room than now; before that nothing else can come of it. */
function nextRise(item: Item, supply: Supply, after: Instant, latest: Instant): Instant | undefined {
  let next: Instant | undefined
  const kinds = new Map(item.members.map((one) => [`${one.type}\n${one.durationMs}`, one]))
  for (const member of kinds.values())
    for (const site of sitesFor(member, supply)) {
      const { type, durationMs } = member
      const more = supply.free(site, type, termFrom(member, after)) + 1
      const at = supply.earliest(site, type, more, durationMs, after, next === undefined ? latest : next - 1)
      if (at !== undefined) next = at
    }
  return next
}
