import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import { few, hour, some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Roll } from './roll.ts'

/**
 * Many nodes silent at once, as after the power of a room was cut or a switch died: it is hardly each of them.
 *
 *   nodes that answer     all ───────┬── half ────────────────┬── none of a type ────────────
 *   given up              each after │ none, for `outage` at  │ none, likewise
 *                         `missing`  │ most                   │
 *   asked for             as ever    │ as ever                │ none of it: another one would be as silent
 */
export interface Outage {
  /** Begin of the first look that showed it; since then it was never away for as long as `missing`. */
  readonly since: Instant
  /** Begin of the last look that showed it. */
  readonly last: Instant
  readonly silent: number
  /** Units that a look was young enough to speak of. */
  readonly of: number
  /** Types of which no unit answers, and how many there are. */
  readonly mute: Readonly<Record<string, number>>
}

/** Fewer than this may fail together by chance. */
const SILENT_MIN = 3

/** Whose node does not answer, though its site does not doubt it. */
export function outageIn(
  rolls: readonly Roll[],
  picture: BatchPicture,
  before: Outage | undefined,
  config: GrocConfig,
): Outage | undefined {
  let [silent, of] = [0, 0]
  const byType = new Map<string, { silent: number; of: number }>()
  for (const { lease, members, unclear } of rolls) {
    // Where a look is not young enough, the unit is unclear and says nothing.
    let seats = members.length
    let mute = 0
    for (const { unit, seen } of unclear)
      if (!seen) seats -= 1
      else if (unit.suspect === undefined) mute += 1
    if (seats === 0) continue
    const one = byType.get(lease.type)
    if (one === undefined) byType.set(lease.type, { silent: mute, of: seats })
    else {
      one.silent += mute
      one.of += seats
    }
    of += seats
    silent += mute
  }
  const mute = Object.fromEntries(
    [...byType].flatMap(([type, one]) => (one.silent === one.of ? [[type, one.of]] : [])),
  )
  const now = picture.startedAt
  // One node that comes and goes, or a look that fails, is no end of it.
  const known = before !== undefined && now - before.last < config.missing ? before : undefined
  if (silent >= SILENT_MIN && silent * 2 >= of)
    return { since: known?.since ?? now, last: now, silent, of, mute }
  return known && { ...known, silent, of, mute }
}

/** Its site had a power cut and sets machines up again: it is waited for, for `outage` at most. */
export const isRestoring = (
  { restoring, state }: HeldLease,
  now: Instant,
  { outage }: Pick<GrocConfig, 'outage'>,
): boolean => restoring !== undefined && state !== 'closing' && now < restoringUntil(restoring, outage)

export const restoringUntil = (
  { since, until }: NonNullable<HeldLease['restoring']>,
  outage: Millis,
): Instant => Math.min(until, since + outage)

export function restoringNotes(
  leases: readonly HeldLease[],
  now: Instant,
  config: GrocConfig,
): readonly string[] {
  const of = leases.filter((lease) => isRestoring(lease, now, config))
  if (of.length === 0) return []
  const units = of.reduce((sum, lease) => sum + stillToCome(lease), 0)
  const until = Math.max(...of.map(({ restoring }) => restoringUntil(restoring!, config.outage)))
  return [
    `Their sites take it for a power cut that ${some(units, 'unit')} of ${few(of.map(({ id }) => id))} are gone, and set them up again: none is ordered in their place before ${hour(until)}, and nothing of these leases is given up.`,
  ]
}

/** Units that such a lease lacks: those that its site doubts are dead and not yet cleared away. */
export const stillToCome = ({ units, held }: HeldLease): number =>
  Math.max(0, units - held.filter((unit) => !isReplaced(unit)).length)

/** Another one comes in its place. */
export const isReplaced = ({ state, suspect }: HeldUnit): boolean =>
  state === 'lost' || (suspect !== undefined && state !== 'left')

/** False when it lasts so long that it is the nodes after all. */
export const isBelieved = (outage: Outage | undefined, at: Instant, config: GrocConfig): outage is Outage =>
  outage !== undefined && at - outage.since < config.outage

export function outageNotes(outage: Outage | undefined, now: Instant, config: GrocConfig): readonly string[] {
  if (outage === undefined) return []
  const what = `${outage.silent} of ${some(outage.of, 'unit')} do not answer the batch system, since ${hour(outage.since)}`
  return [
    isBelieved(outage, now, config)
      ? `${what}: that is taken for a fault of the network or the head, and none of them is given up before ${hour(outage.since + config.outage)}.`
      : `${what}: for longer than outage allows, so they are given up one by one.`,
  ]
}
