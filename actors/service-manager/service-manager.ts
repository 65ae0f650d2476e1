import type { GuestIntent, Refusal } from '../../controllers/controller.ts'
import { guardMs, RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { type Body, isMessageKind, readBody } from '../leases/messages.ts'
import { doubtTicket, type Ticket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { SubletError } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import type { Guest, ServiceManagerConfig } from './config.ts'
import { type LeaseEvent, leaseMachine, type TicketEvent, ticketMachine } from './machines.ts'
import { isDone, isOut, Members, type ServiceManagerDraft, tellVacated } from './members.ts'
import type { GuestRow, LeaseRow, ServiceManagerTables, UnitRow } from './rows.ts'
import { guestView, isFinished } from './view.ts'

const REFUSALS_MAX = 50

/** A controller's look, or why there is none. */
export interface Look {
  readonly guest: string
  readonly observation: unknown
  /** The latest look failed; `observation` is the last one that may still be acted on, if any. */
  readonly failure: string | undefined
}

/**
 * Holds leases for guests. Each guest's controller says what it wishes; this mind turns wishes into
 * tickets and leases, brings the units into the middleware and takes them out again, in time.
 */
export function serviceManager(config: ServiceManagerConfig, trust: Trust): Mind<ServiceManagerTables> {
  const members = new Members(config, unitOut, unitWasted)
  return { handle }

  function handle(input: Input, draft: ServiceManagerDraft): unknown {
    switch (input.kind) {
      case 'started':
        draft.note('started', draft.self, `the service manager begins epoch ${input.epoch}`)
        return
      case 'message':
        return receive(input.envelope, draft)
      case 'undelivered':
        return undelivered(input.envelope, input.code, input.reason, draft)
      case 'due':
        if (input.table === 'lease') return leaseDue(draft.get('lease', input.row.id), draft)
        if (input.table === 'unit') return members.due(draft.get('unit', input.row.id)!, draft)
        return
      case 'effect':
        if (draft.get('unit', input.key) === undefined) return requeued(input, draft)
        return members.answered(input.key, input.verb, input.outcome, draft)
      case 'command':
        return command(input.name, input.args, draft)
      case 'clock-step':
        return draft.note(
          'clock stepped',
          draft.self,
          `the wall clock jumped by ${input.byMs} ms and is not believed`,
        )
    }
  }

  function command(name: string, args: unknown, draft: ServiceManagerDraft): unknown {
    if (name === 'look') return look(args as Look, draft)
    if (name === 'release all') return releaseAll((args as { reason: string }).reason, draft)
    throw new SubletError('usage', `a service manager knows no command ${name}`)
  }

  // ── the controllers ──────────────────────────────────────────────────────────────────────────────

  function look(
    { guest: name, observation, failure }: Look,
    draft: ServiceManagerDraft,
  ): { againMs: number } {
    const guest = guestOf(name)
    const before = draft.get('guest', name)
    const leases = draft.all('lease').filter((lease) => lease.guest === name)
    const view = guestView(
      leases,
      (id) => draft.get('unit', id),
      before,
      observation,
      failure,
      (lease) => leaveAt(lease, draft),
      draft.now,
    )
    const memory = before?.memory ?? guest.controller.firstMemory
    const decision = guest.controller.decide(view, memory, guest.config, draft.now)
    const after: GuestRow = {
      id: name,
      memory: decision.memory,
      refusals: before?.refusals ?? [],
      reason: decision.reason,
      figures: decision.figures,
      decidedAt: draft.now,
      blindSince: failure === undefined ? undefined : (before?.blindSince ?? draft.now),
    }
    if (before === undefined || changed(before, after)) draft.put('guest', after)
    if (failure !== undefined && before?.blindSince === undefined)
      draft.note(
        'blind',
        name,
        `the middleware could not be looked at; the last picture is kept for a while: ${failure}`,
      )
    if (failure === undefined && before?.blindSince !== undefined)
      draft.note('sees again', name, 'the middleware can be looked at again')
    if (decision.intents.length > 0)
      draft.note('decided', name, decision.reason, { figures: decision.figures, intents: decision.intents })
    for (const intent of decision.intents) carryOut(name, guest, intent, draft)
    return { againMs: decision.againMs }
  }

  function carryOut(name: string, guest: Guest, intent: GuestIntent, draft: ServiceManagerDraft): void {
    switch (intent.kind) {
      case 'request':
        return request(name, guest, intent, draft)
      case 'extend':
        return extend(draft.get('lease', intent.leaseId), intent, draft)
      case 'release':
        return release(draft.get('lease', intent.leaseId), intent.reason, draft)
      case 'requeue':
        return draft.effect({
          key: `requeue-${name}`,
          verb: 'requeue',
          args: { guest: name, jobIds: intent.jobIds, reason: intent.reason },
          timeoutMs: config.leaveMs,
        })
      case 'drain':
      case 'resume':
      case 'leave': {
        const unit = draft.get('unit', intent.unitId)
        if (unit === undefined)
          throw new Error(
            `the controller of ${name} wants to ${intent.kind} ${intent.unitId}, which it does not hold`,
          )
        if (intent.kind === 'drain') return members.drain(unit, intent.reason, draft)
        if (intent.kind === 'resume') return members.resume(unit, intent.reason, draft)
        return members.leave(unit, undefined, false, intent.reason, draft)
      }
    }
  }

  function request(
    name: string,
    guest: Guest,
    intent: GuestIntent & { kind: 'request' },
    draft: ServiceManagerDraft,
  ): void {
    const { type, units, unitsMin, durationMs, startBy, reason } = intent
    const properties = {
      ...guest.properties,
      elastic: String(unitsMin < units),
      'units.min': String(unitsMin),
      deferrable: String(startBy !== undefined),
      ...(startBy === undefined ? {} : { deadline: String(startBy) }),
    }
    const until = (startBy ?? draft.now) + config.askMs
    const lease: LeaseRow = {
      id: draft.newId('lease'),
      guest: name,
      ticketState: 'asked',
      leaseState: 'none',
      type,
      unitsAsked: units,
      durationMs,
      properties,
      requestedAt: draft.now,
      reason,
      ...{ ticket: undefined, next: undefined, term: undefined, units: [], victims: [], boundary: undefined },
      ...{ extendRefused: undefined, recall: undefined, closeReason: '', graceMs: 0 },
      due: until,
    }
    draft.put('lease', lease)
    draft.note('requested', lease.id, reason, { type, units, unitsMin, durationMs })
    tell(
      draft,
      config.broker,
      'ticket',
      lease.id,
      { type, units, durationMs, start: draft.now, properties },
      until,
    )
  }

  /** Asks to keep what is still alive, less the victims, for another term. */
  function extend(
    lease: LeaseRow | undefined,
    intent: GuestIntent & { kind: 'extend' },
    draft: ServiceManagerDraft,
  ): void {
    if (lease?.ticket === undefined || lease.next !== undefined || draft.now >= leaveAt(lease, draft)!) return
    const gone = unitsOf(lease, draft)
      .filter(isOut)
      .map((unit) => unit.id)
    const victims = [...new Set([...intent.victims.filter((id) => lease.units.includes(id)), ...gone])]
    const keep = lease.units.length - victims.length
    if (keep < 1) return release(lease, `${intent.reason}; nothing of it would be kept`, draft)
    const ticketState = nextState(ticketMachine, lease.ticketState, 'extend')
    const leaseState = nextState(leaseMachine, lease.leaseState, 'extend')
    if (ticketState === undefined || leaseState === undefined) return
    draft.put('lease', {
      ...lease,
      ticketState,
      leaseState,
      victims,
      durationMs: intent.durationMs,
      extendRefused: undefined,
    })
    draft.note('extension asked', lease.id, intent.reason, { keep, victims })
    const body = { predecessor: lease.ticket.id, units: keep, durationMs: intent.durationMs }
    tell(draft, config.broker, 'extend-ticket', lease.id, body, lease.ticket.term.end)
  }

  function release(lease: LeaseRow | undefined, reason: string, draft: ServiceManagerDraft): void {
    if (lease === undefined || isFinished(lease)) return
    leaveAll(lease, undefined, reason, draft)
  }

  function releaseAll(reason: string, draft: ServiceManagerDraft): { leases: number } {
    const open = draft.all('lease').filter((lease) => !isFinished(lease))
    for (const lease of open) leaveAll(lease, draft.now, reason, draft)
    return { leases: open.length }
  }

  // ── the broker ───────────────────────────────────────────────────────────────────────────────────

  function receive(envelope: Envelope, draft: ServiceManagerDraft): void {
    const { kind, from, subject } = envelope
    const lease = draft.get('lease', subject)
    if (!isMessageKind(kind)) return note('message refused', `${from}: nobody knows ${kind}`)
    const read = readBody(kind, envelope.body)
    if (!read.ok) return note('message refused', `${from}: ${read.reason}`)
    if (lease === undefined)
      return note('message noted', `${kind} of ${from} for a lease that is not held (any more)`)
    if (kind === 'lease-update') {
      if (lease.ticket?.site !== from) return note('message refused', `${from} is not the site of this lease`)
      return leaseUpdated(lease, read.body as Body<'lease-update'>, draft)
    }
    if (from !== config.broker) return note('message refused', `${from} is not the broker of this lease`)
    if (kind === 'ticket-update') return ticketUpdated(lease, read.body as Body<'ticket-update'>, draft)
    if (kind === 'recall') return recalled(lease, read.body as Body<'recall'>, draft)
    note('message refused', `a service manager is not told ${kind}`)

    function note(what: string, reason: string): void {
      draft.note(what, subject, reason)
    }
  }

  function ticketUpdated(lease: LeaseRow, body: Body<'ticket-update'>, draft: ServiceManagerDraft): void {
    switch (body.outcome) {
      case 'granted':
        return granted(lease, body.ticket, body.reason, draft)
      case 'refused':
        return refused(lease, body, draft)
      case 'extension-refused':
        return extensionRefused(lease, body.reason, draft)
      case 'closed':
        return ticketClosed(lease, body.reason, draft)
    }
  }

  function granted(lease: LeaseRow, ticket: Ticket | null, reason: string, draft: ServiceManagerDraft): void {
    const doubt =
      ticket === null
        ? 'there is none'
        : doubtTicket(ticket, { holder: draft.self, broker: config.broker, now: draft.now }, trust)
    const unreliable = ticket === null || doubt !== undefined || ticket.leaseId !== lease.id
    if (unreliable && lease.leaseState !== 'none')
      return extensionRefused(
        lease,
        `the ticket cannot be relied on: ${doubt ?? 'it is for another lease'}`,
        draft,
      )
    if (unreliable)
      return giveBack(lease, `the ticket cannot be relied on: ${doubt ?? 'it is for another lease'}`, draft)
    if (lease.ticketState === 'asked') return redeem(lease, ticket, reason, draft)
    if (lease.ticketState === 'extending' && ticket.predecessor === lease.ticket?.id)
      return redeemExtension(lease, ticket, reason, draft)
    draft.note('message noted', lease.id, `a ticket that is not asked for (any more): ${ticket.id}`)
  }

  function redeem(lease: LeaseRow, ticket: Ticket, reason: string, draft: ServiceManagerDraft): void {
    const ticketed: LeaseRow = {
      ...stepTicket(lease, 'granted'),
      leaseState: nextState(leaseMachine, lease.leaseState, 'redeem')!,
      ticket,
      term: ticket.term,
      graceMs: ticket.conditions.graceMs,
    }
    put(ticketed, draft)
    draft.note('ticketed', lease.id, reason, {
      ticketId: ticket.id,
      site: ticket.site,
      units: ticket.units,
      term: ticket.term,
    })
    tell(
      draft,
      ticket.site,
      'redeem',
      lease.id,
      { ticket, properties: { ...lease.properties } },
      ticket.term.end,
    )
  }

  function redeemExtension(
    lease: LeaseRow,
    ticket: Ticket,
    reason: string,
    draft: ServiceManagerDraft,
  ): void {
    put({ ...stepTicket(lease, 'granted'), next: ticket }, draft)
    draft.note('extension ticketed', lease.id, reason, {
      ticketId: ticket.id,
      term: ticket.term,
      units: ticket.units,
    })
    tell(
      draft,
      ticket.site,
      'extend-lease',
      lease.id,
      { ticket, victims: [...lease.victims] },
      ticket.term.start,
    )
  }

  function refused(lease: LeaseRow, body: Body<'ticket-update'>, draft: ServiceManagerDraft): void {
    if (lease.ticketState !== 'asked')
      return draft.note('message noted', lease.id, `a refusal that comes late: ${body.reason}`)
    const alternative =
      body.earliest === null ? '' : ` (earliest start that would work: ${iso(body.earliest)})`
    remember(lease, 'broker', `${body.reason}${alternative}`, draft)
    draft.note('refused', lease.id, `${body.reason}${alternative}; units free now: ${body.unitsNow}`)
    finish({ ...stepTicket(lease, 'refused'), leaseState: 'closed', closeReason: body.reason }, draft)
  }

  function extensionRefused(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.ticketState !== 'extending')
      return draft.note('message noted', lease.id, `a refusal that comes late: ${reason}`)
    const kept: LeaseRow = {
      ...stepLease(stepTicket(lease, 'refused'), 'refused'),
      victims: [],
      extendRefused: { at: draft.now, reason },
    }
    put(kept, draft)
    draft.note('extension refused', lease.id, `the lease goes on to its end: ${reason}`)
  }

  function ticketClosed(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    const closed = stepTicket(lease, 'closed')
    if (closed.leaseState === 'none')
      return finish({ ...closed, leaseState: 'closed', closeReason: lease.closeReason || reason }, draft)
    if (closed.leaseState === 'closed') return finish(closed, draft)
    put(closed, draft)
    draft.note('ticket closed', lease.id, `by the broker, while the lease is ${lease.leaseState}: ${reason}`)
  }

  /** Answers with a plan; the controller chooses who leaves, and what it has not chosen in time leaves anyway. */
  function recalled(lease: LeaseRow, body: Body<'recall'>, draft: ServiceManagerDraft): void {
    const live = unitsOf(lease, draft).filter((unit) => !isOut(unit)).length
    const by = body.binding || lease.term === undefined ? body.by : Math.max(body.by, lease.term.end)
    const units = Math.min(body.units, live)
    const reason = body.binding
      ? 'as the terms of the lease say'
      : 'the recall is advice; the units leave at the end of the term'
    if (body.binding && units > 0)
      put({ ...lease, recall: { recallId: body.recallId, units, by: body.by } }, draft)
    draft.note(
      'recalled',
      lease.id,
      `the site wants ${body.units} units back by ${iso(body.by)}: ${body.reason}; ${units} will leave by ${iso(by)}`,
    )
    tell(
      draft,
      config.broker,
      'recall-plan',
      lease.id,
      { recallId: body.recallId, units, by, reason },
      draft.now + RETIRE_MS,
    )
  }

  // ── the site ─────────────────────────────────────────────────────────────────────────────────────

  function leaseUpdated(lease: LeaseRow, body: Body<'lease-update'>, draft: ServiceManagerDraft): void {
    if (lease.leaseState === 'closed')
      return draft.note('message noted', lease.id, 'an update of a lease that is closed')
    for (const report of body.units) members.reported(lease, report, draft)
    let current = draft.get('lease', lease.id)!
    if (body.state === 'closed') return ended(current, body.reason, draft)
    if (body.extensionRefused !== null && current.leaseState === 'extending') {
      draft.note(
        'extension refused',
        lease.id,
        `by the site: ${body.extensionRefused}; the lease goes on to its end`,
      )
      const extendRefused = { at: draft.now, reason: body.extensionRefused }
      current = { ...stepLease(current, 'refused'), next: undefined, victims: [], extendRefused }
    } else if (current.next !== undefined && body.ticketId === current.next.id) {
      const { victims, ticket } = current
      const boundary = victims.length > 0 ? ticket!.term.end : undefined
      current = { ...current, ticket: current.next, next: undefined, boundary, term: { ...body.term } }
      if (current.leaseState === 'extending') current = stepLease(current, 'active')
      draft.note('extended', lease.id, `the site confirms: until ${iso(body.term.end)}`)
    }
    if (body.state === 'active' && current.leaseState === 'redeeming') {
      current = stepLease(current, 'active')
      draft.note(
        'active',
        lease.id,
        `${body.units.filter((unit) => unit.report === 'active').length} units are ready`,
      )
    }
    put(current, draft)
    if (body.state === 'closing')
      leaveAll(current, undefined, `the site ends the lease: ${body.reason}`, draft)
  }

  /** The site's final word. */
  function ended(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    members.allGone(lease, reason, draft)
    const current = draft.get('lease', lease.id)!
    if (
      lease.leaseState === 'redeeming' &&
      unitsOf(current, draft).every((unit) => unit.joinedAt === undefined)
    )
      remember(lease, 'site', reason, draft)
    const closed: LeaseRow = { ...stepLease(current, 'ended'), closeReason: lease.closeReason || reason }
    draft.note('lease closed', lease.id, closed.closeReason)
    giveBack(closed, closed.closeReason, draft)
  }

  function undelivered(envelope: Envelope, code: string, reason: string, draft: ServiceManagerDraft): void {
    const { kind, subject, to } = envelope
    draft.note('undelivered', subject, `${kind} to ${to}: ${reason}`, { code })
    const lease = draft.get('lease', subject)
    if (lease === undefined) return
    const refusedBySite = code !== 'peer-silent'
    if (kind === 'ticket' && lease.ticketState === 'asked') return askFailed(lease, reason, draft)
    if (kind === 'extend-ticket') return extensionRefused(lease, reason, draft)
    if (kind === 'extend-lease' && lease.leaseState === 'extending')
      return put(
        { ...stepLease(lease, 'refused'), victims: [], extendRefused: { at: draft.now, reason } },
        draft,
      )
    if ((kind === 'redeem' || kind === 'close') && refusedBySite)
      return ended(lease, `the site does not take it: ${reason}`, draft)
    if (kind === 'relinquish') return ticketClosed(lease, `the broker does not take it: ${reason}`, draft)
  }

  // ── the life of a lease ──────────────────────────────────────────────────────────────────────────

  /** When units begin to leave: the end, less the guard against clocks that differ, less the time it takes. */
  function leaveAt(lease: LeaseRow, draft: ServiceManagerDraft): Instant | undefined {
    return lease.term && leaveAtFor(lease, lease.term.end, draft)
  }

  function leaveAtFor(lease: LeaseRow, end: Instant, draft: ServiceManagerDraft): Instant {
    return end - guardMs(draft, lease.ticket?.site ?? '', config.skewMsMax) - config.leaveBudgetMs
  }

  function leaseDue(lease: LeaseRow | undefined, draft: ServiceManagerDraft): void {
    if (lease === undefined) return
    if (isFinished(lease)) return forget(lease, draft)
    if (lease.ticketState === 'asked') return askFailed(lease, 'no answer came in time', draft)
    if (lease.leaseState === 'closing' || lease.leaseState === 'leaving') return overdue(lease, draft)
    if (lease.leaseState === 'closed' || lease.leaseState === 'none') return put(lease, draft)
    let current = lease
    if (current.boundary !== undefined && draft.now >= leaveAtFor(current, current.boundary, draft)) {
      for (const id of current.victims)
        letGo(draft.get('unit', id), current, current.boundary, 'the lease is extended without it', draft)
      current = { ...draft.get('lease', lease.id)!, boundary: undefined, victims: [] }
    }
    const { recall } = current
    if (recall !== undefined && draft.now >= leaveAtFor(current, recall.by, draft)) {
      const live = unitsOf(current, draft).filter((unit) => !isOut(unit))
      const order = ['awaited', 'joining', 'leaving', 'draining', 'joined']
      for (const unit of live
        .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))
        .slice(0, recall.units))
        letGo(unit, current, recall.by, 'the site recalls it', draft)
      current = { ...draft.get('lease', lease.id)!, recall: undefined }
    }
    put(current, draft)
    if (draft.now >= leaveAt(current, draft)!) {
      const why =
        current.leaseState === 'extending'
          ? 'no extension was confirmed in time'
          : 'the term ends and was not extended'
      leaveAll(draft.get('lease', lease.id)!, undefined, why, draft)
    }
  }

  /** Work is let end until just before the site's grace is over; then it goes back into the queue. */
  function letGo(
    unit: UnitRow | undefined,
    lease: LeaseRow,
    end: Instant,
    reason: string,
    draft: ServiceManagerDraft,
  ): void {
    if (unit !== undefined)
      members.leave(unit, end + lease.graceMs - config.leaveBudgetMs, true, reason, draft)
  }

  /** Everything leaves the middleware; then the lease is closed at the site; then the ticket goes back. */
  function leaveAll(
    lease: LeaseRow,
    requeueFrom: Instant | undefined,
    reason: string,
    draft: ServiceManagerDraft,
  ): void {
    const leaseState = nextState(leaseMachine, lease.leaseState, 'leave')
    if (leaseState === undefined) throw new Error(`a lease that is ${lease.leaseState} cannot leave`)
    const first = lease.leaseState !== leaseState
    const leaving: LeaseRow = { ...lease, leaseState, closeReason: lease.closeReason || reason }
    put(leaving, draft)
    if (first) draft.note('leaving', lease.id, reason)
    if (leaseState === 'closed') return giveBack(leaving, reason, draft)
    if (leaseState !== 'leaving') return
    for (const unit of unitsOf(leaving, draft))
      if (requeueFrom === undefined) letGo(unit, leaving, leaving.term!.end, reason, draft)
      else members.leave(unit, requeueFrom, true, reason, draft)
    closeIfLeft(draft.get('lease', lease.id)!, draft)
  }

  function unitOut(leaseId: string, draft: ServiceManagerDraft): void {
    const lease = draft.get('lease', leaseId)
    if (lease === undefined || lease.leaseState === 'closed') return
    if (lease.leaseState === 'leaving') return closeIfLeft(lease, draft)
    const { recall } = lease
    const out = unitsOf(lease, draft).filter(isOut)
    if (recall !== undefined && recall.units > 0)
      put({ ...lease, recall: recall.units > 1 ? { ...recall, units: recall.units - 1 } : undefined }, draft)
    const last = out.reduce<UnitRow | undefined>(
      (a, b) => (a === undefined || b.since > a.since ? b : a),
      undefined,
    )
    if (last !== undefined)
      tellVacated(
        lease,
        out.map((unit) => unit.id),
        last.reason,
        draft,
      )
  }

  function closeIfLeft(lease: LeaseRow, draft: ServiceManagerDraft): void {
    if (lease.leaseState !== 'leaving' || !unitsOf(lease, draft).every(isDone)) return
    put(stepLease(lease, 'left'), draft)
    draft.note('closing', lease.id, `nothing of it is in the middleware any more: ${lease.closeReason}`)
    const until = Math.max(draft.now, lease.term!.end + lease.graceMs) + config.answerMs
    tell(draft, lease.ticket!.site, 'close', lease.id, { reason: lease.closeReason.slice(0, 500) }, until)
  }

  /** The ticket goes back to the broker; the lease is finished when the broker has said so. */
  function giveBack(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.ticketState === 'closed') return finish(lease, draft)
    if (lease.ticketState === 'returning') return put(lease, draft)
    put({ ...stepTicket(lease, 'give up'), closeReason: lease.closeReason || reason }, draft)
    tell(
      draft,
      config.broker,
      'relinquish',
      lease.id,
      { reason: reason.slice(0, 500) },
      draft.now + config.answerMs,
    )
  }

  function askFailed(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    remember(lease, 'broker', reason, draft)
    draft.note('refused', lease.id, `no ticket: ${reason}`)
    giveBack({ ...lease, leaseState: 'closed', closeReason: reason }, reason, draft)
  }

  /** The site has not answered a close, or machines have not left, long after the end. */
  function overdue(lease: LeaseRow, draft: ServiceManagerDraft): void {
    const last = lease.term!.end + lease.graceMs + config.quarantineMs
    if (draft.now < last) return put(lease, draft)
    draft.note(
      'final word missing',
      lease.id,
      `the site has not said that the lease is closed, long after its end; it is held to be`,
    )
    ended(lease, 'the term and its grace are long over', draft)
  }

  function finish(lease: LeaseRow, draft: ServiceManagerDraft): void {
    draft.put('lease', { ...lease, due: draft.now + RETIRE_MS })
    draft.note('finished', lease.id, lease.closeReason || 'closed')
    draft.retire(lease.id, draft.now + RETIRE_MS)
  }

  function forget(lease: LeaseRow, draft: ServiceManagerDraft): void {
    const units = unitsOf(lease, draft)
    if (units.some((unit) => !isDone(unit)))
      return draft.put('lease', { ...lease, due: draft.now + RETIRE_MS })
    for (const unit of units) draft.remove('unit', unit.id)
    draft.remove('lease', lease.id)
  }

  /** Keeps the row with the instant at which it has to be looked at again. */
  function put(lease: LeaseRow, draft: ServiceManagerDraft): void {
    draft.put('lease', { ...lease, due: dueOf(lease, draft) })
  }

  function dueOf(lease: LeaseRow, draft: ServiceManagerDraft): Instant | undefined {
    if (lease.ticketState === 'asked') return lease.due
    if (lease.leaseState === 'closing' || lease.leaseState === 'leaving')
      return lease.term!.end + lease.graceMs + config.quarantineMs
    if (lease.leaseState === 'closed' || lease.leaseState === 'none') return undefined
    const moments = [lease.term!.end]
    if (lease.boundary !== undefined) moments.push(lease.boundary)
    if (lease.recall !== undefined) moments.push(lease.recall.by)
    return Math.max(draft.now + 1, leaveAtFor(lease, Math.min(...moments), draft))
  }

  // ── small things ─────────────────────────────────────────────────────────────────────────────────

  function unitWasted(unit: UnitRow, reason: string, draft: ServiceManagerDraft): void {
    const lease = draft.get('lease', unit.leaseId)
    if (lease !== undefined) remember(lease, 'site', `${unit.name}: ${reason}`, draft)
  }

  function remember(lease: LeaseRow, by: Refusal['by'], reason: string, draft: ServiceManagerDraft): void {
    const guest = draft.get('guest', lease.guest)
    if (guest === undefined) return
    const image = lease.properties.image ?? ''
    const unitsMin = Number(lease.properties['units.min'])
    const refusal: Refusal = {
      at: draft.now,
      leaseId: lease.id,
      type: lease.type,
      by,
      image,
      unitsMin,
      reason,
    }
    draft.put('guest', { ...guest, refusals: [refusal, ...guest.refusals].slice(0, REFUSALS_MAX) })
  }

  function requeued(input: Input & { kind: 'effect' }, draft: ServiceManagerDraft): void {
    const { outcome } = input
    const reason =
      outcome.kind === 'failed' ? outcome.reason : `requeued, but for ${JSON.stringify(outcome.value)}`
    draft.note(outcome.kind === 'failed' ? 'requeue failed' : 'requeued', input.key, reason)
  }

  function guestOf(name: string): Guest {
    const guest = config.guests[name]
    if (guest === undefined) throw new SubletError('unknown-id', `no guest is named ${name}`)
    return guest
  }
}

const unitsOf = (lease: LeaseRow, draft: ServiceManagerDraft): UnitRow[] =>
  (draft.get('lease', lease.id)?.units ?? lease.units)
    .map((id) => draft.get('unit', id))
    .filter((unit) => unit !== undefined)

function stepTicket(lease: LeaseRow, event: TicketEvent): LeaseRow {
  const ticketState = nextState(ticketMachine, lease.ticketState, event)
  if (ticketState === undefined)
    throw new Error(`a ticket that is ${lease.ticketState} knows no event ${event}`)
  return { ...lease, ticketState }
}

function stepLease(lease: LeaseRow, event: LeaseEvent): LeaseRow {
  const leaseState = nextState(leaseMachine, lease.leaseState, event)
  if (leaseState === undefined) throw new Error(`a lease that is ${lease.leaseState} knows no event ${event}`)
  return { ...lease, leaseState }
}

/** The memory and the reason are kept when they differ; figures alone are not worth a disk sync. */
const changed = (before: GuestRow, after: GuestRow): boolean =>
  before.reason !== after.reason ||
  before.blindSince !== after.blindSince ||
  JSON.stringify(before.memory) !== JSON.stringify(after.memory)

const iso = (at: Instant): string => new Date(at).toISOString()
