import type { Refusal } from '../../controllers/controller.ts'
import { guardMs, RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import type { Ticket } from '../leases/ticket.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import type { Instant } from '../runtime/clock.ts'
import type { ServiceManagerConfig } from './config.ts'
import { leaveTimeOf, mayAnswer, recalledUnits, wantedBack, wantedBy } from './leavers.ts'
import { line } from './line.ts'
import { leaseMachine } from './machines.ts'
import { isDone, Members, tellVacated } from './members.ts'
import { modifications } from './modifications.ts'
import { tellParted } from './parted.ts'
import type { LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'
import { isFinished, stepLease, stepTicket, unitsOf } from './steps.ts'

const REFUSALS_MAX = 50

/** Whom the ticket is from. */
export const brokerOf = (lease: LeaseRow, config: ServiceManagerConfig): string =>
  lease.broker ?? config.broker

export type LeaseLife = ReturnType<typeof leaseLife>

/**
 * The life of a lease at its holder, from the ticket to the last word. Whatever ends it, the order is
 * the same:
 *
 *   units leave the middleware ──▶ close to the site ──▶ its final word ──▶ relinquish to the broker ──▶ finished
 */
export function leaseLife(config: ServiceManagerConfig) {
  const members = new Members(config, unitOut, unitWasted, unitJoined)
  const modified = modifications(config)
  const { ticketed, joined, over, recovered } = line({ members, put, leaveAll })
  return {
    members,
    modified,
    ticketed,
    joined,
    recovered,
    put,
    resume,
    leaveAt,
    isBegun,
    leaseDue,
    leaveAll,
    giveBack,
    returnExtension,
    unknownAtSite,
    ended,
    askFailed,
    finish,
    remember,
  }

  /** When units begin to leave: the end, less the guard against clocks that differ, less the time it takes. */
  function leaveAt(lease: LeaseRow, draft: ServiceManagerDraft): Instant | undefined {
    return lease.term && leaveAtFor(lease, lease.term.end, draft)
  }

  /** An extension that is agreed begins at the old end, by the site's clock too; until then no other is asked for. */
  function isBegun({ ticket }: LeaseRow, draft: ServiceManagerDraft): boolean {
    if (ticket === undefined || ticket.predecessor === null) return true
    return draft.now >= ticket.term.start + guardMs(draft, ticket.site, config.skewMsMax)
  }

  function leaveAtFor(lease: LeaseRow, end: Instant, draft: ServiceManagerDraft): Instant {
    return end - guardMs(draft, lease.ticket?.site ?? '', config.skewMsMax) - config.leaveBudgetMs
  }

  function leaseDue(lease: LeaseRow | undefined, draft: ServiceManagerDraft): void {
    if (lease === undefined) return
    if (isFinished(lease)) return forget(lease, draft)
    if (lease.ticketState === 'asked') return askFailed(lease, 'no answer came in time', draft)
    if (lease.leaseState === 'closing' || lease.leaseState === 'leaving') return overdue(lease, draft)
    if (lease.leaseState === 'closed' || lease.leaseState === 'none') return unanswered(lease, draft)
    let current = modified.overdue(lease, draft)
    if (current.boundary !== undefined && draft.now >= leaveAtFor(current, current.boundary, draft)) {
      for (const id of current.victims)
        letGo(draft.get('unit', id), current, current.boundary, 'the lease is extended without it', draft)
      current = { ...draft.get('lease', lease.id)!, boundary: undefined, victims: [] }
    }
    const { recall } = current
    if (recall !== undefined && draft.now >= leaveAtFor(current, recall.by, draft)) {
      // They leave when their notice is over; their work goes back before the site cuts it off, which may be sooner.
      const until = recall.siteBy ?? recall.by
      for (const unit of recalledUnits(current, recall.units, draft))
        letGo({ ...unit, recalled: true }, current, until, 'the site recalls it', draft)
      current = { ...draft.get('lease', lease.id)!, recall: undefined }
    }
    if (current.leaveBy !== undefined && draft.now >= leaveAtFor(current, current.leaveBy, draft)) {
      for (const unit of wantedBack(current, draft)) {
        const by = leaveTimeOf(unit, current)!
        if (draft.now >= leaveAtFor(current, by, draft))
          letGo(unit, current, by, 'its host is to be worked on', draft)
      }
      current = wantedBy(draft.get('lease', lease.id)!, draft)
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
    // Whatever an extension that was asked for would have been, the lease ends.
    const isExtending = lease.ticketState === 'extending' || lease.leaseState === 'extending'
    const extendRefused = isExtending ? { at: draft.now, reason: 'closed' } : lease.extendRefused
    const leaving: LeaseRow = {
      ...lease,
      leaseState,
      extendRefused,
      closeReason: lease.closeReason || reason,
    }
    put(leaving, draft)
    if (first) draft.note('leaving', lease.id, reason)
    if (leaseState === 'closed') return giveBack(leaving, reason, draft)
    if (leaseState !== 'leaving') return
    for (const unit of unitsOf(leaving, draft))
      if (requeueFrom === undefined) letGo(unit, leaving, leaving.term!.end, reason, draft)
      else members.leave(unit, requeueFrom, true, reason, draft)
    closeIfLeft(draft.get('lease', lease.id)!, draft)
    if (first) over(draft.get('lease', lease.id)!, reason, draft)
  }

  function unitOut({ id, leaseId }: UnitRow, draft: ServiceManagerDraft): void {
    const lease = draft.get('lease', leaseId)
    if (lease === undefined) return
    if (lease.leaseState === 'closed') return tellJobs(lease, draft)
    if (lease.leaseState === 'leaving') return closeIfLeft(lease, draft)
    const { recall } = lease
    const unit = draft.get('unit', id)!
    if (recall !== undefined && recall.units > 0 && mayAnswer(unit, draft.now)) {
      draft.put('unit', { ...unit, recalled: true })
      put({ ...lease, recall: recall.units > 1 ? { ...recall, units: recall.units - 1 } : undefined }, draft)
    }
    // What was lost has to be out of the middleware, too, before its machine may go.
    const out = unitsOf(lease, draft).filter(isDone)
    const last = out.reduce<UnitRow | undefined>(
      (a, b) => (a === undefined || b.since >= a.since ? b : a),
      undefined,
    )
    if (last !== undefined) tellVacated(lease, out, last.reason, draft)
    joined(leaseId, draft)
  }

  function closeIfLeft(lease: LeaseRow, draft: ServiceManagerDraft): void {
    if (lease.leaseState !== 'leaving' || !unitsOf(lease, draft).every(isDone)) return
    // After a restore there may be units of it that only its site knows of.
    if (lease.unsure === true) return
    put(stepLease(lease, 'left'), draft)
    draft.note('closing', lease.id, `nothing of it is in the middleware any more: ${lease.closeReason}`)
    close(lease, draft)
  }

  function close(lease: LeaseRow, draft: ServiceManagerDraft): void {
    const until = Math.max(draft.now, heldUntil(lease)) + config.answerMs
    tell(draft, lease.ticket!.site, 'close', lease.id, { reason: lease.closeReason.slice(0, 500) }, until)
  }

  /**
   * Its site does not know it. That is the last word only in answer to a close: it could be redeemed since, and machines
   * of it may run that the site has forgotten whose they are.
   */
  function unknownAtSite(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.leaseState === 'closing') {
      put(lease, draft)
      return close(lease, draft)
    }
    leaveAll(lease, undefined, reason, draft)
  }

  /** The ticket goes back to the broker; the lease is finished when the broker has said so. */
  function giveBack(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.ticketState === 'closed') return finish(lease, draft)
    if (lease.ticketState === 'returning') return put(lease, draft)
    draft.remove('chain', lease.id)
    put({ ...stepTicket(lease, 'give up'), closeReason: lease.closeReason || reason, due: undefined }, draft)
    tell(
      draft,
      brokerOf(lease, config),
      'relinquish',
      lease.id,
      { reason: reason.slice(0, 500) },
      draft.now + config.answerMs,
    )
    over(draft.get('lease', lease.id)!, reason, draft)
  }

  /**
   * A ticket to go on with that the site does not take, or is never sent. It is not tried again, so that its broker need
   * keep nothing for it; the lease goes on to its end. In order with what is asked next: it does not overtake.
   */
  function returnExtension(
    lease: LeaseRow,
    { id: ticketId, term }: Ticket,
    draft: ServiceManagerDraft,
  ): void {
    const broker = brokerOf(lease, config)
    if (term.start <= draft.now || speaksOnly1(broker, draft)) return
    draft.note('extension returned', lease.id, `${ticketId} goes back to ${broker}`, { ticketId })
    tell(draft, broker, 'return-extension', lease.id, { ticketId }, term.start)
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
    tellJobs(draft.get('lease', lease.id)!, draft)
  }

  /** Nothing of it is left, and its site has spoken its last word. */
  function tellJobs(lease: LeaseRow, draft: ServiceManagerDraft): void {
    if (unitsOf(lease, draft).every(isDone)) tellParted(lease, draft)
  }

  function askFailed(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    remember(lease, 'broker', reason, draft)
    draft.note('refused', lease.id, `no ticket: ${reason}`)
    giveBack({ ...stepLease(lease, 'leave'), closeReason: reason }, reason, draft)
  }

  /** The site has not answered a close, or machines have not left, long after the end. */
  function overdue(lease: LeaseRow, draft: ServiceManagerDraft): void {
    if (draft.now < heldUntil(lease) + config.quarantineMs) return put(lease, draft)
    draft.note(
      'final word missing',
      lease.id,
      `the site has not said that the lease is closed, long after its end; it is held to be`,
    )
    ended(lease, 'the term and its grace are long over', draft)
  }

  /** The broker has the ticket back, and its answer has not come for twice as long as it would repeat it. */
  function unanswered(lease: LeaseRow, draft: ServiceManagerDraft): void {
    const due = dueOf(lease, draft)
    if (due === undefined || draft.now < due) return put(lease, draft)
    draft.note(
      'final word missing',
      lease.id,
      'the broker has not said that the ticket is closed; it is held to be',
    )
    finish(stepLease(stepTicket(lease, 'closed'), 'leave'), draft)
  }

  /** A lease of an earlier life that waits for something has to have an end to its waiting. */
  function resume(lease: LeaseRow, draft: ServiceManagerDraft): void {
    if (isFinished(lease)) return
    if (lease.openFor === undefined) draft.put('lease', { ...lease, openFor: lease.guest })
    if (lease.due === undefined) put(draft.get('lease', lease.id)!, draft)
  }

  function finish(lease: LeaseRow, draft: ServiceManagerDraft): void {
    draft.put('lease', { ...lease, openFor: undefined, due: draft.now + RETIRE_MS })
    draft.remove('chain', lease.id)
    draft.note('finished', lease.id, lease.closeReason || 'closed')
    draft.retire(lease.id, draft.now + RETIRE_MS)
    over(draft.get('lease', lease.id)!, lease.closeReason || 'closed', draft)
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
      return heldUntil(lease) + config.quarantineMs
    if (lease.leaseState === 'closed' || lease.leaseState === 'none')
      return lease.ticketState === 'returning' ? (lease.due ?? draft.now + 2 * config.answerMs) : undefined
    const moments = [lease.term!.end]
    if (lease.boundary !== undefined) moments.push(lease.boundary)
    if (lease.recall !== undefined) moments.push(lease.recall.by)
    if (lease.leaveBy !== undefined) moments.push(lease.leaveBy)
    const answerBy = lease.modification?.state === 'asked' ? lease.modification.by : Number.POSITIVE_INFINITY
    return Math.max(draft.now + 1, Math.min(answerBy, leaveAtFor(lease, Math.min(...moments), draft)))
  }

  function unitJoined(leaseId: string, draft: ServiceManagerDraft): void {
    joined(leaseId, draft)
  }

  function unitWasted(
    unit: UnitRow,
    reason: string,
    draft: ServiceManagerDraft,
    code?: Refusal['code'],
  ): void {
    const lease = draft.get('lease', unit.leaseId)
    if (lease !== undefined) remember(lease, 'site', `${unit.name}: ${reason}`, draft, code)
  }

  function remember(
    lease: LeaseRow,
    by: Refusal['by'],
    reason: string,
    draft: ServiceManagerDraft,
    code?: Refusal['code'],
  ): void {
    const guest = draft.get('guest', lease.guest)
    if (guest === undefined) return
    const { image } = lease
    const unitsMin = Number(lease.properties['units.min'])
    const refusal: Refusal = {
      at: draft.now,
      leaseId: lease.id,
      type: lease.type,
      by,
      image,
      unitsMin,
      reason,
      requestedAt: lease.requestedAt,
      ...(by === 'broker' || lease.ticket === undefined ? {} : { site: lease.ticket.site }),
      ...(code === undefined ? {} : { code }),
    }
    draft.put('guest', { ...guest, refusals: [refusal, ...guest.refusals].slice(0, REFUSALS_MAX) })
  }
}

/** The most units that the site may hold for it, by what it was shown. */
export const mostUnits = ({ ticket, next, heldUnits = 0 }: LeaseRow): number =>
  Math.max(ticket?.units ?? 0, next?.units ?? 0, heldUnits)

/**
 * Its site says that it has not ended, and a store that was put back may know an earlier end than was agreed since: work
 * may go on there for the grace at least.
 */
export const heldOn = ({ heldTo = 0, graceMs }: LeaseRow, now: Instant): Instant =>
  Math.max(heldTo, now + graceMs)

/**
 * Until then the site may hold units of it, work and all: to the end of the last ticket that it may stand on, and the
 * grace of that one. The lease's own grace is the shortest of all its tickets, for whoever leaves has to keep to each.
 */
export function heldUntil({ term, graceMs, ticket, next, heldTo }: LeaseRow): Instant {
  const tickets = [ticket, next].filter((one) => one !== undefined)
  const ends = tickets.map((one) => one.term.end + Math.max(graceMs, one.conditions.graceMs))
  return Math.max(term!.end + graceMs, heldTo ?? 0, ...ends)
}
