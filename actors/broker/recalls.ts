import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { leastWithin, type Profile, withUnits } from '../leases/profile.ts'
import { LENGTH_MS_MAX, type Term } from '../leases/term.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import { iso, scheduleRound } from './answers.ts'
import { bookOf } from './book.ts'
import { byArrival, promisesOf, stillReduced } from './promises.ts'
import type { BrokerDraft, RecallRow, TicketRow } from './rows.ts'

/**
 * The site wants units back from an instant on. What is free then goes first; then those who asked last, each for
 * what is missing while it holds, be that now or in a reservation that begins later.
 */
export function recalled(
  site: string,
  orderedAt: Instant,
  { recallId, type, units, by, reason }: Body<'recall-units'>,
  draft: BrokerDraft,
): void {
  const row: RecallRow = { id: recallId, site, type, units, by }
  const known = draft.get('recall', recallId)
  if (known !== undefined && known.site !== site)
    return draft.note('message refused', recallId, `${site}: ${recallId} is a recall of ${known.site}`)
  // Who is asked twice would give back twice.
  if (known !== undefined && known.units === units && known.by === by)
    return draft.note('message noted', recallId, `${site} tells again what it wants back: ${reason}`)
  draft.put('recall', row)
  // Beyond what is lent at present nothing is free, and nothing is missing.
  const lentUntil = draft.get('delegation', `${site}/${type}`)?.claim?.claim.term.end ?? by + LENGTH_MS_MAX
  const from: Term = { start: by, end: Math.max(by + 1, lentUntil) }
  // Below nothing by as much as is missing.
  let free = withoutAsked(bookOf(draft).profile(site, type), row, draft)
  const spare = Math.max(0, leastWithin(free, from) + units)
  draft.note(
    'recalled',
    recallId,
    `${site} wants ${units} of ${type} back by ${iso(by)}, ${spare} are free: ${reason}`,
    { site, type, units, by },
  )
  const asked: Record<string, number> = {}
  for (const holder of holdersAt(row, draft)) {
    if (leastWithin(free, from) >= 0) break
    for (const part of holder.parts) {
      const share = Math.min(part.units, -leastWithin(free, part.term))
      if (share <= 0) continue
      free = withUnits(free, share, part.term)
      asked[holder.row.id] = Math.max(asked[holder.row.id] ?? 0, share)
    }
    const share = asked[holder.row.id]
    if (share !== undefined) ask(holder.row, { ...row, reason, orderedAt }, share, draft)
  }
  draft.put('recall', { ...row, asked })
}

interface Holder {
  readonly row: TicketRow
  readonly parts: readonly { readonly units: number; readonly term: Term }[]
}

/** What each lease holds from then on; those who asked last come first. */
function holdersAt({ site, type, by }: RecallRow, draft: BrokerDraft): Holder[] {
  return draft
    .all('ticket')
    .map((row) => ({
      row,
      parts: promisesOf(row)
        .filter((one) => one.site === site && one.type === type && one.term.end > by)
        .map((one) => ({ units: one.units, term: { ...one.term, start: Math.max(by, one.term.start) } })),
    }))
    .filter(({ parts }) => parts.length > 0)
    .sort((a, b) => byArrival(b.row, a.row))
}

/** What other recalls have asked of holders, who have not answered yet, is not asked for again. */
function withoutAsked(free: Profile, recall: RecallRow, draft: BrokerDraft): Profile {
  let without = free
  for (const other of draft.all('recall')) {
    if (other.id === recall.id || other.site !== recall.site || other.type !== recall.type) continue
    for (const [leaseId, units] of Object.entries(other.asked ?? {})) {
      const end = draft.get('ticket', leaseId)?.tickets.at(-1)?.term.end ?? 0
      without = withUnits(without, units, { start: other.by, end })
    }
  }
  return without
}

function ask(
  { id, holder, tickets }: TicketRow,
  recall: RecallRow & { readonly reason: string; readonly orderedAt: Instant },
  units: number,
  draft: BrokerDraft,
): void {
  const { id: recallId, by, reason, orderedAt } = recall
  const conditions = tickets.at(-1)?.conditions
  // By the site's own clock and the ticket, as the site will reckon it.
  const binding = conditions?.recallable === true && by - orderedAt >= conditions.noticeMs
  // Whoever hears of it late can still let its work end in the grace.
  const until = by + (conditions?.graceMs ?? 0)
  tell(draft, holder, 'recall', id, { recallId, units, by, binding, reason }, until)
}

/** What a holder gives back of its own will, and when. */
export function planned(from: string, leaseId: string, body: Body<'recall-plan'>, draft: BrokerDraft): void {
  const row = draft.get('ticket', leaseId)
  if (row === undefined || row.holder !== from || row.state === 'closed')
    return draft.note('message noted', leaseId, `a recall plan from ${from} for a ticket it does not hold`)
  const recall = draft.get('recall', body.recallId)
  if (recall?.asked?.[leaseId] !== undefined) {
    const { [leaseId]: _, ...asked } = recall.asked
    draft.put('recall', { ...recall, asked })
  }
  let back: { readonly units: number; readonly from: Instant } | undefined
  if (body.units > 0) {
    // A plan that comes on top of another adds to it; both count from the later instant.
    const before = stillReduced(row, row.tickets.at(-1))
    const most = row.tickets.at(-1)?.units ?? 0
    const units = Math.min(most, body.units + before)
    const start = Math.max(draft.now, body.by, before > 0 ? row.reduced!.from : 0)
    back = { units, from: start }
    draft.put('ticket', { ...row, reduced: { ...back, plannedAt: draft.now } })
  }
  draft.note(
    'recall planned',
    leaseId,
    `${from} gives ${someUnits(body.units)} back by ${iso(body.by)}: ${body.reason}`,
    back,
  )
  scheduleRound(draft, 0)
}
