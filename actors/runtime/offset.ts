import type { Instant, Millis } from './clock.ts'

/** Changes below this are not written down; the error that is kept covers them. */
const CHANGE_MS = 20

/** One reading of a peer's clock: its clock minus ours, right within `errorMs`. */
export interface Reading {
  readonly offsetMs: Millis
  readonly errorMs: Millis
}

/** What is believed of a peer's clock. */
export interface Offset extends Reading {
  readonly measuredAt: Instant
}

/**
 * What to believe of a peer's clock after one more reading; undefined if what is known stands.
 *
 *   the reading contradicts what is known    it takes its place: clocks drift and are set
 *   it is clearly more exact                 it takes its place
 *   it is vaguer, and both may be true       what is known stands: a slow network teaches nothing
 */
export function betterOffset(
  known: { readonly [K in keyof Offset]?: Offset[K] | undefined } | undefined,
  reading: Reading,
  now: Instant,
): Offset | undefined {
  const better = { offsetMs: reading.offsetMs, errorMs: reading.errorMs + CHANGE_MS, measuredAt: now }
  const { offsetMs, errorMs } = known ?? {}
  if (offsetMs === undefined || errorMs === undefined) return better
  const contradicts = Math.abs(offsetMs - reading.offsetMs) > errorMs + reading.errorMs
  return contradicts || better.errorMs + CHANGE_MS < errorMs ? better : undefined
}
