/** The candidate that was probably meant; undefined if none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const most = word.length <= 3 ? 1 : word.length <= 7 ? 2 : 3
  let best: { readonly candidate: string; readonly away: number } | undefined
  for (const candidate of candidates) {
    const away = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (away <= most && away < candidate.length && (best === undefined || away < best.away))
      best = { candidate, away }
  }
  return best?.candidate
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(a: string, b: string): number {
  let [before, previous]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
          ? before[j - 2]! + 1
          : Number.POSITIVE_INFINITY
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + differs, swapped))
    }
    ;[before, previous] = [previous, row]
  }
  return previous[b.length]!
}
