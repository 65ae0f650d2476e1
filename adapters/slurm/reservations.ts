import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Commands } from './commands.ts'
import { expandHosts } from './hostlist.ts'
import { parseWords } from './parse-text.ts'
import { instantOf } from './records.ts'

/** What somebody has set nodes aside for, by name. */
export interface Reservation {
  readonly name: string
  readonly startsAt: Instant
  readonly endsAt: Instant
  readonly nodes: readonly string[]
}

/** Between two askings. One that begins at once is seen by the flag of its nodes before that. */
const KEEP_MS: Millis = 60_000

/** A node that somebody reserved is not taken out from so long before. */
const SOON_MS: Millis = 60 * 60_000

/** `scontrol -a -o show reservation`, with times as seconds; lines that are none, such as “No reservations …”, are passed over. */
export function parseReservations(printed: string): readonly Reservation[] {
  return printed
    .split('\n')
    .filter((line) => line.startsWith('ReservationName='))
    .map((line) => {
      const words = parseWords(line)
      const nodes = words.get('Nodes') ?? ''
      return {
        name: words.get('ReservationName') ?? '',
        startsAt: instantOf(Number(words.get('StartTime')) || 0),
        endsAt: instantOf(Number(words.get('EndTime')) || Number.MAX_SAFE_INTEGER / 1000),
        nodes: /^\(null\)$|^$/.test(nodes) ? [] : expandHosts(nodes),
      }
    })
}

/** By node, what it is reserved for now or soon: of several the first to begin. */
export function reservedNodes(
  reservations: readonly Reservation[],
  now: Instant,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const { name, nodes, startsAt, endsAt } of reservations.toSorted((a, b) => a.startsAt - b.startsAt))
    if (endsAt > now && startsAt <= now + SOON_MS)
      for (const node of nodes) if (!found.has(node)) found.set(node, `reservation ${name}`)
  return found
}

export function reservationsOf(
  commands: Commands,
  clock: Clock,
): (signal: AbortSignal) => Promise<readonly Reservation[]> {
  let kept: { readonly reservations: readonly Reservation[]; readonly at: Millis } | undefined
  return async (signal) => {
    if (kept !== undefined && clock.monotonic() - kept.at < KEEP_MS) return kept.reservations
    const printed = await commands.ask('scontrol', ['-a', '-o', 'show', 'reservation'], signal)
    kept = { reservations: parseReservations(printed), at: clock.monotonic() }
    return kept.reservations
  }
}
