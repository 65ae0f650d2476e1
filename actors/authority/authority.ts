import type { FoundMachine } from '../../adapters/handler.ts'
import { type Body, bodies, isMessageKind, type MessageKind, readBody } from '../leases/messages.ts'
import { putOff } from '../leases/paused.ts'
import { stopWords } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Envelope, Letter } from '../runtime/envelope.ts'
import { isUnanswered, SubletError } from '../runtime/errors.ts'
import type { Identity, Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import { byName } from '../runtime/plain.ts'
import { span } from '../runtime/sentence.ts'
import { adopting } from './adoption.ts'
import { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { tellHoldings } from './holdings.ts'
import { Hosts, type MaintainedOrder, type MaintainOrder } from './hosts.ts'
import { lapseOrders } from './lapse.ts'
import { leaseLife } from './leases.ts'
import { Modifications } from './modify.ts'
import { offers } from './offers.ts'
import { answer, answerOf } from './queries.ts'
import {
  type CallOffOrder,
  isRecalledIn,
  type LendOrder,
  type RecallOrder,
  type ReclaimOrder,
  recalls,
  type WithdrawOrder,
} from './recalls.ts'
import { recovery } from './recovery.ts'
import { type Asker, redeeming } from './redeem.ts'
import { returns } from './returned.ts'
import type { AuthorityDraft, AuthorityTables, LeaseRow, SiteRow, UnitRow } from './rows.ts'
import { isLive, isRecovering, unitsOf } from './standing.ts'
import { Reports } from './statement.ts'
import { endingWith, orphansEnd, Sweep } from './sweep.ts'
import type { UnitEffectArgs } from './units.ts'

const SITE_KEY = 'site'
const HEARD: ReadonlySet<MessageKind> = new Set([
  ...(['redeem', 'extend-lease', 'modify-lease', 'vacate', 'close', 'query'] as const),
  'tickets-returned',
  ...(['holdings-query', 'holdings'] as const),
])

/**
 * Assigns: redeems tickets for leases and decides which unit on which host. Its word on when a lease
 * ends is final. Machines are made and ended by effects; `Units` sees to each of them.
 */
export function authority(given: AuthorityConfig, identity: Identity, trust: Trust): Mind<AuthorityTables> {
  const config: AuthorityConfig = { ...given, types: byName(given.types) }
  const claims = new RootClaims(config, identity, trust)
  const site = offers(config, claims)
  const reports = new Reports(config)
  const life = leaseLife(config, claims, reports, site.withhold)
  const { units, leaseDue, unitDue, shut } = life
  const { redeem, extend } = redeeming(config, trust, claims, reports, life)
  const owner = recalls(config, site, claims, units)
  const { returned } = returns(trust, claims, reports, life)
  const hosts = new Hosts(config, units, reports, site.withhold)
  const modifications = new Modifications(units, reports)
  const machines = new Sweep(config, units)
  const restore = recovery(config, trust, claims, adopting(config, trust, claims, reports, life))
  return { handle }

  function handle(input: Input, draft: AuthorityDraft): unknown {
    switch (input.kind) {
      case 'started':
        return started(input, draft)
      case 'restored':
        return restore.begin(input.restored, false, draft)
      case 'message':
        if (!asksHowItStands(input.envelope, draft))
          putOff(input.envelope.kind, draft.get('site', SITE_KEY)?.paused)
        return receive(input.envelope, draft)
      case 'due':
        if (input.table === 'recovery') return restore.due(draft)
        if (input.table === 'heldBack') return readHeldBack(input.row.id, draft)
        if (isRecovering(draft) && postpone(input.table, input.row.id, draft)) return
        if (input.table === 'lease') return leaseDue(input.row.id, draft)
        if (input.table === 'unit') return unitDue(input.row.id, draft)
        if (input.table === 'room') return life.roomDue(draft)
        if (input.table === 'recall') return owner.recallDue(input.row.id, draft)
        if (input.table === 'host') return hosts.due(input.row.id, draft)
        if (input.table === 'offer') return site.offerDue(input.row.id, draft)
        if (input.table === 'claim') return claims.due(input.row.id, draft)
        if (input.table === 'drawn' || input.table === 'returned')
          return draft.remove(input.table, input.row.id)
        if (input.table === 'site') return sweep(draft)
        return
      case 'set-aside':
        if (input.table === 'heldBack') draft.remove('heldBack', input.row.id)
        return
      case 'effect':
        if (input.key === SITE_KEY) return swept(input, draft)
        return units.answered(input.key, input.verb, input.outcome, input.args as UnitEffectArgs, draft)
      case 'command':
        return command(input.name, input.args, draft)
      case 'undelivered':
        return undelivered(input.envelope, input.code, input.reason, draft)
      case 'clock-step':
        return draft.note(
          'clock stepped',
          draft.self,
          `the wall clock jumped by ${span(input.byMs)} and is not believed`,
        )
    }
  }

  function command(name: string, args: unknown, draft: AuthorityDraft): unknown {
    switch (name) {
      case 'machine ended':
        return sweepNow(draft)
      case 'pause':
        return pause(args as string | undefined, draft)
      case 'recall':
        return owner.recall(args as RecallOrder, draft)
      case 'call off':
        return owner.callOff(args as CallOffOrder, draft)
      case 'lend again':
        return owner.lendAgain(args as LendOrder, draft)
      case 'withdraw':
        return owner.withdraw(args as WithdrawOrder, draft)
      case 'reclaim':
        return owner.reclaim(args as ReclaimOrder, draft)
      case 'query':
        return answerOf(config, bodies.query.parse(args), draft)
      case 'maintain':
        return hosts.maintain(args as MaintainOrder, draft)
      case 'stopping':
        return draft.note('stopping', draft.self, stopWords(args))
      case 'maintained':
        return hosts.maintained(args as MaintainedOrder, draft)
      default:
        throw new SubletError('usage', `a site authority knows no command ${name}`)
    }
  }

  // ── the site itself ──────────────────────────────────────────────────────────────────────────────

  function started({ epoch, restored }: Input & { kind: 'started' }, draft: AuthorityDraft): void {
    draft.note('started', draft.self, `the site begins epoch ${epoch}`, { hosts: config.hosts })
    const row = draft.get('site', SITE_KEY) ?? { id: SITE_KEY, lastSlot: 0, sweeping: false }
    draft.put('site', { ...row, sweeping: false, unlistedSince: draft.now, due: draft.now })
    site.begin(draft)
    hosts.begin(draft)
    if (restored !== undefined) restore.begin(restored, true, draft)
    if (isRecovering(draft)) return
    // A lease that is active and says when it is due is looked at then: there may be very many.
    for (const { id, due, text: state } of draft.glimpses('lease', 'state'))
      if (state !== 'closed' && (state !== 'active' || due === undefined))
        draft.put('lease', { ...draft.get('lease', id)!, due: draft.now })
  }

  /** No unit is assigned while there is a reason not to; what is to be ended is ended all the same. */
  function pause(paused: string | undefined, draft: AuthorityDraft): void {
    const row = draft.get('site', SITE_KEY)!
    if (row.paused === paused) return
    draft.note(
      paused === undefined ? 'assigns again' : 'assigns nothing',
      SITE_KEY,
      paused ?? 'there is room',
    )
    draft.put('site', { ...row, paused })
    if (paused !== undefined) return
    for (const lease of draft.all('lease'))
      if (lease.waits !== undefined && lease.state !== 'closed')
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
    listed(input, draft)
    machines.forget(draft)
  }

  function listed(input: Input & { kind: 'effect' }, draft: AuthorityDraft): void {
    const { outcome } = input
    const row = draft.get('site', SITE_KEY)!
    const failing = outcome.kind === 'failed' ? true : undefined
    const due = draft.now + (row.again === true ? config.retryMs : config.sweepEveryMs)
    const next: SiteRow = { ...row, sweeping: false, again: undefined, failing, due }
    if (outcome.kind === 'failed') {
      draft.put('site', { ...next, unlistedSince: row.unlistedSince ?? draft.now })
      if (row.failing !== true) draft.note('sweep failed', SITE_KEY, outcome.reason)
      return
    }
    if (row.failing === true) draft.note('sweeps again', SITE_KEY, 'the machines can be listed again')
    const found = outcome.value as FoundMachine[]
    const { startedAt } = input.args as { startedAt: Instant }
    draft.put('site', next)
    if (!isRecovering(draft)) machines.compare(found, startedAt, row.listedAt, draft)
    else if (restore.isListed(startedAt, draft)) recovered(found, startedAt, row.listedAt, draft)
    draft.put('site', { ...draft.get('site', SITE_KEY)!, listedAt: startedAt, unlistedSince: undefined })
  }

  /** What nobody holds takes up its place before anything is assigned. */
  function recovered(
    found: readonly FoundMachine[],
    startedAt: Instant,
    lastListedAt: Instant | undefined,
    draft: AuthorityDraft,
  ): void {
    lapseOrders(draft)
    restore.conclude(found, draft)
    machines.compare(found, startedAt, lastListedAt, draft)
    for (const row of draft.all('unit'))
      if (row.due === undefined && row.doing === undefined) units.tend(row, draft)
    // Else they would be offered once more, and promised.
    for (const { id, lapsed } of draft.all('recall')) if (lapsed === true) owner.recallDue(id, draft)
    const brokers = Object.keys(config.types).map((type) => brokerOf(config, type))
    for (const broker of new Set([...brokers, ...draft.all('claim').map(({ claim }) => claim.holder)]))
      tellOwner(broker, 'the site was restored', draft)
    draft.put('room', { id: 'room', due: draft.now })
  }

  function tellOwner(broker: string, reason: string, draft: AuthorityDraft): void {
    site.tellBroker(broker, reason, draft)
    owner.tellBroker(broker, draft)
  }

  /** While it is not known what has happened since, only what was going already goes on. */
  function postpone(table: string, id: string, draft: AuthorityDraft): boolean {
    switch (table) {
      case 'lease': {
        const lease = draft.get('lease', id)!
        if (lease.state === 'closed') return false
        draft.put('lease', { ...lease, due: undefined })
        return true
      }
      case 'unit': {
        const unit = draft.get('unit', id)!
        if (!isLive(unit)) return false
        draft.put('unit', { ...unit, due: undefined })
        return true
      }
      case 'room':
        draft.remove('room', id)
        return true
      case 'recall':
        draft.put('recall', { ...draft.get('recall', id)!, due: draft.now + config.retryMs })
        return true
      case 'host':
        draft.put('host', { ...draft.get('host', id)!, due: draft.now + config.retryMs })
        return true
      default:
        return false
    }
  }

  // ── the conversation ─────────────────────────────────────────────────────────────────────────────

  function readHeldBack(id: string, draft: AuthorityDraft): void {
    const envelope = restore.heldBack(id, draft)
    if (envelope !== undefined) receive(envelope, draft, true)
  }

  /** Who was restored redeems once more what he holds. */
  function asksHowItStands({ kind, from, subject }: Envelope, draft: AuthorityDraft): boolean {
    return kind === 'redeem' && draft.get('lease', subject)?.holder === from
  }

  function receive(envelope: Envelope, draft: AuthorityDraft, wasHeldBack = false): void {
    const { kind, from, subject } = envelope
    if (isRecovering(draft)) restore.notice(from, draft)
    const asker: Asker = { holder: from, key: envelope.key, seq: envelope.seq }
    const known = isMessageKind(kind) && HEARD.has(kind)
    if (!known) return refuse(draft, envelope, `a site is not told ${kind}`)
    const read = readBody(kind, envelope.body)
    if (!read.ok) return refuse(draft, envelope, read.reason)
    if (kind === 'query') return answer(config, envelope, read.body as Body<'query'>, draft)
    if (kind === 'holdings') return restore.told(envelope, read.body as Body<'holdings'>, draft)
    // Also who was restored, too, and asks what is held here: it is not known yet.
    const isLate = kind !== 'close' || draft.get('lease', subject)?.holder !== from
    if (!wasHeldBack && isLate && restore.hasToWait(envelope, draft)) return restore.holdBack(envelope, draft)
    if (kind === 'holdings-query') return holdingsAsked(envelope, read.body as Body<'holdings-query'>, draft)
    if (kind === 'redeem') return redeem(asker, subject, read.body as Body<'redeem'>, draft)
    if (kind === 'tickets-returned') return returned(from, read.body as Body<'tickets-returned'>, draft)
    const lease = draft.get('lease', subject)
    if (lease === undefined || lease.holder !== from) return unknownLease(from, subject, kind, draft)
    if (kind === 'extend-lease') return extended(asker, lease, read.body as Body<'extend-lease'>, draft)
    if (kind === 'modify-lease') return modifications.modify(lease, read.body as Body<'modify-lease'>, draft)
    if (kind === 'vacate') return vacate(lease, read.body as Body<'vacate'>, envelope.seq, draft)
    close(lease, (read.body as Body<'close'>).reason, draft)
  }

  /** One that was granted before a recall may come after its units did: it counts without them. */
  function extended(asker: Asker, lease: LeaseRow, body: Body<'extend-lease'>, draft: AuthorityDraft): void {
    extend(asker, lease, body, draft)
    const { next } = draft.get('lease', lease.id)!
    const isNew = next !== undefined && next.id !== lease.next?.id
    if (!isNew || (draft.get('drawn', next.id)?.back ?? 0) === 0) return
    const back = unitsOf(lease, draft).filter(({ recalledAt }) => recalledAt !== undefined)
    owner.cameBack(next.type, back.length, draft)
  }

  /** A broker that was restored has an old offer, and may not know of what was recalled. */
  function holdingsAsked(envelope: Envelope, body: Body<'holdings-query'>, draft: AuthorityDraft): void {
    tellHoldings(config, envelope, body, draft)
    if (body.page === 0) tellOwner(envelope.from, `${envelope.from} asks what is held`, draft)
  }

  function vacate(
    lease: LeaseRow,
    body: Body<'vacate'>,
    seq: number | undefined,
    draft: AuthorityDraft,
  ): void {
    const named = new Set(body.units)
    const fresh = unitsOf(lease, draft).filter((unit) => named.has(unit.id) && unit.released !== true)
    for (const unit of fresh) draft.put('unit', { ...unit, released: true })
    const given = unitsOf(lease, draft).filter((unit) => named.has(unit.id) && unit.state !== 'ended')
    if (given.length === 0) {
      // Of one that died its holder has to say that it is out of his middleware, and says it once.
      if (fresh.length === 0)
        draft.note('message noted', lease.id, 'it gives units back of which none is there')
      return
    }
    const reason = `the holder no longer uses it: ${body.reason}`
    const mayBe = isRecalledIn(lease.ticket, 0, draft)
    const mayBeNamed = isRecalledIn(lease.ticket, lease.ticket.conditions.graceMs, draft)
    let back = 0
    for (const unit of given) {
      // It leaves its host because the site asked it to, and is not given back for a recall: that is no less of a lease.
      const isNamed = mayBeNamed && body.recalled?.includes(unit.id) === true
      const moved = !isNamed && config.repair && draft.get('host', unit.host) !== undefined
      // Protocol 1 has no word for which it is: there all may be.
      const isBack = isNamed || (mayBe && seq === undefined && !moved)
      const kept = isBack ? owner.recalledUnit(unit, draft, seq) : unit
      if (isBack && unit.recalledAt === undefined) back++
      const gone: UnitRow = moved ? { ...kept, lost: 'moved' } : { ...kept, givenUp: true }
      units.end(gone, draft.now, reason, draft)
    }
    owner.cameBack(lease.ticket.type, back, draft)
  }

  function close(lease: LeaseRow, reason: string, draft: AuthorityDraft): void {
    if (lease.state === 'closed') return reports.report(lease, draft)
    if (lease.state === 'closing' && lease.vacated)
      draft.note(
        'message noted',
        lease.id,
        'it is being closed already; the last word comes when its units have ended',
      )
    shut({ ...lease, vacated: true }, 'close', draft.now, `closed by ${lease.holder}: ${reason}`, draft)
  }

  /**
   * An answer about a lease that is not known here: whatever is asked of it, it has ended. Where machines of it are there
   * after all, work on them is let end, and who has forgotten nothing of it has to let them be left before.
   */
  function unknownLease(from: string, leaseId: string, kind: string, draft: AuthorityDraft): void {
    draft.turnDown()
    draft.note('message refused', leaseId, `${from} sends ${kind} for a lease that it does not hold here`)
    const end = kind === 'close' ? undefined : orphansEnd(leaseId, draft)
    const reason = 'no such lease of yours is known here'
    const over: Body<'lease-update'> = {
      ...{ state: 'closed', term: { start: draft.now - 1, end: draft.now }, ticketId: 'none', units: [] },
      ...{ image: '', reason, extensionRefused: null },
    }
    const body = end === undefined ? over : endingWith(end, `${reason} (any more)`, draft)
    reports.lastWord(from, leaseId, body, draft)
  }

  function undelivered(envelope: Letter, code: string, reason: string, draft: AuthorityDraft): void {
    const { kind, subject, to, body } = envelope
    draft.note('undelivered', subject, `${kind} to ${to}: ${reason}`, { code })
    if (kind === 'holdings-query') return restore.undelivered(to, subject, reason, draft)
    if (!isUnanswered(code)) return
    if (kind === 'delegation') return site.tellAgain(body, draft)
    if (kind === 'lease-update') return reports.tellAgain(subject, body, draft)
  }

  function refuse(draft: AuthorityDraft, envelope: Envelope, reason: string): void {
    draft.turnDown()
    draft.note('message refused', envelope.subject, `${envelope.from}: ${reason}`)
  }
}
