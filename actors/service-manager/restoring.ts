import type { HeldLease } from '../../controllers/controller.ts'
import type { Instant } from '../runtime/clock.ts'
import { written } from '../runtime/sentence.ts'
import type { LeaseRow, Restoring, ServiceManagerDraft, UnitRow } from './rows.ts'

/**
 * What a holder makes of a site that had a power cut:
 *
 *   told ──▶ restoring: what was lost comes again, nothing of the lease is given up ──all up──▶ over: joins may still
 *     fail for a while, as what they need comes back last ──until──▶ forgotten
 */
export function withRestoring(
  lease: LeaseRow,
  told: Instant | null | undefined,
  draft: ServiceManagerDraft,
): LeaseRow {
  const { restoring: known } = lease
  const going = known !== undefined && draft.now < known.until ? known : undefined
  if (told == null) {
    if (known === undefined || going?.over === true) return lease
    return { ...lease, restoring: going && { ...going, over: true } }
  }
  if (going === undefined)
    draft.note(
      'site restores',
      lease.id,
      `most machines of its site were dead at once, as after a power cut: what is lost of it is set up again, until ${written(told)} at the latest, and nothing is given up for that`,
    )
  return { ...lease, restoring: { since: going?.since ?? draft.now, until: told } }
}

/** As a controller is shown it. */
export function restoringNow({ restoring }: LeaseRow, now: Instant): HeldLease['restoring'] {
  if (restoring === undefined || restoring.over === true || now >= restoring.until) return undefined
  return { since: restoring.since, until: restoring.until }
}

/** A machine that does not join now may do so as soon as the rest of the room is up. */
export const mayJoinLater = (
  { restoring }: { readonly restoring?: Restoring | undefined },
  now: Instant,
): boolean => restoring !== undefined && now < restoring.until

/** Units of it that were lost and are to come again: an extension is for them, too. */
export function restoredOf(lease: LeaseRow, units: readonly UnitRow[], now: Instant): number {
  if (restoringNow(lease, now) === undefined) return 0
  const there = units.filter(({ state }) => state !== 'lost').length
  return Math.max(0, (lease.ticket?.units ?? 0) - there)
}
