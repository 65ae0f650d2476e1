import type { Supply } from '../../actors/leases/calendar.ts'
import { coded } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { TicketRequest } from '../controller.ts'
import { hour, some } from '../sentence.ts'
import type { Book } from './book.ts'
import { earliestItem, itemAt } from './placing.ts'
import { type Item, isDeferrable, least, termFrom, whatOf } from './requests.ts'
import { avoidedIn, sitesFor } from './sites.ts'

/**
 * One new request, or one group, at its turn:
 *
 *   fits now                      grant
 *   deferrable, fits before       wait; its planned start is set aside, so that later ones pass it only where
 *     `startBy`                     they do not delay it
 *   deferrable, does not          wait all the same (units may come back early), with nothing set aside
 *   otherwise                     refuse, and say when it would fit and how many units are free now
 *
 * `view` is what the item may have of the supply, if that is not all of it.
 */
export function serve(
  item: Item,
  book: Book,
  view: (left: Supply) => Supply = (left) => left,
  because = '',
): void {
  const never = impossible(item, view(book.left), book.now)
  if (never !== undefined) return book.refuse(item, never, view)
  const start = Math.max(item.start, book.now)
  const places = itemAt(item, view(book.left), start)
  if (places !== undefined) {
    for (const place of places) book.grant(place, because)
    return
  }
  const has = lacks(item, view(book.left), book.now)
  if (!isDeferrable(item)) return book.refuse(item, has, view)
  const planned = earliestItem(item, view(book.left), start, item.startBy)
  if (planned !== undefined) return book.plan(planned, `${has}${because}`)
  const hopes = `${has}${because}; waits until ${hour(item.startBy)} in case some come back early`
  book.wait(item.members, hopes)
}

/** Why there is no use in waiting; undefined if there is. */
export function impossible(item: Item, supply: Supply, now: number): string | undefined {
  const start = Math.max(item.start, now)
  for (const member of item.members) {
    const { type } = member
    const longest = longestOf(member, supply)
    if (longest === undefined) return coded('unknown-type', `no site offers units of type ${type}`)
    const { durationMs } = member
    if (durationMs > longest)
      return coded(
        'term-too-long',
        `${period(durationMs)} are asked for, and ${type} is lent for at most ${period(longest)}`,
      )
  }
  if (item.startBy < item.start)
    return `no start suits all members of group ${item.group}: one cannot start before ${hour(item.start)}, another not after ${hour(item.startBy)}`
  if (isDeferrable(item) && now > item.startBy)
    return `nothing came free before ${hour(item.startBy)}, the latest start asked for`
  for (const member of item.members) {
    const { type, durationMs } = member
    // What is lent for less long is nothing to it.
    const isTooShort = (site: string): boolean => (supply.longest(site, type) ?? Infinity) < durationMs
    const sites = sitesFor(member, supply).filter((site) => !isTooShort(site))
    const most = sites.reduce((sum, site) => Math.max(sum, supply.offered(site, type)), 0)
    if (most === 0)
      return coded(
        'no-capacity',
        `no site that has ${type}${supply.sites.some(isTooShort) ? ' for so long' : ''} lends any of it now${avoidedIn(member, supply)}`,
      )
    if (least(member) > most && itemAt(item, supply, start) === undefined)
      return `${isAskedFor(item)}, and no site offers more than ${most}${avoidedIn(member, supply)}`
  }
  return undefined
}

/** Of all sites; undefined if none offers its type. */
function longestOf({ type }: TicketRequest, { sites, longest }: Supply): number | undefined {
  const known = sites.flatMap((site) => longest(site, type) ?? [])
  return known.length === 0 ? undefined : Math.max(...known)
}

/** What is asked for, and what is there. */
export function lacks(item: Item, supply: Supply, now: number): string {
  const start = Math.max(item.start, now)
  // Without the instant, or a request that waits would have another reason each time it is looked at.
  const from = start > now ? `from ${hour(start)} on` : 'now'
  if (item.group !== undefined) return `${isAskedFor(item)}, and not all members find their units ${from}`
  const [request] = item.members
  const rooms = sitesFor(request!, supply).map((site) =>
    supply.free(site, request!.type, termFrom(request!, start)),
  )
  const most = Math.max(0, ...rooms)
  return `${isAskedFor(item)}, and at most ${some(most, 'unit')} of one site ${most === 1 ? 'is' : 'are'} free ${from}${avoidedIn(request!, supply)}`
}

function isAskedFor(item: Item): string {
  const one = item.group !== undefined || item.members[0]!.units === 1
  return `${whatOf(item)} ${one ? 'is' : 'are'} asked for`
}
