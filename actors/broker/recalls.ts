import { tell } from '../leases/correspondence.ts'
import { type Body, RECALLS_MAX } from '../leases/messages.ts'
import { leastWithin, type Profile, raisedTo, withUnits } from '../leases/profile.ts'
import { firstSaidAt, recallOrderOf } from '../leases/recall-order.ts'
import { LENGTH_MS_MAX, type Term } from '../leases/term.ts'
import { someUnits } from '../leases/words.ts'
import { type Instant, LATEST, type Millis } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { coded, type ErrorCode } from '../runtime/errors.ts'
import { own } from '../runtime/plain.ts'
import { indexOf } from '../runtime/views.ts'
import { iso, scheduleRound } from './answers.ts'
import { bookOf } from './book.ts'
import { byArrival, promisesOf, recallOf, stillReduced } from './promises.ts'
import type { BrokerDraft, RecallRow, TicketRow } from './rows.ts'

/** Recalls of one site that it has not settled, of all its types; as many as one offer can name. */
export const RECALLS_OF_SITE_MAX = RECALLS_MAX
/** A site that settles a recall does so soon after its time. Claims end long before that, and with them what it holds back. */
export const RECALL_KEPT_MS: Millis = 30 * 86_400_000
export const keptUntil = (by: Instant): Instant => Math.min(by + RECALL_KEPT_MS, LATEST)

/** Earlier programs kept each until its site settled it. */
export function dateRecalls(draft: BrokerDraft): void {
  for (const row of draft.all('recall'))
    if (row.due === undefined) draft.put('recall', { ...row, due: keptUntil(row.by) })
}

/** Leases that a line names. */
const LEASES_NAMED_MAX = 10

/** Recalls on which the holder of one lease has not answered; beyond it those that are over are forgotten. */
const ASKED_BACK_MAX = 1_000

/** Recalls of one lease in an hour that are passed on: its holder is not to be troubled for a site that lies. */
export const RECALLS_OF_LEASE_MAX = 60
const RECALLS_MS: Millis = 3_600_000

const recallsOf = indexOf<RecallRow>('recall', ({ site }) => site)

/**
 * The site wants units back from an instant on. What is free then goes first; then those who asked last, each for
 * what is missing while it holds, be that now or in a reservation that begins later. A site recalls seldom: it counts as
 * what is refused.
 */
export function recalled(envelope: Envelope, body: Body<'recall-units'>, draft: BrokerDraft): void {
  const { from: site } = envelope
  const { recallId, type, units, by, reason } = body
  draft.turnDown()
  const order = recallOrderOf(envelope, body)
  const orderedAt = firstSaidAt(body, envelope)
  const due = keptUntil(Math.max(draft.now, by))
  const row: RecallRow = { id: recallId, site, type, units, by, due }
  const known = draft.get('recall', recallId)
  if (known !== undefined && known.site !== site)
    return draft.note('message refused', recallId, `${site}: ${recallId} is a recall of ${known.site}`)
  // Holders who are asked for the one would answer for the other.
  if (known !== undefined && known.type !== type)
    return draft.note('message refused', recallId, `${site}: ${recallId} is a recall of ${known.type}`)
  if (known === undefined && draft.having(recallsOf, site).length >= RECALLS_OF_SITE_MAX) {
    const code: ErrorCode = 'too-many-recalls'
    const reason = `${site} has ${RECALLS_OF_SITE_MAX} recalls that it has not settled: no other one is taken`
    return draft.note('message refused', recallId, coded(code, reason), { code })
  }
  // Who is asked twice would give back twice.
  if (known !== undefined && known.units === units && known.by === by)
    return draft.note('message noted', recallId, `${site} tells again what it wants back: ${reason}`)
  draft.put('recall', row)
  const spares = sparesFor(row, draft)
  // Beyond what is lent at present nothing is free, and nothing is missing.
  const lentUntil = draft.get('delegation', `${site}/${type}`)?.claim?.claim.term.end ?? by + LENGTH_MS_MAX
  const from: Term = { start: by, end: Math.max(by + 1, lentUntil) }
  // Below nothing by as much as is missing: no more than is recalled here, for what else is missing others look after.
  let free = withUnits(raisedTo(spares, 0, from), -units, from)
  const spare = Math.max(0, leastWithin(spares, from))
  draft.note(
    'recalled',
    recallId,
    `${site} wants ${units} of ${type} back by ${iso(by)}, ${spare} are free: ${reason}`,
    { site, type, units, by },
  )
  const asked = new Map<string, number>()
  const spared: string[] = []
  for (const holder of holdersAt(row, draft)) {
    if (leastWithin(free, from) >= 0) break
    if (recallsIn(holder.row, draft.now).times >= RECALLS_OF_LEASE_MAX) {
      spared.push(holder.row.id)
      continue
    }
    for (const part of holder.parts) {
      const share = Math.min(part.units, -leastWithin(free, part.term))
      if (share <= 0) continue
      free = withUnits(free, share, part.term)
      asked.set(holder.row.id, Math.max(asked.get(holder.row.id) ?? 0, share))
    }
    const share = asked.get(holder.row.id)
    if (share !== undefined) ask(holder.row, { ...row, reason, orderedAt, order }, share, draft)
  }
  draft.put('recall', { ...row, asked: Object.fromEntries(asked) })
  if (spared.length === 0 || leastWithin(free, from) >= 0) return
  const code: ErrorCode = 'recalled-too-often'
  const often = `not passed on to ${spared.slice(0, LEASES_NAMED_MAX).join(', ')}${spared.length > LEASES_NAMED_MAX ? ' and others' : ''}: ${site} has recalled ${RECALLS_OF_LEASE_MAX} times of each within an hour`
  draft.note('recall refused', recallId, coded(code, often), { code })
}

