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

export const vectorSchema = z.record(z.string().max(60), z.int())
