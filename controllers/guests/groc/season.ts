import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { type Cron, openings, readCron } from './cron.ts'
import { DAY_MS } from './wall-time.ts'
import { type Window, within } from './windows.ts'

/**
 * Which settings hold at an instant: those of the file, and over them those of each window that is open, later ones
 * over earlier ones.
 *
 *   settings    ─────────┬───────────────────┬──────────┬────────
 *   window 1             └── from ── for ──▶─┤          │
 *   window 2                      └─ from ── for ──▶────┘          has the last word while both are open
 */
export interface Season {
  readonly config: GrocConfig
  readonly open: readonly { readonly window: Window; readonly until: Instant }[]
  /** Until then it is the same; at most to the end of a day, for nobody looks further ahead. */
  readonly until: Instant
}

interface Opening {
  readonly window: Window
  readonly from: Instant
  readonly until: Instant
}

/** What is open on the days that were looked at last. The list itself says which configuration is meant. */
const days = new WeakMap<readonly Window[], { readonly day: number; readonly found: readonly Opening[] }>()

export function seasonAt(config: GrocConfig, now: Instant): Season {
  if (config.windows.length === 0) return { config, open: [], until: Number.POSITIVE_INFINITY }
  const day = Math.floor(now / DAY_MS)
  let known = days.get(config.windows)
  if (known?.day !== day) {
    known = { day, found: config.windows.flatMap((window) => openOn(window, day)) }
    days.set(config.windows, known)
  }
  const open = known.found.filter(({ from, until }) => from <= now && now < until)
  const until = known.found
    .flatMap((opening) => [opening.from, opening.until])
    .reduce((soonest, at) => (at > now && at < soonest ? at : soonest), (day + 1) * DAY_MS)
  return { config: open.reduce<GrocConfig>((all, { window }) => within(all, window), config), open, until }
}

function openOn(window: Window, day: number): readonly Opening[] {
  const [from, until] = [day * DAY_MS, (day + 1) * DAY_MS]
  return openings(cronOf(window), window.timezone, from - window.for + 1, until).map((at) => ({
    window,
    from: at,
    until: at + window.for,
  }))
}

function cronOf({ from }: Window): Cron {
  const cron = readCron(from)
  if (typeof cron === 'string') throw new Error(`“${from}”: ${cron}`)
  return cron
}

export const seasonNotes = ({ open }: Season): readonly string[] =>
  open.map(
    ({ window, until }) =>
      `The window “${window.from}” (${window.timezone}) is open until ${hour(until)}: ${inWords(window)}.`,
  )

/** `max 40, grow.wait 5m`. */
function inWords({ from: _, for: __, timezone: ___, grow = {}, shrink = {}, ...counts }: Window): string {
  const lengths = { ...named('grow', grow), ...named('shrink', shrink) }
  const words = [
    ...Object.entries(counts).map(([name, count]) => `${name} ${count}`),
    ...Object.entries(lengths).map(([name, length]) => `${name} ${span(length)}`),
  ]
  return words.join(', ')
}

const named = (section: string, lengths: object): Readonly<Record<string, Millis>> =>
  Object.fromEntries(
    Object.entries(lengths as Record<string, Millis | undefined>).flatMap(([name, length]) =>
      length === undefined ? [] : [[`${section}.${name}`, length]],
    ),
  )
