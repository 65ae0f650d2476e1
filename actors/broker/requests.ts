import { nextState } from '../leases/machine.ts'
import type { Body } from '../leases/messages.ts'
import { readRequest } from '../leases/properties.ts'
import { LENGTH_MS_MAX } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import { LATEST, type Millis } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { inOneLine, SubletError } from '../runtime/errors.ts'
import { type RequestProof, requestProof } from '../runtime/proof.ts'
import { period } from '../runtime/sentence.ts'
import { indexOf } from '../runtime/views.ts'
import { answer, closeRow, forgetUnknown, iso, scheduleRound } from './answers.ts'
import { approvalFor } from './approvals.ts'
import type { BrokerParts } from './config.ts'
import { delegations } from './delegations.ts'
import { groups } from './groups.ts'
import { ticketMachine } from './machine.ts'
import { stillReduced } from './promises.ts'
import { noteReturned, noteUnseen, refusalEverywhere, refusalForReturned } from './returns.ts'
import type { Asked, BrokerDraft, TicketRow } from './rows.ts'

/** A request that no policy has answered by then, past its latest start, is refused. */
export const UNDECIDED_MS: Millis = 60_000

/** A start so near is now: the clock of its holder may be ahead. */
const CLOCKS_MS: Millis = 5_000

