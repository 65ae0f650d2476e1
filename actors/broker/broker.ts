import type { Allocation, BrokerPolicy } from '../../controllers/controller.ts'
import { type Supply, supplyOf } from '../leases/calendar.ts'
import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { type Body, isMessageKind, readBody } from '../leases/messages.ts'
import { readRequest } from '../leases/properties.ts'
import { LENGTH_MS_MAX, termSchema } from '../leases/term.ts'
import { issueTicket, type Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Draft } from '../runtime/draft.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { inOneLine } from '../runtime/errors.ts'
import type { Identity } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import { ticketMachine } from './machine.ts'
import { byTurn, heldAt, holdingsOf, offersOf, promisesOf, requestOf, stillReduced } from './promises.ts'
import type { BrokerTables, TicketRow } from './rows.ts'

export interface BrokerConfig {
  readonly policy: BrokerPolicy
  /** Who may lend; absent: every peer. */
  readonly sites?: readonly string[]
  /** Requests that arrive within this long are decided together. */
  readonly batchMs: Millis
  /** How long after a ticket's end it is kept, for a relinquish that is late. */
  readonly quarantineMs: Millis
  /** How long an answer is worth repeating. */
  readonly answerMs: Millis
}

type BrokerDraft = Draft<BrokerTables>

/** A request that no policy has answered by then, past its latest start, is refused. */
const UNDECIDED_MS: Millis = 60_000

/**
 * Provisions: how much, when, from which site. Sites tell it what they lend; it promises no more than
 * that at any instant, and signs each promise as a ticket. It does not know whether a lease is active.
 */
