import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'

/** How much longer each pause is than the one before it. */
const GROWTH = 1.5

/** Between two questions, longer and longer: a boot takes a minute, and many machines may be expected at once. */
export interface Pauses {
  next(signal: AbortSignal): Promise<void>
  /** Something has happened: what is expected may be there at once. */
  startOver(): void
}

export function growingPauses(clock: Clock, firstMs: Millis, mostMs: Millis): Pauses {
  let ms = firstMs
  return {
    async next(signal) {
      await sleep(clock, Math.round(ms), signal)
      ms = Math.min(ms * GROWTH, mostMs)
    },
    startOver() {
      ms = firstMs
    },
  }
}