/** What holders ask, and what they give back. */
export function requests(parts: BrokerParts) {
  const { config } = parts
  const { join, memberEnded } = groups(parts)
  const { chainOf } = delegations(parts)
  return { asked, extensionAsked, extensionReturned, relinquished, givenBack }

  function asked(envelope: Envelope, body: Body<'ticket'>, draft: BrokerDraft): void {
    const { from: holder, subject: leaseId } = envelope
    const refused = (reason: string): void => {
      draft.turnDown()
      draft.note('refused', leaseId, `${holder}: ${reason}`)
      answer(draft, holder, leaseId, { outcome: 'refused', reason }, config.answerMs)
      forgetUnknown(leaseId, holder, draft)
    }
    if (config.holders?.includes(holder) === false)
      return refused(`${holder} is no service manager here, and only those are given tickets`)
    if (draft.get('ticket', leaseId) !== undefined) return refused(`the lease id ${leaseId} is in use`)
    const tooMany = refusalForMany(holder, draft) ?? refusalEverywhere(holder, body.type, draft)
    if (tooMany !== undefined) return refused(tooMany)
    let terms: ReturnType<typeof readRequest>
    try {
      terms = readRequest(body.properties, body.units)
    } catch (error) {
      return refused(inOneLine(error))
    }
    const { units, durationMs, type, properties } = body
    const start = Math.max(body.start, draft.now)
    if (terms.deadline !== undefined && terms.deadline < start)
      return refused(
        `the latest start asked for, ${iso(terms.deadline)}, is before the earliest, ${iso(start)}`,
      )
    if (start + durationMs > LATEST) return refused(`its end would be after ${iso(LATEST)}`)
    const latest = terms.deadline ?? (terms.deferrable ? start + LENGTH_MS_MAX : start)
    const startBy = terms.deferrable ? latest : start
    if (terms.group !== undefined) {
      const refusal = join(holder, leaseId, terms.group, startBy, draft)
      if (refusal !== undefined) return refused(`the request ${refusal}`)
    }
    const approval = approvalFor(config.approval, { type, units, durationMs, held: 0 }, draft.now)
    const row: TicketRow = {
      id: leaseId,
      holder,
      state: 'asked',
      type,
      arrivedAt: draft.now,
      turn: nextTurn(draft),
      asked: {
        ...{ units, unitsMin: terms.unitsMin, durationMs, start, startBy, properties },
        ...{ proof: proofOf(envelope), approval },
      },
      waitReason: approval === undefined ? '' : `awaits approval: ${approval.reason}`,
      tickets: [],
      reduced: undefined,
      group: terms.group,
      guest: properties.guest,
      priority: properties.priority,
      due: approval !== undefined && startBy > draft.now + CLOCKS_MS ? startBy : startBy + UNDECIDED_MS,
    }
    draft.put('ticket', row)
    const manner = [
      `${holder} asks for ${units} of ${type} for ${period(durationMs)}`,
      start > draft.now ? `from ${iso(start)} on` : '',
      terms.elastic ? `elastic down to ${terms.unitsMin}` : '',
      terms.deferrable ? `deferrable until ${iso(startBy)}` : '',
      ...whereOf(terms),
      terms.group === undefined ? '' : `one of ${terms.group.size} of group ${terms.group.id}`,
    ]
    draft.note('asked', leaseId, manner.filter(Boolean).join(', '))
    if (approval !== undefined) draft.note('awaits approval', leaseId, approval.reason)
    scheduleRound(draft, config.batchMs)
  }

  function extensionAsked(envelope: Envelope, body: Body<'extend-ticket'>, draft: BrokerDraft): void {
    const { from: holder, subject: leaseId } = envelope
    const refused = (reason: string): void => {
      draft.turnDown()
      draft.note('extension refused', leaseId, reason)
      answer(draft, holder, leaseId, { outcome: 'extension-refused', reason }, config.answerMs)
      forgetUnknown(leaseId, holder, draft)
    }
    const known = draft.get('ticket', leaseId)
    const latest = known?.holder === holder ? known.tickets.at(-1) : undefined
    if (latest !== undefined && answersIt(latest, envelope)) return sayAgain(latest, draft)
    const site = known?.tickets.at(-1)?.site
    const tooMany = site === undefined ? undefined : refusalForReturned(holder, site, draft)
    if (tooMany !== undefined) return refused(tooMany)
    // Nothing changes by the word of another than its holder.
    const row =
      known?.holder === holder
        ? withoutUnused(known, body.predecessor, config.quarantineMs, envelope, draft)
        : undefined
    const last = row?.tickets.at(-1)
    if (row === undefined || last === undefined)
      return refused(`no ticket of ${holder} is known under ${leaseId}`)
    if (last.term.end <= draft.now) return refused(ENDED)
    const state = nextState(ticketMachine, row.state, 'extend')
    if (state === undefined) return refused(`the ticket is ${row.state}`)
    if (last.id !== body.predecessor)
      return refused(`${body.predecessor} is not the last ticket of the lease`)
    const { units, durationMs, unitsMin = units } = body
    const start = last.term.end
    if (unitsMin > units) return refused(`at least ${unitsMin} of ${units} is more than all`)
    if (start + durationMs > LATEST) return refused(`its end would be after ${iso(LATEST)}`)
    const held = last.units - stillReduced(row, last)
    const approval = approvalFor(config.approval, { type: row.type, units, durationMs, held }, draft.now)
    const open: Asked = {
      ...{ units, unitsMin, durationMs, start, startBy: start },
      ...{ proof: proofOf(envelope), approval },
    }
    // What nobody approves before the old end is over then.
    const due = approval === undefined ? row.due : start
    const waitReason = approval === undefined ? '' : `awaits approval: ${approval.reason}`
    draft.put('ticket', { ...row, state, asked: open, waitReason, due })
    const wish = units > held ? `grow from ${held} to ${someUnits(units)}` : `keep ${units} of ${last.units}`
    const least = unitsMin < units ? `, at least ${unitsMin},` : ''
    draft.note(
      'extension asked',
      leaseId,
      `${holder} asks to ${wish}${least} until ${iso(start + durationMs)}, from ${iso(start)} on`,
    )
    if (approval !== undefined) draft.note('awaits approval', leaseId, approval.reason)
    scheduleRound(draft, config.batchMs)
  }

  /** A store that was put back forgets that it was asked, and learns of the ticket from others before it is asked again. */
  function sayAgain(ticket: Ticket, draft: BrokerDraft): void {
    const { leaseId, holder, id } = ticket
    draft.note('message noted', leaseId, `${holder} asks again for the extension that ${id} is`)
    const chain = chainOf(ticket, draft)
    const travels = chain === undefined ? ticket : { ...ticket, chain }
    const reason = `granted before: ${id}`
    answer(draft, holder, leaseId, { outcome: 'granted', ticket: travels, reason }, config.answerMs)
  }

  /**
   * A granted extension that did not come to be used: what was promised ends with the ticket before it again, and the
   * lease goes on. Told again, it changes nothing.
   */
  function extensionReturned(
    envelope: Envelope,
    { ticketId }: Body<'return-extension'>,
    draft: BrokerDraft,
  ): void {
    const { from: holder, subject: leaseId } = envelope
    const row = draft.get('ticket', leaseId)
    const refused = (reason: string): void => {
      draft.turnDown()
      draft.note('message refused', leaseId, `${holder} gives ${ticketId} back: ${reason}`)
      forgetUnknown(leaseId, holder, draft)
    }
    const recovery = draft.get('recovery', 'recovery')
    if (recovery !== undefined && mayBeForgotten(row, holder, ticketId)) {
      const until = recovery.until ?? recovery.due ?? draft.now
      if (!noteUnseen(envelope, ticketId, until, draft))
        return refused('too many that are not known here were')
      forgetUnknown(leaseId, holder, draft)
      const why = 'which is not known yet: it is not taken up when it is shown'
      return draft.note('message noted', leaseId, `${holder} gives ${ticketId} back, ${why}`)
    }
    if (row?.holder !== holder) return refused(`no ticket of ${holder} is known under ${leaseId}`)
    const ticket = row.tickets.find(({ id }) => id === ticketId)
    // Given back before, or with all of the lease.
    if (ticket === undefined)
      return draft.note('message noted', leaseId, `${holder} gives ${ticketId} back, which is not held here`)
    if (row.tickets.at(-2)?.id !== ticket.predecessor)
      return refused('it extends none that is held here, and goes back with the lease')
    if (ticket.term.start <= draft.now) return refused('its term has begun, and it goes back with the lease')
    if (row.state !== 'granted') return refused('it is to be extended itself')
    putUnused(row, `${holder} gives it back`, config.quarantineMs, envelope, draft)
    scheduleRound(draft, 0)
  }

  /** Frees current and granted extension together; what is still asked is closed with it. */
  function relinquished(envelope: Envelope, { reason }: Body<'relinquish'>, draft: BrokerDraft): void {
    givenBack(envelope.from, envelope.subject, reason, draft, requestProof(envelope))
  }

  /** By a message of its own, or told by its holder of one that this store does not remember. */
  function givenBack(
    holder: string,
    leaseId: string,
    reason: string,
    draft: BrokerDraft,
    proof?: RequestProof,
  ): void {
    const row = draft.get('ticket', leaseId)
    if (row !== undefined && row.holder !== holder) {
      const refusal = `the ticket ${leaseId} is not held by ${holder}`
      draft.turnDown()
      draft.note('message refused', leaseId, refusal)
      answer(draft, holder, leaseId, { outcome: 'refused', reason: refusal }, config.answerMs)
      return forgetUnknown(leaseId, holder, draft)
    }
    // The request itself may have been lost or overtaken; it will be refused when it comes, for its number is old.
    if (row !== undefined && row.state !== 'closed') {
      noteReturned(row.tickets, draft, proof)
      closeRow(row, draft, `${holder} gives it back: ${reason}`)
      memberEnded(row, `${holder} gives it back`, draft)
      scheduleRound(draft, 0)
    }
    if (row === undefined && isRecovering(draft)) rememberForgotten(holder, leaseId, draft)
    answer(draft, holder, leaseId, { outcome: 'closed', reason }, config.answerMs)
    forgetUnknown(leaseId, holder, draft)
  }
}

