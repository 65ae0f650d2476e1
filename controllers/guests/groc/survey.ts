import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestView, HeldLease } from '../../controller.ts'
import { type Bins, binsOf } from './bins.ts'
import type { GrocConfig } from './config.ts'
import { beginOf, isDeferred } from './later.ts'
import { isBrieflySilent, type Machine, machineOf, type Standing } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import type { Limits } from './packing.ts'
import { nodesByUnit, type Tally } from './tally.ts'

/** All units together: who is good for what, and where there is room. */
export interface Survey extends Bins {
  readonly machines: readonly Machine[]
  readonly byLease: ReadonlyMap<string, readonly Machine[]>
  /** Units that leases promise and that the site has not named yet, by lease. */
  readonly unnamed: ReadonlyMap<string, number>
  /** Running and completing jobs by id. */
  readonly running: ReadonlyMap<string, Job>
  readonly ownNodes: readonly BatchNode[]
  readonly serving: number
  readonly spare: number
  /** Coming machines and unnamed units. */
  readonly coming: number
  /** Nodes that do not answer, but not yet for `missing`: no room for jobs, and no reason to order others for `min`. */
  readonly silent: number
  readonly joined: number
  /** Units held or asked for that count against `max`, in all and by type. */
  readonly total: number
  readonly totals: ReadonlyMap<string, number>
}

export function survey(
  view: GuestView<BatchPicture>,
  picture: BatchPicture,
  jobs: Tally,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Survey {
  const running = new Map(jobs.running.map((job) => [job.id, job]))
  const nodeOfUnit = nodesByUnit(picture)
  const ownNodes = picture.nodes.filter((node) => node.mark === undefined)

  const byLease = new Map<string, Machine[]>()
  const unnamed = new Map<string, number>()
  for (const lease of view.leases) {
    const machines = lease.held.map((unit) =>
      machineOf(unit, lease, nodeOfUnit.get(unit.id), picture, memory, config, now),
    )
    byLease.set(lease.id, machines)
    if (lease.state !== 'closing') unnamed.set(lease.id, unnamedOf(lease, config, now))
  }
  const machines = [...byLease.values()].flat()
  const counts: Record<Standing, number> = { serving: 0, coming: 0, spare: 0, blocked: 0, gone: 0 }
  let joined = 0
  let silent = 0
  for (const machine of machines) {
    counts[machine.standing] += 1
    if (machine.unit.state === 'joined') joined += 1
    if (isBrieflySilent(machine, picture, memory, config)) silent += 1
  }
  const unnamedCount = [...unnamed.values()].reduce((sum, count) => sum + count, 0)
  return {
    machines,
    byLease,
    unnamed,
    ...binsOf(machines, unnamed, view.leases, picture, jobs, config),
    running,
    ownNodes,
    serving: counts.serving,
    spare: counts.spare,
    coming: counts.coming + unnamedCount,
    silent,
    joined,
    total: view.leases.reduce((sum, lease) => sum + countedOf(lease, unnamed), 0),
    totals: view.leases.reduce(
      (sums, lease) => sums.set(lease.type, (sums.get(lease.type) ?? 0) + countedOf(lease, unnamed)),
      new Map<string, number>(),
    ),
  }
}

/** A unit that left is still paid for until its lease ends or is extended without it; a lost one is not. */
const countedOf = (lease: HeldLease, unnamed: ReadonlyMap<string, number>): number =>
  Math.max(lease.units, lease.held.length + (unnamed.get(lease.id) ?? 0)) -
  lease.held.filter(({ state }) => state === 'lost').length

/** A machine that is ordered now would hardly be up sooner. */
export const SOON_MS: Millis = 60_000

/**
 * Promised and not there. A machine that served and died is repaired by its site, soon or not at all. What is reserved for
 * later, as by hand, serves nobody who waits now; what may begin later serves those it was asked for.
 */
function unnamedOf(lease: HeldLease, config: GrocConfig, now: Instant): number {
  const begin = beginOf(lease)
  if (begin !== undefined && begin > now + SOON_MS && !isDeferred(lease)) return 0
  const repairs = lease.held.filter(
    ({ state, joinedAt, since }) => state === 'lost' && joinedAt !== undefined && now - since < config.repair,
  ).length
  return Math.max(0, lease.units - lease.held.length + (lease.state === 'active' ? repairs : 0))
}

/** How far wide jobs may go: what may still be ordered, and what there could be at most. */
export const limitsOf = (ground: Survey, config: GrocConfig): Limits => ({
  room: Math.max(0, config.max - ground.total),
  reach: mostUnits(config) + (config.ownNodes === 'count' ? ground.ownNodes.length : 0),
})

/** `max`, unless all types have limits of their own that are lower in all. */
export const mostUnits = ({ max, types }: GrocConfig): number =>
  Math.min(
    max,
    types.reduce((sum, type) => sum + (type.max ?? max), 0),
  )
