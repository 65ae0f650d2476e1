import type { Instant } from '../../../actors/runtime/clock.ts'
import { decoded } from '../../../actors/runtime/errors.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestView } from '../../controller.ts'
import { hour, some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { type Failing, isUngrouped, type Trouble, troubleOf } from './failures.ts'
import type { GrocMemory } from './memory.ts'
import type { Offer } from './packing.ts'
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

/** Asked as often as one likes, no site lends for longer than it does; the admin of the guest has to act. */
const cureOf = (reason: string): string =>
  decoded(reason).code === 'term-too-long'
    ? '; set the controller’s `term` to at most that: leases of longer work are extended'
    : ''

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
  readonly failing: Failing | undefined
  /** One unit on trial is there, and nobody knows yet whether it is good. */
  readonly isTried: boolean
  /** Sites that are not to be asked, and of which of these one unit may be tried. */
  readonly sites: Pick<Trouble, 'avoid' | 'trials'>
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
    const { failing, ...sites } = troubleOf(view, rolls, memory, config, type, now)
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
      sites,
      isTried:
        failing !== undefined &&
        view.leases.some((lease) => lease.type === type && lease.requestedAt > failing.latest),
      patience,
      wasRefused: (unitsMin) => refusedFor(unitsMin) !== undefined,
      isPaused: (unitsMin) => patience(unitsMin) !== undefined,
    }
  })
}