/** Of those that one holder has open all are decided on in every round. */
export const OPEN_MAX = 10_000

const openOf = indexOf<TicketRow>('ticket', ({ asked, holder }) => (asked === undefined ? undefined : holder))

const isOpen = (row: TicketRow | undefined, holder: string): boolean =>
  row !== undefined && openOf.keyOf(row) === holder

function refusalForMany(holder: string, draft: BrokerDraft): string | undefined {
  let open = draft.view(openOf).get(holder)?.size ?? 0
  for (const { before, after } of draft.changes('ticket'))
    open += Number(isOpen(after, holder)) - Number(isOpen(before, holder))
  if (open < OPEN_MAX) return undefined
  const error = new SubletError(
    'too-many-open',
    `${holder} has ${open} requests open, the most that one holder may have`,
  )
  return `${error.message} (${error.code}). ${error.cure}`
}

/** Which came first of those that come in one millisecond. */
function nextTurn(draft: BrokerDraft): number {
  const round = draft.get('round', 'round')
  const turn = (round?.turns ?? 0) + 1
  draft.put('round', { ...round, id: 'round', turns: turn })
  return turn
}

/** What is given back while others are still asked what they hold is not to be adopted by what they say. */
function rememberForgotten(holder: string, leaseId: string, draft: BrokerDraft): void {
  const nothing = { type: '', asked: undefined, waitReason: '', tickets: [], reduced: undefined }
  const row: TicketRow = { id: leaseId, holder, state: 'closed', arrivedAt: draft.now, ...nothing }
  closeRow(row, draft, `${holder} gives back a lease that this store does not know`)
}

