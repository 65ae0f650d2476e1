import { doubtChain } from '../leases/chain.ts'
import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { type ShownOrder, shownOrder } from '../leases/recall-order.ts'
import { lengthMs } from '../leases/term.ts'
import { doubtTicket, type Ticket, withoutChain } from '../leases/ticket.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { coded } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { ServiceManagerConfig } from './config.ts'
import { brokerOf, type LeaseLife } from './leases.ts'
import { THE_RECOVERY } from './line.ts'
import { isOut } from './members.ts'
import { NO_GROUPS } from './places.ts'
import type { LeaseRow, RecalledRow, ServiceManagerDraft } from './rows.ts'
import { isGivenBack, refusalOf, stepLease, stepTicket, unitsOf } from './steps.ts'

/** What the word of a recall may take from the site to the holder, where its broker does not show when it was ordered. */
const WAY_MS_MAX: Millis = 60_000

/**
 * Recalls of one lease in an hour for which its broker is not put off in the end, though he shows no new order of the site;
 * and of which each is written down, though nothing leaves for it.
 */
const RECALLS_HEARD_MAX = 10
/** Recalls of one lease for which units were promised, as they are remembered. */
const RECALLS_ANSWERED_MAX = 100

/**
 * What brokers say. A ticket is relied on when it is what was asked for, signed by its broker, and drawn from
 * claims that begin at the site; then it is redeemed.
 */
