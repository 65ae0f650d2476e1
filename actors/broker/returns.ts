import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { RETURNED_AT_SITE_MAX, RETURNED_OF_HOLDER_MAX } from '../leases/given-back.ts'
import { type Body, RETURNED_MAX } from '../leases/messages.ts'
import { firstOf } from '../leases/pages.ts'
import type { Ticket } from '../leases/ticket.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { type OutRow, outRowOf } from '../runtime/courier.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { SubletError } from '../runtime/errors.ts'
import { type RequestProof, requestProof } from '../runtime/proof.ts'
import { indexOf } from '../runtime/views.ts'
import type { BrokerDraft, RetellingRow, ReturnedRow, TellingRow } from './rows.ts'

type Told = TellingRow['tickets']

const firstIn = (told: Told): string => told[0]!.ticketId

const returnedAt = indexOf<ReturnedRow>('returned', ({ site }) => site)
const returnedOf = indexOf<ReturnedRow>('returned', ({ holder }) => holder)
/** What is said of them and not acknowledged yet, by the first ticket of the message. */
const toldFirst = indexOf<OutRow>('$out', (row) => {
  const { kind, body } = outRowOf(row).letter
  return kind === 'tickets-returned' ? firstIn((body as Body<'tickets-returned'>).tickets) : undefined
})
const returnedOfLease = indexOf<ReturnedRow>('returned', ({ leaseId }) => leaseId)

/** Messages to a site that asks, before it has taken them. */
const RETELLING_MESSAGES = 4
const RETELL_MS: Millis = 1_000
const RETELL_MS_MAX: Millis = 60_000

/**
 * A ticket in the hands of its holder is good after he has given it back, too: its site hears of it from its broker,
 * honours it no more, and lets go what is held with it all the same. It is said with the commit in which the units can
 * be given to somebody else, so that the site mostly hears of it before it is shown the ticket for them. `proof` is the
 * head of the message by which he gave it back: without it no lease ends by the word of a broker.
 *
 *   relinquish, return-extension ──┬─at once, all of a commit──▶ `tickets-returned` to the site
 *                                  └─▶ remembered ──its end──▶ forgotten
 *                                         └─ a site that was restored asks: it is told once more, few messages at a time
 */
export function noteReturned(tickets: readonly Ticket[], draft: BrokerDraft, proof?: RequestProof): void {
  for (const { id, leaseId, holder, site, term } of tickets) {
    if (term.end <= draft.now) continue
    const shown = proof ?? saidBy(holder, id, draft)?.proof
    const row: ReturnedRow = { id, leaseId, site, holder, proof: shown, due: term.end }
    draft.put('returned', row)
    if (speaksOnly1(site, draft)) continue
    const before = draft.get('telling', site)?.tickets ?? []
    draft.put('telling', { id: site, tickets: [...before, toldOf(row)], due: draft.now })
  }
}

/**
 * A store that was put back does not know the ticket, and it may be shown later in what is told of it: it is not taken up
 * again. False where its holder has too much of that already.
 */
export function noteUnseen(
  envelope: Envelope,
  ticketId: string,
  until: Instant,
  draft: BrokerDraft,
): boolean {
  const { from: holder, subject: leaseId } = envelope
  if ((draft.view(returnedOf).get(holder)?.size ?? 0) >= RETURNED_OF_HOLDER_MAX) return false
  if (draft.get('returned', ticketId) !== undefined) return true
  const proof = requestProof(envelope)
  const due = Math.max(envelope.until, until)
  draft.put('returned', { id: ticketId, leaseId, holder, proof, heardAt: draft.now, due })
  return true
}

/** Whether its holder has given it back; what somebody else says of it is nothing. */
export function isReturned({ id, holder, leaseId, predecessor, term }: Ticket, draft: BrokerDraft): boolean {
  const row = saidBy(holder, id, draft)
  if (row?.leaseId !== leaseId) return false
  return row.heardAt === undefined || (predecessor !== null && row.heardAt < term.start)
}

function saidBy(holder: string, ticketId: string, draft: BrokerDraft): ReturnedRow | undefined {
  const row = draft.get('returned', ticketId)
  return row?.holder === holder ? row : undefined
}

const toldOf = ({ id: ticketId, leaseId, due: until = 0, proof }: ReturnedRow): Told[number] => ({
  ...{ ticketId, leaseId, until },
  ...(proof && { proof }),
})

export function tellReturned({ id: site, tickets }: TellingRow, draft: BrokerDraft): void {
  say(site, tickets, draft)
  draft.remove('telling', site)
}