/** How often units of it were asked back within the hour. */
const recallsIn = ({ recalls }: TicketRow, now: Instant): NonNullable<TicketRow['recalls']> =>
  recalls === undefined || now >= recalls.since + RECALLS_MS ? { since: now, times: 0 } : recalls

/** Its time is long over, and its site has never said that it has the units: whatever is offered now is without them. */
export function forgotten({ id, site }: RecallRow, draft: BrokerDraft): void {
  draft.remove('recall', id)
  draft.note(
    'recall forgotten',
    id,
    `${site} has not settled it in ${RECALL_KEPT_MS / 86_400_000} days: it counts no more`,
  )
}

interface Holder {
  readonly row: TicketRow
  readonly parts: readonly { readonly units: number; readonly term: Term }[]
}

/** What each lease holds from then on, and is not asked for yet; those who asked last come first. */
function holdersAt(recall: RecallRow, draft: BrokerDraft): Holder[] {
  const { site, type, by } = recall
  const asked = Map.groupBy(askedByOthers(recall, draft), ([leaseId]) => leaseId)
  return draft
    .all('ticket')
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

/** What would be free without this recall; below nothing where other units are missing, as those that are stuck. */
function sparesFor(recall: RecallRow, draft: BrokerDraft): Profile {
  const { site, type, units } = recall
  const { term } = recallOf(recall)
  const without = withUnits(bookOf(draft).promised(site, type), units, term)
  // Of a type that is withdrawn no more is promised, and what was lent is there all the same.
  const offer = draft.get('delegation', `${site}/${type}`)
  const withdrawn = offer?.units === 0 ? (offer.lent ?? 0) : 0
  return withoutAsked(withUnits(without, withdrawn, term), recall, draft)
}

/** What other recalls have asked of holders, who have not answered yet, is not asked for again. */
function withoutAsked(free: Profile, recall: RecallRow, draft: BrokerDraft): Profile {
  let without = free
  for (const [leaseId, units, by] of askedByOthers(recall, draft)) {
    const end = draft.get('ticket', leaseId)?.tickets.at(-1)?.term.end ?? 0
    without = withUnits(without, units, { start: by, end })
  }
  return without
}

/** Lease, units, and by when. */
const askedByOthers = (recall: RecallRow, draft: BrokerDraft): [string, number, Instant][] =>
  draft
    .all('recall')
    .filter(({ id, site, type }) => id !== recall.id && site === recall.site && type === recall.type)
    .flatMap(({ asked = {}, by }) =>
      Object.entries(asked).map(([leaseId, units]): [string, number, Instant] => [leaseId, units, by]),
    )

function ask(
  row: TicketRow,
  recall: RecallRow & Pick<Body<'recall'>, 'reason' | 'order'> & { readonly orderedAt: Instant },
  units: number,
  draft: BrokerDraft,
): void {
  const { id, holder, tickets } = row
  const { id: recallId, by, reason, orderedAt, order } = recall
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
  const conditions = tickets.at(-1)?.conditions
  // By the site's own clock and the ticket, as the site will reckon it.
  const binding = conditions?.recallable === true && by - orderedAt >= conditions.noticeMs
  // Whoever hears of it late can still let its work end in the grace.
  const until = by + (conditions?.graceMs ?? 0)
  tell(draft, holder, 'recall', id, { recallId, units, by, binding, reason, order }, until)
}

/** What a holder gives back of its own will, and when. */
export function planned(from: string, leaseId: string, body: Body<'recall-plan'>, draft: BrokerDraft): void {
  const row = draft.get('ticket', leaseId)
  if (row === undefined || row.holder !== from || row.state === 'closed')
    return draft.note('message noted', leaseId, `a recall plan from ${from} for a ticket it does not hold`)
  const recall = draft.get('recall', body.recallId)
  const last = row.tickets.at(-1)
  // One that was forgotten, and whose id another has since.
  if (recall !== undefined && (recall.site !== last?.site || recall.type !== last.type)) {
    draft.turnDown()
    const other = `${body.recallId} is a recall of ${recall.type} at ${recall.site}, and of no ticket of this lease`
    return draft.note('message refused', leaseId, `${from} gives ${someUnits(body.units)} back: ${other}`)
  }
  const { [body.recallId]: _, ...askedBack } = row.askedBack ?? {}
  const wanted = own(row.askedBack, body.recallId) ?? 0
  if (wanted === 0 && body.units === 0)
    return draft.note(
      'message noted',
      leaseId,
      `${from} gives nothing back for ${body.recallId}, and is not asked to (any more)`,
    )
  // The site takes no more than was recalled: what else is promised back may stay where it is.
  if (body.units > wanted) {
    draft.turnDown()
    const asked = `${wanted} of it are asked back for ${body.recallId}`
    return draft.note('message refused', leaseId, `${from} gives ${someUnits(body.units)} back, and ${asked}`)
  }
  draft.put('ticket', { ...row, askedBack })
  // The site may have lent again what it had taken, and counts what is given back now as the lease's.
  if (recall === undefined && body.units > 0)
    return draft.note(
      'message noted',
      leaseId,
      `${from} gives ${someUnits(body.units)} back for ${body.recallId}, which is over: they count until its ticket ends`,
    )
  if (recall !== undefined && own(recall.asked, leaseId) !== undefined) {
    const { [leaseId]: __, ...asked } = recall.asked!
    draft.put('recall', { ...recall, asked })
  }
  let back: { readonly units: number; readonly from: Instant; readonly of: number } | undefined
  if (body.units > 0) {
    // A plan that comes on top of another adds to it; both count from the later instant.
    const { reduced, tickets } = row
    const ticket = tickets.find(({ term }) => term.end > Math.max(draft.now, body.by)) ?? tickets.at(-1)
    const before = stillReduced(row, ticket)
    const of = ticket?.units ?? 0
    const units = Math.min(of, body.units + before)
    const start = Math.max(draft.now, body.by, before > 0 ? reduced!.from : 0)
    back = { units, from: start, of }
    const held = tickets.map(({ id }) => id)
    draft.put('ticket', { ...row, askedBack, reduced: { ...back, plannedAt: draft.now, tickets: held } })
  }
  draft.note(
    'recall planned',
    leaseId,
    `${from} gives ${someUnits(body.units)} back by ${iso(body.by)}: ${body.reason}`,
    back,
  )
  scheduleRound(draft, 0)
}
