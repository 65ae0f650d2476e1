/**
 * GridEngine's wildcards in names of queues, environments and users: `*`, `?`, `[a-c]`, `[!a]`.
 *
 *   pattern   m p * - i b        where a star fails to fit it takes one character more, and only the last one does:
 *   name      m p i - x - i b    no pattern takes more steps than its own length and the name's, times the name's
 *
 * Users write patterns. As a regular expression forty stars never come to an end.
 */
export function fits(pattern: string, name: string): boolean {
  // Most are no patterns, and there are thousands of jobs.
  if (pattern === name || pattern === '*') return true
  if (!/[*?[]/.test(pattern)) return false
  let at = 0
  let star = -1
  let taken = 0
  for (let next = 0; next < name.length; ) {
    if (pattern[at] === '*') {
      star = at++
      taken = next
      continue
    }
    const width = widthOfFit(pattern, at, name[next]!)
    if (width > 0) {
      at += width
      next++
    } else if (star >= 0) {
      at = star + 1
      next = ++taken
    } else return false
  }
  while (pattern[at] === '*') at++
  return at >= pattern.length
}

/** How many characters of the pattern stand for this one of the name; 0 if it does not fit. */
function widthOfFit(pattern: string, at: number, character: string): number {
  const sign = pattern[at]
  if (sign === '?') return 1
  const end = sign === '[' ? endOfSet(pattern, at) : -1
  // An open bracket is a bracket.
  if (end < 0) return sign === character ? 1 : 0
  return isInSet(pattern.slice(at + 1, end), character) ? end - at + 1 : 0
}

/** Longer ones are no sets: nobody spells the characters of a name so. */
const SET_MAX = 256

/** A bracket that comes first is one of the set. */
function endOfSet(pattern: string, at: number): number {
  const first = /[!^]/.test(pattern[at + 1] ?? '') ? at + 3 : at + 2
  const end = pattern.slice(first, first + SET_MAX).indexOf(']')
  return end < 0 ? -1 : first + end
}

function isInSet(set: string, character: string): boolean {
  const isNegated = /^[!^]/.test(set)
  for (let i = isNegated ? 1 : 0; i < set.length; i++) {
    const isRange = set[i + 1] === '-' && i + 2 < set.length
    const last = isRange ? set[i + 2]! : set[i]!
    if (set[i]! <= character && character <= last) return !isNegated
    if (isRange) i += 2
  }
  return isNegated
}
