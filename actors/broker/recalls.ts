import { type Body, RECALLS_MAX } from '../leases/messages.ts'
import { firstSaidAt, recallOrderOf } from '../leases/recall-order.ts'
import type { Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import { type Instant, LATEST, type Millis } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { coded, type ErrorCode } from '../runtime/errors.ts'
import { own } from '../runtime/plain.ts'
import { indexOf } from '../runtime/views.ts'
import { iso, scheduleRound } from './answers.ts'
import {
  isNoticed,
  isTroubled,
  type Passed,
  passOn,
  RECALLS_OF_LEASE_MAX,
  RECALLS_WAIT_MS,
  type Wanted,
  wantedOf,
} from './passed-on.ts'
import { reducedBy, stillReduced } from './promises.ts'
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

/** What waits and is wanted back within an hour is asked for together, by the time of what is wanted first. */
const TOGETHER_MS: Millis = 3_600_000

/** Recalls for which units of one lease were promised, as they are remembered. */
const PROMISED_MAX = 100

const recallsOf = indexOf<RecallRow>('recall', ({ site }) => site)

/**
 * The site wants units back from an instant on: holders are asked for what is not free then. A site recalls seldom: it counts
 * as what is refused. A lease is asked so many times an hour at once; beyond that, a little later and for all that came
 * meanwhile together, so that its holder hears a bounded number of messages, and of every unit:
 *
 *   told ──▶ asked ──lease asked too often──▶ waits ──10 s──▶ asked together ──▶ settled by an offer, or forgotten
 *
 * The site is not told of the delay: what it may end by force, and when, stands in the terms that its holder has, and in an
 * order that it signed itself. A broker on whose word it had to wait could keep its units for ever.
 */
export function recalled(envelope: Envelope, body: Body<'recall-units'>, draft: BrokerDraft): void {
  const { from: site } = envelope
  const { recallId, type, units, by, reason } = body
  draft.turnDown()
  const order = recallOrderOf(envelope, body)
  const orderedAt = firstSaidAt(body, envelope)
  const due = keptUntil(Math.max(draft.now, by))
  const known = draft.get('recall', recallId)
  const row: RecallRow = { id: recallId, site, type, units, by, due, planned: known?.planned }
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
  const wanted = wantedOf(row, { left: units, orderedAt, order })
  const passed = passOn(row, [wanted], isTroubled, draft)
  draft.note(
    'recalled',
    recallId,
    `${site} wants ${units} of ${type} back by ${iso(by)}, ${passed.spare} are free: ${reason}`,
    { site, type, units, by },
  )
  keep([wanted], passed, draft)
  const { spared } = passed
  if (passed.left.get(recallId) === 0) return
  const code: ErrorCode = 'recalled-too-often'
  const more = spared.length > LEASES_NAMED_MAX ? ' and others' : ''
  const often = `${spared.slice(0, LEASES_NAMED_MAX).join(', ')}${more} asked later: ${site} has recalled ${RECALLS_OF_LEASE_MAX} times of each within an hour`
  draft.note('recall delayed', recallId, coded(code, often), { code })
}

/** What holders were asked for is written down, and what of it has to wait. */
function keep(wanted: readonly Wanted[], { asked, left }: Passed, draft: BrokerDraft): void {
  for (const { recallId, by, orderedAt, order } of wanted) {
    const row = draft.get('recall', recallId)!
    const more = left.get(recallId) ?? 0
    draft.put('recall', {
      ...row,
      asked: { ...row.asked, ...asked.get(recallId) },
      waiting: more > 0 ? { left: more, orderedAt, order } : undefined,
      due: more > 0 ? draft.now + RECALLS_WAIT_MS : keptUntil(Math.max(draft.now, by)),
    })
  }
}

export function recallDue(row: RecallRow, draft: BrokerDraft): void {
  if (row.waiting === undefined) forgotten(row, draft)
  else passOnWaiting(row, draft)
}

/**
 * All that waits of one type, those first that are wanted first; what binds nobody after what does. Whatever else waits
 * waits as long again, so that there is no other one meanwhile.
 */
function passOnWaiting({ site, type }: RecallRow, draft: BrokerDraft): void {
  const conditions = draft.get('delegation', `${site}/${type}`)?.conditions
  const all = draft
    .having(recallsOf, site)
    .flatMap((row) => (row.type === type && row.waiting !== undefined ? wantedOf(row, row.waiting) : []))
    .sort((a, b) => a.by - b.by || (a.recallId < b.recallId ? -1 : 1))
  const binding = all.filter((one) => isNoticed(one, conditions))
  const first = binding.length > 0 ? binding : all
  const together = first.filter(({ by }) => by <= first[0]!.by + TOGETHER_MS)
  const passed = passOn({ site, type }, together, () => false, draft)
  // The others have their turn next.
  const others = all.filter((one) => !together.includes(one))
  keep(others, { ...passed, left: new Map(others.map(({ recallId, left }) => [recallId, left])) }, draft)
  keep(together, passed, draft)
  for (const [recallId, asked] of passed.asked) {
    const sum = together.length === 1 ? 'it' : `it and ${together.length - 1} others that waited`
    const leases = Object.keys(asked)
    const more = leases.length > LEASES_NAMED_MAX ? ' and others' : ''
    draft.note(
      'recall passed on',
      recallId,
      `for ${sum} to ${leases.slice(0, LEASES_NAMED_MAX).join(', ')}${more}`,
    )
  }
}

/** Its time is long over, and its site has never said that it has the units: whatever is offered now is without them. */
function forgotten({ id, site }: RecallRow, draft: BrokerDraft): void {
  draft.remove('recall', id)
  draft.note(
    'recall forgotten',
    id,
    `${site} has not settled it in ${RECALL_KEPT_MS / 86_400_000} days: it counts no more`,
  )
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
  // Taken, called off or forgotten meanwhile: what is given back for it is nobody's until the site says that it has it.
  const late = recall === undefined && body.units > 0 ? `, for ${body.recallId}, which is over` : ''
  // A site that was restored may tell one anew that was called off, and its holder says again what he gave back for it.
  const { recallId, units } = body
  const { promised = [] } = row
  const more = units - (promised.find((one) => one.recallId === recallId)?.units ?? 0)
  const reduced = more > 0 ? reducedBy(row, more, body.by, draft.now) : undefined
  let back: object | undefined
  if (reduced !== undefined) {
    const { plannedAt: _, ...said } = reduced
    const others = promised.filter((one) => one.recallId !== recallId)
    const now = [...others, { recallId, units }].slice(-PROMISED_MAX)
    draft.put('ticket', { ...row, askedBack, reduced, promised: now })
    back = said
  }
  if (recall !== undefined) {
    const { [leaseId]: __, ...asked } = recall.asked ?? {}
    draft.put('recall', {
      ...recall,
      asked,
      planned: { ...recall.planned, ...plannedBy(row, reduced, recall.planned) },
    })
  }
  const pool = last && draft.get('delegation', `${last.site}/${last.type}`)
  if (recall === undefined && pool?.keeps !== undefined && pool.took?.includes(recallId) === true)
    draft.put('delegation', { ...pool, keeps: { ...pool.keeps, ...plannedBy(row, reduced, pool.keeps) } })
  draft.note(
    'recall planned',
    leaseId,
    `${from} gives ${someUnits(body.units)} back by ${iso(body.by)}${late}: ${body.reason}`,
    back,
  )
  scheduleRound(draft, 0)
}

/** By ticket of the lease: units that its holder has promised back, with these. */
function plannedBy(
  row: TicketRow,
  reduced: TicketRow['reduced'],
  before: RecallRow['planned'],
): Record<string, number> {
  const more = (one: Ticket): number => (own(reduced?.off, one.id) ?? 0) - stillReduced(row, one)
  return reduced === undefined
    ? {}
    : Object.fromEntries(row.tickets.map((one) => [one.id, (own(before, one.id) ?? 0) + more(one)]))
}
