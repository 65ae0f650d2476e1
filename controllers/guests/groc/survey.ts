import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestView, HeldLease, HeldUnit } from '../../controller.ts'
import { hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { UnitRoom } from './demand.ts'
import type { DrainCause, GrocMemory } from './memory.ts'
import type { Bin, Limits } from './packing.ts'

/**
 * What each held unit is good for, from its state and from a look that is young enough to speak of it.
 *
 *   serving   takes jobs
 *   coming    ordered, booting, joining; or changed so recently that no look can tell yet
 *   spare     drained by us for being idle; one resume away from serving
 *   blocked   takes no new work, and resuming it would not cure that (`why`)
 *   gone      leaving, left or lost
 */
export type Standing = 'serving' | 'coming' | 'spare' | 'blocked' | 'gone'

export interface Machine {
  readonly unit: HeldUnit
  readonly lease: HeldLease
  readonly standing: Standing
  /** Why it is blocked; empty otherwise. */
  readonly why: string
  /** Blocked for a reason of ours, so that it is to be drained; undefined if blocked by others. */
  readonly drainAs: DrainCause | undefined
  /** Its node, if a look that began late enough shows it. */
  readonly node: BatchNode | undefined
  /** Such a look was made, whether or not it shows the node. */
  readonly seen: boolean
  /** Seen without work, and nobody collects it. */
  readonly empty: boolean
  /** Neither its site nor the batch system can reach it: what runs there, if anything does, nobody will hear of. */
  readonly unreachable: boolean
}

export interface Survey {
  readonly machines: readonly Machine[]
  readonly byLease: ReadonlyMap<string, readonly Machine[]>
  /** Units that leases promise and that the site has not named yet, by lease. */
  readonly unnamed: ReadonlyMap<string, number>
  /** Room for jobs, preferred first. */
  readonly bins: readonly Bin[]
  /** Room of one more unit: as configured, or as its nodes really turn out. */
  readonly unit: UnitRoom
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
  /** Units held or asked for that count against `max`. */
  readonly total: number
}

export function survey(
  view: GuestView<BatchPicture>,
  picture: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Survey {
  const running = new Map<string, Job>()
  const memoryInUse = new Map<string, number>()
  for (const job of picture.jobs) {
    if (job.state !== 'running' && job.state !== 'completing') continue
    running.set(job.id, job)
    for (const node of job.nodeNames)
      memoryInUse.set(node, (memoryInUse.get(node) ?? 0) + job.memoryMiBPerNode * job.tasks)
  }
  const nodeOfUnit = new Map<string, BatchNode>()
  for (const node of picture.nodes) if (node.mark !== undefined) nodeOfUnit.set(node.mark.unitId, node)
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
  const ours = machines.flatMap(({ node }) => (node?.responding === true && node.cpus > 0 ? [node] : []))
  const unit = {
    cpus: atMost(
      config.unit.cpus,
      ours.map(({ cpus }) => cpus),
    ),
    memoryMiB: atMost(
      config.unit.memoryMiB,
      ours.map(({ memoryMiB }) => memoryMiB),
    ),
  }

  const room = (node: BatchNode): UnitRoom => ({
    cpus: Math.max(0, node.cpus - node.cpusInUse),
    memoryMiB: Math.max(0, node.memoryMiB - (memoryInUse.get(node.name) ?? 0)),
  })
  const pendingSmall = collectedBySmall(picture)
  const kindOf = (node: BatchNode): 'collecting' | 'serving' =>
    node.collectingFor === undefined || pendingSmall.has(node.collectingFor) ? 'serving' : 'collecting'
  const bins: Bin[] = []
  if (config.ownNodes === 'count')
    for (const node of ownNodes)
      if (node.responding && node.accepting && node.drained === 'no')
        bins.push({ id: `node:${node.name}`, kind: kindOf(node), ...room(node) })
  for (const machine of inOrderOfUse(machines, byLease)) {
    const { node, standing } = machine
    if (standing === 'coming') bins.push({ id: machine.unit.id, kind: 'coming', ...unit })
    else if (standing === 'spare')
      bins.push({ id: machine.unit.id, kind: 'spare', ...(node === undefined ? unit : room(node)) })
    else if (standing === 'serving' && node !== undefined)
      bins.push({ id: machine.unit.id, kind: kindOf(node), ...room(node) })
  }
  for (const [leaseId, count] of unnamed)
    for (let i = 1; i <= count; i += 1) bins.push({ id: `${leaseId}#${i}`, kind: 'coming', ...unit })

  const standing = (wanted: Standing): number =>
    machines.filter((machine) => machine.standing === wanted).length
  const unnamedCount = [...unnamed.values()].reduce((sum, count) => sum + count, 0)
  return {
    machines,
    byLease,
    unnamed,
    bins,
    unit,
    running,
    ownNodes,
    serving: standing('serving'),
    spare: standing('spare'),
    coming: standing('coming') + unnamedCount,
    silent: machines.filter((machine) => isBrieflySilent(machine, picture, memory, config)).length,
    joined: machines.filter((machine) => machine.unit.state === 'joined').length,
    // A unit that left is still paid for until its lease ends or is extended without it; a lost one is not.
    total: view.leases.reduce(
      (sum, lease) =>
        sum +
        Math.max(lease.units, lease.held.length + (unnamed.get(lease.id) ?? 0)) -
        lease.held.filter(({ state }) => state === 'lost').length,
      0,
    ),
  }
}

/** A machine that is ordered now would hardly be up sooner. */
export const SOON_MS: Millis = 60_000

/**
 * Promised and not there. A machine that served and died is repaired by its site, soon or not at all. What is reserved for
 * later, as by hand, serves nobody who waits now.
 */
function unnamedOf(lease: HeldLease, config: GrocConfig, now: Instant): number {
  if (lease.term !== undefined && lease.term.start > now + SOON_MS) return 0
  const repairs = lease.held.filter(
    ({ state, joinedAt, since }) => state === 'lost' && joinedAt !== undefined && now - since < config.repair,
  ).length
  return Math.max(0, lease.units - lease.held.length + (lease.state === 'active' ? repairs : 0))
}

/** How far wide jobs may go: what may still be ordered, and what there could be at most. */
export const limitsOf = (ground: Survey, config: GrocConfig): Limits => ({
  room: Math.max(0, config.max - ground.total),
  reach: config.max + (config.ownNodes === 'count' ? ground.ownNodes.length : 0),
})

/** Too late for another term: none was asked for in time, or it was refused. */
export function lapses(lease: HeldLease, now: Instant): string | undefined {
  if (lease.term === undefined) return undefined
  if (lease.extendRefused !== undefined)
    return `lease ${lease.id} ends at ${hour(lease.term.end)} and its extension was refused (${lease.extendRefused.reason})`
  if (!lease.extending && lease.extendBy !== undefined && now > lease.extendBy)
    return `lease ${lease.id} ends at ${hour(lease.term.end)} and it is too late to extend it`
  return undefined
}

function machineOf(
  unit: HeldUnit,
  lease: HeldLease,
  known: BatchNode | undefined,
  picture: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Machine {
  const seen = picture.startedAt >= unit.since + config.settle
  const node = seen ? known : undefined
  const empty = node?.empty === true && node.jobs.length === 0 && node.collectingFor === undefined
  const silentMs =
    node?.responding === false
      ? picture.startedAt - (own(memory.missingSince, unit.id) ?? picture.startedAt)
      : 0
  const unreachable = unit.suspect !== undefined && silentMs >= config.missing
  const as = (standing: Standing, why = '', drainAs?: DrainCause): Machine => ({
    unit,
    lease,
    standing,
    why,
    drainAs,
    node,
    seen,
    empty,
    unreachable,
  })

  if (unit.state === 'leaving' || unit.state === 'left' || unit.state === 'lost') return as('gone')
  if (lease.state === 'closing') return as('blocked', `lease ${lease.id} is closing`)
  if (node?.drained === 'theirs')
    return as(
      'blocked',
      `an administrator drained ${node.name}${node.drainReason === '' ? '' : ` (“${node.drainReason}”)`}`,
    )
  if (unreachable)
    return as(
      'blocked',
      `its site doubts ${unit.name} (${unit.suspect}), and the batch system has not heard of it for ${span(silentMs)}; lease ${lease.id} is not extended for it`,
      'unfit',
    )
  const unfit = unfitness(unit, lease, memory, now)
  if (unfit !== undefined) return as('blocked', unfit.why, unfit.cause)
  if (unit.state === 'awaited' || unit.state === 'joining') return as('coming')
  if (!seen) return as(unit.state === 'joined' ? 'coming' : 'spare')
  if (node === undefined) return as('blocked', `node ${unit.name} is not known to the batch system`)
  if (!node.responding) return as('blocked', `node ${node.name} does not answer (${node.vendorState})`)
  if (unit.state === 'draining' || node.drained === 'ours') return as('spare')
  if (!node.accepting)
    return as('blocked', `the batch system starts nothing on ${node.name} (${node.vendorState})`)
  return as('serving')
}

/** A batch system that was restarted shows every node so until it has answered again. */
const isBrieflySilent = (
  { unit, standing, node, drainAs }: Machine,
  { startedAt }: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
): boolean =>
  standing === 'blocked' &&
  drainAs === undefined &&
  node?.responding === false &&
  node.drained === 'no' &&
  startedAt - (own(memory.missingSince, unit.id) ?? startedAt) < config.missing

/** What keeps a unit from new work and lies in the unit, or in a promise made about it. */
function unfitness(
  unit: HeldUnit,
  lease: HeldLease,
  memory: GrocMemory,
  now: Instant,
): { readonly why: string; readonly cause: DrainCause } | undefined {
  if (unit.suspect !== undefined)
    return { why: `its site doubts ${unit.name} (${unit.suspect})`, cause: 'unfit' }
  if (own(memory.blackHoles, unit.id) !== undefined)
    return {
      why: `jobs in a row ended on ${unit.name} right after their start, while jobs elsewhere work`,
      cause: 'unfit',
    }
  // Until its lease ends there is no need to go.
  if (unit.leaveBy !== undefined && unit.leaveBy < (lease.term?.end ?? 0))
    return {
      why: `the host of ${unit.name} is to be worked on, and its site wants it empty by ${hour(unit.leaveBy)}`,
      cause: 'maintenance',
    }
  const cause = own(memory.drains, unit.id)
  if (cause === 'victim')
    return { why: `${unit.name} is given back when lease ${lease.id} is extended`, cause }
  if (cause === 'recall' && lease.recall !== undefined)
    return { why: `${unit.name} is recalled by its site until ${hour(lease.recall.by)}`, cause }
  const why = lapses(lease, now)
  if (why !== undefined) return { why, cause: 'lapse' }
  // Asked once more after a refusal: nothing has changed yet, so a node drained for it stays drained.
  if (cause === 'lapse' && lease.extending)
    return { why: `lease ${lease.id} ends unless its extension is granted after all`, cause }
  return undefined
}

/** Leases with work first and later ends first, so that work gathers and whole leases fall idle. */
function inOrderOfUse(
  machines: readonly Machine[],
  byLease: ReadonlyMap<string, readonly Machine[]>,
): readonly Machine[] {
  const busy = new Set<string>()
  for (const [leaseId, ofLease] of byLease)
    if (ofLease.some(({ node }) => node !== undefined && !node.empty)) busy.add(leaseId)
  return machines.toSorted(
    (a, b) =>
      Number(busy.has(b.lease.id)) - Number(busy.has(a.lease.id)) ||
      (b.lease.term?.end ?? 0) - (a.lease.term?.end ?? 0) ||
      compare(a.lease.id, b.lease.id) ||
      compare(a.unit.id, b.unit.id),
  )
}

export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Nodes may report a little less than their type promises; orders must go by what they report. */
const atMost = (promised: number, reported: readonly number[]): number =>
  reported.length === 0
    ? promised
    : Math.min(
        promised,
        reported.reduce((a, b) => Math.max(a, b), 0),
      )

/** Single-node jobs for which the scheduler itself has planned a node. */
function collectedBySmall(picture: BatchPicture): ReadonlySet<string> {
  const collectors = new Set<string>()
  for (const { collectingFor } of picture.nodes)
    if (collectingFor !== undefined) collectors.add(collectingFor)
  const small = new Set<string>()
  if (collectors.size > 0)
    for (const job of picture.jobs)
      if (job.state === 'pending' && job.nodes === 1 && collectors.has(job.id)) small.add(job.id)
  return small
}
