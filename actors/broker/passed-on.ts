import { poolKey } from '../leases/calendar.ts'
import type { Conditions } from '../leases/conditions.ts'
import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { leastWithin, type Profile, raisedTo, withUnits } from '../leases/profile.ts'
import { LENGTH_MS_MAX, type Term } from '../leases/term.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { indexOf } from '../runtime/views.ts'
import { bookOf } from './book.ts'
import { byArrival, promisesOf, recallOf } from './promises.ts'
import type { BrokerDraft, RecallRow, TicketRow, WantedBack } from './rows.ts'

/** Recalls of one lease in an hour that are passed on at once: its holder is not to be troubled for a site that lies. */
export const RECALLS_OF_LEASE_MAX = 60
const RECALLS_MS: Millis = 3_600_000

/** What is not passed on at once is passed on so much later, together with what else waits. */
export const RECALLS_WAIT_MS: Millis = 10_000

/** Recalls on which the holder of one lease has not answered; beyond it those that are over are forgotten. */
const ASKED_BACK_MAX = 1_000

type Pool = Pick<RecallRow, 'site' | 'type'>

/** A recall that holders are to be asked for; `left` of its units nobody was asked for yet. */
export interface Wanted extends WantedBack {
  readonly recallId: string
  readonly by: Instant
}

export const wantedOf = ({ id, by }: RecallRow, waiting: WantedBack): Wanted => ({
  recallId: id,
  by,
  ...waiting,
})

export interface Passed {
  /** What is free for the first of them, before anybody is asked. */
  readonly spare: number
  /** Units that holders were asked for, by recall and lease. */
  readonly asked: ReadonlyMap<string, Readonly<Record<string, number>>>
  /** By recall: units that are missing still, and that leases have which are spared for now. */
  readonly left: ReadonlyMap<string, number>
  readonly spared: readonly string[]
}

const ticketsAt = indexOf<TicketRow>('ticket', ({ tickets }) => {
  const last = tickets.at(-1)
  return last && poolKey(last.site, last.type)
})

/** Whether it was recalled too often within the hour for one more to be passed on at once. */
export const isTroubled = (row: TicketRow, now: Instant): boolean =>
  recallsIn(row, now).times >= RECALLS_OF_LEASE_MAX

/** How often units of it were asked back within the hour. */
const recallsIn = ({ recalls }: TicketRow, now: Instant): NonNullable<TicketRow['recalls']> =>
  recalls === undefined || now >= recalls.since + RECALLS_MS ? { since: now, times: 0 } : recalls

/**
 * What is free goes first; then those who asked last, each for what is missing while it holds, be that now or in a
 * reservation that begins later. Each is asked once, for all of the recalls together, by the time of the earliest; and under
 * the name of one that binds it for no more than those that do.
 */
export function passOn(
  pool: Pool,
  wanted: readonly Wanted[],
  isSpared: (row: TicketRow, now: Instant) => boolean,
  draft: BrokerDraft,
): Passed {
  const from = spanOf(pool, wanted, draft)
  const spares = sparesFor(pool, wanted, draft)
  // Below nothing by as much as is missing: no more than is recalled here, for what else is missing others look after.
  let free = raisedTo(spares, 0, from)
  for (const { left, by } of wanted) free = withUnits(free, -left, { ...from, start: by })
  const asked = new Map<string, Record<string, number>>()
  const spared: string[] = []
  for (const { row, parts } of holdersAt(pool, from.start, draft)) {
    if (leastWithin(free, from) >= 0) break
    if (isSpared(row, draft.now)) {
      spared.push(row.id)
      continue
    }
    const binding = wanted.filter((one) => isBinding(one, row))
    const now = binding.length > 0 ? binding : wanted
    const most = now.reduce((sum, { left }) => sum + left, 0)
    let share = 0
    for (const { units, term } of parts) {
      const part = Math.min(units, -leastWithin(free, term), most)
      if (part <= 0) continue
      free = withUnits(free, part, term)
      share = Math.max(share, part)
    }
    if (share === 0) continue
    const named = now[0]!
    asked.set(named.recallId, { ...asked.get(named.recallId), [row.id]: share })
    ask(row, named, share, binding.length > 0, draft)
  }
  const missing = spared.length === 0 ? 0 : Math.max(0, -leastWithin(free, from))
  const spare = Math.max(0, leastWithin(spares, from))
  return { spare, asked, left: leftOf(wanted, missing), spared }
}

