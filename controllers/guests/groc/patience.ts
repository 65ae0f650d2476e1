import type { Instant } from '../../../actors/runtime/clock.ts'
import { decoded } from '../../../actors/runtime/errors.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestView, Refusal } from '../../controller.ts'
import { hour, some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { GrocMemory } from './memory.ts'
import type { Offer } from './packing.ts'
import type { Roll } from './roll.ts'
import { inSequence } from './sequence.ts'
import type { Survey } from './survey.ts'

/** Earlier answers that speak against asking again at once. */
export interface Patience {
  /** Not before this instant. */
  readonly until: Instant
  readonly reason: string
}

/**
 * After refusals the next ask waits, doubling each time. A refusal of a small quantity also speaks against a
 * larger one, not the other way round; a grant of as much ends the row.
 */
export function afterRefusals(
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  type: string,
  unitsMin: number,
): Patience | undefined {
  const answers = view.refusals.filter(
    (refusal) =>
      (refusal.by === 'broker' || isUngrouped(refusal)) &&
      refusal.type === type &&
      (refusal.unitsMin ?? 1) <= unitsMin,
  )
  const granted = view.leases
    .filter((lease) => lease.type === type && lease.state !== 'requested' && lease.units >= unitsMin)
    .reduce((latest, lease) => Math.max(latest, lease.requestedAt), Number.NEGATIVE_INFINITY)
  const row = inSequence(
    answers.map(({ at }) => at).filter((at) => at >= granted),
    config.retry,
  )
  const [latest] = answers
  if (row === undefined || latest === undefined) return undefined
  const until = row.latest + Math.min(config.retry.most, config.retry.first * 2 ** (row.count - 1))
  return {
    until,
    reason: `${some(row.count, 'ask')} in a row refused${latest.by === 'broker' ? ' by the broker' : ''}, the last at ${hour(row.latest)} (${latest.reason})${cureOf(latest.reason)}`,
  }
}

/** Its site has no switch with room for so many: that is no fault of a machine, and no broker can know. */
const isUngrouped = ({ by, reason }: Refusal): boolean =>
  by === 'site' && decoded(reason).code === 'no-switch-group'

/** Asked as often as one likes, no site lends for longer than it does; the admin of the guest has to act. */
const cureOf = (reason: string): string =>
  decoded(reason).code === 'term-too-long'
    ? '; set the controller’s `term` to at most that: leases of longer work are extended'
    : ''

/**
 * Machines of one type and image that fail one after another. The first is replaced at once, later ones after a pause
 * that doubles; from `breaker` on, one unit at a time, once per `retry.most`, until one comes up.
 */
export function afterFailures(
  view: GuestView<BatchPicture>,
  rolls: readonly Roll[],
  memory: GrocMemory,
  config: GrocConfig,
  type: string,
): (Patience & { readonly probing: boolean }) | undefined {
  const failures = new Map<string, { at: Instant; image: string | undefined; reason: string }>()
  // One failure per lease: units that never came are followed by a refusal of the lease itself.
  let good = Number.NEGATIVE_INFINITY
  for (const { lease, lastJoinedAt, stillborn } of rolls) {
    if (lease.type !== type) continue
    if (stillborn !== undefined)
      failures.set(lease.id, {
        at: stillborn.since,
        image: undefined,
        reason: `${stillborn.name} never came up`,
      })
    if (lastJoinedAt <= good) continue
    for (const { id, joinedAt } of lease.held)
      if (joinedAt !== undefined && joinedAt > good && own(memory.blackHoles, id) === undefined)
        good = joinedAt
  }
  for (const refusal of view.refusals)
    if (
      refusal.by === 'site' &&
      refusal.type === type &&
      refusal.code !== 'machine-taken' &&
      !isUngrouped(refusal)
    )
      failures.set(refusal.leaseId, refusal)
  for (const [unitId, at] of Object.entries(memory.blackHoles))
    failures.set(`unit ${unitId}`, { at, image: undefined, reason: `jobs end at once on unit ${unitId}` })
  if (failures.size === 0) return undefined
  const newestFirst = [...failures.values()].filter(({ at }) => at >= good).sort((a, b) => b.at - a.at)
  const image = newestFirst.find((failure) => failure.image !== undefined)?.image
  const other = newestFirst.findIndex((failure) => failure.image !== undefined && failure.image !== image)
  const ofImage = other < 0 ? newestFirst : newestFirst.slice(0, other)
  const row = inSequence(
    ofImage.map(({ at }) => at),
    { first: 0, most: config.retry.most },
  )
  if (row === undefined || row.count < 2) return undefined
  const probing = row.count >= config.breaker
  const pauseMs = probing
    ? config.retry.most
    : Math.min(config.retry.most, config.retry.first * 2 ** (row.count - 2))
  return {
    until: row.latest + pauseMs,
    probing,
    reason: `${some(row.count, 'failure')} in a row${image ? ` of image ${image}` : ''}, the last at ${hour(row.latest)} (${newestFirst[0]?.reason ?? ''})`,
  }
}

/** While no unit of the type answers, and that is taken for an outage. */
function afterSilence({ outage }: GrocMemory, config: GrocConfig, type: string): Patience | undefined {
  const count = own(outage?.mute ?? {}, type)
  if (outage === undefined || count === undefined) return undefined
  return {
    until: outage.since + config.outage,
    reason: `none of ${some(count, 'unit')} of ${type} answers the batch system, and another one would be as silent`,
  }
}

/** Earlier answers about one type, weighed once for each number of units. */
export interface PatientOffer extends Offer {
  /** Against an order of which so many units are the least that would do. */
  patience(unitsMin: number): Patience | undefined
  /** The latest such order was refused, however long ago. */
  wasRefused(unitsMin: number): boolean
  /** Its machines fail. */
  readonly failing: Patience | undefined
}

/** What may be asked for, in order of preference. */
export function offersOf(
  view: GuestView<BatchPicture>,
  ground: Survey,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): readonly PatientOffer[] {
  const rolls = ground.crews.map(({ roll }) => roll)
  return config.types.map(({ type, unit, max }): PatientOffer => {
    const failing = afterFailures(view, rolls, memory, config, type)
    const refusals = new Map<number, Patience | undefined>()
    const refusedFor = (unitsMin: number): Patience | undefined => {
      if (!refusals.has(unitsMin)) refusals.set(unitsMin, afterRefusals(view, config, type, unitsMin))
      return refusals.get(unitsMin)
    }
    const silent = afterSilence(memory, config, type)
    const patience = (unitsMin: number): Patience | undefined =>
      [failing, silent, refusedFor(unitsMin)].find((one) => one !== undefined && now < one.until)
    return {
      type,
      unit: ground.units.get(type) ?? unit,
      room: max === undefined ? Number.POSITIVE_INFINITY : Math.max(0, max - (ground.totals.get(type) ?? 0)),
      trial: failing?.probing === true,
      failing,
      patience,
      wasRefused: (unitsMin) => refusedFor(unitsMin) !== undefined,
      isPaused: (unitsMin) => patience(unitsMin) !== undefined,
    }
  })
}
