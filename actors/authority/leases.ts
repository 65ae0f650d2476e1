import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import type { Body } from '../leases/messages.ts'
import { someUnits } from '../leases/words.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import type { RootClaims } from './claims.ts'
import type { AuthorityConfig } from './config.ts'
import { leaseMachine } from './machines.ts'
import type { LeaseRow, UnitRow } from './rows.ts'
import { type AuthorityDraft, Units } from './units.ts'

type Lent = ConstructorParameters<typeof Units>[2]
type Withhold = ConstructorParameters<typeof Units>[3]

/**
 * The life of a lease at its site:
 *
 *   start ──▶ fill (assign, set up, replace what fails) ──▶ settle ──▶ boundary, boundary ... ──▶ shut ──▶ empty ──▶ closed
 *
 * Its holder is told of every change of a unit, with the state of the whole lease.
 */
export function leaseLife(config: AuthorityConfig, claims: RootClaims, lent: Lent, withhold: Withhold) {
  const units = new Units(config, unitChanged, lent, withhold)
  return { units, leaseDue, unitDue, tend, shut, report, tellAgain, lastWord }

  function leaseDue(id: string, draft: AuthorityDraft): void {
    const lease = draft.get('lease', id)
    if (lease !== undefined) tend({ ...lease, due: undefined }, draft)
  }

  /** Does whatever is due on a lease and says when to look again. Safe to call at any time. */
  function tend(given: LeaseRow, draft: AuthorityDraft): void {
    let lease: LeaseRow = { ...(draft.get('lease', given.id) ?? given), due: undefined }
    if (lease.state === 'closed') return forget(lease, draft)
    if (lease.state === 'closing') return tendClosing(lease, draft)
    if (draft.now >= lease.ticket.term.end) {
      if (lease.next === undefined)
        return shut(lease, 'close', lease.term.end + graceOf(lease), 'the term is over', draft)
      lease = crossBoundary(lease, draft)
    }
    if (draft.now < lease.ticket.term.start)
      return draft.put('lease', { ...lease, due: lease.ticket.term.start })
    fill(lease, draft)
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

  function crossBoundary(lease: LeaseRow, draft: AuthorityDraft): LeaseRow {
    const next = lease.next!
    for (const unit of unitsOf(lease, draft))
      if (lease.victims.includes(unit.id))
        units.end(unit, next.term.start + graceOf(lease), 'the lease goes on without it', draft)
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
    const missing = lease.state === 'pending' ? missingOf(lease, mine) : 0
    const exhausted = lease.failures >= config.failuresMax || config.types[lease.ticket.type] === undefined
    const notBefore = draft.get('image', lease.image)?.notBefore ?? 0
    let due = lease.ticket.term.end
    if (missing > 0 && !exhausted) {
      const added = notBefore <= draft.now ? units.assign(lease, missing, draft) : []
      const current = draft.get('lease', lease.id)!
      const short = missing - added.length
      const waits = short > 0 ? whyShort(lease, short, notBefore, draft.now) : undefined
      if (waits !== undefined && waits !== lease.waits) draft.note('lease waits', lease.id, waits)
      draft.put('lease', { ...current, waits, units: [...current.units, ...added] })
      if (short > 0) due = Math.min(due, Math.max(notBefore, draft.now + config.retryMs))
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
    const served = mine.filter(hasServed).length
    const agreed = Math.min(lease.ticket.units, lease.next?.units ?? lease.ticket.units)
    if (coming > 0 || (served < agreed && !exhausted)) return
    if (served < Math.min(lease.unitsMin, agreed)) {
      const reason =
        config.types[lease.ticket.type] === undefined
          ? `this site has no type ${lease.ticket.type} any more`
          : `only ${served} of at least ${lease.unitsMin} machines came up in ${lease.failures} failed attempts`
      // The holder may work on those that came up; it is told, and says when it has left them.
      return shut(lease, 'failed', draft.now, reason, draft, (unit) => isLive(unit) && unit.wasActive)
    }
    const settled: LeaseRow = { ...lease, state: 'active' }
    draft.put('lease', settled)
    draft.note('lease active', lease.id, `${served} of ${someUnits(lease.ticket.units)}`)
    report(settled, draft)
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
      state,
      closeReason: first ? reason : lease.closeReason,
      due: undefined,
    }
    draft.put('lease', closing)
    if (first) draft.note('lease closing', lease.id, reason)
    for (const unit of unitsOf(closing, draft)) if (!spares(unit)) units.end(unit, forceFrom, reason, draft)
    const spared = unitsOf(closing, draft).some(isLive)
    const current = draft.get('lease', lease.id)!
    if (spared) draft.put('lease', { ...current, due: lease.term.end })
    // Those that end say so; if none is left to end, its holder hears of it here.
    if (first) report(draft.get('lease', lease.id)!, draft)
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
    claims.release(lease.id, draft)
    draft.note('lease closed', lease.id, lease.closeReason, { ticketId: lease.ticket.id })
    report(closed, draft)
    draft.retire(lease.id, draft.now + RETIRE_MS)
  }

  function forget(lease: LeaseRow, draft: AuthorityDraft): void {
    for (const id of lease.units) draft.remove('unit', id)
    draft.remove('lease', lease.id)
  }

  function unitDue(id: string, draft: AuthorityDraft): void {
    const unit = draft.get('unit', id)
    if (unit === undefined) return
    draft.put('unit', { ...unit, due: undefined })
    units.tend({ ...unit, due: undefined }, draft)
  }

  function unitChanged(unit: UnitRow, draft: AuthorityDraft): void {
    const lease = draft.get('lease', unit.leaseId)
    const ended = unit.state === 'ended'
    if (lease !== undefined && lease.state !== 'closed') {
      report(lease, draft)
      if (lease.state === 'closing') finishIfEmpty(lease, draft)
      else draft.put('lease', { ...lease, due: draft.now })
    }
    if (!ended) return
    // An orphan that no lease remembers is forgotten with its machine.
    if (lease?.units.includes(unit.id) !== true) draft.remove('unit', unit.id)
    // Room has become free for those that wait.
    for (const waiting of draft.all('lease'))
      if (
        waiting.state === 'pending' &&
        waiting.id !== unit.leaseId &&
        waiting.ticket.term.start <= draft.now
      )
        draft.put('lease', { ...waiting, due: draft.now })
  }

  function report(lease: LeaseRow, draft: AuthorityDraft, extensionRefused: string | null = null): void {
    const body = { ...statementOf(lease, draft), extensionRefused }
    tell(draft, lease.holder, 'lease-update', lease.id, body, draft.now + config.answerMs)
  }

  /** Of a lease that is not kept: nothing else would ever end the numbers of its conversation. */
  function lastWord(to: string, leaseId: string, body: Body<'lease-update'>, draft: AuthorityDraft): void {
    tell(draft, to, 'lease-update', leaseId, body, draft.now + config.answerMs)
    if (draft.get('lease', leaseId) === undefined) draft.retire(leaseId, draft.now + RETIRE_MS)
  }

  /** The holder was silent for as long as an answer is worth repeating: what it has not heard still holds. */
  function tellAgain(leaseId: string, undelivered: unknown, draft: AuthorityDraft): void {
    const lease = draft.get('lease', leaseId)
    if (lease === undefined || lease.state === 'closed') return
    const { extensionRefused: _, ...told } = undelivered as Body<'lease-update'>
    if (canonical(told) === canonical(statementOf(lease, draft))) report(lease, draft)
  }

  function statementOf(
    lease: LeaseRow,
    draft: AuthorityDraft,
  ): Omit<Body<'lease-update'>, 'extensionRefused'> {
    return {
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
    }
  }
}

export type LeaseLife = ReturnType<typeof leaseLife>

/** How long after the end work is let go on: as signed, whatever is configured since. */
const graceOf = (lease: LeaseRow): number => lease.ticket.conditions.graceMs

/** Units that served and died, or that the holder gave up, are not replaced within the term. */
const hasServed = (unit: UnitRow): boolean => unit.wasActive || unit.givenUp === true

/** Units to be assigned; none that would be too many from the agreed boundary on. */
function missingOf(lease: LeaseRow, mine: readonly UnitRow[]): number {
  const counting = mine.filter((unit) => isLive(unit) || hasServed(unit))
  const missing = lease.ticket.units - counting.length
  if (lease.next === undefined) return missing
  const staying = mine.filter((unit) => isLive(unit) && !lease.victims.includes(unit.id)).length
  return Math.min(missing, lease.next.units - staying)
}

function whyShort(lease: LeaseRow, short: number, notBefore: Instant, now: Instant): string {
  const why =
    notBefore > now
      ? `machines of image ${lease.image} failed, and the next attempt waits until ${new Date(notBefore).toISOString()}`
      : 'no slot, host or unit of the offer is free'
  return `still to come: ${short} of ${someUnits(lease.ticket.units)}: ${why}`
}

export const isLive = (unit: UnitRow): boolean => !['teardown', 'stuck', 'ended'].includes(unit.state)

export const unitsOf = (lease: LeaseRow, draft: AuthorityDraft): UnitRow[] =>
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
