import { RETIRE_MS } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import { heldOn, type LeaseLife } from './leases.ts'
import { wantedBy } from './leavers.ts'
import { isDone, isOut } from './members.ts'
import { withRestoring } from './restoring.ts'
import type { LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'
import { refusalOf, stepLease, unitsOf } from './steps.ts'
import { believable } from './surplus.ts'

type Update = Body<'lease-update'>

/** A site remembers for RETIRE_MS what has ended; clocks may differ. */
const REMEMBERED_MS = RETIRE_MS / 2

/** What sites say of leases. Each update is the whole state of its lease; repeated and late ones change nothing. */
export function reportDesk({ members, modified, joined, put, leaveAll, ended, returnExtension }: LeaseLife) {
  return { updated }

  function updated(lease: LeaseRow, body: Update, sentAt: Instant, draft: ServiceManagerDraft): void {
    if (lease.leaseState === 'closed')
      return draft.note('message noted', lease.id, 'an update of a lease that is closed')
    if (lease.leaseState === 'blocked') return unredeemed(lease, body, draft)
    // It stands, and on the ticket that is known here: an answer from before this word says no more about it. When none
    // is waited for any more, its word is as good on whatever ticket.
    const isAsked = draft.get('recovery', 'recovery') !== undefined
    const isThisOne = !isAsked || body.ticketId === lease.ticket?.id
    // What was said before the store was put back may be as old as that is: the site may have been restored, too.
    const unsure = isThisOne && sentAt >= (lease.unsureSince ?? 0) ? undefined : lease.unsure
    const unheard = namesNone(body) ? lease.unheard : undefined
    const heldTo = unsure === lease.unsure ? lease.heldTo : heldOn(lease, draft.now)
    if (unsure !== lease.unsure || unheard !== lease.unheard)
      draft.put('lease', { ...lease, unsure, unheard, heldTo })
    if (body.image !== '' && body.image !== lease.image)
      draft.put('lease', { ...draft.get('lease', lease.id)!, image: body.image })
    const { believed, unbelieved } = believable(lease, body.units, (id) => draft.get('unit', id))
    for (const { unitId, code, reason } of unbelieved) {
      draft.turnDown()
      draft.note('unit refused', lease.id, `the site says more than it may: ${reason}`, { unitId, code })
    }
    const restored = withRestoring(draft.get('lease', lease.id)!, body.restoring, draft)
    if (restored !== draft.get('lease', lease.id)) draft.put('lease', restored)
    for (const report of believed) members.reported(lease, report, sentAt, draft)
    if (body.state !== 'closed' && !namesNone(body)) unnamed(lease, body, sentAt, draft)
    if (body.modified != null) modified.answered(draft.get('lease', lease.id)!, body.modified, draft)
    let current = draft.get('lease', lease.id)!
    if (body.state === 'closed') return ended(current, body.reason, draft)
    // Where it stands on that one, another was refused, in the time that an older store has forgotten.
    const isTaken = current.next !== undefined && body.ticketId === current.next.id
    if (isTaken) current = extended(current, body, draft)
    // While its broker is asked the site has seen no other ticket yet: it refused one before.
    else if (
      body.extensionRefused !== null &&
      current.leaseState === 'extending' &&
      current.ticketState !== 'extending'
    )
      current = extensionRefused(current, body.extensionRefused, draft)
    if (body.state === 'active' && current.leaseState === 'redeeming') {
      current = stepLease(current, 'active')
      const ready = believed.filter((unit) => unit.report === 'active').length
      draft.note('active', lease.id, `ready: ${someUnits(ready)}`)
    }
    const agreed = current.term?.end
    current = shortened(current, body, draft)
    const isWanted = body.units.some(({ leaveBy }) => leaveBy != null) || current.leaveBy !== undefined
    put(isWanted ? wantedBy(current, draft) : current, draft)
    joined(lease.id, draft)
    // What was not known to have left is known now; what has to go sooner puts its work back sooner.
    if (current.leaseState === 'leaving' && (lease.unsure === true || current.term?.end !== agreed))
      leaveAll(draft.get('lease', lease.id)!, undefined, current.closeReason, draft)
    if (body.state === 'closing')
      leaveAll(draft.get('lease', lease.id)!, undefined, `the site ends the lease: ${body.reason}`, draft)
  }

  /**
   * It was redeemed in the time that an older store has forgotten, or its site says what it cannot know. What stands there
   * it says again when it is asked or the ticket is redeemed; one that is over takes no ticket any more.
   */
  function unredeemed(lease: LeaseRow, { state, reason }: Update, draft: ServiceManagerDraft): void {
    if (state === 'closed')
      return leaveAll(lease, undefined, `its site says that it is closed: ${reason}`, draft)
    draft.note('message noted', lease.id, 'an update of a lease whose ticket is not redeemed yet')
  }

  /**
   * Its site forgets what ended long ago once it has heard from here that it is out, and then it is forgotten here, too.
   * An older store may have forgotten that it was out. Whatever else is not named is where it was.
   */
  function unnamed(lease: LeaseRow, { units }: Update, sentAt: Instant, draft: ServiceManagerDraft): void {
    const named = new Set(units.map(({ id }) => id))
    const before = Math.min(sentAt, draft.now) - REMEMBERED_MS
    const others = unitsOf(lease, draft).filter(({ id, since }) => !named.has(id) && since <= before)
    if (lease.unsure === true || lease.unheard === true)
      for (const unit of others) {
        const { id, name, vector, facts } = unit
        const reason = 'its site does not know it any more'
        if (!isOut(unit))
          members.reported(lease, { id, name, vector, facts, report: 'ended', reason }, sentAt, draft)
      }
    const over = new Set(others.filter(isOver).map(({ id }) => id))
    if (over.size === 0) return
    for (const id of over) draft.remove('unit', id)
    const current = draft.get('lease', lease.id)!
    draft.put('lease', { ...current, units: current.units.filter((id) => !over.has(id)) })
  }

  function extensionRefused(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): LeaseRow {
    draft.note('extension refused', lease.id, `by the site: ${reason}; the lease goes on to its end`)
    const extendRefused = refusalOf(lease, reason, draft.now)
    if (lease.next !== undefined) returnExtension(lease, lease.next, draft)
    return { ...stepLease(lease, 'refused'), next: undefined, victims: [], asking: undefined, extendRefused }
  }

  function extended(lease: LeaseRow, body: Update, draft: ServiceManagerDraft): LeaseRow {
    const { victims, ticket, next } = lease
    for (const id of new Set([...victims, ...(lease.asking?.without ?? [])]))
      part(draft.get('unit', id), ticket!.term.end, draft)
    const current: LeaseRow = {
      ...lease,
      ticket: next,
      next: undefined,
      asking: undefined,
      boundary: victims.length > 0 ? ticket!.term.end : undefined,
      // What leaves at the boundary leaves by the old grace, what stays by the new: the shorter serves both.
      graceMs: Math.min(lease.graceMs, next!.conditions.graceMs),
      // No longer than its ticket, whatever the site says.
      term: { start: body.term.start, end: Math.min(body.term.end, next!.term.end) },
    }
    const grows = next!.units > ticket!.units ? `, with ${someUnits(next!.units)} from then on` : ''
    const { term } = current
    draft.note('extended', lease.id, `the site confirms: until ${iso(term!.end)}${grows}`, { term })
    return current.leaseState === 'extending' ? stepLease(current, 'active') : current
  }
}

/**
 * The site has the last word on when a lease ends. It may end one before its term, or undo an extension that it had
 * confirmed: then the lease stands on the ticket before again. Work that waited for the later end is put back in time for
 * the earlier one.
 */
function shortened(lease: LeaseRow, body: Update, draft: ServiceManagerDraft): LeaseRow {
  const { id, term, ticket } = lease
  const { end } = body.term
  if (term === undefined || end >= term.end) return lease
  const sooner: LeaseRow = { ...lease, term: { start: Math.min(term.start, end - 1), end } }
  if (body.state === 'closing') return sooner
  if (ticket === undefined || body.ticketId !== ticket.predecessor) return lease
  const reason = body.extensionRefused ?? `the site goes on with ${body.ticketId}`
  draft.note('extension undone', id, `by the site: ${reason}; the lease ends at ${iso(end)}`, {
    term: sooner.term,
  })
  return { ...sooner, extendRefused: { at: draft.now, reason } }
}

/**
 * Machines of the lease are there, and the site does not know (any more) which units they are: it lets work on them end,
 * and of none it says that it has ended.
 */
const namesNone = ({ state, units }: Update): boolean => state === 'closing' && units.length === 0

/** Nothing is to be done about it, nor is a machine of it left that was given up. */
const isOver = (unit: UnitRow): boolean => isDone(unit) && unit.doing === undefined && unit.alive !== true

/** The extension begins without it; what parted from the lease at an earlier one has done so already. */
function part(unit: UnitRow | undefined, withoutFrom: Instant, draft: ServiceManagerDraft): void {
  if (unit !== undefined && unit.withoutFrom === undefined) draft.put('unit', { ...unit, withoutFrom })
}

const iso = (at: Instant): string => new Date(at).toISOString()
