import type { Instant } from '../actors/runtime/clock.ts'

/** Figures as they stand in reasons: short, with their unit, the same everywhere. */

export { span } from '../actors/runtime/sentence.ts'

export const hour = (at: Instant): string => `${new Date(at).toISOString().slice(0, 19)}Z`

/** `1 unit`, `3 units`. */
export const some = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** The first few of a long list, and how many more there are. */
export const few = (words: readonly string[], most = 3): string =>
  words.length <= most
    ? words.join(', ')
    : `${words.slice(0, most).join(', ')} and ${words.length - most} more`
