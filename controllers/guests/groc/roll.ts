import type { Instant } from '../../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture } from '../../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import { nodesOf } from './tally.ts'

/** A held unit, and its node as the look shows it. */
export interface Seat {
  readonly unit: HeldUnit
  readonly known: BatchNode | undefined
  /** The look is young enough to speak of it. */
  readonly seen: boolean
}

/**
 * What a look tells of the units of one lease, and what the lease alone tells of them:
 *
 *   held ─┬─ left, lost
 *         └─ here ─┬─ awaited, joining, leaving
 *                  └─ members (joined, draining) ─┬─ unclear: no look is young enough yet, or their node does not answer
 *                                                 └─ the others
 */
export interface Roll {
  readonly lease: HeldLease
  readonly seats: readonly Seat[]
  readonly here: readonly HeldUnit[]
  readonly members: readonly HeldUnit[]
  readonly unclear: readonly Seat[]
  readonly lost: number
  /** The latest unit joined then; minus infinity if none has. */
  readonly lastJoinedAt: Instant
  /** The last of those that were lost before they ever joined. */
  readonly stillborn: HeldUnit | undefined
}

interface Kept {
  roll: Roll
  /** The last list of nodes that tells the same. */
  nodes: readonly BatchNode[]
  readonly settle: number
  /** The look began not before the one and before the other: it is young enough to speak of the same units. */
  readonly from: Instant
  readonly until: Instant
}

/** By the first unit. From one look to the next most leases, units and nodes are the very same objects, and so are these. */
const rolls = new WeakMap<HeldUnit, Kept>()

export function rollCall(
  leases: readonly HeldLease[],
  picture: BatchPicture,
  config: GrocConfig,
): readonly Roll[] {
  return leases.map((lease) => rollOf(lease, picture, config))
}

function rollOf(lease: HeldLease, { startedAt, nodes }: BatchPicture, { settle }: GrocConfig): Roll {
  const [first] = lease.held
  if (first === undefined) return sortedOut(lease, [])
  const { byUnit } = nodesOf(nodes)
  const before = rolls.get(first)
  const isAsYoung =
    before?.settle === settle && before.from <= startedAt && startedAt < before.until ? before : undefined
  if (isAsYoung !== undefined && hasUnitsOf(isAsYoung.roll, lease) && hasNodesIn(isAsYoung, nodes, byUnit)) {
    isAsYoung.nodes = nodes
    if (isAsYoung.roll.lease !== lease) isAsYoung.roll = { ...isAsYoung.roll, lease }
    return isAsYoung.roll
  }
  let [from, until] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  const seats = lease.held.map((unit): Seat => {
    const seenFrom = unit.since + settle
    const seen = startedAt >= seenFrom
    if (seen) from = Math.max(from, seenFrom)
    else until = Math.min(until, seenFrom)
    return { unit, known: byUnit.get(unit.id), seen }
  })
  const roll = sortedOut(lease, seats)
  rolls.set(first, { roll, nodes, settle, from, until })
  return roll
}

const hasUnitsOf = ({ lease, seats }: Roll, other: HeldLease): boolean =>
  lease === other ||
  (seats.length === other.held.length && seats.every(({ unit }, i) => unit === other.held[i]))

const hasNodesIn = (
  { roll, nodes }: Kept,
  list: readonly BatchNode[],
  byUnit: ReadonlyMap<string, BatchNode>,
): boolean => nodes === list || roll.seats.every(({ unit, known }) => byUnit.get(unit.id) === known)

function sortedOut(lease: HeldLease, seats: readonly Seat[]): Roll {
  const here: HeldUnit[] = []
  const members: HeldUnit[] = []
  const unclear: Seat[] = []
  let lost = 0
  let lastJoinedAt = Number.NEGATIVE_INFINITY
  let stillborn: HeldUnit | undefined
  for (const seat of seats) {
    const { unit } = seat
    if (unit.joinedAt !== undefined && unit.joinedAt > lastJoinedAt) lastJoinedAt = unit.joinedAt
    if (unit.state === 'lost') {
      lost += 1
      if (unit.joinedAt === undefined) stillborn = unit
    } else if (unit.state !== 'left') here.push(unit)
    if (isMember(unit)) {
      members.push(unit)
      if (!seat.seen || seat.known?.responding !== true) unclear.push(seat)
    }
  }
  return { lease, seats, here, members, unclear, lost, lastJoinedAt, stillborn }
}

/** It is in the batch system. */
export const isMember = ({ state }: HeldUnit): boolean => state === 'joined' || state === 'draining'
