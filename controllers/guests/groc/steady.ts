import type { Instant } from '../../../actors/runtime/clock.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestView, HeldLease, HeldUnit } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import { beginOf } from './later.ts'
import type { GrocMemory } from './memory.ts'
import { restoringUntil } from './outage.ts'
import { SOON_MS } from './survey.ts'

/**
 * Until when nothing that a decision rests on changes by itself. What is past already and did nothing does nothing later,
 * unless something else happens.
 *
 *   wake                 holds, margins and pauses that run out
 *   settle               a look becomes young enough to speak of a unit; of those that are in the batch system
 *   outage               many silent nodes are not waited for any more
 *   missing, dead        what is gone is given up; what does not answer is taken for dead
 *   completing           what has ended and holds its node is not waited for any more
 *   repair               what died is not waited for any more
 *   restoring            what a site sets up again after a power cut is not waited for any more
 *   extendBy             from then on it is too late to extend, where that was not asked for
 *   startsPerMinute      an order is a minute old
 *   SOON_MS              what is reserved for later is soon there
 *
 * A node that may swallow jobs is looked at again at the usual pace: jobs elsewhere last longer by the second.
 */
export function steadyUntil(
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  wake: readonly Instant[],
  config: GrocConfig,
  now: Instant,
): Instant {
  let soonest = Number.POSITIVE_INFINITY
  const consider = (at: Instant): void => {
    if (at > now && at < soonest) soonest = at
  }
  for (const at of wake) consider(at)
  for (const lease of view.leases) {
    for (const unit of lease.held) considerUnit(unit, config, consider)
    considerLease(lease, config, consider)
  }
  for (const since of Object.values(memory.missingSince)) {
    consider(since + config.missing)
    consider(since + config.missing + config.dead)
  }
  for (const since of Object.values(memory.completingSince ?? {})) consider(since + config.completing)
  for (const at of Object.values(memory.putBackAt ?? {})) consider(at + config.retry.most)
  if (memory.outage !== undefined) {
    consider(memory.outage.since + config.outage)
    consider(memory.outage.last + config.missing)
  }
  for (const { inRow } of Object.values(memory.quickEnds))
    if (inRow >= config.blackHole.jobs) consider(now + config.every)
  return soonest
}

function considerUnit(unit: HeldUnit, config: GrocConfig, consider: (at: Instant) => void): void {
  if (unit.state === 'joined' || unit.state === 'draining') consider(unit.since + config.settle)
  if (unit.state === 'lost') consider(unit.since + config.repair)
}

function considerLease(lease: HeldLease, config: GrocConfig, consider: (at: Instant) => void): void {
  if (lease.extendBy !== undefined && !lease.extending) consider(lease.extendBy + 1)
  if (lease.restoring !== undefined) consider(restoringUntil(lease.restoring, config.outage))
  const begin = beginOf(lease)
  if (begin !== undefined) consider(begin - SOON_MS)
  if (config.startsPerMinute !== undefined) consider(lease.requestedAt + 60_000)
}
