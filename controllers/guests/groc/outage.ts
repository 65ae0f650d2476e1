import type { Instant } from '../../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestView, HeldUnit } from '../../controller.ts'
import { hour, some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'

/**
 * Many nodes silent at once, as after the power of a room was cut or a switch died: it is hardly each of them.
 *
 *   nodes that answer     all ───────┬── half ────────────────┬── none ──────────────────────
 *   given up              each after │ none, for `outage` at  │ none, likewise
 *                         `missing`  │ most                   │
 *   asked for             as ever    │ as ever                │ nothing: another one would be as silent
 */
export interface Outage {
  /** Begin of the first look of an unbroken row that showed it. */
  readonly since: Instant
  readonly silent: number
  /** Units that a look was young enough to speak of. */
  readonly of: number
}

/** Fewer than this may fail together by chance. */
const SILENT_MIN = 3

/** Whose node does not answer, though its site does not doubt it. */
export function outageIn(
  members: readonly HeldUnit[],
  nodeOfUnit: ReadonlyMap<string, BatchNode>,
  picture: BatchPicture,
  before: Outage | undefined,
  config: GrocConfig,
): Outage | undefined {
  let [silent, of] = [0, 0]
  for (const { id, since, suspect } of members) {
    if (picture.startedAt < since + config.settle) continue
    of += 1
    if (suspect === undefined && nodeOfUnit.get(id)?.responding !== true) silent += 1
  }
  if (silent < SILENT_MIN || silent * 2 < of) return undefined
  return { since: before?.since ?? picture.startedAt, silent, of }
}

/** False when it lasts so long that it is the nodes after all. */
export const isBelieved = (outage: Outage | undefined, at: Instant, config: GrocConfig): outage is Outage =>
  outage !== undefined && at - outage.since < config.outage

/** Asks for nothing while none answers. */
export function heldByOutage(
  view: GuestView<BatchPicture>,
  outage: Outage | undefined,
  now: Instant,
  config: GrocConfig,
): GuestView<BatchPicture> {
  if (!isBelieved(outage, now, config) || outage.silent < outage.of) return view
  const why = `none of ${some(outage.of, 'unit')} answers the batch system, and another one would be as silent`
  return { ...view, hold: view.hold ?? why }
}

export function outageNotes(outage: Outage | undefined, now: Instant, config: GrocConfig): readonly string[] {
  if (outage === undefined) return []
  const what = `${outage.silent} of ${some(outage.of, 'unit')} do not answer the batch system, since ${hour(outage.since)}`
  return [
    isBelieved(outage, now, config)
      ? `${what}: that is taken for a fault of the network or the head, and none of them is given up before ${hour(outage.since + config.outage)}.`
      : `${what}: for longer than outage allows, so they are given up one by one.`,
  ]
}
