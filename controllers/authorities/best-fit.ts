import type { Vector } from '../../actors/leases/resources.ts'
import { fitsIn, minus } from '../../actors/leases/resources.ts'
import { own } from '../../actors/runtime/plain.ts'
import type { HostRoom, PlacementPolicy } from '../controller.ts'

/**
 * Multi-dimensional best fit: each unit goes to the host whose fullest use it makes.
 *
 *   what would be left, as a share of the host     host a: cpu 0.10, memory 0.40   ▷ largest 0.40  chosen
 *                                                  host b: cpu 0.25, memory 0.50   ▷ largest 0.50
 *
 * The largest share decides, then their sum, then the name. It keeps hosts either full or empty in every
 * dimension, and does not strand memory behind used-up processors.
 */
export const bestFit: PlacementPolicy = (count, size, hosts) => {
  const free = new Map(hosts.map(({ name, free }) => [name, free]))
  const chosen: string[] = []
  while (chosen.length < count) {
    const best = bestHost(size, hosts, free)
    if (best === undefined) break
    free.set(best.name, best.left)
    chosen.push(best.name)
  }
  return chosen
}

interface Fit {
  readonly name: string
  readonly left: Vector
  readonly largest: number
  readonly sum: number
}

function bestHost(
  size: Vector,
  hosts: readonly HostRoom[],
  free: ReadonlyMap<string, Vector>,
): Fit | undefined {
  let best: Fit | undefined
  for (const { name, capacity } of hosts) {
    const room = free.get(name)
    if (room === undefined || !fitsIn(size, room)) continue
    const left = minus(room, size)
    const shares = Object.entries(capacity)
      .filter(([, amount]) => amount > 0)
      .map(([dimension, amount]) => (own(left, dimension) ?? 0) / amount)
    const fit = {
      name,
      left,
      largest: Math.max(0, ...shares),
      sum: shares.reduce((sum, share) => sum + share, 0),
    }
    if (best === undefined || isBetter(fit, best)) best = fit
  }
  return best
}

function isBetter(a: Fit, b: Fit): boolean {
  if (a.largest !== b.largest) return a.largest < b.largest
  if (a.sum !== b.sum) return a.sum < b.sum
  return a.name < b.name
}
