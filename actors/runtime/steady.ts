import type { Clock, Instant, Millis } from './clock.ts'

/** A jump of the wall clock that time since boot does not bear out. */
export interface ClockStep {
  readonly at: Instant
  readonly byMs: Millis
}

/**
 * A wall clock that is not believed when it jumps, and that never runs backwards.
 *
 *   step ≤ stepMsMax forward     followed
 *   step ≤ stepMsMax backward    stands still until the wall clock has caught up
 *   step > stepMsMax             goes on with monotonic time from where it was, so that no lease ends
 *                                (or lives) by a mistaken hour; `onStep` is told once per step
 */
export function steadyClock(clock: Clock, stepMsMax: Millis, onStep: (step: ClockStep) => void): Clock {
  let anchor = { wall: clock.now(), monotonic: clock.monotonic() }
  let distrustedMs: Millis | undefined
  let last = anchor.wall
  const believed = (): Instant => {
    const wall = clock.now()
    const monotonic = clock.monotonic()
    const expected = anchor.wall + (monotonic - anchor.monotonic)
    const byMs = wall - expected
    if (Math.abs(byMs) <= stepMsMax) {
      anchor = { wall, monotonic }
      distrustedMs = undefined
      return wall
    }
    if (distrustedMs === undefined || Math.abs(byMs - distrustedMs) > stepMsMax) {
      distrustedMs = byMs
      onStep({ at: expected, byMs })
    }
    return expected
  }
  return {
    now() {
      last = Math.max(last, believed())
      return last
    },
    monotonic: () => clock.monotonic(),
    after: (delayMs, callback) => clock.after(delayMs, callback),
  }
}