export function ticketDesk(config: ServiceManagerConfig, trust: Trust, life: LeaseLife) {
  const { put, giveBack, returnExtension, finish, remember } = life
  return { updated, recalled, recallsCounted, extensionRefused, ticketClosed, unasked, unsure }

  function updated(lease: LeaseRow, body: Body<'ticket-update'>, draft: ServiceManagerDraft): void {
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
    const isNew = lease.ticketState === 'asked'
    const isNext =
      lease.ticketState === 'extending' && (ticket === null || ticket.predecessor === lease.ticket?.id)
    if (!isNew && !isNext) {
      const why = `a ticket that is not asked for (any more): ${ticket?.id ?? 'none'}`
      return draft.note('message noted', lease.id, why)
    }
    const doubt = ticket === null ? 'there is none' : doubtOf(lease, ticket, draft)
    if (ticket === null || doubt !== undefined) {
      const why = `the ticket cannot be relied on: ${doubt}`
      if (isNew) return giveBack(lease, why, draft)
      if (ticket !== null) returnExtension(lease, ticket, draft)
      return extensionRefused(lease, why, draft)
    }
    if (isNew) ticketed(lease, ticket, reason, draft)
    else redeemExtension(lease, ticket, reason, draft)
  }

  /** Cheap doubts first: signatures cost most. */
  function doubtOf(lease: LeaseRow, ticket: Ticket, draft: ServiceManagerDraft): string | undefined {
    const expected = { holder: draft.self, broker: brokerOf(lease, config), now: draft.now }
    if (lease.group !== undefined && speaksOnly1(expected.broker, draft)) return NO_GROUPS
    const misfit =
      misfitOf(lease, ticket) ?? tooLate(lease, ticket, draft) ?? doubtTicket(ticket, expected, trust)
    if (misfit !== undefined || ticket.proof === undefined) return misfit
    if (!trust.hasKey(draft.self, ticket.proof.holderKey, draft.now))
      return 'whoever redeems it has to have a key that is not ours'
    return doubtChain(ticket, draft.now, trust)
  }

  /** It begins when it was asked for, or may begin later; and its site is one that we can speak with. */
  function tooLate(lease: LeaseRow, { term, site }: Ticket, draft: ServiceManagerDraft): string | undefined {
    if (!trust.knows(site))
      return coded('peer-unknown', `it is for ${site}, and no peer of that name is known here`)
    if (lease.ticketState !== 'asked') return undefined
    const { deferrable, deadline } = lease.properties
    const startBy = deferrable === 'true' && deadline !== undefined ? Number(deadline) : 0
    const latest = Math.max(draft.now, lease.startAt ?? 0, startBy) + 2 * config.skewMsMax
    return term.start <= latest
      ? undefined
      : `it begins at ${iso(term.start)}, after the latest start asked for`
  }

  function ticketed(lease: LeaseRow, ticket: Ticket, reason: string, draft: ServiceManagerDraft): void {
    draft.note('ticketed', lease.id, reason, {
      ticketId: ticket.id,
      site: ticket.site,
      units: ticket.units,
      term: ticket.term,
    })
    const { term, conditions, chain } = ticket
    // A site cannot have known it when it was asked after a restore.
    const held = { ...stepTicket(lease, 'granted'), ticket: withoutChain(ticket), term, unsure: undefined }
    life.ticketed({ ...held, graceMs: conditions.graceMs }, chain, draft)
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
      if (!isGivenBack(lease)) returnExtension(lease, ticket, draft)
      return draft.note('message noted', lease.id, `an extension of a lease that is ${lease.leaseState}`)
    }
    put({ ...stepTicket(lease, 'granted'), next: withoutChain(ticket) }, draft)
    draft.note('extension ticketed', lease.id, reason, {
      ticketId: ticket.id,
      term: ticket.term,
      units: ticket.units,
    })
    const body = { ticket, victims: [...lease.victims] }
    tell(draft, ticket.site, 'extend-lease', lease.id, body, ticket.term.start)
  }

  function refused(lease: LeaseRow, body: Body<'ticket-update'>, draft: ServiceManagerDraft): void {
    if (lease.ticketState !== 'asked')
      return draft.note('message noted', lease.id, `a refusal that comes late: ${body.reason}`)
    if (lease.unsure === true) return unsure(lease, body.reason, draft)
    const alternative =
      body.earliest === null ? '' : ` (earliest start that would work: ${iso(body.earliest)})`
    remember(lease, 'broker', `${body.reason}${alternative}`, draft)
    // Where the broker does not say it, that is none, too.
    const free = body.unitsNow === 0 ? '' : `; units free now: ${body.unitsNow}`
    draft.note('refused', lease.id, `${body.reason}${alternative}${free}`)
    finish({ ...stepLease(stepTicket(lease, 'refused'), 'leave'), closeReason: body.reason }, draft)
  }

  /**
   * After a restore: it may be refused because it was granted before, and is remembered by all but us. Whether it
   * was, brokers and sites are just being asked.
   */
  function unsure(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    draft.note(
      'message noted',
      lease.id,
      `a refusal; whether it was granted before is being found out: ${reason}`,
    )
  }

  function extensionRefused(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.ticketState !== 'extending')
      return draft.note('message noted', lease.id, `a refusal that comes late: ${reason}`)
    const refused = stepTicket(lease, 'refused')
    const kept: LeaseRow = {
      // It may be on its way out by now.
      ...(lease.leaseState === 'extending' ? stepLease(refused, 'refused') : refused),
      victims: [],
      asking: undefined,
      extendRefused: refusalOf(lease, reason, draft.now),
    }
    put(kept, draft)
    draft.note('extension refused', lease.id, `the lease goes on to its end: ${reason}`)
  }

  function ticketClosed(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    const closed = stepTicket(lease, 'closed')
    // Its site may hold it all the same, from the time forgotten, and is just being asked.
    if (closed.leaseState === 'blocked' && lease.afterRedeem === THE_RECOVERY) return put(closed, draft)
    if (closed.leaseState === 'none' || closed.leaseState === 'blocked')
      return finish({ ...stepLease(closed, 'leave'), closeReason: lease.closeReason || reason }, draft)
    if (closed.leaseState === 'closed') return finish(closed, draft)
    put(closed, draft)
    draft.note('ticket closed', lease.id, `by the broker, while the lease is ${lease.leaseState}: ${reason}`)
  }

  /** A ticket for a lease that is not held (any more): nobody would ever give it back. */
  function unasked(leaseId: string, from: string, draft: ServiceManagerDraft): void {
    draft.note(
      'message noted',
      leaseId,
      `a ticket of ${from} for a lease that is not held; it goes back at once`,
    )
    const body = { reason: 'the lease is not held any more' }
    tell(draft, from, 'relinquish', leaseId, body, draft.now + config.answerMs)
    draft.retire(leaseId, draft.now + config.answerMs, from)
  }

  /** Answers with a plan; the controller chooses who leaves, and what it has not chosen in time leaves anyway. */
  function recalled(lease: LeaseRow, body: Body<'recall'>, draft: ServiceManagerDraft): void {
    const live = unitsOf(lease, draft).filter((unit) => !isOut(unit)).length
    const before = lease.recall
    const shown = shownIn(lease, body)
    const order = noticeOf(lease, body, shown, draft)
    const by = Math.min(order.by, before?.by ?? order.by)
    const siteBy = Math.min(order.siteBy, before?.siteBy ?? before?.by ?? order.siteBy)
    const promised = Math.min(live, before?.units ?? 0)
    const { recallId } = body
    // Told again, as by a broker that was restored, it is not another one: what is given for it is said once more.
    const answered =
      lease.answered ?? (before === undefined ? [] : [{ recallId: before.recallId, units: before.units }])
    const again = answered.find((one) => one.recallId === recallId)
    const isAgain = again !== undefined
    const { binding } = order
    const wanted = binding ? Math.min(body.units, live - promised) : 0
    const units = isAgain ? Math.min(body.units, again.units) : wanted
    const reason = binding
      ? 'as the terms of the lease say'
      : 'the recall is advice; nothing leaves before the end of the term'
    const takes = units > 0 && !isAgain
    const isWritten = counted(lease, shown, takes, draft)
    // An earlier recall still stands: both are served by the earlier of the two.
    const recall = {
      recallId,
      units: promised + units,
      by,
      siteBy: siteBy < by ? siteBy : undefined,
    }
    if (takes) {
      const now = [...answered, { recallId, units }].slice(-RECALLS_ANSWERED_MAX)
      put({ ...draft.get('lease', lease.id)!, recall, answered: now }, draft)
    }
    if (isWritten)
      draft.note(
        'recalled',
        lease.id,
        `the site wants ${someUnits(body.units)} back by ${iso(body.by)}${order.by > body.by ? `, for which the notice is too short: by ${iso(order.by)}` : ''}: ${body.reason}; ${units} will leave by then, ${reason}`,
      )
    tell(
      draft,
      brokerOf(lease, config),
      'recall-plan',
      lease.id,
      { recallId, units, by: order.by, reason },
      draft.now + RETIRE_MS,
    )
  }

  /**
   * Whether it is written down. A few times it may be asked in vain, or again; the ledger is kept for ever. What a site has
   * newly ordered its broker has to pass on, be it ever so often.
   */
  function counted(
    { id }: LeaseRow,
    shown: ShownOrder | undefined,
    takes: boolean,
    draft: ServiceManagerDraft,
  ): boolean {
    const row = draft.get('recalled', id) ?? { id, times: 0, due: draft.now + RETIRE_MS }
    const { times, unwritten = 0, number = 0 } = row
    const isNew = (shown?.number ?? 0) > number
    if (times >= RECALLS_HEARD_MAX && !isNew) draft.turnDown()
    const isWritten = takes || times < RECALLS_HEARD_MAX
    draft.put('recalled', {
      ...row,
      times: times + 1,
      unwritten: isWritten ? unwritten : unwritten + 1,
      number: isNew ? shown!.number : number,
    })
    return isWritten
  }

  function recallsCounted({ id, unwritten = 0 }: RecalledRow, draft: ServiceManagerDraft): void {
    draft.remove('recalled', id)
    if (unwritten > 0)
      draft.note('recalled', id, `${unwritten} times more within an hour, and nothing left for it`)
  }

  function shownIn(lease: LeaseRow, body: Body<'recall'>): ShownOrder | undefined {
    if (lease.ticket === undefined) return undefined
    return shownOrder(
      body,
      { type: lease.type, site: lease.ticket.site, broker: brokerOf(lease, config) },
      trust,
    )
  }

  /**
   * Whether a recall binds, and from when on, whatever its broker says: what was not lent to be recalled is not, and the
   * notice of the ticket runs from when the site ordered it, or, if that is not shown, from now. Of what is not shown the
   * way here may have taken a part; the site may hold to the time it has named, `siteBy`, all the same.
   */
  function noticeOf(
    lease: LeaseRow,
    body: Body<'recall'>,
    shown: ShownOrder | undefined,
    draft: ServiceManagerDraft,
  ): { readonly binding: boolean; readonly by: Instant; readonly siteBy: Instant } {
    const siteBy = Math.max(body.by, draft.now)
    const notices = [lease.ticket, lease.next].flatMap((ticket) =>
      ticket?.conditions.recallable === true ? ticket.conditions.noticeMs : [],
    )
    if (!body.binding || notices.length === 0) return { binding: false, by: body.by, siteBy }
    const noticeMs = Math.min(...notices)
    if (shown !== undefined) return { binding: body.by - shown.at >= noticeMs, by: body.by, siteBy }
    const wayMs = Math.min(WAY_MS_MAX, noticeMs / 2)
    const isNoticed = body.by >= draft.now + noticeMs - wayMs
    return { binding: true, by: isNoticed ? body.by : draft.now + noticeMs, siteBy }
  }
}

