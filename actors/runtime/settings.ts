import { z } from 'zod'
import type { Millis } from './clock.ts'
import { cut } from './plain.ts'

/** Of what was found where a length of time was expected. */
const FOUND_CHARS_MAX = 60

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

/** A field of a configuration that holds a length of time, such as `20s`. Becomes integer milliseconds. */
export const duration = z.string().transform((text, context): Millis => {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  context.addIssue({
    code: 'custom',
    message: `expected a duration such as 20s, 10m or 72h, found “${cut(text, FOUND_CHARS_MAX)}”`,
  })
  return z.NEVER
})

/** A name of a site, host, type, image, guest or node prefix. */
export const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/i, 'expected a name of letters, digits, dots and dashes')
