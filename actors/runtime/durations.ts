import type { Millis } from './clock.ts'

const UNIT_MS: Readonly<Record<string, Millis>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** A hundred years: instants that far away are still exact, and more is a slip of the pen. */
const DURATION_MS_MAX: Millis = 100 * 365 * 86_400_000

/** `1500ms`, `20s`, `10m` (or `10min`), `72h`, `3d`; undefined if it is none of these or beyond a century. */
export function parseDuration(text: string): Millis | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)$/.exec(text.trim()) ?? []
  const ms = amount === undefined ? Number.NaN : Math.round(Number(amount) * UNIT_MS[unit ?? '']!)
  return ms <= DURATION_MS_MAX ? ms : undefined
}
