import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { lengthMs } from '../leases/term.ts'
import { doubtTicket, type Ticket, withoutChain } from '../leases/ticket.ts'
import type { Trust } from '../runtime/identity.ts'
import type { ServiceManagerConfig } from './config.ts'
import { brokerOf, heldOn, type LeaseLife } from './leases.ts'
import { wantedBy } from './leavers.ts'
import { THE_RECOVERY } from './line.ts'
import type { LeaseRow, ServiceManagerDraft } from './rows.ts'
import { isFinished, isGivenBack, stepTicket } from './steps.ts'
import { roomFor } from './surplus.ts'

type Holding = Body<'holdings'>['holdings'][number]

/** Says to brokers and sites for which guest a lease is, and to a restored service manager whose it was. */
export const GUEST_PROPERTY = 'guest'

/**
 * Leases as their brokers and sites remember them, after a restore. A ticket is believed by its signature; that
 * a lease stands, and with which units, only its site is believed.
 */
export function adoption(
  config: ServiceManagerConfig,
  trust: Trust,
  { members, put, ended, leaveAll }: LeaseLife,
) {
  const brokers = new Set([
    config.broker,
    ...Object.values(config.guests).flatMap(({ broker }) => broker ?? []),
  ])
  return { take }

  /** Returns the site that has to be asked besides. */
  function take(from: string, holding: Holding, draft: ServiceManagerDraft): string | undefined {
    const { leaseId, ticket, closed } = holding
    const lease = draft.get('lease', leaseId)
    if (lease !== undefined && isFinished(lease)) return undefined
    if (closed) {
      if (lease === undefined) remember(from, holding, draft)
      if (lease !== undefined && isUnused(lease) && from === brokerOf(lease, config))
        return notToUse(lease, ticket, draft)
      if (lease === undefined || lease.ticket?.site !== from || isGivenBackToBroker(lease)) return undefined
      const why = 'its site says that it is closed'
      if (lease.leaseState === 'blocked') leaveAll(lease, undefined, why, draft)
      else ended({ ...lease, unsure: undefined }, why, draft)
      return undefined
    }
    if (ticket === null) return forgotten(from, leaseId, lease, draft)
    const doubt = doubtOf(from, leaseId, ticket, draft)
    if (doubt !== undefined) {
      draft.note('not adopted', leaseId, `${from}: ${doubt}`)
      return undefined
    }
    if (from === ticket.broker) {
      if (lease === undefined || lease.ticketState === 'asked') adopt(from, holding, ticket, lease, draft)
      return ticket.site
    }
    stands(adopt(from, holding, ticket, lease, draft), from, holding, draft)
    return undefined
  }

  /** Should its ticket come yet, it is not good any more. Whether it was redeemed in the time forgotten, its site says. */
  function notToUse(lease: LeaseRow, ticket: Ticket | null, draft: ServiceManagerDraft): string | undefined {
    draft.put('lease', stepTicket(lease, 'closed'))
    return (lease.ticket ?? ticket)?.site
  }

  /** It was ours, and is over: what the middleware has of it is known again, and so can be removed. */
  function remember(from: string, holding: Holding, draft: ServiceManagerDraft): void {
    const { leaseId, ticket, units } = holding
    if (ticket?.site !== from || doubtOf(from, leaseId, ticket, draft) !== undefined) return
    const { unsure: _, ...lease } = freshOf(holding, ticket, undefined, draft)
    const due = draft.now + RETIRE_MS
    const closeReason = 'it was over before the store was restored'
    draft.put('lease', {
      ...{ ...lease, openFor: undefined, ticketState: 'closed', leaseState: 'closed' },
      ...{ units: units.map(({ id }) => id), closeReason, due },
    })
    for (const { id, name, facts } of units)
      draft.put('unit', {
        ...{ id, leaseId, guest: lease.guest, name, vector: { ...ticket.proof?.vector }, facts },
        ...{ state: 'left', since: draft.now, joinedAt: undefined, suspect: undefined, reason: closeReason },
        ...{ doing: undefined, failures: 0, settled: true, requeueFrom: undefined, mustLeave: true },
      })
    draft.retire(leaseId, due)
    draft.note('remembered', leaseId, `${from} had it for us, and says that it is closed`)
  }

  /** A request that is remembered by its broker alone. */
  function forgotten(
    from: string,
    leaseId: string,
    lease: LeaseRow | undefined,
    draft: ServiceManagerDraft,
  ): undefined {
    if (lease !== undefined || !brokers.has(from)) return
    draft.note('given back', leaseId, `${from} remembers a request that is not known here any more`)
    const body = { reason: 'it was forgotten in a restore' }
    tell(draft, from, 'relinquish', leaseId, body, draft.now + config.answerMs)
    draft.retire(leaseId, draft.now + config.answerMs, from)
  }

  /** A lease may be in its grace: that the term is over speaks against nothing. */
  function doubtOf(
    from: string,
    leaseId: string,
    ticket: Ticket,
    draft: ServiceManagerDraft,
  ): string | undefined {
    if (ticket.leaseId !== leaseId) return 'its ticket is for another lease'
    if (!brokers.has(ticket.broker)) return `${ticket.broker} is not a broker of ours`
    if (from !== ticket.broker && from !== ticket.site) return `it is neither its broker nor its site`
    // Its key was good when it was issued; that has to do, or what runs would be nobody's.
    const now = Math.min(draft.now, ticket.issuedAt)
    return doubtTicket(ticket, { holder: draft.self, broker: ticket.broker, now }, trust)
  }

  function adopt(
    from: string,
    holding: Holding,
    ticket: Ticket,
    before: LeaseRow | undefined,
    draft: ServiceManagerDraft,
  ): LeaseRow {
    const { leaseId: id } = holding
    const isKnown = before?.ticket !== undefined
    if (!isKnown)
      draft.note('adopted', id, `${from} holds it: ${ticket.units} of ${ticket.type} at ${ticket.site}`)
    const lease = isKnown
      ? withProperties(before, holding, draft)
      : freshOf(
          { ...holding, ...(before && { properties: before.properties }) },
          ticket,
          before?.guest,
          draft,
        )
    put(lease, draft)
    return lease
  }

  /** What its broker showed first comes without what was asked for; its site has that, and with it whose it was. */
  function withProperties(lease: LeaseRow, { properties }: Holding, draft: ServiceManagerDraft): LeaseRow {
    if (Object.keys(lease.properties).length > 0) return lease
    const guest = lease.guest || guestOf(properties, draft)
    const { afterJoin, ...free } = lease
    return {
      ...(guest === lease.guest ? lease : free),
      ...{ properties, guest, openFor: guest, image: lease.image || (properties.image ?? '') },
    }
  }

  /** What is known of a lease that is not in the store. */
  function freshOf(
    { leaseId: id, properties }: Holding,
    ticket: Ticket,
    asked: string | undefined,
    draft: ServiceManagerDraft,
  ): LeaseRow {
    const guest = asked || guestOf(properties, draft)
    return {
      ...{ id, guest, openFor: guest, broker: ticket.broker, ticketState: 'held', leaseState: 'redeeming' },
      ...{ type: ticket.type, unitsAsked: ticket.units, durationMs: lengthMs(ticket.term), properties },
      ...{ image: properties.image ?? '', requestedAt: ticket.issuedAt, ticket: withoutChain(ticket) },
      ...{ reason: 'it was held before the store was restored', next: undefined, term: ticket.term },
      ...{ units: [], victims: [], boundary: undefined, extendRefused: undefined, recall: undefined },
      ...{ closeReason: '', graceMs: ticket.conditions.graceMs, unsure: true },
      // Until a guest shows a node of it, nothing of it joins.
      ...(guest === '' ? { afterJoin: 'a guest that shows it' } : {}),
    }
  }

  /** The site's word: the lease stands, on this ticket or the one that follows it, with these units. */
  function stands(lease: LeaseRow, from: string, holding: Holding, draft: ServiceManagerDraft): void {
    if (lease.leaseState === 'closed') return
    const { next } = holding
    const last =
      next !== null && doubtOf(from, lease.id, next, draft) === undefined
        ? next
        : (holding.ticket ?? lease.ticket!)
    const isLive = !isGivenBack(lease)
    const active = holding.state.includes('active') ? 'active' : 'redeeming'
    const term = { start: lease.term?.start ?? last.term.start, end: last.term.end }
    const heldTo = heldOn(lease, draft.now)
    const sure: LeaseRow = { ...lease, heldTo, unsure: undefined, group: undefined, afterRedeem: undefined }
    // Its answer and an extension that it is being told of may have crossed: the extension has its own answer.
    const isCrossed = lease.next !== undefined && lease.next.predecessor === last.id
    const asTold: LeaseRow = {
      ...{ ...sure, ticket: withoutChain(last), term, next: undefined, victims: [], boundary: undefined },
      ticketState: lease.ticketState === 'extending' ? 'held' : lease.ticketState,
      ...{ leaseState: isLive ? active : lease.leaseState, asking: undefined },
    }
    put(isCrossed ? sure : asTold, draft)
    draft.remove('chain', lease.id)
    const named = new Set(holding.units.map(({ id }) => id))
    const gone = lease.units.filter((id) => !named.has(id))
    const vector = { ...last.proof?.vector }
    const told = (report: Parameters<typeof members.reported>[1]): void =>
      members.reported({ ...draft.get('lease', lease.id)!, unsure: true }, report, draft.now, draft)
    let room = roomFor(lease)
    for (const unit of holding.units)
      if (draft.get('unit', unit.id) !== undefined || room-- > 0)
        told({ ...unit, vector, reason: 'as its site holds it' })
    for (const id of gone) {
      const name = draft.get('unit', id)?.name ?? id
      told({ id, name, report: 'ended', vector, facts: {}, reason: 'its site does not know it (any more)' })
    }
    put(wantedBy(draft.get('lease', lease.id)!, draft), draft)
    const current = draft.get('lease', lease.id)!
    if (isLive && holding.state.includes('closing'))
      leaveAll(current, undefined, 'the site ends the lease', draft)
  }

  /** Whose it was, also if that one is not configured for now; the empty name until a middleware shows it. */
  function guestOf(properties: Holding['properties'], draft: ServiceManagerDraft): string {
    const names = Object.keys(config.guests)
    const named = properties[GUEST_PROPERTY]
    const isKnown = (name: string): boolean => names.includes(name) || draft.get('guest', name) !== undefined
    if (named !== undefined && (names.length === 0 || isKnown(named))) return named
    return names.length === 1 ? names[0]! : ''
  }
}

/** The site has not heard of it from this store. */
const isUnused = ({ ticketState, afterRedeem }: LeaseRow): boolean =>
  ticketState === 'asked' || (ticketState === 'held' && afterRedeem === THE_RECOVERY)

const isGivenBackToBroker = ({ ticketState, leaseState }: LeaseRow): boolean =>
  leaseState === 'closed' || ticketState === 'returning'
