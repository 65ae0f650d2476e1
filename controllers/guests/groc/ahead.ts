import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { Job } from '../../../adapters/batch-system.ts'
import type { GrocMemory } from './memory.ts'

/**
 * Ends that lie ahead of the look. Whoever remembers "counted up to then" would count nothing more until then.
 *
 *   the look ────────── an hour ──────────▶
 *   ▒ ends ▒▒▒▒▒▒▒▒▒▒▒ counted: a clock    ░░░ not counted, and forgotten where it was: such an end would be counted
 *                      that is ahead of    ░░░ again with each look if it were taken for the time of the look
 *                      ours
 */
const AHEAD_MS: Millis = 60 * 60_000

export const endedBy = (ended: readonly Job[], at: Instant): readonly Job[] =>
  ended.every((job) => isBelieved(job.endedAt, at))
    ? ended
    : ended.filter((job) => isBelieved(job.endedAt, at))

/** What is remembered of ends, without what was counted up to a time that lies ahead. */
export function withoutAhead(memory: GrocMemory, at: Instant): GrocMemory {
  const { quickEnds, users = {}, runs = {} } = memory
  const isSound = (row: { readonly lastAt: Instant }): boolean => isBelieved(row.lastAt, at)
  const areSound = (rows: Readonly<Record<string, { readonly lastAt: Instant }>>): boolean => {
    for (const key in rows) if (!isSound(rows[key]!)) return false
    return true
  }
  if (areSound(quickEnds) && areSound(users) && areSound(runs)) return memory
  const sound = <Row extends { readonly lastAt: Instant }>(rows: Readonly<Record<string, Row>>) =>
    Object.fromEntries(Object.entries(rows).filter(([, row]) => isSound(row)))
  return {
    ...memory,
    quickEnds: sound(quickEnds),
    users: memory.users && sound(users),
    // How long jobs run is as true as before.
    runs: Object.fromEntries(
      Object.entries(runs).map(([queue, row]) => [
        queue,
        isSound(row) ? row : { ...row, lastAt: at, lastJobs: [] },
      ]),
    ),
  }
}

const isBelieved = (endedAt: Instant | undefined, at: Instant): boolean =>
  endedAt === undefined || endedAt <= at + AHEAD_MS
