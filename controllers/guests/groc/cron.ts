import { parse } from 'node-cron'
import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { DAY_MS, instantsIn, type WallTime } from './wall-time.ts'

/** `minute hour day-of-month month day-of-week`; a day has to match both of its fields, as in node-cron. */
export interface Cron {
  /** From midnight, ascending. */
  readonly times: readonly Millis[]
  /** Every hour of a day that it is meant for. */
  readonly isHourly: boolean
  isDay(wall: WallTime): boolean
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Longer than any that is meant; and node-cron writes a range out before it looks at its ends. */
const LENGTH_MAX = 200
const BEYOND = /\d{3}/

/** Why it is not even read; undefined if it may be. */
export const cronFlaw = (expression: string): string | undefined =>
  expression.length > LENGTH_MAX
    ? `is longer than ${LENGTH_MAX} characters`
    : BEYOND.test(expression)
      ? 'has a number of three digits, and no field goes beyond 59'
      : undefined

/** A sentence if it is none, or one that is not understood here. */
export function readCron(expression: string): Cron | string {
  const flaw = cronFlaw(expression)
  if (flaw !== undefined) return flaw
  try {
    const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(expression)
    if (second.length !== 1 || second[0] !== 0 || /^\S+( +\S+){5}$/.test(expression.trim()))
      return 'expected five fields: minute, hour, day of month, month, day of week'
    if ([...dayOfMonth, ...dayOfWeek].some((day) => typeof day !== 'number'))
      return 'days by their numbers or names only: L, W and # are not understood here'
    const times = hour.flatMap((h) => minute.map((m) => h * HOUR_MS + m * MINUTE_MS)).sort((a, b) => a - b)
    return {
      times: [...new Set(times)],
      isHourly: new Set(hour).size === 24,
      isDay: (wall) => {
        const day = new Date(wall)
        return (
          month.includes(day.getUTCMonth() + 1) &&
          dayOfMonth.includes(day.getUTCDate()) &&
          dayOfWeek.includes(day.getUTCDay())
        )
      },
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Every instant in [from, until) at which it opens, ascending: once for each time that the wall shows or leaves out. */
export function openings(cron: Cron, zone: string, from: Instant, until: Instant): readonly Instant[] {
  const at = new Set<Instant>()
  const instantsOf = instantsIn(zone)
  // No zone is further from UTC than a day.
  for (let day = Math.floor(from / DAY_MS) - 1; day * DAY_MS < until + DAY_MS; day += 1) {
    if (!cron.isDay(day * DAY_MS)) continue
    for (const time of cron.times) {
      const { first, second } = instantsOf(day * DAY_MS + time)
      at.add(first)
      // What comes every hour comes in that hour, too; what comes at half past two comes once in a night.
      if (second !== undefined && cron.isHourly) at.add(second)
    }
  }
  return [...at].filter((one) => one >= from && one < until).sort((a, b) => a - b)
}

/** In nine years every day of the calendar comes on some, and the 29th of February at least twice. */
const FIRST_DAY = Date.UTC(2024, 0, 1) / DAY_MS
const DAYS = 9 * 366

/** The shortest time from one opening to the next, by the wall; infinite if there are no two. */
export function periodOf({ times, isDay }: Cron): Millis {
  const [first = 0] = times
  const last = times.at(-1) ?? first
  let shortest = Number.POSITIVE_INFINITY
  times.forEach((time, i) => {
    if (i > 0) shortest = Math.min(shortest, time - times[i - 1]!)
  })
  let before: number | undefined
  for (let day = FIRST_DAY; day < FIRST_DAY + DAYS; day += 1) {
    if (!isDay(day * DAY_MS)) continue
    if (before !== undefined) shortest = Math.min(shortest, (day - before) * DAY_MS + first - last)
    before = day
  }
  return before === undefined ? Number.POSITIVE_INFINITY : shortest
}
