import type { BrokerPolicy, TicketRequest } from '../controller.ts'
import { Book } from './book.ts'
import { extendAll } from './extending.ts'
import { serve } from './line.ts'
import { inOrder, isExtension, itemsOf } from './requests.ts'

/**
 * First come, first served, without gaps:
 *
 *   1. extensions, up to what they hold   2. extensions that want more, with what is left
 *   3. new requests and groups               each in order of arrival, as `serve` says
 *
 * A waiting request is decided anew with every batch; since it is planned in its old place, its planned start
 * moves only forward, unless a site takes units back or an extension is granted.
 */
export const firstCome = ((requests, supply, now) => {
  const book = new Book(supply, now)
  extendAll(inOrder(requests.filter(isExtension)), book)
  const { items, unready } = itemsOf(requests.filter((one) => !isExtension(one)))
  for (const item of items) serve(item, book)
  waitForTheRest(unready, book)
  return book.close(requests)
}) satisfies BrokerPolicy

/** The broker hands over whole groups only; whoever else calls a policy may not. */
export function waitForTheRest(unready: readonly TicketRequest[], book: Book): void {
  for (const request of unready)
    book.wait([request], `waits for the other members of group ${request.group!.id}`)
}
