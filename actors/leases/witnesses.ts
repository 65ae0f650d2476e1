import type { Trust } from '../runtime/identity.ts'

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

/** Why nobody is asked. */
export const UNKNOWN = 'it is no peer (any more)'
