import type { Instant } from '../../actors/runtime/clock.ts'
import type { SlurmConfig } from './config.ts'
import type { Facts } from './facts.ts'
import { type Frame, isOurIdle, reservationOf } from './picture.ts'
import type { JobRecord, NodeRecord } from './records.ts'
import { type Reservation, reservedNodes } from './reservations.ts'

/**
 * The least that the head's clock shows, by whose times it is settled what may begin yet: nobody submits a job later than
 * now there. By ours, where it is behind, every new job would be one that may not begin.
 */
export const nowThere = (jobs: readonly JobRecord[], now: Instant): Instant =>
  jobs.reduce((most, { submittedAt }) => Math.max(most, submittedAt), now)

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
