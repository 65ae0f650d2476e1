import type { FoundMachine } from '../../adapters/handler.ts'
import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { type Body, isMessageKind, readBody } from '../leases/messages.ts'
import { readRequest } from '../leases/properties.ts'
import { doubtTicket, type Ticket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { inOneLine, SubletError } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import type { AuthorityConfig } from './config.ts'
import { leaseMachine } from './machines.ts'
import type { AuthorityTables, LeaseRow, OfferRow, UnitRow } from './rows.ts'
import { type AuthorityDraft, type UnitEffectArgs, Units } from './units.ts'

const SITE_KEY = 'site'

/** What the operator asks back; see `sublet recall`. */
export interface RecallOrder {
  readonly type: string
  readonly units: number
  readonly by: Instant
  readonly reason: string
}

/**
 * Assigns: redeems tickets for leases and decides which unit on which host. Its word on when a lease
 * ends is final. Machines are made and ended by effects; `Units` sees to each of them.
 */
export function authority(config: AuthorityConfig, trust: Trust): Mind<AuthorityTables> {
  const units = new Units(config, unitChanged, withhold)
  return { handle }

  function handle(input: Input, draft: AuthorityDraft): unknown {
    switch (input.kind) {
      case 'started':
        return started(input.epoch, draft)
      case 'message':
        return receive(input.envelope, draft)
      case 'due':
        if (input.table === 'lease') return leaseDue(input.row.id, draft)
        if (input.table === 'unit') return unitDue(input.row.id, draft)
        if (input.table === 'recall') return recallDue(input.row.id, draft)
        if (input.table === 'site') return sweep(draft)
        return
      case 'effect':
        if (input.key === SITE_KEY) return swept(input, draft)
        return units.answered(input.key, input.verb, input.outcome, input.args as UnitEffectArgs, draft)
      case 'command':
        if (input.name === 'machine ended') return sweepNow(draft)
        if (input.name === 'recall') return recall(input.args as RecallOrder, draft)
        throw new SubletError('usage', `a site authority knows no command ${input.name}`)
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
    }
  }

  // ── the site itself ──────────────────────────────────────────────────────────────────────────────

  function started(epoch: number, draft: AuthorityDraft): void {
    draft.note('started', draft.self, `the site begins epoch ${epoch}`, { hosts: config.hosts })
    const site = draft.get('site', SITE_KEY) ?? { id: SITE_KEY, lastSlot: 0, sweeping: false }
    draft.put('site', { ...site, sweeping: false, due: draft.now })
    for (const [type, offer] of Object.entries(config.types)) {
      const before = draft.get('offer', type)
      const row: OfferRow = {
        id: type,
        units: offer.units,
        withheld: before?.withheld ?? 0,
        settledRecalls: before?.settledRecalls ?? [],
      }
      draft.put('offer', row)
      tellOffer(row, 'the site has started', draft)
    }
    for (const lease of draft.all('lease'))
      if (lease.state !== 'closed') draft.put('lease', { ...lease, due: draft.now })
  }

  function tellOffer(row: OfferRow, reason: string, draft: AuthorityDraft): void {
    const { vector } = config.types[row.id]!
    const count = Math.max(0, row.units - row.withheld)
    const body = {
      type: row.id,
      units: count,
      vector: { ...vector },
      conditions: config.conditions,
      settledRecalls: [...row.settledRecalls],
      reason,
    }
    tell(draft, config.broker, 'delegation', `offer-${row.id}`, body, draft.now + config.answerMs)
    draft.note('offered', row.id, `${count} units: ${reason}`)
  }

  function withhold(type: string, by: number, reason: string, draft: AuthorityDraft): void {
    const row = draft.get('offer', type)
    if (row === undefined) return
    const changed = { ...row, withheld: Math.max(0, row.withheld + by) }
    draft.put('offer', changed)
    tellOffer(changed, reason, draft)
  }

  function sweepNow(draft: AuthorityDraft): void {
    const site = draft.get('site', SITE_KEY)!
    if (!site.sweeping) sweep(draft)
    else draft.put('site', { ...site, due: draft.now + config.retryMs })
  }

  function sweep(draft: AuthorityDraft): void {
    draft.put('site', { ...draft.get('site', SITE_KEY)!, sweeping: true, due: undefined })
    draft.effect({ key: SITE_KEY, verb: 'list', args: { startedAt: draft.now }, timeoutMs: config.probeMs })
  }

  function swept(input: Input & { kind: 'effect' }, draft: AuthorityDraft): void {
    const { outcome } = input
    const site = draft.get('site', SITE_KEY)!
    draft.put('site', { ...site, sweeping: false, due: draft.now + config.sweepEveryMs })
    if (outcome.kind === 'failed') return draft.note('sweep failed', SITE_KEY, outcome.reason)
    units.swept(outcome.value as FoundMachine[], (input.args as { startedAt: Instant }).startedAt, draft)
  }

  // ── the conversation ─────────────────────────────────────────────────────────────────────────────

  function receive(envelope: Envelope, draft: AuthorityDraft): void {
    const { kind, from, subject } = envelope
    const known = isMessageKind(kind) && ['redeem', 'extend-lease', 'vacate', 'close'].includes(kind)
    if (!known) return refuse(draft, envelope, `a site is not told ${kind}`)
    const read = readBody(kind, envelope.body)
    if (!read.ok) return refuse(draft, envelope, read.reason)
    if (kind === 'redeem') return redeem(from, subject, read.body as Body<'redeem'>, draft)
    const lease = draft.get('lease', subject)
    if (lease === undefined || lease.holder !== from) return unknownLease(from, subject, kind, draft)
    if (kind === 'extend-lease') return extend(lease, read.body as Body<'extend-lease'>, draft)
    if (kind === 'vacate') return vacate(lease, read.body as Body<'vacate'>, draft)
    close(lease, (read.body as Body<'close'>).reason, draft)
  }

  function redeem(holder: string, leaseId: string, body: Body<'redeem'>, draft: AuthorityDraft): void {
    const { ticket, properties } = body
    const held = draft.get('lease', leaseId)
    if (held !== undefined && held.holder === holder && held.ticket.id === ticket.id)
      return report(held, draft)
    const doubt =
      held !== undefined ? `the lease id ${leaseId} is in use` : doubtRedeem(holder, leaseId, body, draft)
    if (doubt !== undefined) {
      draft.note('redeem refused', leaseId, `${holder}: ${doubt}`)
      return finalWord(holder, leaseId, ticket, doubt, draft)
    }
    const { unitsMin, image } = readRequest(properties, ticket.units)
    const lease: LeaseRow = {
      id: leaseId,
      holder,
      state: 'pending',
      ticket,
      next: undefined,
      victims: [],
      term: ticket.term,
      unitsMin,
      image: image ?? config.types[ticket.type]!.image,
      properties,
      units: [],
      failures: 0,
      closeReason: '',
      vacated: false,
    }
    draft.put('lease', lease)
    draft.note('redeemed', leaseId, `${holder}: ${ticket.units} of ${ticket.type}`, {
      ticketId: ticket.id,
      term: ticket.term,
      units: ticket.units,
    })
    tend(lease, draft)
  }

  function doubtRedeem(
    holder: string,
    leaseId: string,
    { ticket, properties }: Body<'redeem'>,
    draft: AuthorityDraft,
  ): string | undefined {
    const expected = { holder, site: draft.self, broker: config.broker, now: draft.now }
    const doubt = doubtTicket(ticket, expected, trust)
    if (doubt !== undefined) return `the ticket is not honoured: ${doubt}`
    if (ticket.leaseId !== leaseId) return `the ticket is for ${ticket.leaseId}`
    if (ticket.predecessor !== null) return 'the ticket extends another one, which was not redeemed here'
    const type = config.types[ticket.type]
    if (type === undefined) return `this site has no type ${ticket.type}`
    if (ticket.units > type.units) return `this site has only ${type.units} of ${ticket.type}`
    if (ticket.term.end - ticket.term.start > config.termMsMax)
      return `a term is at most ${config.termMsMax} ms long here`
    try {
      const { image } = readRequest(properties, ticket.units)
      if (image !== undefined && !config.images.includes(image)) return `this site has no image ${image}`
    } catch (error) {
      return inOneLine(error)
    }
    return undefined
  }

  function extend(lease: LeaseRow, { ticket, victims }: Body<'extend-lease'>, draft: AuthorityDraft): void {
    if (lease.next?.id === ticket.id || lease.ticket.id === ticket.id) return report(lease, draft)
    const doubt = doubtExtension(lease, ticket, victims, draft)
    if (doubt !== undefined) {
      draft.note('extension refused', lease.id, doubt)
      return report(lease, draft, doubt)
    }
    const extended: LeaseRow = {
      ...lease,
      next: ticket,
      victims,
      term: { start: lease.term.start, end: ticket.term.end },
    }
    draft.put('lease', extended)
    const less = victims.length > 0 ? `, without ${victims.length} units` : ''
    draft.note('extended', lease.id, `until ${iso(ticket.term.end)}${less}`, {
      ticketId: ticket.id,
      predecessor: ticket.predecessor,
      term: ticket.term,
      units: ticket.units,
    })
    for (const unit of unitsOf(extended, draft)) units.tend(unit, draft)
    report(extended, draft)
  }

  function doubtExtension(
    lease: LeaseRow,
    ticket: Ticket,
    victims: readonly string[],
    draft: AuthorityDraft,
  ): string | undefined {
    if (nextState(leaseMachine, lease.state, 'extend') === undefined)
      return `the lease is ${lease.state}: it has ended`
    if (lease.term.end <= draft.now) return 'the lease has ended'
    const doubt = doubtTicket(
      ticket,
      { holder: lease.holder, site: draft.self, broker: config.broker, now: draft.now },
      trust,
    )
    if (doubt !== undefined) return `the ticket is not honoured: ${doubt}`
    if (lease.next !== undefined) return 'an extension is already agreed'
    if (ticket.predecessor !== lease.ticket.id) return `the ticket does not follow ${lease.ticket.id}`
    if (ticket.leaseId !== lease.id || ticket.type !== lease.ticket.type)
      return 'the ticket is for another lease or type'
    if (ticket.term.start !== lease.ticket.term.end)
      return 'the ticket does not start at the end of the one before'
    if (ticket.term.end - ticket.term.start > config.termMsMax)
      return `a term is at most ${config.termMsMax} ms long here`
    if (ticket.units > lease.ticket.units) return 'an extension grows no lease'
    if (victims.some((id) => !lease.units.includes(id))) return 'a victim is not a unit of the lease'
    const staying = unitsOf(lease, draft).filter((unit) => isLive(unit) && !victims.includes(unit.id)).length
    if (staying > ticket.units) return `${staying} units would stay, but the ticket is for ${ticket.units}`
    return undefined
  }

  function vacate(lease: LeaseRow, body: Body<'vacate'>, draft: AuthorityDraft): void {
    for (const unit of unitsOf(lease, draft))
      if (body.units.includes(unit.id))
        units.end(unit, draft.now, `the holder no longer uses it: ${body.reason}`, draft)
  }

  function close(lease: LeaseRow, reason: string, draft: AuthorityDraft): void {
    if (lease.state === 'closed') return report(lease, draft)
    shut({ ...lease, vacated: true }, 'close', draft.now, `closed by ${lease.holder}: ${reason}`, draft)
  }

  /** An answer about a lease that is not known here: whatever is asked of it, it has ended. */
  function unknownLease(from: string, leaseId: string, kind: string, draft: AuthorityDraft): void {
    draft.note('message refused', leaseId, `${from} sends ${kind} for a lease that it does not hold here`)
    const body: Body<'lease-update'> = {
      state: 'closed',
      term: { start: draft.now - 1, end: draft.now },
      ticketId: 'none',
      units: [],
      image: '',
      reason: 'no such lease of yours is known here',
      extensionRefused: null,
    }
    tell(draft, from, 'lease-update', leaseId, body, draft.now + config.answerMs)
  }

  function finalWord(
    holder: string,
    leaseId: string,
    ticket: Ticket,
    reason: string,
    draft: AuthorityDraft,
  ): void {
    const body = {
      state: 'closed' as const,
      term: { ...ticket.term },
      ticketId: ticket.id,
      units: [],
      image: '',
      reason,
      extensionRefused: null,
    }
    tell(draft, holder, 'lease-update', leaseId, body, draft.now + config.answerMs)
  }

  function report(lease: LeaseRow, draft: AuthorityDraft, extensionRefused: string | null = null): void {
    const body: Body<'lease-update'> = {
      state: lease.state,
      term: { ...lease.term },
      ticketId: (lease.next ?? lease.ticket).id,
      units: unitsOf(lease, draft).map((unit) => ({
        id: unit.id,
        name: unit.name,
        report: reportOf(unit),
        vector: { ...unit.vector },
        facts: { ...unit.facts },
        reason: unit.reason.slice(0, 500),
      })),
      image: lease.image,
      reason: lease.closeReason.slice(0, 500),
      extensionRefused,
    }
    tell(draft, lease.holder, 'lease-update', lease.id, body, draft.now + config.answerMs)
  }

  // ── the life of a lease ──────────────────────────────────────────────────────────────────────────

  /** Does whatever is due on a lease and says when to look again. Safe to call at any time. */
  function tend(given: LeaseRow, draft: AuthorityDraft): void {
    let lease: LeaseRow = { ...(draft.get('lease', given.id) ?? given), due: undefined }
    if (lease.state === 'closed') return forget(lease, draft)
    if (lease.state === 'closing') {
      draft.put('lease', lease)
      return finishIfEmpty(lease, draft)
    }
    if (draft.now >= lease.ticket.term.end) {
      if (lease.next === undefined) {
        const forceFrom = lease.term.end + config.conditions.graceMs
        return shut(lease, 'close', forceFrom, 'the term is over', draft)
      }
      lease = crossBoundary(lease, draft)
    }
    if (draft.now < lease.ticket.term.start)
      return draft.put('lease', { ...lease, due: lease.ticket.term.start })
    fill(lease, draft)
  }

  function crossBoundary(lease: LeaseRow, draft: AuthorityDraft): LeaseRow {
    const next = lease.next!
    for (const unit of unitsOf(lease, draft))
      if (lease.victims.includes(unit.id))
        units.end(unit, next.term.start + config.conditions.graceMs, 'the lease goes on without it', draft)
    const crossed: LeaseRow = {
      ...(draft.get('lease', lease.id) ?? lease),
      ticket: next,
      next: undefined,
      victims: [],
    }
    draft.put('lease', crossed)
    return crossed
  }

  /** Assigns what is missing; when nothing more will come, settles for what there is or gives up. */
  function fill(lease: LeaseRow, draft: AuthorityDraft): void {
    const mine = unitsOf(lease, draft)
    const gone = new Set(mine.filter((unit) => !isLive(unit) && unit.wasActive).map((unit) => unit.id))
    const live = mine.filter(isLive)
    // Units that served and died or were vacated are not replaced within the term.
    const missing = lease.state === 'pending' ? lease.ticket.units - live.length - gone.size : 0
    const exhausted = lease.failures >= config.failuresMax
    const notBefore = draft.get('image', lease.image)?.notBefore ?? 0
    let due = lease.ticket.term.end
    if (missing > 0 && !exhausted) {
      const added = notBefore <= draft.now ? units.assign(lease, missing, draft) : []
      const current = draft.get('lease', lease.id)!
      draft.put('lease', { ...current, units: [...current.units, ...added] })
      if (added.length < missing) due = Math.min(due, Math.max(notBefore, draft.now + config.retryMs))
      if (added.length > 0) report(draft.get('lease', lease.id)!, draft)
    }
    const current = draft.get('lease', lease.id)!
    draft.put('lease', { ...current, due })
    settle(draft.get('lease', lease.id)!, missing > 0 && exhausted, draft)
  }

  function settle(lease: LeaseRow, exhausted: boolean, draft: AuthorityDraft): void {
    if (lease.state !== 'pending') return
    const mine = unitsOf(lease, draft)
    const coming = mine.filter((unit) => unit.state === 'setup' || unit.state === 'probing').length
    const served = mine.filter((unit) => unit.wasActive).length
    if (coming > 0 || (served < lease.ticket.units && !exhausted)) return
    if (served < lease.unitsMin) {
      const reason = `only ${served} of at least ${lease.unitsMin} machines came up in ${lease.failures} failed attempts`
      return shut(lease, 'failed', draft.now, reason, draft)
    }
    const settled: LeaseRow = { ...lease, state: 'active' }
    draft.put('lease', settled)
    draft.note('lease active', lease.id, `${served} of ${lease.ticket.units} units`)
    report(settled, draft)
  }

  function shut(
    lease: LeaseRow,
    event: 'close' | 'failed',
    forceFrom: Instant,
    reason: string,
    draft: AuthorityDraft,
  ): void {
    const state = nextState(leaseMachine, lease.state, event)!
    const first = lease.state !== 'closing'
    const closing: LeaseRow = {
      ...lease,
      state,
      closeReason: first ? reason : lease.closeReason,
      due: undefined,
    }
    draft.put('lease', closing)
    if (first) draft.note('lease closing', lease.id, reason)
    for (const unit of unitsOf(closing, draft)) units.end(unit, forceFrom, reason, draft)
    finishIfEmpty(draft.get('lease', lease.id)!, draft)
  }

  function finishIfEmpty(lease: LeaseRow, draft: AuthorityDraft): void {
    if (lease.state !== 'closing' || unitsOf(lease, draft).some((unit) => unit.state !== 'ended')) return
    const closed: LeaseRow = {
      ...lease,
      state: nextState(leaseMachine, lease.state, 'emptied')!,
      due: draft.now + RETIRE_MS,
    }
    draft.put('lease', closed)
    draft.note('lease closed', lease.id, lease.closeReason, { ticketId: lease.ticket.id })
    report(closed, draft)
    draft.retire(lease.id, draft.now + RETIRE_MS)
  }

  function forget(lease: LeaseRow, draft: AuthorityDraft): void {
    for (const id of lease.units) draft.remove('unit', id)
    draft.remove('lease', lease.id)
  }

  function leaseDue(id: string, draft: AuthorityDraft): void {
    const lease = draft.get('lease', id)
    if (lease !== undefined) tend({ ...lease, due: undefined }, draft)
  }

  function unitDue(id: string, draft: AuthorityDraft): void {
    const unit = draft.get('unit', id)
    if (unit === undefined) return
    draft.put('unit', { ...unit, due: undefined })
    units.tend({ ...unit, due: undefined }, draft)
  }

  function unitChanged(leaseId: string, draft: AuthorityDraft): void {
    const lease = draft.get('lease', leaseId)
    if (lease !== undefined && lease.state !== 'closed') {
      report(lease, draft)
      if (lease.state === 'closing') finishIfEmpty(lease, draft)
      else draft.put('lease', { ...lease, due: draft.now })
    } else if (lease === undefined) forgetOrphans(leaseId, draft)
    // Room may have become free for those that wait.
    for (const waiting of draft.all('lease'))
      if (waiting.state === 'pending' && waiting.id !== leaseId && waiting.ticket.term.start <= draft.now)
        draft.put('lease', { ...waiting, due: draft.now })
  }

  function forgetOrphans(leaseId: string, draft: AuthorityDraft): void {
    for (const unit of draft.all('unit'))
      if (unit.leaseId === leaseId && unit.state === 'ended') draft.remove('unit', unit.id)
  }

  // ── recall ───────────────────────────────────────────────────────────────────────────────────────

  function recall(order: RecallOrder, draft: AuthorityDraft): { recallId: string } {
    const offer = draft.get('offer', order.type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${order.type}`)
    if (!Number.isInteger(order.units) || order.units < 1 || order.units > offer.units - offer.withheld)
      throw new SubletError(
        'no-capacity',
        `${offer.units - offer.withheld} units of ${order.type} are lent; ${order.units} cannot be recalled`,
      )
    const recallId = draft.newId('delegation')
    draft.put('recall', { id: recallId, type: order.type, units: order.units, by: order.by, due: order.by })
    const { type, units: count, by, reason } = order
    draft.note('recalled', recallId, `${count} of ${type} by ${iso(by)}: ${reason}`)
    tell(
      draft,
      config.broker,
      'recall-units',
      `offer-${type}`,
      { recallId, type, units: count, by, reason },
      by,
    )
    return { recallId }
  }

  /** At the deadline the offer shrinks; what was not given back and may be recalled is taken, work first let end. */
  function recallDue(recallId: string, draft: AuthorityDraft): void {
    const order = draft.get('recall', recallId)
    if (order === undefined) return
    draft.remove('recall', recallId)
    const offer = draft.get('offer', order.type)!
    const shrunk = {
      ...offer,
      withheld: offer.withheld + order.units,
      settledRecalls: [...offer.settledRecalls, recallId].slice(-1_000),
    }
    draft.put('offer', shrunk)
    tellOffer(shrunk, `${order.units} units were recalled`, draft)
    if (!config.conditions.recallable) return
    const live = draft.all('unit').filter((unit) => unit.type === order.type && isLive(unit))
    const excess = live.length - (shrunk.units - shrunk.withheld)
    for (const unit of live
      .sort((a, b) => b.assignedAt - a.assignedAt || b.slot - a.slot)
      .slice(0, Math.max(0, excess)))
      units.end(unit, draft.now + config.conditions.graceMs, 'it was recalled and not given back', draft)
  }

  function refuse(draft: AuthorityDraft, envelope: Envelope, reason: string): void {
    draft.note('message refused', envelope.subject, `${envelope.from}: ${reason}`)
  }
}

const isLive = (unit: UnitRow): boolean => !['teardown', 'stuck', 'ended'].includes(unit.state)

const unitsOf = (lease: LeaseRow, draft: AuthorityDraft): UnitRow[] =>
  lease.units.map((id) => draft.get('unit', id)).filter((unit) => unit !== undefined)

/** `ended` is said only when nothing runs there any more, or nothing of the guest ever did. */
function reportOf(unit: UnitRow): Body<'lease-update'>['units'][number]['report'] {
  switch (unit.state) {
    case 'setup':
    case 'probing':
      return 'coming'
    case 'active':
      return 'active'
    case 'suspect':
      return 'suspect'
    case 'teardown':
    case 'stuck':
      return unit.wasActive ? 'suspect' : 'ended'
    case 'ended':
      return 'ended'
  }
}

const iso = (at: Instant): string => new Date(at).toISOString()
