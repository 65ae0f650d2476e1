import type { Instant } from '../../../actors/runtime/clock.ts'
import type { GrocConfig } from './config.ts'
import type { SmallOrder } from './lots.ts'

/**
 * Of what small jobs want, a share is asked for, and of what is then still wanted the same share again:
 *
 *   wanted 30 ──share 0.34──▶ 11 asked ──every──▶ 19 still wanted ──▶ 7 asked ──every──▶ ...
 *
 * Whoever has many jobs that end soon pays for fewer machines so. Never less than a step is asked for.
 */
export interface Ramp {
  readonly orders: readonly SmallOrder[]
  /** Of what is wanted so many wait, until then. */
  readonly later: number
  readonly until: Instant
}

export function ramped(
  orders: readonly SmallOrder[],
  rampedAt: Instant | undefined,
  { ramp, step }: GrocConfig,
  now: Instant,
): Ramp {
  const wanted = orders.reduce((sum, { units }) => sum + units, 0)
  const isOpen = rampedAt === undefined || now >= rampedAt + ramp.every
  const most = ramp.share >= 1 ? wanted : isOpen ? Math.max(step, Math.ceil(ramp.share * wanted)) : 0
  let left = Math.min(wanted, most)
  const taken = orders.map((order) => {
    const units = Math.min(left, order.units)
    left -= units
    return { ...order, units }
  })
  return {
    orders: taken.filter(({ units }) => units > 0),
    later: wanted - Math.min(wanted, most),
    until: (isOpen ? now : rampedAt) + ramp.every,
  }
}
