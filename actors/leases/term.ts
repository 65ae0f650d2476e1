import type { Instant, Millis } from '../runtime/clock.ts'

/** Half-open: a unit is held at `start` and no more at `end`. */
export interface Term {
  readonly start: Instant
  readonly end: Instant
}

export const lengthMs = (term: Term): Millis => term.end - term.start

export const holds = (term: Term, at: Instant): boolean => term.start <= at && at < term.end

export const overlap = (a: Term, b: Term): boolean => a.start < b.end && b.start < a.end
