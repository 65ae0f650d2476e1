import type { Allocation } from '../../controllers/controller.ts'
import type { Supply } from '../leases/calendar.ts'
import { nextState } from '../leases/machine.ts'
import { issueTicket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import { BODY_CHARS_MAX } from '../runtime/envelope.ts'
import { answer, closeRow } from './answers.ts'
import { bookOf } from './book.ts'
import type { BrokerParts } from './config.ts'
import { delegations } from './delegations.ts'
import { ticketMachine } from './machine.ts'
import type { BrokerDraft, Delegated, DelegationRow, TicketRow } from './rows.ts'

export type Grant = Extract<Allocation, { kind: 'grant' }>

/** What a ticket and the answer around it have besides the claim. */
const HEADROOM_CHARS = 16_384

/** What would work instead. */
export interface Alternative {
  readonly earliest?: Instant | undefined
  readonly unitsNow?: number
  /** What is free, where that is known already: to count it anew for each of many refusals costs all that is promised. */
  readonly supply?: Supply
}

/** Answers an open question: with a ticket, or with what would work. */
export function grants(parts: BrokerParts) {
  const { config, identity } = parts
  const { draw, chainOf } = delegations(parts)
  return { grant, refuse, tooLong }

  /** A ticket says twice what its site has signed: of what earlier programs took some would not travel. */
  function tooLong(row: TicketRow, { site, units, term }: Grant, draft: BrokerDraft): string | undefined {
    const delegation = draft.get('delegation', `${site}/${row.type}`)
    const claim = delegation && draw(delegation, units, term)?.claim
    if (claim === undefined || 2 * JSON.stringify(claim).length < BODY_CHARS_MAX - HEADROOM_CHARS)
      return undefined
    return `a ticket on ${row.type} of ${site} would be too long to travel: the site has to offer it with fewer dimensions`
  }

  function grant(row: TicketRow, { site, units, term, reason }: Grant, draft: BrokerDraft): void {
    // What is free is lent by somebody.
    const delegation = draft.get('delegation', `${site}/${row.type}`)!
    const drawn = draw(delegation, units, term)
    const asker = row.asked!.proof
    const proof =
      drawn === undefined || asker === undefined
        ? undefined
        : { parent: drawn.hash, brokerKey: identity.key, vector: drawn.claim.vector, ...asker }
    const ticket = issueTicket(
      {
        id: draft.newId('ticket'),
        leaseId: row.id,
        holder: row.holder,
        site,
        type: row.type,
        units,
        term,
        predecessor: row.tickets.at(-1)?.id ?? null,
        conditions: drawn?.claim.conditions ?? delegation.conditions,
        issuedAt: draft.now,
        ...(proof === undefined ? {} : { proof }),
      },
      identity,
    )
    if (proof !== undefined) markDrawn(delegation, drawn!, draft)
    const live = row.tickets.filter((held) => held.term.end > draft.now)
    const state = nextState(ticketMachine, row.state, 'granted')!
    const due = term.end + config.quarantineMs
    draft.put('ticket', { ...row, state, asked: undefined, waitReason: '', tickets: [...live, ticket], due })
    const { id: ticketId, predecessor } = ticket
    draft.note('ticket granted', row.id, reason, {
      ...{ ticketId, predecessor, site, type: row.type, units, term, ticket },
    })
    const chain = chainOf(ticket, draft)
    const travels = chain === undefined ? ticket : { ...ticket, chain }
    answer(draft, row.holder, row.id, { outcome: 'granted', ticket: travels, reason }, config.answerMs)
  }

  /** A lease that is refused its extension goes on to its end. */
  function refuse(
    row: TicketRow,
    reason: string,
    draft: BrokerDraft,
    {
      earliest,
      supply,
      unitsNow = freeNow(row, supply ?? bookOf(draft).supply, draft.now),
    }: Alternative = {},
  ): void {
    const state = nextState(ticketMachine, row.state, 'refused')!
    const last = row.tickets.at(-1)
    draft.note(last === undefined ? 'refused' : 'extension refused', row.id, reason)
    const outcome = last === undefined ? 'refused' : 'extension-refused'
    answer(draft, row.holder, row.id, { outcome, reason, earliest, unitsNow }, config.answerMs)
    if (last === undefined) return closeRow({ ...row, state, waitReason: reason }, draft, undefined)
    const due = last.term.end + config.quarantineMs
    draft.put('ticket', { ...row, state, asked: undefined, waitReason: '', due })
  }
}

/** The holder is told how many are free, whatever it is refused for. */
function freeNow({ type, asked }: TicketRow, supply: Supply, now: Instant): number {
  const term = { start: now, end: now + Math.max(1, asked?.durationMs ?? 0) }
  return Math.max(0, ...supply.sites.map((site) => supply.free(site, type, term)))
}

function markDrawn(row: DelegationRow, { hash, drawn }: Delegated, draft: BrokerDraft): void {
  if (drawn) return
  const mark = (one: Delegated | undefined): Delegated | undefined =>
    one?.hash === hash ? { ...one, drawn: true } : one
  draft.put('delegation', { ...row, claim: mark(row.claim), before: mark(row.before) })
}
