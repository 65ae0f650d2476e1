import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { DecisionBasis, GuestIntent } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import type { Keep } from './keep.ts'
import type { GrocMemory } from './memory.ts'
import type { Orders } from './orders.ts'
import type { Survey } from './survey.ts'

/** A ledger takes no infinite figure: without a processor any backlog is beyond all bounds. */
const YEARS_MS: Millis = 10 * 366 * 24 * 3_600_000
const HOUR_MS: Millis = 3_600_000

/**
 * What the decision compared, for its line in the ledger; only what bears on what was decided, as each line is kept for
 * ever:
 *
 *   request          grow.wait · grow.backlog · grow.sustain · max · budget · startsPerMinute · ramp
 *   drain, resume    min and reserve · shrink.idle · shrink.backlog
 */
export function basisOf(
  { startedAt, jobs, nodes }: BatchPicture,
  intents: readonly GuestIntent[],
  orders: Orders,
  ground: Survey,
  keep: Keep,
  idle: GrocMemory['idleSince'],
  backlogMs: Millis,
  config: GrocConfig,
  now: Instant,
): DecisionBasis {
  const does = (...kinds: readonly GuestIntent['kind'][]): boolean =>
    intents.some(({ kind }) => kinds.includes(kind))
  const { grow, shrink } = config
  const backlog = Math.min(YEARS_MS, Math.round(backlogMs))
  const compared: Record<string, readonly [number, number]> = {}
  if (does('request')) {
    const { pressure, pressedSince, before, later } = orders
    compared['grow.wait'] = [Math.round(pressure.waitMs), grow.wait]
    if (grow.backlog !== undefined) compared['grow.backlog'] = [backlog, grow.backlog]
    if (grow.sustain > 0) compared['grow.sustain'] = [now - (pressedSince ?? now), grow.sustain]
    compared.max = [ground.total, config.max]
    if (config.budget !== undefined)
      compared.budget = [Math.floor((before.purseMs / HOUR_MS) * 10) / 10, config.budget.nodeHours]
    if (config.startsPerMinute !== undefined)
      compared.startsPerMinute = [config.startsPerMinute - before.starts, config.startsPerMinute]
    if (config.ramp.share < 1) compared.ramp = [later, config.ramp.share]
  }
  if (does('request', 'drain', 'resume')) {
    const there = ground.serving + ground.spare + ground.coming
    compared.keep = [there, keep.units]
  }
  const drained = intents.flatMap((intent) => (intent.kind === 'drain' ? (idle[intent.unitId] ?? []) : []))
  if (drained.length > 0) {
    compared['shrink.idle'] = [now - Math.max(...drained), shrink.idle]
    if (shrink.backlog !== undefined) compared['shrink.backlog'] = [backlog, shrink.backlog]
  }
  return { look: { startedAt, jobs: jobs.length, nodes: nodes.length }, compared }
}
