import type { Instant } from '../actors/runtime/clock.ts'
import { SubletError } from '../actors/runtime/errors.ts'
import { parseDuration } from '../actors/runtime/settings.ts'

/**
 * A time as a person gives it: `14:00` (today, or tomorrow if that is past), `in 30m` or `30m`, or a date and
 * time such as `2026-11-21T14:00` (local) and `2026-11-21T14:00Z`.
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
  const at = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(words) ? Date.parse(words) : Number.NaN
  if (!Number.isNaN(at)) return at
  throw new SubletError('usage', `“${text}” is no time; expected 14:00, 30m or 2026-11-21T14:00`)
}
