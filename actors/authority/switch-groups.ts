import type { HostRoom, PlacementPolicy } from '../../controllers/controller.ts'
import type { Vector } from '../leases/resources.ts'
import { own } from '../runtime/plain.ts'

/**
 * Machines of one lease on hosts of one switch, so that what they say to each other goes through nothing else.
 *
 *   units that the lease has ──▶ their switch, the one with most of them
 *   none yet                 ──▶ the switch with the least room that holds all; if none does, the one with most room
 *
 *   `one`        only there
 *   `preferred`  there first; what is left over goes by the same rule to the other switches
 */
export interface SwitchedRoom extends HostRoom {
  readonly switchGroup: string
}

export interface Grouped {
  /** A host for each unit that has found room. */
  readonly hosts: readonly string[]
  /** Units by switch group, the chosen one first. */
  readonly units: ReadonlyMap<string, number>
}

export interface Together {
  readonly how: 'one' | 'preferred'
  /** Units of the lease that are to be placed sooner or later: `count` of them now. */
  readonly wanted: number
  /** Those that it has already, by switch group. */
  readonly held: ReadonlyMap<string, number>
}

export function placeTogether(
  policy: PlacementPolicy,
  count: number,
  size: Vector,
  rooms: readonly SwitchedRoom[],
  { how, wanted, held }: Together,
): Grouped {
  const byGroup = Map.groupBy(rooms, (room) => room.switchGroup)
  const hosts: string[] = []
  const units = new Map<string, number>()
  let [left, toCome] = [count, wanted]
  let home = homeOf(held) ?? groupFor(toCome, size, byGroup)
  while (home !== undefined && left > 0) {
    const found = policy(left, size, byGroup.get(home) ?? [])
    byGroup.delete(home)
    if (found.length > 0) units.set(home, found.length)
    hosts.push(...found)
    left -= found.length
    toCome -= found.length
    home = how === 'one' ? undefined : groupFor(toCome, size, byGroup)
  }
  return { hosts, units }
}

/** Units that would find room in the switch group that has most of it. */
export const roomInOne = (size: Vector, rooms: readonly SwitchedRoom[]): number =>
  Math.max(0, ...[...Map.groupBy(rooms, (room) => room.switchGroup).values()].map((of) => unitsIn(size, of)))

function homeOf(held: ReadonlyMap<string, number>): string | undefined {
  const [most] = [...held].sort(([a, of], [b, others]) => others - of || (a < b ? -1 : 1))
  return most?.[0]
}

function groupFor(
  count: number,
  size: Vector,
  byGroup: ReadonlyMap<string, readonly SwitchedRoom[]>,
): string | undefined {
  const groups = [...byGroup]
    .map(([group, rooms]) => ({ group, room: unitsIn(size, rooms) }))
    .filter(({ room }) => room > 0)
  const whole = groups.filter(({ room }) => room >= count).sort((a, b) => a.room - b.room || byName(a, b))
  return (whole[0] ?? groups.sort((a, b) => b.room - a.room || byName(a, b))[0])?.group
}

const byName = (a: { readonly group: string }, b: { readonly group: string }): number =>
  a.group < b.group ? -1 : 1

function unitsIn(size: Vector, rooms: readonly HostRoom[]): number {
  const needed = Object.entries(size).filter(([, amount]) => amount > 0)
  return rooms.reduce(
    (sum, { free }) =>
      sum +
      Math.max(
        0,
        Math.min(...needed.map(([dimension, amount]) => Math.floor((own(free, dimension) ?? 0) / amount))),
      ),
    0,
  )
}
