import { noteCut, RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { afterPage } from '../leases/pages.ts'
import { CLAIMED, dueAfterPage, mayHold, patience, UNKNOWN, witnessesOf } from '../leases/witnesses.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Restored } from '../runtime/peers.ts'
import { own } from '../runtime/plain.ts'
import { adoption } from './adoption.ts'
import type { ServiceManagerConfig } from './config.ts'
import { brokerOf, type LeaseLife } from './leases.ts'
import { THE_RECOVERY } from './line.ts'
import type { LeaseRow, RecoveryRow, ServiceManagerDraft } from './rows.ts'
import { isFinished, unitsOf } from './steps.ts'
import type { Traces } from './strays.ts'

const RECOVER_MS: Millis = 600_000
const KEY = 'recovery'

/**
 * This service manager runs on an older store than it had. Brokers and sites are asked what they hold in its name;
 * until they have answered nothing is asked for, and nothing that they may know better about is judged by its time.
 *
 *   restored ──holdings-query──▶ recovering ──all have answered, or it takes too long──▶ reconciled ──▶ as ever
 *
 * What a site holds is adopted; what it does not know (any more) is closed there and then given back to its broker; of
 * those who stay silent the own rows are believed.
 */
export function recovery(config: ServiceManagerConfig, trust: Trust, life: LeaseLife) {
  const { put, unknownAtSite, leaveAll, members, recovered } = life
  const { take } = adoption(config, trust, life)
  return { begin, notice, ticketed, told, undelivered, due, wait, isUnderWay, seen }

  function isUnderWay(draft: ServiceManagerDraft): boolean {
    return draft.get('recovery', KEY) !== undefined
  }

  function begin(restored: Restored, isStart: boolean, draft: ServiceManagerDraft): void {
    const { reason } = restored
    // The answers that a copy holds are as old as it is. In one life a second sign changes nothing.
    if (!isStart && isUnderWay(draft)) return again(restored, draft)
    draft.note(
      'restored',
      draft.self,
      `${reason}; nothing is asked for until brokers and sites have said what they hold`,
    )
    const waits = patience(restored, draft.now, config.recoverMs ?? RECOVER_MS)
    draft.put('recovery', { id: KEY, since: draft.now, asked: {}, ...waits })
    const named = new Set([...configured(), ...(config.peers ?? [])])
    for (const lease of draft.all('lease')) {
      if (isFinished(lease)) continue
      draft.put('lease', { ...lease, openFor: lease.guest, unsure: true, unsureSince: draft.now })
      for (const unit of unitsOf(lease, draft))
        if (unit.state === 'awaited') draft.put('unit', { ...unit, mayBeIn: true })
      named.add(brokerOf(lease, config))
      if (lease.ticket !== undefined) named.add(lease.ticket.site)
    }
    // A site may hold a lease of which nobody else says anything any more: work on it is let end.
    const met = [...draft.committed.all('$peer')].map(({ id }) => id)
    for (const peer of witnessesOf({ self: draft.self, named, met, able: able() }, trust)) ask(peer, draft)
    reconcileIfAll(draft)
  }

  /** Others say so, too: whoever said it first is waited for as everybody. */
  function again({ reason, by }: Restored, draft: ServiceManagerDraft): void {
    const row = draft.get('recovery', KEY)!
    if (row.claimant !== undefined && row.claimant !== by)
      draft.put('recovery', { ...row, claimant: undefined, due: row.until })
    draft.note('restored again', draft.self, reason)
  }

  function configured(): readonly string[] {
    return [config.broker, ...Object.values(config.guests).flatMap(({ broker }) => broker ?? [])]
  }

  /** Brokers and sites; undefined: every peer may be one. */
  function able(): ReadonlySet<string> | undefined {
    return config.peers === undefined ? undefined : new Set([...configured(), ...config.peers])
  }

  /** Whoever speaks and was not known any more is asked, too. */
  function notice(peer: string, draft: ServiceManagerDraft): void {
    if (isUnderWay(draft) && mayHold(peer, able())) ask(peer, draft)
  }

  /** It may have been redeemed in the time forgotten: its site is asked, too. */
  function ticketed(leaseId: string, draft: ServiceManagerDraft): void {
    const site = draft.get('lease', leaseId)?.ticket?.site
    if (site !== undefined && isUnderWay(draft)) ask(site, draft)
  }

  function ask(peer: string, draft: ServiceManagerDraft): void {
    const row = draft.get('recovery', KEY)!
    const before = Object.entries(row.asked).find(([, one]) => one.peer === peer)
    const state = trust.knows(peer) ? 'asked' : 'unknown'
    if (before !== undefined && (before[1].state !== 'unknown' || state === 'unknown')) return
    const id = before?.[0] ?? draft.newId('holdings')
    draft.put('recovery', { ...row, asked: { ...row.asked, [id]: { peer, state, page: 0 } } })
    if (state === 'unknown') return unheard(id, peer, UNKNOWN, draft)
    tell(draft, peer, 'holdings-query', id, { page: 0 }, untilOf(row))
  }

  function unheard(id: string, peer: string, reason: string, draft: ServiceManagerDraft): void {
    draft.note('holdings unknown', id, `of ${peer} the own rows are believed: ${reason}`)
  }

  function told(from: string, id: string, body: Body<'holdings'>, draft: ServiceManagerDraft): void {
    const row = draft.get('recovery', KEY)
    const asked = own(row?.asked, id)
    const { page, pages } = body
    if (row === undefined || asked?.peer !== from || asked.state !== 'asked' || page !== (asked.page ?? page))
      return draft.note('message noted', id, `${from} says what it holds, and is not asked (any more)`)
    draft.note('holdings heard', id, `${from}: ${body.holdings.length} leases, page ${page + 1} of ${pages}`)
    for (const holding of body.holdings) {
      const site = take(from, holding, draft)
      if (site !== undefined) ask(site, draft)
    }
    const { next, unsure } = afterPage(asked, body)
    if (next !== undefined) {
      const now = draft.get('recovery', KEY)!
      draft.put('recovery', {
        ...now,
        due: dueAfterPage(now, from, body, draft.now),
        asked: { ...now.asked, [id]: { ...asked, after: undefined, ...next, unsure } },
      })
      return tell(draft, from, 'holdings-query', id, next, untilOf(row))
    }
    settle(id, noteCut(from, body, draft) || unsure ? 'unsure' : 'answered', draft)
  }

  function undelivered(id: string, reason: string, draft: ServiceManagerDraft): void {
    const peer = own(draft.get('recovery', KEY)?.asked, id)?.peer
    if (peer === undefined) return
    unheard(id, peer, reason, draft)
    settle(id, 'silent', draft)
  }

  function settle(id: string, state: 'answered' | 'unsure' | 'silent', draft: ServiceManagerDraft): void {
    const row = draft.get('recovery', KEY)!
    draft.put('recovery', { ...row, asked: { ...row.asked, [id]: { ...own(row.asked, id)!, state } } })
    reconcileIfAll(draft)
  }

  function reconcileIfAll(draft: ServiceManagerDraft): void {
    const { asked } = draft.get('recovery', KEY)!
    if (Object.values(asked).every(({ state }) => state !== 'asked')) reconcile(draft)
  }

  function due(draft: ServiceManagerDraft): void {
    const row = draft.get('recovery', KEY)
    if (row === undefined) return
    const { claimant, until = draft.now, asked } = row
    if (claimant === undefined || draft.now >= until) return reconcile(draft)
    draft.put('recovery', { ...row, claimant: undefined, due: until })
    const open = Object.entries(asked).find(([, { peer, state }]) => peer === claimant && state === 'asked')
    if (open !== undefined) undelivered(open[0], CLAIMED, draft)
  }

  function reconcile(draft: ServiceManagerDraft): void {
    const row = draft.get('recovery', KEY)!
    draft.remove('recovery', KEY)
    for (const id of Object.keys(row.asked)) draft.retire(id, draft.now + RETIRE_MS)
    const silent = Object.values(row.asked)
      .filter(({ state }) => state !== 'answered')
      .map(({ peer, state }) => (state === 'unsure' ? `${peer} (of what it may hold besides)` : peer))
    draft.note(
      'recovered',
      draft.self,
      silent.length === 0
        ? 'everybody has said what they hold'
        : `silent: ${silent.join(', ')}; of them the own rows are believed`,
    )
    for (const { id } of draft.all('lease')) {
      const lease = draft.get('lease', id)
      if (lease?.openFor !== undefined) reconcileLease(lease, row, draft)
    }
  }

  function reconcileLease(lease: LeaseRow, { asked }: RecoveryRow, draft: ServiceManagerDraft): void {
    const site = lease.ticket?.site
    const hasAnswered = Object.values(asked).some(({ peer, state }) => peer === site && state === 'answered')
    const unheard = lease.unsure === true && !hasAnswered ? true : undefined
    const sure: LeaseRow = { ...lease, unsure: undefined, unheard }
    const isRedeemed = !['none', 'blocked', 'closed'].includes(lease.leaseState)
    if (lease.ticketState === 'asked') return draft.put('lease', { ...sure, due: draft.now + config.askMs })
    if (lease.unsure === true && isRedeemed && !hasAnswered) return askLater(lease, draft)
    if (lease.unsure === true && isUnseen(lease)) return askWhetherHeld(lease, draft)
    put(sure, draft)
    if (lease.afterRedeem === THE_RECOVERY) return recovered(sure, draft)
    if (lease.leaseState === 'none' && lease.ticketState === 'closed')
      return leaveAll(sure, undefined, 'its broker says that it was given back', draft)
    if (lease.ticketState === 'returning') return returnAgain(sure, draft)
    if (lease.unsure === true && isRedeemed)
      return unknownAtSite(sure, `its site, ${site}, does not know it (any more)`, draft)
    if (lease.guest === '')
      leaveAll({ ...sure, afterJoin: undefined }, undefined, 'no guest shows anything of it', draft)
  }

  /**
   * Its site is silent, and there may be units of it that are forgotten here: nobody says that all have left before it
   * has told. Whoever redeems once more is told how the lease stands, also by a site that knows no other question.
   */
  function askLater(lease: LeaseRow, draft: ServiceManagerDraft): void {
    put(lease, draft)
    const { id, ticket, properties } = lease
    if (lease.leaseState === 'closing') return unknownAtSite(lease, 'its site is silent', draft)
    const body = { ticket: ticket!, properties: { ...properties } }
    tell(draft, ticket!.site, 'redeem', id, body, Math.max(ticket!.term.end, draft.now + config.answerMs))
  }

  /**
   * Its broker alone remembers it, or that it was to begin: of its units nothing is known here, so nobody says that they
   * have left, which a close would. Whoever holds no such lease says to any request for it that it is closed; a redeem
   * would begin one.
   */
  function askWhetherHeld(lease: LeaseRow, draft: ServiceManagerDraft): void {
    put(lease, draft)
    const body = { modificationId: draft.newId('modification'), properties: {} }
    tell(draft, lease.ticket!.site, 'modify-lease', lease.id, body, draft.now + config.answerMs)
  }

  /** The broker may have it back, and have said so in the time forgotten: to be told twice changes nothing for it. */
  function returnAgain(lease: LeaseRow, draft: ServiceManagerDraft): void {
    const reason = (lease.closeReason || 'it was given back').slice(0, 500)
    tell(draft, brokerOf(lease, config), 'relinquish', lease.id, { reason }, draft.now + config.answerMs)
  }

  /** A lease whose site has not answered yet is not judged by what an older store says of its time. */
  function wait(lease: LeaseRow | undefined, draft: ServiceManagerDraft): boolean {
    const row = draft.get('recovery', KEY)
    if (lease?.unsure !== true || row === undefined) return false
    const until = untilOf(row)
    draft.put('lease', { ...lease, due: Math.max(until, draft.now) + 1 })
    return true
  }

  /** A middleware shows nodes with marks of leases of which nobody said whose they are. */
  function seen(guest: string, traces: Traces | undefined, draft: ServiceManagerDraft): void {
    for (const { mark } of traces?.nodes ?? []) {
      const lease = draft.get('lease', mark.leaseId)
      if (lease?.guest !== '') continue
      const openFor = isFinished(lease) ? undefined : guest
      draft.put('lease', { ...lease, guest, openFor, afterJoin: undefined })
      for (const id of lease.units) {
        const unit = draft.get('unit', id)
        if (unit !== undefined) draft.put('unit', { ...unit, guest })
      }
      draft.note('adopted', lease.id, `the middleware of ${guest} has a node of it`)
      members.mayJoin(lease.id, draft)
    }
  }
}

/** Rows of earlier programs wait for everybody until they are due. */
const untilOf = ({ until, due = 0 }: RecoveryRow): Instant => until ?? due

/** It was redeemed, as far as is known, and no unit of it was ever heard of. */
const isUnseen = ({ leaseState, units }: LeaseRow): boolean =>
  (leaseState === 'redeeming' || leaseState === 'active') && units.length === 0