/** Whether a lease of the holder may have a ticket that this store does not know. */
function mayBeForgotten(row: TicketRow | undefined, holder: string, ticketId: string): boolean {
  // Who gave back in the recovery what was never his has no say in it.
  if (row?.holder !== holder) return row === undefined || row.type === ''
  return row.state !== 'closed' && !row.tickets.some(({ id }) => id === ticketId)
}

const isRecovering = (draft: BrokerDraft): boolean => draft.get('recovery', 'recovery') !== undefined

/** What is over is never taken up again. */
export const ENDED = 'ended: the term of the ticket is over'

/**
 * Whoever extends the ticket before the last did not get to use the last: its site refused it, and said so
 * to the holder. It is given back with the question.
 */
function withoutUnused(
  row: TicketRow,
  predecessor: string,
  quarantineMs: Millis,
  envelope: Envelope,
  draft: BrokerDraft,
): TicketRow {
  const [before, last] = row.tickets.slice(-2)
  if (row.state !== 'granted' || before?.id !== predecessor || last?.predecessor !== predecessor) return row
  // What has begun is in use, if anything of it is: it goes back with the lease.
  if (last.term.start <= draft.now) return row
  return putUnused(row, `${row.holder} asks anew from ${predecessor}`, quarantineMs, envelope, draft)
}

/** Without the last of its tickets, which nobody uses: its site is told so, and shown who said it. */
function putUnused(
  row: TicketRow,
  why: string,
  quarantineMs: Millis,
  envelope: Envelope,
  draft: BrokerDraft,
): TicketRow {
  const { id: ticketId, units, type, term } = row.tickets.at(-1)!
  const tickets = row.tickets.slice(0, -1)
  const due = tickets.at(-1)!.term.end + quarantineMs
  const current = { ...row, tickets, due }
  draft.put('ticket', current)
  noteReturned(row.tickets.slice(-1), draft, requestProof(envelope))
  const free = `${units} of ${type} are free from ${iso(term.start)} to ${iso(term.end)}`
  draft.note('extension unused', row.id, `${why}: ${ticketId} is not used, ${free}`, { ticketId })
  return current
}

/** It was issued for this very message, however often that is signed and sent. */
const answersIt = ({ proof }: Ticket, { id, from, kind }: Envelope): boolean =>
  proof?.request.id === id && proof.request.from === from && proof.request.kind === kind

/** Who asked, as he signed it: nothing of protocol 1, where no message names its key. */
function proofOf(envelope: Envelope): Asked['proof'] {
  const { key } = envelope
  return key === undefined ? undefined : { holderKey: key, request: requestProof(envelope) }
}

/** `at near, far first`, `not at bad`. */
const whereOf = ({ sites }: ReturnType<typeof readRequest>): readonly string[] => [
  sites === undefined || sites.prefer.length === 0 ? '' : `at ${sites.prefer.join(', ')} first`,
  sites === undefined || sites.avoid.length === 0 ? '' : `not at ${sites.avoid.join(', ')}`,
]