export function broker(config: BrokerConfig, identity: Identity): Mind<BrokerTables> {
  return {
    handle(input: Input, draft: BrokerDraft): void {
      switch (input.kind) {
        case 'started':
          draft.note('started', draft.self, `the broker begins epoch ${input.epoch}`)
          return scheduleRound(draft, 0)
        case 'message':
          return receive(input.envelope, draft)
        case 'due':
          if (input.table === 'round') return decideRound(draft)
          if (input.table === 'ticket') return onDue(input.row as TicketRow, draft)
          return
        case 'undelivered':
          return draft.note(
            'undelivered',
            input.envelope.subject,
            `${input.envelope.kind} to ${input.envelope.to}: ${input.reason}`,
          )
        case 'clock-step':
          return draft.note(
            'clock stepped',
            draft.self,
            `the wall clock jumped by ${input.byMs} ms and is not believed`,
          )
        case 'effect':
        case 'command':
          throw new Error(`a broker knows no ${input.kind}`)
      }
    },
  }

  function receive(envelope: Envelope, draft: BrokerDraft): void {
    const { kind, from, subject } = envelope
    if (!isMessageKind(kind)) return refuseMessage(draft, envelope, `a broker knows no ${kind}`)
    switch (kind) {
      case 'delegation':
        if (!isSite(from)) return refuseMessage(draft, envelope, `${from} is not a site that lends here`)
        return withBody(kind, envelope, draft, (body) => offered(from, body, draft))
      case 'recall-units':
        if (!isSite(from)) return refuseMessage(draft, envelope, `${from} is not a site that lends here`)
        return withBody(kind, envelope, draft, (body) => recalled(from, envelope.sentAt, body, draft))
      case 'ticket':
        return withBody(kind, envelope, draft, (body) => asked(from, subject, body, draft))
      case 'extend-ticket':
        return withBody(kind, envelope, draft, (body) => extensionAsked(from, subject, body, draft))
      case 'relinquish':
        return withBody(kind, envelope, draft, (body) => relinquished(from, subject, body, draft))
      case 'recall-plan':
        return withBody(kind, envelope, draft, (body) => planned(from, subject, body, draft))
      default:
        return refuseMessage(draft, envelope, `a broker is not told ${kind}`)
    }
  }

  function isSite(name: string): boolean {
    return config.sites === undefined || config.sites.includes(name)
  }

  // ── what sites lend ──────────────────────────────────────────────────────────────────────────────

  function offered(site: string, body: Body<'delegation'>, draft: BrokerDraft): void {
    const id = `${site}/${body.type}`
    const before = draft.get('delegation', id)?.units ?? 0
    const { type, units, vector, conditions } = body
    draft.put('delegation', { id, site, type, units, vector, conditions })
    for (const recallId of body.settledRecalls)
      if (draft.get('recall', recallId)?.site === site) draft.remove('recall', recallId)
    draft.note('offer changed', id, `${site} lends ${units} of ${type} (before: ${before}): ${body.reason}`)
    scheduleRound(draft, 0)
  }

  /** The site wants units back: those who hold the most recent tickets are asked first. */
  function recalled(site: string, orderedAt: Instant, body: Body<'recall-units'>, draft: BrokerDraft): void {
    const { recallId, type, units, by, reason } = body
    draft.put('recall', { id: recallId, site, type, units, by })
    const offer = draft.get('delegation', `${site}/${type}`)?.units ?? 0
    const held = draft.all('ticket').filter((row) => heldAt(row, site, type, by) > 0)
    const free = offer - held.reduce((sum, row) => sum + heldAt(row, site, type, by), 0)
    let missing = units - Math.max(0, free)
    draft.note(
      'recalled',
      recallId,
      `${site} wants ${units} of ${type} back by ${iso(by)}, ${Math.max(0, free)} are free: ${reason}`,
      { site, type, units, by },
    )
    for (const row of held.sort((a, b) => b.arrivedAt - a.arrivedAt || (a.id < b.id ? 1 : -1))) {
      if (missing <= 0) return
      const share = Math.min(missing, heldAt(row, site, type, by))
      missing -= share
      const conditions = row.tickets.at(-1)?.conditions
      // By the site's own clock and the ticket, as the site will reckon it.
      const binding = conditions?.recallable === true && by - orderedAt >= conditions.noticeMs
      // Whoever hears of it late can still let its work end in the grace.
      const until = by + (conditions?.graceMs ?? 0)
      tell(draft, row.holder, 'recall', row.id, { recallId, units: share, by, binding, reason }, until)
    }
  }

  function planned(from: string, leaseId: string, body: Body<'recall-plan'>, draft: BrokerDraft): void {
    const row = draft.get('ticket', leaseId)
    if (row === undefined || row.holder !== from || row.state === 'closed')
      return draft.note('message noted', leaseId, `a recall plan from ${from} for a ticket it does not hold`)
    if (body.units > 0) {
      // A plan that comes on top of another adds to it; both count from the later instant.
      const before = stillReduced(row, row.tickets.at(-1))
      const most = row.tickets.at(-1)?.units ?? 0
      const units = Math.min(most, body.units + before)
      const from = Math.max(draft.now, body.by, before > 0 ? row.reduced!.from : 0)
      draft.put('ticket', { ...row, reduced: { units, from, plannedAt: draft.now } })
    }
    draft.note(
      'recall planned',
      leaseId,
      `${from} gives ${someUnits(body.units)} back by ${iso(body.by)}: ${body.reason}`,
    )
    scheduleRound(draft, 0)
  }

  // ── what holders ask ─────────────────────────────────────────────────────────────────────────────

  function asked(holder: string, leaseId: string, body: Body<'ticket'>, draft: BrokerDraft): void {
    const refused = (reason: string): void => {
      draft.note('refused', leaseId, `${holder}: ${reason}`)
      answer(draft, holder, leaseId, 'refused', null, reason)
      forgetUnknown(leaseId, draft)
    }
    if (draft.get('ticket', leaseId) !== undefined) return refused(`the lease id ${leaseId} is in use`)
    let terms: ReturnType<typeof readRequest>
    try {
      terms = readRequest(body.properties, body.units)
    } catch (error) {
      return refused(inOneLine(error))
    }
    const start = Math.max(body.start, draft.now)
    if (terms.deadline !== undefined && terms.deadline < start)
      return refused(
        `the latest start asked for, ${iso(terms.deadline)}, is before the earliest, ${iso(start)}`,
      )
    const latest = terms.deadline ?? (terms.deferrable ? start + LENGTH_MS_MAX : start)
    const startBy = terms.deferrable ? latest : start
    const { units, durationMs, type } = body
    const row: TicketRow = {
      id: leaseId,
      holder,
      state: 'asked',
      type,
      arrivedAt: draft.now,
      asked: { units, unitsMin: terms.unitsMin, durationMs, start, startBy },
      waitReason: '',
      tickets: [],
      reduced: undefined,
      due: startBy + UNDECIDED_MS,
    }
    draft.put('ticket', row)
    const manner = [
      terms.elastic ? `elastic down to ${terms.unitsMin}` : '',
      terms.deferrable ? `deferrable until ${iso(startBy)}` : '',
    ]
    draft.note(
      'asked',
      leaseId,
      `${holder} asks for ${units} of ${type} for ${durationMs} ms ${manner.filter(Boolean).join(', ')}`.trim(),
    )
    scheduleRound(draft, config.batchMs)
  }

  function extensionAsked(
    holder: string,
    leaseId: string,
    body: Body<'extend-ticket'>,
    draft: BrokerDraft,
  ): void {
    const row = withoutUnused(draft.get('ticket', leaseId), body.predecessor, draft)
    const last = row?.tickets.at(-1)
    if (row === undefined || last === undefined || row.holder !== holder)
      return refuseExtension(draft, holder, leaseId, `no ticket of ${holder} is known under ${leaseId}`)
    if (last.term.end <= draft.now) return refuseExtension(draft, holder, leaseId, 'the ticket has ended')
    const state = nextState(ticketMachine, row.state, 'extend')
    if (state === undefined) return refuseExtension(draft, holder, leaseId, `the ticket is ${row.state}`)
    if (last.id !== body.predecessor)
      return refuseExtension(
        draft,
        holder,
        leaseId,
        `${body.predecessor} is not the last ticket of the lease`,
      )
    const back = stillReduced(row, last)
    if (body.units > last.units - back) {
      const promised = back > 0 ? `, of which ${back} were promised back` : ''
      const reason = `an extension grows no lease: it holds ${someUnits(last.units)}${promised}`
      return refuseExtension(draft, holder, leaseId, reason)
    }
    const { units, durationMs } = body
    const start = last.term.end
    draft.put('ticket', {
      ...row,
      state,
      asked: { units, unitsMin: units, durationMs, start, startBy: start },
    })
    draft.note(
      'extension asked',
      leaseId,
      `${holder} asks to keep ${units} of ${last.units} until ${iso(start + durationMs)}, from ${iso(start)} on`,
    )
    scheduleRound(draft, config.batchMs)
  }

  /**
   * Whoever extends the ticket before the last did not get to use the last: its site refused it, and said so
   * to the holder. It is given back with the question.
   */
  function withoutUnused(
    row: TicketRow | undefined,
    predecessor: string,
    draft: BrokerDraft,
  ): TicketRow | undefined {
    const [before, last] = row?.tickets.slice(-2) ?? []
    if (row?.state !== 'granted' || before?.id !== predecessor || last?.predecessor !== predecessor)
      return row
    const current = { ...row, tickets: row.tickets.slice(0, -1) }
    draft.put('ticket', current)
    draft.note('extension unused', row.id, `${row.holder} asks anew from ${predecessor}: ${last.id} is free`)
    return current
  }

  /** Frees current and granted extension together; what is still asked is closed with it. */
  function relinquished(holder: string, leaseId: string, body: Body<'relinquish'>, draft: BrokerDraft): void {
    const row = draft.get('ticket', leaseId)
    if (row !== undefined && row.holder !== holder)
      return answer(draft, holder, leaseId, 'refused', null, `the ticket ${leaseId} is not held by ${holder}`)
    // The request itself may have been lost or overtaken; it will be refused when it comes, for its number is old.
    if (row !== undefined && row.state !== 'closed') {
      close(row, draft, `${holder} gives it back: ${body.reason}`)
      scheduleRound(draft, 0)
    }
    answer(draft, holder, leaseId, 'closed', null, body.reason)
    forgetUnknown(leaseId, draft)
  }

  /** Of a lease that is not kept nothing else would ever end the numbers of its conversation. */
  function forgetUnknown(leaseId: string, draft: BrokerDraft): void {
    if (draft.get('ticket', leaseId) === undefined) draft.retire(leaseId, draft.now + RETIRE_MS)
  }

  // ── deciding ─────────────────────────────────────────────────────────────────────────────────────

  function scheduleRound(draft: BrokerDraft, inMs: Millis): void {
    const due = draft.now + inMs
    const round = draft.get('round', 'round')
    if (round?.due === undefined || round.due > due) draft.put('round', { id: 'round', due })
  }

  function decideRound(draft: BrokerDraft): void {
    draft.put('round', { id: 'round', due: undefined })
    const rows = draft.all('ticket')
    const open = rows.filter((row) => row.asked !== undefined)
    if (open.length === 0) return
    const requests = open.map((row) => requestOf(row)).sort(byTurn)
    const supply = supplyOf(offersOf(draft), promisesOf(draft, rows))
    let left = supply
    for (const allocation of config.policy(requests, supply, draft.now, holdingsOf(rows, draft.now))) {
      const fault = faultOf(allocation, left, draft)
      if (fault !== undefined) draft.note('decision dropped', allocation.leaseId, `by the policy: ${fault}`)
      else {
        const { type } = draft.get('ticket', allocation.leaseId)!
        if (allocation.kind === 'grant')
          left = left.take(allocation.site, type, allocation.units, allocation.term)
        apply(allocation, draft)
      }
    }
    for (const { id } of open) keepDue(id, draft)
    wakeAtNextEnd(draft)
  }

  /** Whatever a policy says: never more than is asked for, never more than is free, and each request once. */
  function faultOf(allocation: Allocation, left: Supply, draft: BrokerDraft): string | undefined {
    const row = draft.get('ticket', allocation.leaseId)
    if (row?.asked === undefined) return 'nothing is asked for under this id (any more)'
    if (allocation.kind !== 'grant') return undefined
    const { site, units, term } = allocation
    const { asked, type } = row
    if (!Number.isInteger(units) || units < 1 || units > asked.units)
      return `${someUnits(units)}: not what was asked for, which is ${asked.units}`
    if (!termSchema.safeParse(term).success || term.start < asked.start)
      return 'its term is none, or starts before the start asked for'
    const held = row.tickets.at(-1)
    if (held !== undefined && (held.site !== site || held.term.end !== term.start))
      return `an extension stays at ${held.site} and starts at the old end`
    const free = left.free(site, type, term)
    return free < units ? `${units} of ${type} at ${site}, of which ${free} are free` : undefined
  }

  /** A request that the policy left without an answer is refused when its time is over. */
  function keepDue(leaseId: string, draft: BrokerDraft): void {
    const row = draft.get('ticket', leaseId)
    if (row?.asked === undefined || (row.due ?? 0) > draft.now) return
    draft.put('ticket', { ...row, due: Math.max(row.asked.startBy, draft.now) + UNDECIDED_MS })
  }

  /** Something comes free when a promise ends: those who wait are decided on again then. */
  function wakeAtNextEnd(draft: BrokerDraft): void {
    let waits = false
    let next = Number.POSITIVE_INFINITY
    for (const row of draft.all('ticket')) {
      waits ||= row.asked !== undefined
      const ends = row.tickets.map((ticket) => ticket.term.end)
      for (const end of [...ends, row.reduced?.from ?? 0]) if (end > draft.now && end < next) next = end
    }
    if (waits && next !== Number.POSITIVE_INFINITY) scheduleRound(draft, next - draft.now)
  }

  function apply(allocation: Allocation, draft: BrokerDraft): void {
    const row = draft.get('ticket', allocation.leaseId)!
    if (row.asked === undefined) return
    if (allocation.kind === 'grant') return grant(row, allocation, draft)
    if (allocation.kind === 'refuse')
      return refuse(row, allocation.reason, allocation.earliest, allocation.unitsNow, draft)
    if (row.waitReason !== allocation.reason) draft.note('waits', row.id, allocation.reason)
    draft.put('ticket', { ...row, waitReason: allocation.reason, due: row.asked.startBy })
  }

  function grant(row: TicketRow, allocation: Allocation & { kind: 'grant' }, draft: BrokerDraft): void {
    // What is free is lent by somebody.
    const delegation = draft.get('delegation', `${allocation.site}/${row.type}`)!
    const { site, units, term, reason } = allocation
    const record = {
      id: draft.newId('ticket'),
      leaseId: row.id,
      holder: row.holder,
      site,
      type: row.type,
      units,
      term,
      predecessor: row.tickets.at(-1)?.id ?? null,
      conditions: delegation.conditions,
      issuedAt: draft.now,
    }
    const ticket = issueTicket(record, identity)
    const live = row.tickets.filter((held) => held.term.end > draft.now)
    const state = nextState(ticketMachine, row.state, 'granted')!
    const due = term.end + config.quarantineMs
    draft.put('ticket', { ...row, state, asked: undefined, waitReason: '', tickets: [...live, ticket], due })
    draft.note('ticket granted', row.id, reason, {
      ticketId: ticket.id,
      predecessor: ticket.predecessor,
      site,
      type: row.type,
      units,
      term,
      ticket,
    })
    answer(draft, row.holder, row.id, 'granted', ticket, reason)
  }

  function refuse(
    row: TicketRow,
    reason: string,
    earliest: Instant | undefined,
    unitsNow: number,
    draft: BrokerDraft,
  ): void {
    const state = nextState(ticketMachine, row.state, 'refused')!
    const extension = row.state === 'extending'
    draft.note(extension ? 'extension refused' : 'refused', row.id, reason)
    const outcome = extension ? 'extension-refused' : 'refused'
    answer(draft, row.holder, row.id, outcome, null, reason, earliest, unitsNow)
    if (extension)
      draft.put('ticket', {
        ...row,
        state,
        asked: undefined,
        due: row.tickets.at(-1)!.term.end + config.quarantineMs,
      })
    else close({ ...row, state }, draft, undefined)
  }

  function onDue(row: TicketRow, draft: BrokerDraft): void {
    if (row.state === 'closed') return draft.remove('ticket', row.id)
    if (row.state === 'asked')
      return refuse(row, `no ${row.type} came free before the deadline`, undefined, 0, draft)
    if (row.state === 'extending') return refuse(row, 'it was not decided on in time', undefined, 0, draft)
    close(row, draft, 'the term is over and the holder has not extended it')
    answer(draft, row.holder, row.id, 'closed', null, 'the term is over')
    scheduleRound(draft, 0)
  }

  function close(row: TicketRow, draft: BrokerDraft, reason: string | undefined): void {
    draft.put('ticket', {
      ...row,
      state: 'closed',
      asked: undefined,
      tickets: [],
      due: draft.now + RETIRE_MS,
    })
    draft.retire(row.id, draft.now + RETIRE_MS)
    if (reason !== undefined) draft.note('ticket closed', row.id, reason)
  }

  function refuseExtension(draft: BrokerDraft, holder: string, leaseId: string, reason: string): void {
    draft.note('extension refused', leaseId, reason)
    answer(draft, holder, leaseId, 'extension-refused', null, reason)
    forgetUnknown(leaseId, draft)
  }

  function answer(
    draft: BrokerDraft,
    holder: string,
    leaseId: string,
    outcome: Body<'ticket-update'>['outcome'],
    ticket: Ticket | null,
    reason: string,
    earliest?: Instant,
    unitsNow = 0,
  ): void {
    const body = { outcome, ticket, reason, earliest: earliest ?? null, unitsNow }
    tell(draft, holder, 'ticket-update', leaseId, body, draft.now + config.answerMs)
  }
}

const iso = (at: Instant): string => new Date(at).toISOString()

function withBody<K extends Parameters<typeof readBody>[0]>(
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
function refuseMessage(draft: BrokerDraft, envelope: Envelope, reason: string): void {
  draft.note('message refused', envelope.subject, `${envelope.from}: ${reason}`)
}
