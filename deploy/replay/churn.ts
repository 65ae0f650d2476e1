import type { Instant, Millis } from '../../actors/runtime/clock.ts'

/** A unit ordered so soon after one was given back need not have gone. */
const SOON_MS: Millis = 600_000

/** Counts what comes and goes. */
export class Churn {
  boots = 0
  /** Units that were drained, or taken out without a drain, while a job waited. All that wait fit the pool and its units. */
  takenWhileWanted = 0
  /** Units that were ordered within ten minutes of one that was given back; each of these counts once. */
  oscillations = 0
  #givenBack: Instant[] = []

  ordered(now: Instant): void {
    this.boots += 1
    this.#givenBack = this.#givenBack.filter((at) => at > now - SOON_MS)
    if (this.#givenBack.shift() !== undefined) this.oscillations += 1
  }

  taken(isWanted: boolean): void {
    if (isWanted) this.takenWhileWanted += 1
  }

  givenBack(now: Instant): void {
    this.#givenBack.push(now)
  }
}
