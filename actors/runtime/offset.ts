import type { Instant, Millis } from './clock.ts'
import type { PeerRow } from './draft.ts'
import type { ActorName } from './identity.ts'

/** Changes below this are not written down; the error that is kept covers them. */
const CHANGE_MS = 20

/** One reading of a peer's clock: its clock minus ours, right within `errorMs`. */
export interface Reading {
  readonly offsetMs: Millis
  readonly errorMs: Millis
}

/**
 * What to believe of a peer's clock after one more reading; undefined if what is known stands.
 *
 *   the reading contradicts what is known    it takes its place: clocks drift and are set
 *   it is clearly more exact                 it takes its place
 *   it is vaguer, and both may be true       what is known stands: a slow network teaches nothing
 */
export function betterOffset(
  peer: ActorName,
  known: PeerRow | undefined,
  reading: Reading,
  now: Instant,
): PeerRow | undefined {
  const row: PeerRow = {
    id: peer,
    offsetMs: reading.offsetMs,
    errorMs: reading.errorMs + CHANGE_MS,
    measuredAt: now,
  }
  if (known === undefined) return row
  const contradicts = Math.abs(known.offsetMs - reading.offsetMs) > known.errorMs + reading.errorMs
  return contradicts || row.errorMs + CHANGE_MS < known.errorMs ? row : undefined
}
