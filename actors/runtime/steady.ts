import type { Clock, Instant, Millis } from './clock.ts'

/** A jump of the wall clock that time since boot does not bear out. */
export interface ClockStep {
  readonly at: Instant
  readonly byMs: Millis
}

/**
 * A wall clock that is not believed when it jumps: after a step larger than `stepMsMax` it goes on with
 * monotonic time from where it was, so that no lease ends (or lives) by a mistaken hour. Smaller steps,
 * such as a time daemon makes, are followed. `onStep` is told once per step.
 */
export function steadyClock(clock: Clock, stepMsMax: Millis, onStep: (step: ClockStep) => void): Clock {
  let anchor = { wall: clock.now(), monotonic: clock.monotonic() }
  let distrustedMs: Millis | undefined
  return {
    ...clock,
    now() {
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
    },
  }
}
