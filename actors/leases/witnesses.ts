import type { Instant, Millis } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Restored } from '../runtime/peers.ts'
import type { Body } from './messages.ts'

interface Known {
  readonly self: string
  /** In the configuration, and in the rows of the copy. */
  readonly named: Iterable<string>
  readonly met: Iterable<string>
  /** Those whose role lets them hold something; undefined: everybody's does. */
  readonly able: ReadonlySet<string> | undefined
}

/**
 * Whom an actor asks what they hold, when it was restored from an older store. Whoever is waited for in vain keeps
 * everything waiting, so that only those are asked who can hold something:
 *
 *   named in the configuration or the rows ───┬─ a peer ────────────▶ asked
 *   met, or speaks now, and may hold something┘
 *   named or met, and no peer (any more) ───────────────────────────▶ unknown: silent at once; the ledger says so
 *   met, or speaks now, of another role: an observer ───────────────▶ not asked
 */
export function witnessesOf({ self, named, met, able }: Known, trust: Trust): ReadonlySet<string> {
  const all = new Set(named)
  for (const peer of met) if (!trust.knows(peer) || mayHold(peer, able)) all.add(peer)
  all.delete(self)
  return all
}

export const mayHold = (peer: string, able: Known['able']): boolean => able?.has(peer) !== false

/**
 * How long the only peer is waited for that says that something was forgotten. It is there, for it has just said so; one
 * that lies, and says no more, holds nobody up for longer.
 */
export const CLAIMANT_MS: Millis = 60_000

/** Until when a recovery that began now waits: for everybody, and before that for the one alone that claims it. */
export function patience(
  { by: claimant }: Restored,
  now: Instant,
  recoverMs: Millis,
): { readonly until: Instant; readonly due: Instant; readonly claimant?: string } {
  const until = now + recoverMs
  return claimant === undefined
    ? { until, due: until }
    : { until, due: Math.min(until, now + CLAIMANT_MS), claimant }
}

/**
 * Who tells much tells it page by page: from each page on that names something it is waited for anew, within the time
 * for everybody. A recovery that waits for nobody any more is left as it is.
 */
export function dueAfterPage(
  {
    claimant,
    until,
    due,
  }: { claimant?: string | undefined; until?: Instant | undefined; due?: Instant | undefined },
  from: string,
  { holdings }: Pick<Body<'holdings'>, 'holdings'>,
  now: Instant,
): Instant | undefined {
  const tellsOn = claimant === from && holdings.length > 0
  return due === undefined || !tellsOn ? due : Math.max(due, Math.min(until ?? due, now + CLAIMANT_MS))
}

/** Why one that claims it alone is not waited for any more. */
export const CLAIMED =
  'it alone says that something was forgotten here, and not what: if the store was not put back, it lies or is damaged, and `sublet peer remove` ends it'

/** Why nobody is asked. */
export const UNKNOWN = 'it is no peer (any more)'
