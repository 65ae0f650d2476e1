import type { Cancel, Clock, Instant, Millis } from './clock.ts'

/** It rings as often at least, for the wall clock may run ahead of the timers. */
const ALARM_MS_MAX: Millis = 30_000

/** One timer, for the next instant at which there is something to do. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #cancel: Cancel | undefined
  /** What it is set for; undefined when it is not set. */
  #at: Instant | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** `Infinity`: there is nothing to do. */
  set(next: Instant): void {
    if (next === this.#at) return
    this.stop()
    if (next === Infinity) return
    const delayMs = Math.min(ALARM_MS_MAX, Math.max(0, next - this.#clock.now()))
    this.#at = next
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#at = undefined
      this.#ring()
    })
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#at = undefined
  }
}
