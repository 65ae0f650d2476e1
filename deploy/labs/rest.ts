import type { Millis } from '../../actors/runtime/clock.ts'

const REST_MS_MAX: Millis = 250

/** How long whoever waits rests after a look that took so long: looks that start programs would fill a small machine. */
export const restAfter = (tookMs: Millis, leastMs: Millis, mostMs = REST_MS_MAX): Millis =>
  Math.min(mostMs, Math.max(leastMs, 2 * tookMs))
