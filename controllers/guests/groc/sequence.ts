import type { Instant, Millis } from '../../../actors/runtime/clock.ts'

/** By code units, the same everywhere. */
export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/**
 * The latest unbroken row of bad answers. Several answers to one ask count once (nearer than half the first
 * pause); a gap much longer than the longest pause means that nothing was asked, and ends the row.
 */
export function inSequence(
  newestFirst: readonly Instant[],
  pause: { readonly first: Millis; readonly most: Millis },
): { readonly count: number; readonly latest: Instant } | undefined {
  const [latest, ...older] = newestFirst
  if (latest === undefined) return undefined
  let count = 1
  let counted = latest
  for (const at of older) {
    if (counted - at > 3 * pause.most) break
    if (counted - at < pause.first / 2) continue
    count += 1
    counted = at
  }
  return { count, latest }
}
