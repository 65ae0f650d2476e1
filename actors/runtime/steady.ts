import type { Clock, Instant, Millis } from './clock.ts'

/** A jump of the wall clock that time since boot does not bear out. */
export interface ClockStep {
  readonly at: Instant
  readonly byMs: Millis
}

/** What the hour was at an instant of the time since boot. */
export interface ClockMark {
  readonly wall: Instant
  /** Of the clock that it is given with. */
  readonly monotonic: Millis
}

/**
 * A wall clock that is not believed when it jumps, and that never runs backwards.
 *
 *   step ≤ stepMsMax forward     followed
 *   step ≤ stepMsMax backward    stands still until the wall clock has caught up
 *   step > stepMsMax             goes on with monotonic time from where it was, so that no lease ends
 *                                (or lives) by a mistaken hour; `onStep` is told once per step
 *
 * With a `mark` of before it was made it goes on from there: a clock that jumped while one process ran is no more
 * believed by the next. Without one the wall clock is believed as it is when this one is made.
 */
export function steadyClock(
  clock: Clock,
  stepMsMax: Millis,
  onStep: (step: ClockStep) => void,
  mark?: ClockMark,
): Clock {
  let anchor: ClockMark = mark ?? { wall: clock.now(), monotonic: clock.monotonic() }
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
