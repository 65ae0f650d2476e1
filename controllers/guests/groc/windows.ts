import { z } from 'zod'
import type { Millis } from '../../../actors/runtime/clock.ts'
import { duration } from '../../../actors/runtime/settings.ts'
import { span } from '../../sentence.ts'
import { openings, periodOf, readCron } from './cron.ts'
import { DAY_MS, isZone } from './wall-time.ts'

/** Times of day, week or year at which other thresholds hold. */
export const writtenWindow = z
  .strictObject({
    /** When it opens, as a cron expression: minute, hour, day of month, month, day of week. */
    from: z.string().min(1).max(200),
    /** How long it stays open, by the clock that runs, not by the one on the wall. */
    for: duration,
    /** Whose clocks `from` means. Absent: those of this machine. */
    timezone: z.string().min(1).max(100).optional(),
    max: z.int().min(1).optional(),
    min: z.int().min(0).optional(),
    reserve: z.int().min(0).optional(),
    grow: z
      .strictObject({
        wait: duration.optional(),
        backlog: duration.optional(),
        sustain: duration.optional(),
        target: duration.optional(),
        run: duration.optional(),
      })
      .optional(),
    shrink: z.strictObject({ idle: duration.optional(), backlog: duration.optional() }).optional(),
  })
  .superRefine((window, context) => {
    const refuse = (key: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [key], message })
    if (window.timezone !== undefined && !isZone(window.timezone))
      refuse('timezone', 'is no time zone known here, such as Europe/Prague')
    if (window.for < 60_000) refuse('for', 'must be at least 1m')
    const cron = readCron(window.from)
    if (typeof cron === 'string') {
      refuse('from', cron)
      return
    }
    const periodMs = periodOf(cron)
    if (window.for > periodMs)
      refuse(
        'for',
        `found ${span(window.for)}, and it opens again after ${span(periodMs)}, before it has closed`,
      )
    if (window.for > 366 * DAY_MS) refuse('for', 'must not be longer than a year')
    const { max, min, reserve, grow = {}, shrink = {} } = window
    const said = [max, min, reserve, ...Object.values(grow), ...Object.values(shrink)]
    if (said.every((value) => value === undefined)) refuse('from', 'changes nothing: no setting stands in it')
  })
  .transform(({ timezone, ...window }) => ({
    ...window,
    timezone: timezone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone,
  }))

export type Window = Readonly<z.output<typeof writtenWindow>>

/** What a window may change. */
export interface Thresholds {
  readonly max: number
  readonly min: number
  readonly reserve: number
  readonly grow: object
  readonly shrink: object
}

/** Settings as they are while the window is open. */
export function within<Settings extends Thresholds>(config: Settings, window: Window): Settings {
  const { max = config.max, min = config.min, reserve = config.reserve, grow = {}, shrink = {} } = window
  return { ...config, max, min, reserve, grow: over(config.grow, grow), shrink: over(config.shrink, shrink) }
}

const over = <Part extends object>(below: Part, above: object): Part => ({
  ...below,
  ...Object.fromEntries(Object.entries(above).filter(([, value]) => value !== undefined)),
})

/** Whether there is a moment within two years at which both are open. */
export function meet(one: Window, other: Window): boolean {
  const [a, b] = [opened(one), opened(other)]
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i]! < b[j]! + other.for && b[j]! < a[i]! + one.for) return true
    if (a[i]! + one.for <= b[j]! + other.for) i += 1
    else j += 1
  }
  return false
}

const FROM = Date.UTC(2026, 0, 1)

function opened({ from, timezone }: Window): readonly Millis[] {
  const cron = readCron(from)
  return typeof cron === 'string' ? [] : openings(cron, timezone, FROM, FROM + 2 * 366 * DAY_MS)
}
