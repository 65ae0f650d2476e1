import { z } from 'zod'
import type { Millis } from './clock.ts'
import { parseDuration } from './durations.ts'
import { cut } from './plain.ts'

/** Of what was found where a length of time was expected. */
const FOUND_CHARS_MAX = 60

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
