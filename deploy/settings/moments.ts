import type { Instant } from '../../actors/runtime/clock.ts'
import { parseDuration } from '../../actors/runtime/durations.ts'
import { SubletError } from '../../actors/runtime/errors.ts'

/**
 * A time as a person gives it: `14:00` (today, or tomorrow if that is past), `in 30m` or `30m`, or a date with or
 * without a time, such as `2026-11-21`, `2026-11-21T14:00` (both local) and `2026-11-21T14:00Z`.
 */
export function parseMoment(text: string, now: Instant): Instant {
  const words = text.trim()
  const fromNow = parseDuration(words.replace(/^(in\s+|\+)/, ''))
  if (fromNow !== undefined) return now + fromNow
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(words) ?? []
  if (hours !== undefined && Number(hours) < 24 && Number(minutes) < 60) {
    const at = new Date(now)
    at.setHours(Number(hours), Number(minutes), 0, 0)
    if (at.getTime() <= now) at.setDate(at.getDate() + 1)
    return at.getTime()
  }
  const at = dateOf(words)
  if (at !== undefined) return at
  throw new SubletError('usage', `“${text}” is no time; expected 14:00, 30m or 2026-11-21T14:00`, {
    cure: 'Give a time of day, a duration from now, or a date with or without a time.',
  })
}

/** A date with or without a time; undefined if it is none. */
export function dateOf(words: string): Instant | undefined {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}|$)/.exec(words) ?? []
  if (!isDay(Number(year), Number(month), Number(day))) return undefined
  // A day alone begins where we are, as a day with a time does.
  const at = Date.parse(words.length === 10 ? `${words}T00:00` : words)
  return Number.isNaN(at) ? undefined : at
}

/** ... of which something is wanted, so that it has to come yet. */
export function momentToCome(text: string, now: Instant): Instant {
  const at = parseMoment(text, now)
  if (at >= now) return at
  throw new SubletError('usage', `${new Date(at).toISOString()} is past`, {
    cure: 'Give a time that is to come.',
  })
}

/** What a time was understood as, on a line of its own, if it is not of today; for `14:00` may be tomorrow. */
export function otherDay(text: string, at: Instant, now: Instant): string {
  const day = new Date(at)
  const today = new Date(now)
  if (day.toDateString() === today.toDateString()) return ''
  today.setDate(today.getDate() + 1)
  const date = `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())} ${two(day.getHours())}:${two(day.getMinutes())}`
  const tomorrow = day.toDateString() === today.toDateString() ? 'tomorrow, ' : ''
  return `\n  “${text}” is not today: it was understood as ${tomorrow}${date} by the clock here`
}

const two = (count: number): string => String(count).padStart(2, '0')

/** There is no 31 February, though `Date` takes it for a day of March. */
function isDay(year: number, month: number, day: number): boolean {
  const at = new Date(Date.UTC(year, month - 1, day))
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day
}
