import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'
import { type ClockMark, steadyClock } from '../../actors/runtime/steady.ts'
import { SKEW_MS_MAX } from './roles.ts'
import type { World } from './world.ts'

/** Of one life: what it reads, and what the hour was before it. */
export interface Reading {
  readonly clock: Clock
  readonly mark: ClockMark | undefined
  /** The hour is kept for the next life, as the processes around the actors do (deploy/upkeep/hour.ts). */
  readonly keep: () => void
}

/**
 * The wall clock of one machine: it differs from others, and jumps now and then, by a little or by an hour, which is not
 * to be believed. A jump outlives a process: only a machine that was started anew has the right time again.
 */
export class WallClock {
  readonly #world: World
  readonly #skewMs: Millis
  #steppedMs: Millis = 0
  #mark: ClockMark | undefined

  constructor(world: World, skewMs: Millis) {
    this.#world = world
    this.#skewMs = skewMs
  }

  begin(random: Random, stepsOf: (random: Random) => boolean, alive: () => boolean): Reading {
    if (this.#mark !== undefined && random.child('boot').next() < 0.5) {
      this.#steppedMs = 0
      this.#mark = undefined
    } else if (Math.abs(this.#steppedMs) > SKEW_MS_MAX) this.#world.count('restart in a wrong hour')
    if (stepsOf(random))
      this.#world.after(random.int(120_000), () => {
        const sign = random.next() < 0.5 ? -1 : 1
        this.#steppedMs = sign * (random.next() < 0.5 ? random.int(1_000) : 3_600_000)
      })
    const clock = this.#world.clock(() => this.#skewMs + this.#steppedMs, alive)
    const believed = steadyClock(clock, SKEW_MS_MAX, () => undefined, this.#mark)
    const keep = (): void => {
      this.#mark = { wall: believed.now(), monotonic: clock.monotonic() }
    }
    return { clock, mark: this.#mark, keep }
  }
}
