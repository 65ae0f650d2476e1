import type { Instant } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import { written } from '../runtime/sentence.ts'
import { isOut } from './members.ts'
import type { ServiceManagerDraft, UnitRow } from './rows.ts'

/** Who stops a controller, and why: both go into the ledger. */
export interface Freeze {
  /** Absent: all guests. */
  readonly guest?: string | undefined
  /** Absent: the one that was given before, if there is one. */
  readonly reason?: string | undefined
  readonly by: string
}

export interface Pin {
  /** A unit's id, or the name of its node. */
  readonly node: string
  readonly until: Instant
  /** Absent: the one that was given before, if there is one. */
  readonly reason?: string | undefined
  readonly by: string
}

export interface Hurry extends Freeze {
  readonly reason: string
  /** Absent: of all types. */
  readonly type?: string | undefined
}

/** Pins, at most: somebody who pins all there is has to say so to the broker by leases, not here. */
const PINS_MAX = 1_000

/**
 * What people hold a controller back with. Their word stands until they take it back, over restarts, too:
 *
 *   freeze   nothing is asked for, nothing is drained for being idle; what works is extended, recalls are answered
 *   hurry    what brokers refused counts no more: there is more now, and a controller need not wait to ask again
 *   pin      one unit is not drained for being idle, not left out of an extension, and wanted whatever waits
 */
export function brakes(guests: readonly string[]) {
  return { freeze, thaw, hurry, pin, unpin }

  function freeze({ guest, reason, by }: Freeze, draft: ServiceManagerDraft): { guests: readonly string[] } {
    const names = named(guest)
    for (const name of names) {
      const before = draft.get('brake', name)
      // Whoever gives none has nothing against the one that stands.
      if (before !== undefined && reason === undefined) {
        draft.note('frozen', name, `${by}: already, by ${before.by}: ${before.reason}`, { by })
        continue
      }
      const row = { since: before?.since ?? draft.now, by, reason: reason ?? 'frozen by the operator' }
      draft.put('brake', { id: name, ...row })
      draft.note('frozen', name, `${by}: ${row.reason}`, row)
    }
    return { guests: names }
  }

  /** Answers with those that were frozen, and with those that need not wait any more to ask again. */
  function thaw(
    { guest, reason = 'thawed by the operator', by }: Freeze,
    draft: ServiceManagerDraft,
  ): { guests: readonly string[]; hurried?: readonly string[] } {
    const names = named(guest).filter((name) => draft.get('brake', name) !== undefined)
    for (const name of names) {
      draft.remove('brake', name)
      draft.note('thawed', name, `${by}: ${reason}`)
    }
    const { guests: hurried } = hurry({ guest, reason, by }, draft)
    return { guests: names, ...(hurried.length > 0 && { hurried }) }
  }

  /** Answers with those of whom something was refused. A site that failed is another matter: its machines are no better. */
  function hurry(
    { guest, type, reason, by }: Hurry,
    draft: ServiceManagerDraft,
  ): { guests: readonly string[] } {
    const names = named(guest).filter((name) => {
      const row = draft.get('guest', name)
      const kept = row?.refusals.filter(
        (refusal) => refusal.by !== 'broker' || (type !== undefined && refusal.type !== type),
      )
      if (row === undefined || kept?.length === row.refusals.length) return false
      draft.put('guest', { ...row, refusals: kept ?? [] })
      draft.note('hurried', name, `${by}: ${reason}; what was refused before counts no more`)
      return true
    })
    return { guests: names }
  }

  function pin({ node, until, reason, by }: Pin, draft: ServiceManagerDraft): { unitId: string } {
    const unit = unitOf(node, draft)
    if (until <= draft.now)
      throw new SubletError('usage', `${node} cannot be pinned until a time that is past`)
    const pinned = draft.all('unit').filter((one) => one.id !== unit.id && isPinned(one, draft.now))
    if (pinned.length >= PINS_MAX)
      throw new SubletError('usage', `${PINS_MAX} units are pinned already`, { cure: 'Unpin some of them.' })
    const before = isPinned(unit, draft.now) ? unit.pinned : undefined
    const why = reason ?? before?.reason ?? 'pinned by the operator'
    draft.put('unit', { ...unit, pinned: { until, reason: why, by } })
    draft.note('pinned', unit.id, `${unit.name} until ${written(until)}: ${by}: ${why}`, { until })
    return { unitId: unit.id }
  }

  function unpin(
    { node, reason = 'unpinned by the operator', by }: Omit<Pin, 'until'>,
    draft: ServiceManagerDraft,
  ): { unitId: string; wasPinned: boolean } {
    const { pinned, ...unit } = unitOf(node, draft)
    if (pinned !== undefined) {
      draft.put('unit', unit)
      draft.note('unpinned', unit.id, `${unit.name}: ${by}: ${reason}`)
    }
    return { unitId: unit.id, wasPinned: pinned !== undefined }
  }

  function named(guest: string | undefined): readonly string[] {
    if (guest === undefined) return guests
    if (guests.includes(guest)) return [guest]
    throw new SubletError('unknown-id', `no guest is named ${guest}; there is: ${guests.join(', ')}`, {
      cure: 'Name one of these, or none for all of them.',
    })
  }
}

export const isPinned = ({ pinned }: UnitRow, now: Instant): boolean =>
  pinned !== undefined && now < pinned.until

/** Of two units that have had one name, the one that is in the middleware. */
function unitOf(node: string, draft: ServiceManagerDraft): UnitRow {
  const found = draft
    .all('unit')
    .filter((unit) => [unit.id, unit.name, unit.node].includes(node) && !isOut(unit))
  const [unit] = found
  if (unit !== undefined && found.length === 1) return unit
  throw new SubletError(
    'unknown-id',
    unit === undefined ? `no unit or node ${node} is held` : `more than one unit is called ${node}`,
    { cure: 'Give the id or the name of a node that `sublet nodes` shows.' },
  )
}
