import { z } from 'zod'
import { own } from '../runtime/plain.ts'

/** Named integer dimensions of one unit or host: `cpu`, `memoryMiB`, `gpu:a100`, ... */
export type Vector = Readonly<Record<string, number>>

export const fitsIn = (need: Vector, free: Vector): boolean =>
  Object.entries(need).every(([dimension, amount]) => amount <= (own(free, dimension) ?? 0))

export function minus(from: Vector, taken: Vector): Vector {
  const left = new Map(Object.entries(from))
  for (const [dimension, amount] of Object.entries(taken))
    left.set(dimension, (left.get(dimension) ?? 0) - amount)
  return Object.fromEntries(left)
}

export function plus(one: Vector, other: Vector): Vector {
  const sum = new Map(Object.entries(one))
  for (const [dimension, amount] of Object.entries(other))
    sum.set(dimension, (sum.get(dimension) ?? 0) + amount)
  return Object.fromEntries(sum)
}

/** Dimensions of one unit. What a site offers is said again in tickets, in what is held and in answers to questions. */
export const DIMENSIONS_MAX = 32
const NAME_CHARS_MAX = 60

export const vectorSchema = z
  .record(z.string().max(NAME_CHARS_MAX), z.int().min(0))
  .refine(
    (vector) => Object.keys(vector).length <= DIMENSIONS_MAX,
    `expected at most ${DIMENSIONS_MAX} dimensions`,
  )

/** Why these are not the dimensions of anything; undefined if they may be. */
export function doubtDimensions(names: readonly string[]): string | undefined {
  if (names.length > DIMENSIONS_MAX)
    return `found ${names.length} dimensions, expected at most ${DIMENSIONS_MAX}`
  const long = names.find((name) => name.length > NAME_CHARS_MAX)
  return long === undefined
    ? undefined
    : `found a dimension with a name of ${long.length} characters, expected at most ${NAME_CHARS_MAX}`
}
