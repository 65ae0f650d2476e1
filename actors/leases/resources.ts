import { z } from 'zod'

/** Named integer dimensions of one unit or host: `cpu`, `memoryMiB`, `gpu:a100`, ... */
export type Vector = Readonly<Record<string, number>>

export const fitsIn = (need: Vector, free: Vector): boolean =>
  Object.entries(need).every(([dimension, amount]) => amount <= (free[dimension] ?? 0))

export function minus(from: Vector, taken: Vector): Vector {
  const left: Record<string, number> = { ...from }
  for (const [dimension, amount] of Object.entries(taken)) left[dimension] = (left[dimension] ?? 0) - amount
  return left
}

export const vectorSchema = z.record(z.string().max(60), z.int())