/** A site that was restored has forgotten of some that they were given back, also of leases that go on. */
export function tellAllReturned(site: string, draft: BrokerDraft): void {
  if (speaksOnly1(site, draft)) return
  const row = draft.get('retelling', site)
  // It may have been put back once more, and have forgotten what it was told since.
  if (row !== undefined) return draft.put('retelling', { ...row, isAskedAgain: true })
  retellAfter('', site, draft)
}

/**
 * Goes on when it has taken what it was told anew so far: however often it asks, there is little of that in the outbox.
 * What is told for the first time meanwhile is not waited for, or where somebody always gives something back it would
 * never hear of the rest.
 */
export function retell(site: string, draft: BrokerDraft): void {
  const row = draft.get('retelling', site)!
  const isTaken = row.told?.every((first) => draft.having(toldFirst, first).length === 0) ?? true
  if (isTaken) return retellAfter(row.after, site, draft, row)
  const waitedMs = Math.min(2 * row.waitedMs, RETELL_MS_MAX)
  draft.put('retelling', { ...row, waitedMs, due: draft.now + waitedMs })
}

function retellAfter(after: string, site: string, draft: BrokerDraft, row?: RetellingRow): void {
  const isAskedAgain = row?.isAskedAgain === true
  const behind = draft
    .having(returnedAt, site)
    .filter(({ id }) => id > after)
    .map((one) => ({ key: one.id, one }))
  const next = firstOf(behind, RETELLING_MESSAGES * RETURNED_MAX).map(({ one }) => one)
  const last = next.at(-1)
  if (last !== undefined) {
    const told = say(site, next.map(toldOf), draft).map(firstIn)
    const waits = { waitedMs: RETELL_MS, due: draft.now + RETELL_MS }
    return draft.put('retelling', { id: site, after: last.id, told, isAskedAgain, ...waits })
  }
  if (isAskedAgain) return retellAfter('', site, draft)
  draft.remove('retelling', site)
}

/** Returns what each message says. */
function say(site: string, tickets: Told, draft: BrokerDraft): Told[] {
  const messages: Told[] = []
  for (let first = 0; first < tickets.length; first += RETURNED_MAX) {
    const told = tickets.slice(first, first + RETURNED_MAX)
    const until = Math.max(...told.map((one) => one.until)) + RETIRE_MS
    tell(draft, site, 'tickets-returned', 'returned', { tickets: told }, until)
    messages.push(told)
  }
  return messages
}

/** Leases of the site that were given back before their end, in one order; of some that go on only an extension was. */
export const returnedLeases = (site: string, draft: BrokerDraft): string[] =>
  [...new Set(draft.having(returnedAt, site).map(({ leaseId }) => leaseId))]
    .filter((leaseId) => (draft.get('ticket', leaseId)?.tickets.length ?? 0) === 0)
    .sort()

/** As a site that asks what is held there hears of it; without the word of its holder it is believed of none that goes on. */
export function returnedHolding(leaseId: string, draft: BrokerDraft): Body<'holdings'>['holdings'][number] {
  const proofs = draft.having(returnedOfLease, leaseId).map(({ proof }) => proof)
  const proof = proofs.find((one) => one?.kind === 'relinquish')
  const nothing = { ticket: null, next: null, properties: {}, units: [] }
  return { leaseId, state: 'closed', closed: true, ...nothing, ...(proof && { proof }) }
}

/**
 * Why the holder is granted nothing at the site for now; undefined if it has not given too much back. As what the site can
 * remember fills up, those who fill it are refused first: there is as much left for the others as each of them has.
 */
export function refusalForReturned(holder: string, site: string, draft: BrokerDraft): string | undefined {
  const count = draft.view(returnedOf).get(holder)?.size ?? 0
  const atSite = draft.view(returnedAt).get(site)?.size ?? 0
  const most = Math.min(RETURNED_OF_HOLDER_MAX, RETURNED_AT_SITE_MAX - atSite)
  if (count < most) return undefined
  const why =
    count < RETURNED_OF_HOLDER_MAX
      ? `of ${site} ${atSite} were, and ${RETURNED_AT_SITE_MAX} are remembered`
      : 'the most that are remembered of one holder'
  const error = new SubletError(
    'too-many-returned',
    `${holder} has given ${count} tickets back whose terms are not over; ${why}`,
  )
  return `${error.message} (${error.code}). ${error.cure}`
}

/** The same of whoever asks for a type, wherever it is lent. */
export function refusalEverywhere(holder: string, type: string, draft: BrokerDraft): string | undefined {
  const sites = draft.all('delegation').filter((row) => row.type === type)
  const refusals = sites.map(({ site }) => refusalForReturned(holder, site, draft))
  return refusals.every((refusal) => refusal !== undefined) ? refusals[0] : undefined
}
