import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import type { Body } from '../leases/messages.ts'
import type { Instant } from '../runtime/clock.ts'
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
export function leaseLife(config: AuthorityConfig, lent: Lent, withhold: Withhold) {
  const units = new Units(config, unitChanged, lent, withhold)
  return { units, leaseDue, unitDue, tend, shut, report }

  function leaseDue(id: string, draft: AuthorityDraft): void {
    const lease = draft.get('lease', id)
    if (lease !== undefined) tend({ ...lease, due: undefined }, draft)
  }

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
