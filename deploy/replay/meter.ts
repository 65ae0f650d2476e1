import type { Instant, Millis } from '../../actors/runtime/clock.ts'

/** Levels that hold until they change. `wanted`: nodes for all jobs that wait or run, if each cpu of them were used. */
export const LEVELS = ['wanted', 'paid', 'working', 'cpus'] as const
export type Level = (typeof LEVELS)[number]
export type Levels = Readonly<Record<Level, number>>

/** The mean of each level over equal stretches of time. */
export interface Curve {
  readonly from: Instant
  readonly stepMs: Millis
  readonly points: readonly Levels[]
}

const HOUR: Millis = 3_600_000

/** Sums up levels over time: in all, and by the hour for the curve. */
export class Meter {
  readonly #levels: Record<Level, number> = { wanted: 0, paid: 0, working: 0, cpus: 0 }
  readonly #totals: Record<Level, number> = { wanted: 0, paid: 0, working: 0, cpus: 0 }
  readonly #hours: Record<Level, number[]> = { wanted: [], paid: [], working: [], cpus: [] }
  readonly #from: Instant
  #at: Instant

  constructor(from: Instant) {
    this.#from = from
    this.#at = from
  }

  set(level: Level, value: number): void {
    this.#levels[level] = value
  }

  add(level: Level, change: number): void {
    this.#levels[level] += change
  }

  /** Level times milliseconds so far. */
  total(level: Level): number {
    return this.#totals[level]
  }

  /** Counts the levels as they are until now. */
  pass(now: Instant): void {
    while (this.#at < now) {
      const hour = Math.floor((this.#at - this.#from) / HOUR)
      const until = Math.min(now, this.#from + (hour + 1) * HOUR)
      const lengthMs = until - this.#at
      for (const level of LEVELS) {
        const amount = this.#levels[level] * lengthMs
        this.#totals[level] += amount
        this.#hours[level][hour] = (this.#hours[level][hour] ?? 0) + amount
      }
      this.#at = until
    }
  }

  /** In so many points at most. */
  curve(pointsMax: number): Curve {
    const hours = this.#hours.paid.length
    const each = Math.max(1, Math.ceil(hours / pointsMax))
    const points = Array.from({ length: Math.ceil(hours / each) }, (_, i): Levels => {
      const lengthMs = Math.min(each * HOUR, this.#at - this.#from - i * each * HOUR)
      const mean = (level: Level): number => {
        const sum = this.#hours[level].slice(i * each, (i + 1) * each).reduce((a, b) => a + b, 0)
        return Math.round((100 * sum) / lengthMs) / 100
      }
      return { wanted: mean('wanted'), paid: mean('paid'), working: mean('working'), cpus: mean('cpus') }
    })
    return { from: this.#from, stepMs: each * HOUR, points }
  }
}
