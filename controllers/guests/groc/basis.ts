import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { DecisionBasis, GuestIntent } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import type { Keep } from './keep.ts'
import type { GrocMemory } from './memory.ts'
import type { Orders } from './orders.ts'
import type { IdleHold } from './queues.ts'
import type { Survey } from './survey.ts'

/** A ledger takes no infinite figure: without a processor any backlog is beyond all bounds. */
const YEARS_MS: Millis = 10 * 366 * 24 * 3_600_000
const HOUR_MS: Millis = 3_600_000

/**
 * What the decision compared, for its line in the ledger; only what bears on what was decided, as each line is kept for
 * ever:
 *
 *   request          grow.wait (queues.NAME.grow.wait) · grow.backlog · grow.sustain · max · budget · startsPerMinute · ramp
 *   drain, resume    min and reserve · shrink.idle · shrink.backlog
 */
export function basisOf(
  { startedAt, jobs, nodes }: BatchPicture,
  intents: readonly GuestIntent[],
  orders: Orders,
  ground: Survey,
  keep: Keep,
  idle: GrocMemory['idleSince'],
  holdOf: (unitId: string) => IdleHold,
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
    const { opened, waitMs, pressedSince, pressedQueues, before, later } = orders
    if (opened.length === 0) compared['grow.wait'] = [Math.round(waitMs), grow.wait]
    for (const { group, grow: its, ...found } of opened) {
      const name = group === undefined ? 'grow' : `queues.${group}.grow`
      compared[`${name}.wait`] = [Math.round(found.waitMs), its.wait]
      const since = group === undefined ? pressedSince : own(pressedQueues, group)
      if (grow.sustain > 0) compared[`${name}.sustain`] = [now - (since ?? now), grow.sustain]
    }
    if (grow.backlog !== undefined) compared['grow.backlog'] = [backlog, grow.backlog]
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
  const drained = intents
    .flatMap((intent) => (intent.kind === 'drain' ? [intent.unitId] : []))
    .flatMap((unitId) => {
      const since = own(idle, unitId)
      return since === undefined ? [] : [{ since, ...holdOf(unitId) }]
    })
    .sort((a, b) => b.since + b.ms - a.since - a.ms)
  const [latest] = drained
  if (latest !== undefined) {
    compared['shrink.idle'] = [now - latest.since, latest.ms]
    if (shrink.backlog !== undefined) compared['shrink.backlog'] = [backlog, shrink.backlog]
  }
  return { look: { startedAt, jobs: jobs.length, nodes: nodes.length }, compared }
}
