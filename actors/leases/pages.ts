import { type Body, HOLDINGS_MAX, HOLDINGS_PAGES_MAX } from './messages.ts'

type Query = Body<'holdings-query'>
type Holdings = Body<'holdings'>
type Holding = Holdings['holdings'][number]

/** Of the leases on one page: with it the others of a message stay well under `BODY_CHARS_MAX`. */
export const PAGE_CHARS_MAX = 700_000

/** Where a lease stands in what is told: first those of which there is a ticket, or may be one yet, then what is over. */
export type Place = NonNullable<Query['after']>

/**
 * What somebody holds is told page by page, and between two of them leases come and go. A page that is found by its
 * number alone leaves one out that took the place of another which is forgotten; so each begins after the last lease
 * of the one before.
 *
 *   page 0                  ──▶ the first of them, and where there are more: `unsure: false`, go on with `after`
 *   page n, `after` a place ──▶ what stands behind that place, whatever has come or gone meanwhile
 *   page n                  ──▶ what it is by its number now, and `unsure: true`: earlier programs ask so
 *
 * A page ends before it is too long to travel, however few leases there are on it; what follows is on the next ones, so that
 * `pages` says how many there are at least. To whoever asks by number what did not fit is not told; he hears `unsure: true`.
 *
 * Earlier programs do not say `unsure: false`, and are asked as they ask: of their pages only a single one is all.
 */
export function pageOf<T>(
  all: readonly T[],
  placeOf: (one: T) => Place,
  holdingOf: (one: T) => Holding,
  { page, after, isUnsure, most = HOLDINGS_MAX }: Query & { isUnsure?: boolean; most?: number | undefined },
): Holdings {
  const isByNumber = after === undefined
  const from = isByNumber ? '' : keyOf(after)
  const behind = all.flatMap((one) => {
    const key = keyOf(placeOf(one))
    return key > from ? [{ one, key }] : []
  })
  const before = isByNumber ? page * most : 0
  const holdings = fitting(firstOf(behind, before + most).slice(before), holdingOf)
  const pages = page + 1 + Math.ceil(Math.max(0, behind.length - before - holdings.length) / most)
  const mayMiss = isUnsure === true || (isByNumber && page > 0)
  // Of a single page nothing is said that earlier programs do not say.
  const unsure = mayMiss || pages > 1 ? { unsure: mayMiss } : {}
  return { page, pages, ...unsure, holdings }
}

/** As many as travel together, and at least one. */
function fitting<T>(all: readonly { readonly one: T }[], holdingOf: (one: T) => Holding): Holding[] {
  const fit: Holding[] = []
  let chars = 0
  for (const { one } of all) {
    let holding = holdingOf(one)
    // What its units look like is the longest of it, and can be missed; what those do that are over, first.
    for (const isMissed of [isOver, () => true])
      if (charsIn(holding) > PAGE_CHARS_MAX) holding = withoutFacts(holding, isMissed)
    chars += charsIn(holding)
    if (chars > PAGE_CHARS_MAX && fit.length > 0) break
    fit.push(holding)
  }
  return fit
}

/** Those that travel together, in their order: what is too long for the others is left out. */
export function thatFit<T>(all: readonly T[]): T[] {
  let chars = 0
  return all.filter((one) => {
    const length = JSON.stringify(one).length
    if (chars + length > PAGE_CHARS_MAX) return false
    chars += length
    return true
  })
}

type Told = Holding['units'][number]

const isOver = ({ report }: Told): boolean => report === 'ended'

/** Whoever hears that a unit has none keeps those that he knows. */
const withoutFacts = (holding: Holding, isMissed: (unit: Told) => boolean): Holding => ({
  ...holding,
  units: holding.units.map((unit) => (isMissed(unit) ? { ...unit, facts: {} } : unit)),
})

const charsIn = (holding: Holding): number => JSON.stringify(holding).length

/** The first of them in order: all are ordered only where most of them are wanted, for there is one look for each page. */
export function firstOf<K extends { readonly key: string }>(all: readonly K[], count: number): readonly K[] {
  if (count * 10 > all.length) return all.toSorted((a, b) => (a.key < b.key ? -1 : 1)).slice(0, count)
  const first: K[] = []
  for (const one of all) {
    if (first.length === count && one.key >= first[count - 1]!.key) continue
    let [low, high] = [0, first.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (first[middle]!.key < one.key) low = middle + 1
      else high = middle
    }
    first.splice(low, 0, one)
    if (first.length > count) first.pop()
  }
  return first
}

/** How far somebody has been listened to. */
export interface Heard {
  /** Undefined while he has said nothing, and of whom every page was sure. */
  readonly unsure?: boolean | undefined
  readonly after?: Place | undefined
}

/** What to ask next of him who told this page, if anything, and whether he may hold what he has not named. */
export function afterPage(
  heard: Heard,
  body: Holdings,
): { readonly next: Query | undefined; readonly unsure: boolean } {
  const { page, pages, holdings } = body
  const isAll = page === 0 && pages === 1 && body.unsure === undefined
  const unsure = heard.unsure === true || !(isAll || body.unsure === false)
  if (page + 1 >= Math.min(pages, HOLDINGS_PAGES_MAX)) return { next: undefined, unsure }
  const last = holdings.at(-1)
  const after = last === undefined ? heard.after : placeOfHolding(last)
  const goesOn = body.unsure === false && after !== undefined
  return { next: { page: page + 1, ...(goesOn ? { after } : {}) }, unsure }
}

const placeOfHolding = ({ leaseId, closed, ticket }: Holding): Place => ({
  leaseId,
  isOver: closed && ticket === null,
})

const keyOf = ({ leaseId, isOver }: Place): string => `${isOver ? 1 : 0} ${leaseId}`
