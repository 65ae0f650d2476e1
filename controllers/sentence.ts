import type { Instant, Millis } from '../actors/runtime/clock.ts'

/** Figures as they stand in reasons: short, with their unit, the same everywhere. */

/** `0 s`, `1.5 s`, `42 s`, `5 min`, `1 h 30 min`, `3 d`. */
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

export const hour = (at: Instant): string => `${new Date(at).toISOString().slice(0, 19)}Z`

/** `1 unit`, `3 units`. */
export const some = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** The first few of a long list, and how many more there are. */
export const few = (words: readonly string[], most = 3): string =>
  words.length <= most
    ? words.join(', ')
    : `${words.slice(0, most).join(', ')} and ${words.length - most} more`
