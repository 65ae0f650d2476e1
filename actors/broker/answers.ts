import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { type Body, readBody } from '../leases/messages.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { ticketMachine } from './machine.ts'
import type { BrokerDraft, TicketRow } from './rows.ts'

export const iso = (at: Instant): string => new Date(at).toISOString()

/** A sentence is no longer than this where it travels. */
const REASON_CHARS_MAX = 500

export interface Answer {
  readonly outcome: Body<'ticket-update'>['outcome']
  readonly ticket?: Ticket
  readonly reason: string
  readonly earliest?: Instant | undefined
  readonly unitsNow?: number
}

export function answer(
  draft: BrokerDraft,
  holder: string,
  leaseId: string,
  { outcome, ticket, reason, earliest, unitsNow = 0 }: Answer,
  answerMs: Millis,
): void {
  const said = reason.slice(0, REASON_CHARS_MAX)
  const body = { outcome, ticket: ticket ?? null, reason: said, earliest: earliest ?? null, unitsNow }
  tell(draft, holder, 'ticket-update', leaseId, body, draft.now + answerMs)
}

/** Frees whatever is promised under the row, and whatever is asked for. */
export function closeRow(row: TicketRow, draft: BrokerDraft, reason: string | undefined): void {
  const due = draft.now + RETIRE_MS
  const state = nextState(ticketMachine, row.state, 'closed')!
  draft.put('ticket', { ...row, state, asked: undefined, tickets: [], due })
  draft.retire(row.id, due)
  if (reason !== undefined) draft.note('ticket closed', row.id, reason)
}

/** Of a lease that is not kept, or not his, nothing else would ever end the numbers of the conversation with `peer`. */
export function forgetUnknown(leaseId: string, peer: string, draft: BrokerDraft): void {
  if (draft.get('ticket', leaseId)?.holder !== peer) draft.retire(leaseId, draft.now + RETIRE_MS, peer)
}

/** Makes a round due, unless one is due earlier. */
export function scheduleRound(draft: BrokerDraft, inMs: Millis): void {
  const due = draft.now + inMs
  const round = draft.get('round', 'round')
  if (round?.due === undefined || round.due > due) draft.put('round', { ...round, id: 'round', due })
}

export function withBody<K extends Parameters<typeof readBody>[0]>(
  kind: K,
  envelope: Envelope,
  draft: BrokerDraft,
  then: (body: Body<K>) => void,
): void {
  const read = readBody(kind, envelope.body)
  if (read.ok) then(read.body)
  else refuseMessage(draft, envelope, read.reason)
}

/** A request that no table lists, or of a wrong form: refused and recorded. */
export function refuseMessage(draft: BrokerDraft, envelope: Envelope, reason: string): void {
  draft.turnDown()
  draft.note('message refused', envelope.subject, `${envelope.from}: ${reason}`)
}
