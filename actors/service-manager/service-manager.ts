import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { type Body, isMessageKind, readBody } from '../leases/messages.ts'
import { doubtTicket, type Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { SubletError } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import type { ServiceManagerConfig } from './config.ts'
import { guestDesk, type Look } from './guests.ts'
import { leaseLife, stepLease, stepTicket, unitsOf } from './leases.ts'
import { leaseMachine } from './machines.ts'
import { isOut, type ServiceManagerDraft } from './members.ts'
import type { LeaseRow, ServiceManagerTables } from './rows.ts'

/**
 * Holds leases for guests. Each guest's controller says what it wishes; this mind turns wishes into
 * tickets and leases, brings the units into the middleware and takes them out again, in time.
 */
export function serviceManager(config: ServiceManagerConfig, trust: Trust): Mind<ServiceManagerTables> {
  const life = leaseLife(config)
  const { members, put, resume, leaseDue, leaveAll, giveBack, ended, askFailed, finish, remember } = life
  const desk = guestDesk(config, life)
  return { handle }

  function handle(input: Input, draft: ServiceManagerDraft): unknown {
    switch (input.kind) {
      case 'started':
        draft.note('started', draft.self, `the service manager begins epoch ${input.epoch}`)
        for (const lease of draft.all('lease')) resume(lease, draft)
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
        if (input.verb === 'requeue') return desk.requeued(input, draft)
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
    if (name === 'look') return desk.look(args as Look, draft)
    if (name === 'release all') return desk.releaseAll((args as { reason: string }).reason, draft)
    throw new SubletError('usage', `a service manager knows no command ${name}`)
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
    const misfit = doubt ?? (ticket === null ? undefined : misfitOf(lease, ticket))
    if (ticket === null || misfit !== undefined) {
      const why = `the ticket cannot be relied on: ${misfit}`
      if (lease.leaseState !== 'none') return extensionRefused(lease, why, draft)
      if (lease.ticketState === 'asked') return giveBack(lease, why, draft)
    } else if (lease.ticketState === 'asked') return redeem(lease, ticket, reason, draft)
    else if (lease.ticketState === 'extending' && ticket.predecessor === lease.ticket?.id)
      return redeemExtension(lease, ticket, reason, draft)
    draft.note(
      'message noted',
      lease.id,
      `a ticket that is not asked for (any more): ${ticket?.id ?? 'none'}`,
    )
  }

  /** Where a ticket is not what was asked for. */
  function misfitOf(lease: LeaseRow, ticket: Ticket): string | undefined {
    if (ticket.leaseId !== lease.id) return 'it is for another lease'
    if (ticket.type !== lease.type) return `it is for ${ticket.type}, not for ${lease.type}`
    if (ticket.units > lease.unitsAsked)
      return `it is for ${someUnits(ticket.units)}, and ${lease.unitsAsked} asked for`
    if (lease.ticketState === 'asked' && ticket.predecessor !== null)
      return 'it extends another one, and there is none'
    return undefined
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
    // There is no way back into the middleware: it goes back with the lease, and the site never hears of it.
    if (lease.leaseState !== 'extending') {
      put(stepTicket(lease, 'granted'), draft)
      return draft.note('message noted', lease.id, `an extension of a lease that is ${lease.leaseState}`)
    }
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
    const before = lease.recall
    const by = Math.min(body.by, before?.by ?? body.by)
    const promised = Math.min(live, before?.units ?? 0)
    const units = body.binding ? Math.min(body.units, live - promised) : 0
    const reason = body.binding
      ? 'as the terms of the lease say'
      : 'the recall is advice; nothing leaves before the end of the term'
    // An earlier recall still stands: both are served by the earlier of the two.
    if (units > 0) put({ ...lease, recall: { recallId: body.recallId, units: promised + units, by } }, draft)
    draft.note(
      'recalled',
      lease.id,
      `the site wants ${someUnits(body.units)} back by ${iso(body.by)}: ${body.reason}; ${units} will leave by then, ${reason}`,
    )
    tell(
      draft,
      config.broker,
      'recall-plan',
      lease.id,
      { recallId: body.recallId, units, by: body.by, reason },
      draft.now + RETIRE_MS,
    )
  }

  // ── the site ─────────────────────────────────────────────────────────────────────────────────────

  function leaseUpdated(lease: LeaseRow, body: Body<'lease-update'>, draft: ServiceManagerDraft): void {
    if (lease.leaseState === 'closed')
      return draft.note('message noted', lease.id, 'an update of a lease that is closed')
    if (body.image !== '' && body.image !== lease.image) draft.put('lease', { ...lease, image: body.image })
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
      // What leaves at the boundary leaves by the old grace, what stays by the new: the shorter serves both.
      const graceMs = Math.min(current.graceMs, current.next.conditions.graceMs)
      current = {
        ...current,
        ticket: current.next,
        next: undefined,
        boundary,
        graceMs,
        term: { ...body.term },
      }
      if (current.leaseState === 'extending') current = stepLease(current, 'active')
      draft.note('extended', lease.id, `the site confirms: until ${iso(body.term.end)}`)
    }
    if (body.state === 'active' && current.leaseState === 'redeeming') {
      current = stepLease(current, 'active')
      draft.note(
        'active',
        lease.id,
        `ready: ${someUnits(body.units.filter((unit) => unit.report === 'active').length)}`,
      )
    }
    put(current, draft)
    if (body.state === 'closing')
      leaveAll(current, undefined, `the site ends the lease: ${body.reason}`, draft)
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
        {
          ...stepLease(lease, 'refused'),
          next: undefined,
          victims: [],
          extendRefused: { at: draft.now, reason },
        },
        draft,
      )
    if ((kind === 'redeem' || kind === 'close') && refusedBySite)
      return ended(lease, `the site does not take it: ${reason}`, draft)
    if (kind === 'relinquish') return ticketClosed(lease, `the broker does not take it: ${reason}`, draft)
  }
}

const iso = (at: Instant): string => new Date(at).toISOString()
