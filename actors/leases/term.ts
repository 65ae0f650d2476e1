import { z } from 'zod'
import type { Instant, Millis } from '../runtime/clock.ts'
import { instantSchema } from '../runtime/envelope.ts'

/** No term, notice or grace is longer. */
export const LENGTH_MS_MAX: Millis = 10 * 365 * 86_400_000

/** Half-open: a unit is held at `start` and no more at `end`. */
export interface Term {
  readonly start: Instant
  readonly end: Instant
}

export const ALWAYS: Term = { start: Number.NEGATIVE_INFINITY, end: Number.POSITIVE_INFINITY }

export const lengthMs = (term: Term): Millis => term.end - term.start

export const holds = (term: Term, at: Instant): boolean => term.start <= at && at < term.end

export const overlap = (a: Term, b: Term): boolean => a.start < b.end && b.start < a.end

export const lengthSchema = z.int().min(0).max(LENGTH_MS_MAX)

export const termSchema = z
  .strictObject({ start: instantSchema, end: instantSchema })
  .refine((term) => term.start < term.end, {
    message: 'a term ends after it starts',
  })

/** Nothing of the inner term lies outside of the outer. */
export const within = (inner: Term, outer: Term): boolean =>
  outer.start <= inner.start && inner.end <= outer.end
