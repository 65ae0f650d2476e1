import { RETIRE_MS } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { speaksOnly1 } from '../leases/versions.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import type { RootClaims } from './claims.ts'
import type { AuthorityConfig } from './config.ts'
import { Filling, hasServed, isRecalledOf, repairDelayMs } from './fill.ts'
import { leaseMachine } from './machines.ts'
import { isPatient } from './power-cut.ts'
import type { AuthorityDraft, HostRow, LeaseRow, UnitRow } from './rows.ts'
import { graceOf, isLive, nextEndOf, pokeRoom, unitsOf } from './standing.ts'
import type { Reports } from './statement.ts'
import { Units } from './units.ts'

type Withhold = ConstructorParameters<typeof Units>[2]

export type LeaseLife = ReturnType<typeof leaseLife>

/**
 * The life of a lease at its site:
 *
 *   start ──▶ fill (assign, set up, replace what fails) ──▶ settle ──▶ boundary, boundary ... ──▶ shut ──▶ empty ──▶ closed
 *                                                                        └─ shrinks, grows, is repaired: fill
 *
 * Its holder is told of every change of a unit, with the state of the whole lease.
 */
export function leaseLife(config: AuthorityConfig, claims: RootClaims, reports: Reports, withhold: Withhold) {
  const units = new Units(config, unitChanged, withhold)
  const filling = new Filling(config, units)
  return { units, leaseDue, unitDue, roomDue, tend, shut, shutAt, unitsLeft }

  function leaseDue(id: string, draft: AuthorityDraft): void {
    const lease = draft.get('lease', id)
    if (lease !== undefined) tend({ ...lease, due: undefined }, draft)
  }

  function roomDue(draft: AuthorityDraft): void {
    filling.serve(tend, draft)
  }

  /** Does whatever is due on a lease and says when to look again. Safe to call at any time. */
  function tend(given: LeaseRow, draft: AuthorityDraft): void {
    let lease: LeaseRow = { ...(draft.get('lease', given.id) ?? given), due: undefined }
    if (lease.state === 'closed') return forget(lease, draft)
    if (lease.state === 'closing') return tendClosing(lease, draft)
    while (draft.now >= nextEndOf(lease)) {
      if (lease.next === undefined)
        return shut(lease, 'close', lease.term.end + graceOf(lease), 'the term is over', draft)
      lease = crossBoundary(lease, draft)
    }
    if (draft.now < lease.ticket.term.start)
      return draft.put('lease', { ...lease, awaited: true, due: lease.ticket.term.start })
    // At the same instant other leases shrink and grow: they are before those that begin.
    if (lease.awaited === true) return filling.queue({ ...lease, awaited: undefined }, draft)
    const { lease: filled, added, exhausted, impossible } = filling.fill(lease, draft)
    if (impossible !== undefined && filled.state === 'pending' && !unitsOf(filled, draft).some(hasServed))
      return shut(filled, 'failed', draft.now, impossible, draft)
    if (added > 0) reports.report(filled, draft)
    settle(draft.get('lease', lease.id)!, exhausted, draft)
  }

  /** What was spared when it began to close goes at the end of its term. */
  function tendClosing(lease: LeaseRow, draft: AuthorityDraft): void {
    const over = draft.now >= lease.term.end
    const spared = unitsOf(lease, draft).filter(isLive)
    draft.put('lease', { ...lease, due: over || spared.length === 0 ? undefined : lease.term.end })
    if (over)
      for (const unit of spared) units.end(unit, lease.term.end + graceOf(lease), lease.closeReason, draft)
    const current = draft.get('lease', lease.id)
    if (current !== undefined) finishIfEmpty(current, draft)
  }

  /**
   * First it shrinks: victims go, and so do units whose host is to be worked on. What it grows by comes after. What was
   * recalled when `next` was issued already is not assigned anew.
   */
  function crossBoundary(lease: LeaseRow, draft: AuthorityDraft): LeaseRow {
    const next = lease.next!
    for (const unit of unitsOf(lease, draft)) {
      const forceFrom = next.term.start + graceOf(lease)
      const host = draft.get('host', unit.host)
      if (lease.victims.includes(unit.id)) units.end(unit, forceFrom, 'the lease goes on without it', draft)
      else if (isLive(unit) && isToLeave(lease, host, next.term.start, draft))
        units.end({ ...unit, lost: 'moved' }, forceFrom, leavesHost(unit, host.reason), draft)
    }
    for (const unit of unitsOf(lease, draft))
      if (!isLive(unit) && (lease.victims.includes(unit.id) || !isRecalledOf(next, unit)))
        if (unit.past !== true)
          draft.put('unit', { ...unit, past: true, pastConditions: lease.ticket.conditions })
    const forgot = forgetPast(draft.get('lease', lease.id) ?? lease, draft)
    const current = draft.get('lease', lease.id) ?? lease
    const mine = unitsOf(current, draft).filter(({ past }) => past !== true)
    const staying = mine.filter(isLive).length
    const recalled = mine.length - staying
    const crossed: LeaseRow = {
      ...current,
      ...{ ticket: next, next: undefined, nextSeq: undefined, victims: [] },
      ...{ failures: 0, repairs: undefined, repairNotBefore: undefined, incomplete: undefined },
      growing: next.units - recalled > staying && lease.state === 'active' ? true : undefined,
    }
    draft.put('lease', crossed)
    if (crossed.growing === true)
      draft.note('lease grows', lease.id, `from ${someUnits(staying)} to ${next.units - recalled}`, {
        ticketId: next.id,
      })
    // Its holder forgets them, too, when he is told without them.
    if (forgot) reports.report(crossed, draft)
    return crossed
  }

  /**
   * A lease may live for months, and its holder is told of each unit that is remembered. What ended long ago under an
   * earlier ticket, and is out of his middleware as he has said himself, is named no more.
   */
  function forgetPast(lease: LeaseRow, draft: AuthorityDraft): boolean {
    const over = new Set(
      unitsOf(lease, draft)
        .filter((unit) => isForgotten(unit, draft.now))
        .map(({ id }) => id),
    )
    if (over.size === 0) return false
    for (const id of over) draft.remove('unit', id)
    draft.put('lease', { ...lease, units: lease.units.filter((id) => !over.has(id)) })
    return true
  }

  /** When nothing more will come, settles for what there is or gives up. */
  function settle(lease: LeaseRow, exhausted: boolean, draft: AuthorityDraft): void {
    if (lease.state === 'active' && exhausted && lease.incomplete !== true) {
      draft.note(
        'lease incomplete',
        lease.id,
        `it goes on without what is missing: ${lease.failures} attempts failed`,
      )
      return draft.put('lease', { ...lease, incomplete: true })
    }
    if (lease.state !== 'pending') return
    const mine = unitsOf(lease, draft).filter(({ past }) => past !== true)
    const coming = mine.filter((unit) => unit.state === 'setup' || unit.state === 'probing').length
    const served = mine.filter(hasServed).length
    const agreed = Math.min(lease.ticket.units, lease.next?.units ?? lease.ticket.units)
    if (coming > 0 || (served < agreed && !exhausted)) return
    if (served < Math.min(lease.unitsMin, agreed)) {
      const reason =
        config.types[lease.ticket.type] === undefined
          ? `this site has no type ${lease.ticket.type} any more`
          : `only ${served} of at least ${lease.unitsMin} machines came up in ${lease.failures} failed attempts`
      // The holder may work on those that came up, also on those that are on their way out within their grace; it is
      // told, and says when it has left them.
      return shut(lease, 'failed', draft.now, reason, draft, (unit) => unit.wasActive)
    }
    const settled: LeaseRow = { ...lease, state: nextState(leaseMachine, lease.state, 'settled')! }
    draft.put('lease', settled)
    draft.note('lease active', lease.id, `${served} of ${someUnits(lease.ticket.units)}`)
    reports.report(settled, draft)
  }

  function shut(
    lease: LeaseRow,
    event: 'close' | 'failed',
    forceFrom: Instant,
    reason: string,
    draft: AuthorityDraft,
    spares: (unit: UnitRow) => boolean = () => false,
  ): void {
    const state = nextState(leaseMachine, lease.state, event)!
    const first = lease.state !== 'closing'
    const closing: LeaseRow = {
      ...lease,
      ...{ state, closeReason: first ? reason : lease.closeReason, due: undefined },
      ...{ waits: undefined, short: undefined, growing: undefined },
    }
    draft.put('lease', closing)
    if (first) draft.note('lease closing', lease.id, reason, { term: lease.term })
    for (const unit of unitsOf(closing, draft)) {
      // What went under an earlier ticket goes by the grace of that one, unless nothing of the lease is used any more.
      const isGoing = unit.past === true && !closing.vacated
      if (!isGoing && !spares(unit)) units.end(unit, forceFrom, reason, draft)
    }
    const spared = unitsOf(closing, draft).some(isLive)
    const current = draft.get('lease', lease.id)!
    if (spared) draft.put('lease', { ...current, due: lease.term.end })
    // Those that end say so; if none is left to end, its holder hears of it here.
    if (first) reports.report(draft.get('lease', lease.id)!, draft)
    finishIfEmpty(draft.get('lease', lease.id)!, draft)
  }

  /**
   * Before its term is over. Its holder is told the instant as its end: he lets work go on as long as its site does, and
   * puts it back before that cuts it off.
   */
  function shutAt(lease: LeaseRow, at: Instant, reason: string, draft: AuthorityDraft): void {
    const { start, end } = lease.term
    // A reservation may be shut before it begins.
    const term = { start, end: Math.min(end, Math.max(at, start + 1)) }
    shut({ ...lease, term }, 'close', at + graceOf(lease), reason, draft)
  }

  function finishIfEmpty(lease: LeaseRow, draft: AuthorityDraft): void {
    if (lease.state !== 'closing' || unitsOf(lease, draft).some((unit) => unit.state !== 'ended')) return
    const closed: LeaseRow = {
      ...lease,
      state: nextState(leaseMachine, lease.state, 'emptied')!,
      due: draft.now + RETIRE_MS,
    }
    draft.put('lease', closed)
    claims.release(lease.id, draft)
    draft.note('lease closed', lease.id, lease.closeReason, { ticketId: lease.ticket.id })
    reports.report(closed, draft)
    draft.retire(lease.id, draft.now + RETIRE_MS)
  }

  /**
   * Its units are forgotten; that it was, not before its last ticket is worthless by all clocks: redeemed once more,
   * the ticket would be for units that the broker has long given to others.
   */
  function forget(lease: LeaseRow, draft: AuthorityDraft): void {
    for (const id of lease.units) draft.remove('unit', id)
    const usedUntil = (lease.next ?? lease.ticket).term.end + RETIRE_MS
    if (draft.now >= usedUntil) draft.remove('lease', lease.id)
    else draft.put('lease', { ...lease, units: [], victims: [], properties: {}, due: usedUntil })
  }

  function unitsLeft(lease: LeaseRow, draft: AuthorityDraft): { ticket: number; next: number } {
    return filling.unitsLeft(lease, draft)
  }

  function unitDue(id: string, draft: AuthorityDraft): void {
    const unit = draft.get('unit', id)
    if (unit === undefined) return
    draft.put('unit', { ...unit, due: undefined })
    units.tend({ ...unit, due: undefined }, draft)
  }

  function unitChanged(unit: UnitRow, draft: AuthorityDraft): void {
    const ended = unit.state === 'ended'
    let lease = draft.get('lease', unit.leaseId)
    if (lease !== undefined && unit.state === 'teardown' && unit.lost === 'died')
      lease = countLost(lease, draft)
    if (lease !== undefined && lease.state !== 'closed') {
      reports.report(lease, draft)
      if (lease.state === 'closing') finishIfEmpty(lease, draft)
      else draft.put('lease', { ...lease, due: draft.now })
    }
    if (!ended) return
    // An orphan that no lease remembers is forgotten with its machine; a list that is under way may still have it.
    const isListing = draft.get('site', 'site')?.sweeping === true
    if (!isListing && lease?.units.includes(unit.id) !== true) draft.remove('unit', unit.id)
    pokeRoom(draft)
  }

  /** Not after a power cut: it says nothing of this lease. */
  function countLost(lease: LeaseRow, draft: AuthorityDraft): LeaseRow {
    if (isPatient(config, draft)) return lease
    const repairs = (lease.repairs ?? 0) + 1
    const counted = { ...lease, repairs, repairNotBefore: draft.now + repairDelayMs(config, repairs) }
    draft.put('lease', counted)
    return counted
  }
}

/** Nobody counts it any more, and nobody waits to hear of its end: who has not heard of that yet is told until he has. */
const isForgotten = ({ state, past, since, released, givenUp }: UnitRow, now: Instant): boolean =>
  state === 'ended' && past === true && since <= now - RETIRE_MS && (released === true || givenUp === true)

/**
 * Its host is wanted empty by then, as its holder reckons, too; so it is not for an order that came later. Holders of
 * protocol 1 are not told of it, nor is anybody of work that may be done with.
 */
const isToLeave = (
  lease: LeaseRow,
  host: HostRow | undefined,
  boundary: Instant,
  draft: AuthorityDraft,
): host is HostRow =>
  host !== undefined &&
  host.lapsed !== true &&
  Math.max(host.by, host.orderedAt) <= boundary &&
  !speaksOnly1(lease.holder, draft)

const leavesHost = (unit: UnitRow, reason: string): string =>
  `host ${unit.host} is to be worked on: ${reason}`
