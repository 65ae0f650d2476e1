import { z } from 'zod'

const guestName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,59}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,59})?$/,
    'expected HOLDER or HOLDER/GUEST',
  )

const priorityClass = z.strictObject({
  /** The higher, the sooner. */
  class: z.int().min(-999_999).max(999_999).default(0),
  /** The highest class that its requests may ask for by the property `priority`. Absent: `class`. */
  most: z.int().min(-999_999).max(999_999).optional(),
})

/** Guests are named `HOLDER` or `HOLDER/GUEST`; see `guests.ts`. */
export const priorityConfig = z.strictObject({
  guests: z.record(guestName, priorityClass).default({}),
  otherwise: priorityClass.prefault({}),
})
export type PriorityConfig = Readonly<z.output<typeof priorityConfig>>

const share = z.strictObject({
  /** Its part of what is lent is to the others' as the weights. */
  weight: z.number().gt(0).max(1_000_000).default(1),
  /** Units of each type that it is sure to get back within a term of the others. */
  min: z.int().min(0).default(0),
  /** Units of each type that it never holds more than. Absent: no limit. */
  max: z.int().min(1).optional(),
})

export const weightedShareConfig = z.strictObject({
  guests: z.record(guestName, share).default({}),
  otherwise: share.prefault({}),
})
export type WeightedShareConfig = Readonly<z.output<typeof weightedShareConfig>>
export type Share = WeightedShareConfig['otherwise']
