import type { Instant, Millis } from '../runtime/clock.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import { written } from '../runtime/sentence.ts'

/** Of what is no date, what can be said of it. */
export const dayOf = (at: Instant): string => written(at).replace(/T.*/, '')

/** `02:55:12Z`; with its date where that is another than the one the story began on. */
export function moment(at: Instant, begun: Instant): string {
  const day = dayOf(at)
  const [, time] = written(at).split('T')
  if (time === undefined) return day
  const short = `${time.slice(0, 8)}Z`
  return day === dayOf(begun) ? short : `${day} ${short}`
}

/** `0.3 s`, `42 s`, `5 min 10 s`, `1 h 30 min`, `3 d 2 h`: the two largest parts. */
export function length(ms: Millis): string {
  if (ms < 0) return `-${length(-ms)}`
  if (ms < 9_950) return `${Math.round(ms / 100) / 10} s`
  const parts: readonly (readonly [size: number, unit: string])[] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]
  let left = Math.round(ms / 1_000)
  const said: string[] = []
  for (const [size, unit] of parts) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) said.push(`${count} ${unit}`)
    else if (said.length > 0) break
    if (said.length === 2) break
  }
  return said.join(' ')
}

/** `a`, `a and b`, `a, b and c`. */
export const list = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`

/** A field of what a line has besides its sentence; undefined if it is not there or of another form. */
export function field(entry: LedgerEntry, name: string): unknown {
  const { data } = entry
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>)[name] : undefined
}

export function textField(entry: LedgerEntry, name: string): string | undefined {
  const value = field(entry, name)
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function numberField(entry: LedgerEntry, name: string): number | undefined {
  const value = field(entry, name)
  return typeof value === 'number' ? value : undefined
}

/** In the order in which it happened; at one instant each actor's own order. */
export const inOrder = (entries: readonly LedgerEntry[]): LedgerEntry[] =>
  entries.toSorted((a, b) => a.at - b.at || (a.actor < b.actor ? -1 : a.actor > b.actor ? 1 : a.seq - b.seq))