/** Where a ticket is not what was asked for. */
function misfitOf(lease: LeaseRow, ticket: Ticket): string | undefined {
  if (ticket.leaseId !== lease.id) return 'it is for another lease'
  if (ticket.type !== lease.type) return `it is for ${ticket.type}, not for ${lease.type}`
  if (lengthMs(ticket.term) > lease.durationMs)
    return `it is for ${lengthMs(ticket.term)} ms, and ${lease.durationMs} ms were asked for`
  const { units: most, unitsMin } = lease.asking ?? { units: lease.unitsAsked, unitsMin: 1 }
  if (ticket.units > most) return `it is for ${someUnits(ticket.units)}, and ${most} asked for`
  if (lease.ticketState === 'asked') {
    if (ticket.predecessor !== null) return 'it extends another one, and there is none'
    if (lease.startAt !== undefined && ticket.term.start < lease.startAt)
      return `it begins at ${iso(ticket.term.start)}, before the ${iso(lease.startAt)} asked for`
    return undefined
  }
  if (ticket.units < unitsMin) return `it is for ${someUnits(ticket.units)}, and ${unitsMin} stay`
  if (ticket.term.start !== lease.ticket?.term.end) return 'it does not begin where the one before ends'
  if (ticket.site !== lease.ticket.site)
    return `it is for ${ticket.site}, and the units are at ${lease.ticket.site}`
  return undefined
}

const iso = (at: Instant): string => new Date(at).toISOString()
