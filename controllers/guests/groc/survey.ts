import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import { type Bins, binsOf } from './bins.ts'
import type { GrocConfig } from './config.ts'
import { type Crew, crewOf } from './crew.ts'
import { beginOf, isDeferred } from './later.ts'
import { isBrieflySilent } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import { isReplaced, isRestoring, stillToCome } from './outage.ts'
import type { Limits } from './packing.ts'
import type { QueueRoom } from './queues.ts'
import type { Roll } from './roll.ts'
import { nodesOf, type Tally } from './tally.ts'

/** All units together: who is good for what, and where there is room. */
export interface Survey extends Bins {
  /** By lease, in the order of the view. */
  readonly crews: readonly Crew[]
  /** Units that leases promise and that the site has not named yet, by lease. */
  readonly unnamed: ReadonlyMap<string, number>
  /** Running and completing jobs by id. */
  readonly running: ReadonlyMap<string, Job>
  readonly ownNodes: readonly BatchNode[]
  readonly serving: number
  readonly spare: number
  readonly blocked: number
  /** Coming machines and unnamed units. */
  readonly coming: number
  /** Nodes that do not answer, but not yet for `missing`: no room for jobs, and no reason to order others for `min`. */
  readonly silent: number
  readonly joined: number
  /** Units held or asked for that count against `max`, in all and by type. */
  readonly total: number
  readonly totals: ReadonlyMap<string, number>
  /** Some machines go by a time, whatever is asked for. */
  readonly ends: boolean
}

export function survey(
  rolls: readonly Roll[],
  picture: BatchPicture,
  jobs: Tally,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Survey {
  const crews = rolls.map((roll) => crewOf(roll, picture, memory, config, now))
  const unnamed = new Map<string, number>()
  const totals = new Map<string, number>()
  let [serving, coming, spare, blocked] = [0, 0, 0, 0]
  let [joined, silent, total, ends] = [0, 0, 0, false]
  for (const crew of crews) {
    const { lease, roll, machines } = crew
    serving += crew.counts.serving
    coming += crew.counts.coming
    spare += crew.counts.spare
    blocked += crew.counts.blocked
    joined += crew.joined
    if (crew.ending.length > 0) ends = true
    if (crew.counts.blocked > 0)
      for (const machine of machines) if (isBrieflySilent(machine, picture, memory, config)) silent += 1
    const promised = lease.state === 'closing' ? 0 : unnamedOf(roll, config, now)
    if (lease.state !== 'closing') unnamed.set(lease.id, promised)
    coming += promised
    // A unit that left is still paid for until its lease ends or is extended without it; a lost one is not.
    const replaced = isRestoring(lease, now, config) ? lease.held.filter(isReplaced).length : roll.lost
    const counted = Math.max(lease.units, lease.held.length + promised) - replaced
    total += counted
    totals.set(lease.type, (totals.get(lease.type) ?? 0) + counted)
  }
  return {
    crews,
    unnamed,
    ...binsOf(crews, unnamed, picture, jobs, config),
    running: runningIn(jobs.running),
    ownNodes: nodesOf(picture.nodes).own,
    ...{ serving, coming, spare, blocked, silent, joined, total, totals, ends },
  }
}

/** By list, which is that of the look before while the same jobs run. */
const byId = new WeakMap<readonly Job[], ReadonlyMap<string, Job>>()

function runningIn(jobs: readonly Job[]): ReadonlyMap<string, Job> {
  let running = byId.get(jobs)
  if (running === undefined) {
    running = new Map(jobs.map((job) => [job.id, job]))
    byId.set(jobs, running)
  }
  return running
}

/** A machine that is ordered now would hardly be up sooner. */
export const SOON_MS: Millis = 60_000

/**
 * Promised and not there. A machine that served and died is repaired by its site, soon or not at all. What is reserved for
 * later, as by hand, serves nobody who waits now; what may begin later serves those it was asked for.
 */
function unnamedOf({ lease, lost }: Roll, config: GrocConfig, now: Instant): number {
  const begin = beginOf(lease)
  if (begin !== undefined && begin > now + SOON_MS && !isDeferred(lease)) return 0
  if (isRestoring(lease, now, config)) return stillToCome(lease)
  if (lost === 0) return Math.max(0, lease.units - lease.held.length)
  const repairs = lease.held.filter(
    ({ state, joinedAt, since }) => state === 'lost' && joinedAt !== undefined && now - since < config.repair,
  ).length
  return Math.max(0, lease.units - lease.held.length + (lease.state === 'active' ? repairs : 0))
}

/** How far wide jobs may go: what may still be ordered, and what there could be at most. */
export const limitsOf = (
  ground: Survey,
  config: GrocConfig,
  queues?: ReadonlyMap<string, QueueRoom>,
): Limits => ({
  queues,
  room: Math.max(0, config.max - ground.total),
  collects: config.collect === 'keep',
  reach: mostUnits(config) + (config.ownNodes === 'count' ? ground.ownNodes.length : 0),
})

/** `max`, unless all types have limits of their own that are lower in all. */
export const mostUnits = ({ max, types }: GrocConfig): number =>
  Math.min(
    max,
    types.reduce((sum, type) => sum + (type.max ?? max), 0),
  )
