import type { Instant, Millis } from '../../../actors/runtime/clock.ts'

/**
 * What clocks on the wall show, as a number: the instant at which they would show it in UTC.
 *
 *                        clocks go forward             clocks go back
 *   shown by the wall    02:30 is left out             02:30 comes twice
 *   instant              as though it were not: 03:30  the first; the second is told beside it
 */
export type WallTime = number

export const DAY_MS: Millis = 24 * 60 * 60_000

const formats = new Map<string, Intl.DateTimeFormat>()

/** Whether this machine knows a zone of that name. */
export function isZone(zone: string): boolean {
  try {
    formatOf(zone)
    return true
  } catch {
    return false
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    })
    formats.set(zone, format)
  }
  return format
}

/** What the wall shows at an instant of whole seconds. */
function wallAt(at: Instant, zone: string): WallTime {
  const shown = new Map(
    formatOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const part = (name: Intl.DateTimeFormatPartTypes): number => shown.get(name) ?? 0
  return Date.UTC(
    ...([part('year'), part('month') - 1, part('day')] as const),
    ...([part('hour'), part('minute'), part('second')] as const),
  )
}

/** The wall is so far ahead of UTC. */
const aheadAt = (at: Instant, zone: string): Millis => wallAt(at, zone) - at

/** Looks once at each side of a day for all of its minutes. */
export function instantsIn(zone: string): (wall: WallTime) => {
  readonly first: Instant
  /** Where it comes twice. */
  readonly second: Instant | undefined
} {
  const sides = new Map<number, readonly [before: Millis, after: Millis]>()
  const sidesOf = (wall: WallTime): readonly [Millis, Millis] => {
    const day = Math.floor(wall / DAY_MS)
    let both = sides.get(day)
    if (both === undefined) {
      both = [aheadAt((day - 1) * DAY_MS, zone), aheadAt((day + 2) * DAY_MS, zone)]
      sides.set(day, both)
    }
    return both
  }
  return (wall) => {
    const [before, after] = sidesOf(wall)
    if (before === after) return { first: wall - before, second: undefined }
    const shown = [wall - before, wall - after]
      .filter((at) => wallAt(at, zone) === wall)
      .sort((a, b) => a - b)
    const [first = wall - before, second] = shown
    return { first, second }
  }
}
