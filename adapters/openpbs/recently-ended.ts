import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import type { JobRecord } from '../pbs/records.ts'

/** Ended jobs are listed for so long. */
const SHOWN_MS: Millis = 300_000
const ASKED_MAX = 50
const KEPT_MAX = 5_000

/**
 * OpenPBS drops a job from its list in the moment it ends; the history has all jobs of two weeks, or is switched
 * off. So those that were there in the last look are asked for by name, and shown for some minutes.
 */
export function recentlyEnded(
  clock: Clock,
  ask: (ids: readonly string[], signal: AbortSignal) => Promise<readonly JobRecord[]>,
): (listed: readonly JobRecord[], signal: AbortSignal) => Promise<readonly JobRecord[]> {
  let before: readonly string[] = []
  const ended = new Map<string, { readonly record: JobRecord; readonly until: Millis }>()
  return async (listed, signal) => {
    const now = clock.monotonic()
    const present = new Set(listed.map(({ id }) => id))
    const gone = before.filter((id) => !present.has(id) && !ended.has(id)).slice(-ASKED_MAX)
    before = listed.map(({ id }) => id)
    const found = gone.length === 0 ? [] : await ask(gone, signal)
    for (const record of found)
      if (record.verdict.state === 'ended') ended.set(record.id, { record, until: now + SHOWN_MS })
    for (const [id, { until }] of ended)
      if (until < now || present.has(id) || ended.size > KEPT_MAX) ended.delete(id)
    return [...ended.values()].map(({ record }) => record)
  }
}
