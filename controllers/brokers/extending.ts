import { coded } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { TicketRequest } from '../controller.ts'
import { hour, some } from '../sentence.ts'
import type { Book } from './book.ts'
import { atLeast, type Extension, least, termFrom } from './requests.ts'

/**
 * Extensions, in the order given: first all keep what they hold, then those grow that want more. Whoever only
 * wants to keep what it has must not lose it because another one grows.
 */
export function extendAll(extensions: readonly Extension[], book: Book): void {
  for (const request of extensions.toSorted((a, b) => Number(mustGrow(a)) - Number(mustGrow(b))))
    extend(request, keeps(request), book)
  for (const request of extensions) grow(request, book)
}

const mustGrow = (request: Extension): boolean => least(request) > request.extends.units

/** What an extension gets before any other grows. */
export const keeps = (request: Extension): number =>
  Math.max(least(request), Math.min(request.units, request.extends.units))

export const tooLate = (request: Extension, book: Book): boolean => book.now >= request.start

/** Up to `most` units, not under the minimum; otherwise refused. */
export function extend(request: Extension, most: number, book: Book, because = ''): void {
  const { type, start } = request
  const { site } = request.extends
  if (tooLate(request, book)) {
    const reason = `the lease ended at ${hour(start)}; an extension has to be asked for before that`
    return book.refuseExtension(request, reason, false)
  }
  const term = termFrom(request, start)
  const longest = book.left.longest(site, type) ?? Infinity
  if (request.durationMs > longest) {
    const lent = `${site} lends ${type} for at most ${period(longest)} at a time`
    const reason = coded('term-too-long', `${period(request.durationMs)} are asked for, and ${lent}`)
    return book.refuseExtension(request, reason, false)
  }
  const free = book.left.free(site, type, term)
  const units = Math.min(most, free)
  if (units >= least(request))
    return book.grant({ request: { ...request, units: most }, site, units, start }, because)
  const has = `${site} has ${some(free, `unit`)} of ${type} free from ${hour(term.start)} to ${hour(term.end)}`
  book.refuseExtension(request, `${has}, and ${atLeast(request)} are asked for${because}`)
}

/** What was granted, and as much more as is free, up to what was asked for. */
export function grow(request: TicketRequest, book: Book, because = ''): void {
  const given = book.granted(request.leaseId)
  if (given === undefined || given.units >= request.units) return
  book.ungrant(request)
  const { site, units, term } = given
  const most = Math.min(request.units, book.left.free(site, request.type, term))
  book.grant({ request, site, units: Math.max(units, most), start: term.start }, because)
}
