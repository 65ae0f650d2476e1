import type { Instant } from '../../actors/runtime/clock.ts'
import type { SlurmConfig } from './config.ts'
import type { Facts } from './facts.ts'
import { type Frame, isOurIdle, reservationOf } from './picture.ts'
import type { NodeRecord } from './records.ts'
import { type Reservation, reservedNodes } from './reservations.ts'

/** What a look found out besides jobs. */
export interface Around {
  readonly known: Facts
  readonly plans: Frame['plans']
  readonly nodes: readonly NodeRecord[]
  readonly reservations: readonly Reservation[]
}

export function frameOf(
  { partition, drainTag, cpusOfMachine }: SlurmConfig,
  { known, plans, nodes, reservations }: Around,
  now: Instant,
): Frame {
  const reserved = reservedNodes(reservations, now)
  return {
    partition,
    drainTag,
    cpusOfMachine,
    nodesMaxOfPartition: known.partition?.nodesMax ?? 0,
    partitionUp: known.partition?.isUp ?? false,
    defaultWalltimeMs: known.partition?.defaultMinutes && known.partition.defaultMinutes * 60_000,
    plans,
    reserved,
    partitionReserved: nodes.some(
      (node) => node.partitions.includes(partition) && reservationOf(node, reserved) !== undefined,
    ),
    ourIdle: new Set(nodes.filter(isOurIdle).map(({ name }) => name)),
    now,
  }
}
