import type { Instant, Millis } from './clock.ts'

/** Lengths of time as they stand in sentences for people, the same everywhere. */

/** As measured: `0 s`, `1.5 s`, `42 s`, `5 min`, `1 h 30 min`, `3 d`. */
export function span(ms: Millis): string {
  if (ms < 0) return `-${span(-ms)}`
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`
  const minutes = Math.round(ms / 60_000)
  if (minutes < 60) return `${minutes} min`
  if (minutes < 48 * 60)
    return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  return `${Math.round(minutes / 1440)} d`
}

/** As set, or where less than a second matters: `50 ms`, from a second on as `span` says it. */
export function period(ms: Millis): string {
  if (ms < 0) return `-${period(-ms)}`
  return ms < 1_000 ? `${ms} ms` : span(ms)
}

/** As in ISO 8601; of what is no date, as a damaged clock may have had it written, the number. */
export function written(at: Instant): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? `(no date: ${at})` : date.toISOString()
}

/** Of what happens again and again the first, second, fourth, eighth ... time is said. */
export const isWorthSaying = (count: number): boolean => (count & (count - 1)) === 0

/** The first few of a long list, and how many more there are. */
export const few = (words: readonly string[], most = 3): string =>
  words.length <= most
    ? words.join(', ')
    : `${words.slice(0, most).join(', ')} and ${words.length - most} more`