/** Beyond what is lent at present nothing is free, and nothing is missing. */
function spanOf({ site, type }: Pool, wanted: readonly Wanted[], draft: BrokerDraft): Term {
  const start = wanted[0]!.by
  const last = wanted.at(-1)!.by
  const end = draft.get('delegation', `${site}/${type}`)?.claim?.claim.term.end ?? last + LENGTH_MS_MAX
  return { start, end: Math.max(last + 1, end) }
}

/** What is missing is left of those which have the most time. */
function leftOf(wanted: readonly Wanted[], missing: number): Map<string, number> {
  let more = missing
  const waits = new Map<string, number>()
  for (const { recallId, left } of wanted.toReversed()) {
    const part = Math.min(more, left)
    waits.set(recallId, part)
    more -= part
  }
  return waits
}

interface Holder {
  readonly row: TicketRow
  readonly parts: readonly { readonly units: number; readonly term: Term }[]
}

/** What each lease holds from then on, and is not asked for yet; those who asked last come first. */
function holdersAt({ site, type }: Pool, by: Instant, draft: BrokerDraft): Holder[] {
  const asked = Map.groupBy(askedBack({ site, type }, draft), ([leaseId]) => leaseId)
  return draft
    .having(ticketsAt, poolKey(site, type))
    .map((row) => {
      const already = (asked.get(row.id) ?? []).reduce((sum, [, units]) => sum + units, 0)
      const parts = promisesOf(row)
        .filter((one) => one.site === site && one.type === type && one.term.end > by)
        .map(({ units, term }) => ({
          units: units - already,
          term: { ...term, start: Math.max(by, term.start) },
        }))
      return { row, parts }
    })
    .filter(({ parts }) => parts.length > 0)
    .sort((a, b) => byArrival(b.row, a.row))
}

/**
 * What would be free without these recalls; below nothing where other units are missing, as those that are stuck. What
 * holders were asked for, who have not answered yet, is not asked for again.
 */
function sparesFor({ site, type }: Pool, wanted: readonly Wanted[], draft: BrokerDraft): Profile {
  let spares = bookOf(draft).promised(site, type)
  for (const { left, by } of wanted)
    spares = withUnits(spares, left, recallOf({ site, type, units: left, by }).term)
  // Of a type that is withdrawn no more is promised, and what was lent is there all the same.
  const offer = draft.get('delegation', `${site}/${type}`)
  const withdrawn = offer?.units === 0 ? (offer.lent ?? 0) : 0
  spares = withUnits(spares, withdrawn, recallOf({ site, type, units: 0, by: wanted[0]!.by }).term)
  for (const [leaseId, units, by] of askedBack({ site, type }, draft)) {
    const end = draft.get('ticket', leaseId)?.tickets.at(-1)?.term.end ?? 0
    spares = withUnits(spares, units, { start: by, end })
  }
  return spares
}

/** Lease, units, and by when. */
const askedBack = (pool: Pool, draft: BrokerDraft): [string, number, Instant][] =>
  draft
    .all('recall')
    .filter(({ site, type }) => site === pool.site && type === pool.type)
    .flatMap(({ asked = {}, by }) =>
      Object.entries(asked).map(([leaseId, units]): [string, number, Instant] => [leaseId, units, by]),
    )

/** By the site's own clock and the ticket, as the site will reckon it. */
export const isNoticed = ({ by, orderedAt }: Wanted, conditions: Conditions | undefined): boolean =>
  conditions?.recallable === true && by - orderedAt >= conditions.noticeMs

const isBinding = (wanted: Wanted, { tickets }: TicketRow): boolean =>
  isNoticed(wanted, tickets.at(-1)?.conditions)

function ask(row: TicketRow, wanted: Wanted, units: number, binding: boolean, draft: BrokerDraft): void {
  const { id, holder, tickets } = row
  const { recallId, by, order } = wanted
  const open = Object.entries(row.askedBack ?? {})
  // Of those that are over none is waited for in earnest.
  const kept =
    open.length < ASKED_BACK_MAX ? open : open.filter(([one]) => draft.get('recall', one) !== undefined)
  const { since, times } = recallsIn(row, draft.now)
  draft.put('ticket', {
    ...row,
    askedBack: { ...Object.fromEntries(kept), [recallId]: units },
    recalls: { since, times: times + 1 },
  })
  // Whoever hears of it late can still let its work end in the grace.
  const until = by + (tickets.at(-1)?.conditions.graceMs ?? 0)
  const body: Body<'recall'> = { recallId, units, by, binding, reason: order.reason, order }
  tell(draft, holder, 'recall', id, body, until)
}
