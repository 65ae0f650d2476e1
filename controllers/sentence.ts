import type { Instant } from '../actors/runtime/clock.ts'

/** Figures as they stand in reasons: short, with their unit, the same everywhere. */

export { few, span } from '../actors/runtime/sentence.ts'

export const hour = (at: Instant): string => `${new Date(at).toISOString().slice(0, 19)}Z`

/** `1 unit`, `3 units`. */
export const some = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
