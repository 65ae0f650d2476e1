import type { FoundMachine } from '../../adapters/handler.ts'
import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { type Body, isMessageKind, readBody } from '../leases/messages.ts'
import { readRequest } from '../leases/properties.ts'
import { doubtTicket, type Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { inOneLine, SubletError } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import type { AuthorityConfig } from './config.ts'
import { isLive, leaseLife, unitsOf } from './leases.ts'
import { leaseMachine } from './machines.ts'
import { type LendOrder, lentOf, offers, type RecallOrder } from './offers.ts'
import type { AuthorityTables, LeaseRow } from './rows.ts'
import type { AuthorityDraft, UnitEffectArgs } from './units.ts'

const SITE_KEY = 'site'
/** What is told of a lease with all its units has to fit into one message. */
const LEASE_UNITS_MAX = 1_000

/**
 * Assigns: redeems tickets for leases and decides which unit on which host. Its word on when a lease
 * ends is final. Machines are made and ended by effects; `Units` sees to each of them.
 */
export function authority(config: AuthorityConfig, trust: Trust): Mind<AuthorityTables> {
  const site = offers(config, () => units.end.bind(units))
  const { units, leaseDue, unitDue, tend, shut, report, tellAgain } = leaseLife(config, lentOf, site.withhold)
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
        if (input.table === 'recall') return site.recallDue(input.row.id, draft)
        if (input.table === 'site') return sweep(draft)
        return
      case 'effect':
        if (input.key === SITE_KEY) return swept(input, draft)
        return units.answered(input.key, input.verb, input.outcome, input.args as UnitEffectArgs, draft)
      case 'command':
        if (input.name === 'machine ended') return sweepNow(draft)
        if (input.name === 'recall') return site.recall(input.args as RecallOrder, draft)
        if (input.name === 'lend again') return site.lendAgain(input.args as LendOrder, draft)
        throw new SubletError('usage', `a site authority knows no command ${input.name}`)
      case 'undelivered':
        return undelivered(input.envelope, input.code, input.reason, draft)
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
    const row = draft.get('site', SITE_KEY) ?? { id: SITE_KEY, lastSlot: 0, sweeping: false }
    draft.put('site', { ...row, sweeping: false, due: draft.now })
    site.begin(draft)
    // A lease that is active and says when it is due is looked at then: there may be very many.
    for (const lease of draft.all('lease'))
      if (lease.state !== 'closed' && (lease.state !== 'active' || lease.due === undefined))
        draft.put('lease', { ...lease, due: draft.now })
  }

  /** A sweep that is under way is not cut off: many hints in a row would keep it from ever ending. */
  function sweepNow(draft: AuthorityDraft): void {
    const row = draft.get('site', SITE_KEY)!
    if (!row.sweeping) sweep(draft)
    else draft.put('site', { ...row, again: true })
  }

  function sweep(draft: AuthorityDraft): void {
    const row = draft.get('site', SITE_KEY)!
    // It is answered for in time; if what it found made this actor stumble, the next one comes all the same.
    const due = draft.now + 2 * config.probeMs + config.sweepEveryMs
    draft.put('site', { ...row, sweeping: true, again: undefined, due })
    draft.effect({ key: SITE_KEY, verb: 'list', args: { startedAt: draft.now }, timeoutMs: config.probeMs })
  }

  function swept(input: Input & { kind: 'effect' }, draft: AuthorityDraft): void {
    const { outcome } = input
    const row = draft.get('site', SITE_KEY)!
    const failing = outcome.kind === 'failed' ? true : undefined
    const due = draft.now + (row.again === true ? config.retryMs : config.sweepEveryMs)
    draft.put('site', { ...row, sweeping: false, again: undefined, failing, due })
    if (outcome.kind === 'failed') {
      if (row.failing !== true) draft.note('sweep failed', SITE_KEY, outcome.reason)
      return
    }
    if (row.failing === true) draft.note('sweeps again', SITE_KEY, 'the machines can be listed again')
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
    // Whichever of its tickets comes: the lease stands, and its holder is told how.
    if (held !== undefined && held.holder === holder) return report(held, draft)
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
      ticket,
      unitsMin,
      image: lease.image,
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
    if (ticket.units > LEASE_UNITS_MAX) return `a lease has at most ${LEASE_UNITS_MAX} units here`
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
    const less = victims.length > 0 ? `, without ${someUnits(victims.length)}` : ''
    draft.note('extended', lease.id, `until ${iso(ticket.term.end)}${less}`, {
      ticketId: ticket.id,
      predecessor: ticket.predecessor,
      term: ticket.term,
      units: ticket.units,
      ticket,
      victims,
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
    if (staying > ticket.units)
      return `${someUnits(staying)} would stay, but the ticket is for ${ticket.units}`
    return undefined
  }

  function vacate(lease: LeaseRow, body: Body<'vacate'>, draft: AuthorityDraft): void {
    const named = new Set(body.units)
    const given = unitsOf(lease, draft).filter((unit) => named.has(unit.id) && unit.state !== 'ended')
    if (given.length === 0)
      return draft.note('message noted', lease.id, 'it gives units back of which none is there')
    const reason = `the holder no longer uses it: ${body.reason}`
    for (const unit of given) units.end({ ...unit, givenUp: true }, draft.now, reason, draft)
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
    lastWord(from, leaseId, body, draft)
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
    lastWord(holder, leaseId, body, draft)
  }

  /** Of a lease that is not kept: nothing else would ever end the numbers of its conversation. */
  function lastWord(to: string, leaseId: string, body: Body<'lease-update'>, draft: AuthorityDraft): void {
    tell(draft, to, 'lease-update', leaseId, body, draft.now + config.answerMs)
    if (draft.get('lease', leaseId) === undefined) draft.retire(leaseId, draft.now + RETIRE_MS)
  }

  function undelivered(envelope: Envelope, code: string, reason: string, draft: AuthorityDraft): void {
    const { kind, subject, to, body } = envelope
    draft.note('undelivered', subject, `${kind} to ${to}: ${reason}`, { code })
    if (code !== 'peer-silent') return
    if (kind === 'delegation') return site.tellAgain(body, draft)
    if (kind === 'lease-update') return tellAgain(subject, body, draft)
  }

  function refuse(draft: AuthorityDraft, envelope: Envelope, reason: string): void {
    draft.note('message refused', envelope.subject, `${envelope.from}: ${reason}`)
  }
}

const iso = (at: Instant): string => new Date(at).toISOString()
