import type { Vector } from '../../actors/leases/resources.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Steps } from '../batch/slices.ts'
import type { BatchNode, HeldBy, Job, JobState } from '../batch-system.ts'
import { bounded } from '../job-bounds.ts'
import { clausesOf } from './constraint.ts'
import { type Demand, demandOf } from './demand.ts'
import { withHeterogeneous } from './heterogeneous.ts'
import { isOurReason, readMark, withoutMark } from './marks.ts'
import { LAUNCH_FAILED } from './reasons.ts'
import type { JobRecord, NodeRecord } from './records.ts'
import { jobState, nodeFitness } from './states.ts'

/** What records become a picture: pure, the same for every format, and in steps, for there are tens of thousands of them. */
export interface Frame {
  readonly partition: string
  readonly drainTag: string
  readonly cpusOfMachine: number | undefined
  /** The partition's MaxNodes; Infinity if it has none. */
  readonly nodesMaxOfPartition: number
  /** The partition's DefaultTime, for jobs that name no time. */
  readonly defaultWalltimeMs: Millis | undefined
  /** The partition takes jobs. */
  readonly partitionUp: boolean
  /** Which waiting job the scheduler plans to put on which nodes. */
  readonly plans: ReadonlyMap<string, readonly string[]>
  /** By node, what it is reserved for now or soon. */
  readonly reserved: ReadonlyMap<string, string>
  /** Some node of the partition is one of them. */
  readonly partitionReserved: boolean
  /** Names of nodes that carry our mark and have no work. */
  readonly ourIdle: ReadonlySet<string>
  /** By the head's clock. */
  readonly now: Instant
}

export interface Judged {
  readonly record: JobRecord
  readonly state: JobState
  readonly heldBy: HeldBy | undefined
}

/** Slurm rounds to seconds, and its clock is not ours. */
const LATER_MS = 2000

/** The states first, for arrays and nodes depend on other jobs'. */
export function* judgeJobs(
  records: readonly JobRecord[],
  frame: Frame,
): Steps<{ jobs: readonly Judged[]; warnings: readonly string[] }> {
  const warnings = new Set<string>()
  const judged = (record: JobRecord): Judged => {
    const waiting = {
      reason: record.reason,
      nodes: record.nodes,
      nodesMaxOfPartition: frame.nodesMaxOfPartition,
      isReserved: record.reservation !== '',
      othersReserved: frame.partitionReserved,
      later: record.eligibleAt > frame.now + LATER_MS,
    }
    const { state, heldBy, unknown } = jobState(record.state, waiting, record.nodeNames.length > 0)
    if (state === 'pending' && clausesOf(record.constraint) === undefined) {
      warnings.add(
        `Job ${record.id} asks for nodes by “${record.constraint.slice(0, 80)}”, so many of each kind or more than can be read; it counts as held`,
      )
      return { record, state: 'held', heldBy: 'unknown' }
    }
    if (unknown !== undefined)
      warnings.add(`Job ${record.id} has ${unknown}, which is not known; it counts as ${state}`)
    return { record, state, heldBy }
  }
  const jobs: Judged[] = []
  for (const record of records) {
    jobs.push(judged(record))
    yield
  }
  return { jobs, warnings: [...warnings] }
}

/** How many tasks of a waiting array could start now: all that are left, or what its limit leaves. */
function tasksOf({ record, state }: Judged, runningByArray: ReadonlyMap<string, number>): number {
  const left = record.arrayTasks
  if (left === 0) return 1
  if (record.arrayLimit === 0 || state !== 'pending') return left
  return Math.max(0, Math.min(left, record.arrayLimit - (runningByArray.get(record.arrayId) ?? 0)))
}

export function* jobsOf(judged: readonly Judged[], frame: Frame): Steps<readonly Job[]> {
  const runningByArray = new Map<string, number>()
  for (const { record, state } of judged)
    if (record.arrayId !== '' && (state === 'running' || state === 'completing'))
      runningByArray.set(record.arrayId, (runningByArray.get(record.arrayId) ?? 0) + 1)

  const jobOf = (each: Judged): Job => {
    const { record } = each
    const tasks = tasksOf(each, runningByArray)
    const atItsLimit = each.state === 'pending' && tasks === 0
    const state = atItsLimit ? 'held' : each.state
    const heldBy = atItsLimit ? 'limit' : each.heldBy
    const hasStarted =
      state === 'running' || state === 'completing' || (state === 'ended' && record.nodeNames.length > 0)
    const isWaiting = state === 'pending' || state === 'held'
    const demand = demandOf(record, isWaiting ? frame.cpusOfMachine : undefined, frame.ourIdle)
    return bounded({
      id: record.id,
      state,
      vendorReason: vendorReason(record, each.state, atItsLimit, frame.now),
      ...(heldBy !== undefined && { heldBy }),
      ...(heldBy === 'start-time' && record.eligibleAt > frame.now && { notBefore: record.eligibleAt }),
      user: record.user,
      ...(record.account !== '' && { account: record.account }),
      queue: record.partitions.includes(frame.partition) ? frame.partition : record.partitions.join(','),
      ...asked(demand),
      walltimeMs: record.walltimeMs ?? (state === 'pending' ? frame.defaultWalltimeMs : undefined),
      submittedAt: record.submittedAt,
      startedAt: hasStarted ? record.startsAt : undefined,
      endedAt: state === 'ended' || state === 'completing' ? record.endsAt : undefined,
      nodeNames: hasStarted ? record.nodeNames : [],
      requeueable: record.requeueable,
      restarts: record.restarts,
      launchFailed: state === 'held' && record.reason === LAUNCH_FAILED,
      ...(state === 'ended' && record.state === 'COMPLETED' && { succeeded: true }),
      tasks: Math.max(1, tasks),
    })
  }
  const jobs: Job[] = []
  for (const each of judged) {
    jobs.push(jobOf(each))
    yield
  }
  return withHeterogeneous(jobs)
}

/** What most jobs do not ask for is left out. */
function asked({
  consumablesPerNode,
  features,
  exclusive,
  ...size
}: Demand): Omit<Demand, 'consumablesPerNode' | 'features' | 'exclusive'> & Partial<Demand> {
  return {
    ...size,
    ...(Object.keys(consumablesPerNode).length > 0 && { consumablesPerNode }),
    ...(features.length > 0 && { features }),
    ...(exclusive && { exclusive }),
  }
}

function vendorReason(record: JobRecord, state: JobState, atItsLimit: boolean, now: Instant): string {
  if (atItsLimit) return 'JobArrayTaskLimit'
  const said = record.reason === 'None' ? '' : record.reason
  // How it ended: nothing else tells one that failed from one that was cancelled.
  if (state === 'ended') return record.state
  return said === '' && state === 'held' && record.eligibleAt > now ? 'BeginTime' : said
}

export function* nodesOf(
  records: readonly NodeRecord[],
  judged: readonly Judged[],
  frame: Frame,
): Steps<{ nodes: readonly BatchNode[]; warnings: readonly string[] }> {
  const jobsByNode = new Map<string, string[]>()
  for (const { record, state } of judged) {
    if (state !== 'running' && state !== 'completing') continue
    for (const name of record.nodeNames) {
      const known = jobsByNode.get(name)
      if (known === undefined) jobsByNode.set(name, [record.id])
      else known.push(record.id)
    }
    yield
  }
  const collecting = collectors(judged, frame)

  const warnings: string[] = []
  const nodeOf = (record: NodeRecord): BatchNode => {
    const { fitness, unknown } = nodeFitness(record.states)
    for (const state of unknown)
      warnings.push(
        `Node ${record.name} has the state ${state}, which is not known; it counts as not accepting`,
      )
    const jobs = jobsByNode.get(record.name) ?? []
    const mark = readMark(record.features, record.comment)
    const reservedFor = reservationOf(record, frame.reserved)
    const isInPartition = record.partitions.includes(frame.partition)
    return {
      name: record.name,
      mark,
      vendorState: record.states.join('+'),
      responding: fitness !== 'silent',
      // A node of another partition takes none of the jobs that are served here.
      accepting: fitness === 'works' && isInPartition && frame.partitionUp,
      empty: jobs.length === 0 && record.cpusInUse === 0 && !isBusyState(record.states),
      collectingFor: collecting(record),
      drained: !record.states.includes('drain') ? 'no' : isOurs(record, frame.drainTag) ? 'ours' : 'theirs',
      drainReason: record.reason,
      cpus: record.cpus,
      cpusInUse: record.cpusInUse,
      memoryMiB: record.memoryMiB,
      memoryMiBInUse: record.memoryMiBInUse,
      consumables: record.gres,
      consumablesInUse: ofItsOwn(record),
      features: withoutMark(record.features),
      ...(reservedFor !== undefined && { reservedFor }),
      jobs,
    }
  }
  const nodes: BatchNode[] = []
  for (const record of records) {
    nodes.push(nodeOf(record))
    yield
  }
  return { nodes, warnings }
}

/** One that has just begun is seen by its flag alone, until reservations are asked for again. */
export const reservationOf = (
  { name, states }: NodeRecord,
  reserved: Frame['reserved'],
): string | undefined =>
  reserved.get(name) ??
  (['reserved', 'maint', 'maintenance'].some((flag) => states.includes(flag)) ? 'a reservation' : undefined)

/** Slurm names of every kind that the cluster knows how much is taken, also on nodes that have none. */
const ofItsOwn = ({ gres, gresInUse }: NodeRecord): Vector =>
  Object.fromEntries(Object.entries(gresInUse).filter(([name]) => gres[name] !== undefined))

export const isOurIdle = (record: NodeRecord): boolean =>
  readMark(record.features, record.comment) !== undefined &&
  record.cpusInUse === 0 &&
  !isBusyState(record.states)

export const isBusyState = (states: readonly string[]): boolean =>
  ['allocated', 'mixed', 'completing'].some((busy) => states.includes(busy))

/** A node without our mark cannot carry a drain of ours, whatever its reason says. */
const isOurs = (record: NodeRecord, tag: string): boolean =>
  readMark(record.features, record.comment) !== undefined && isOurReason(tag, record.reason)

/**
 * Which waiting job collects a node: a wide one that the scheduler plans to put there; a narrow one only
 * if the node is kept free for it. The flag `planned` outlives its job for a scheduling cycle, so that it
 * means nothing when no job waits.
 */
function collectors(judged: readonly Judged[], { plans }: Frame): (node: NodeRecord) => string | undefined {
  const byNode = new Map<string, { id: string; isWide: boolean }>()
  const waiting = judged.filter(({ state }) => state === 'pending')
  for (const { record } of waiting)
    for (const name of plans.get(record.id) ?? [])
      if (!byNode.has(name)) byNode.set(name, { id: record.id, isWide: record.nodes > 1 })
  const firstWide = waiting.find(({ record }) => record.nodes > 1)?.record.id
  return (node) => {
    const planned = node.states.includes('planned')
    const plan = byNode.get(node.name)
    if (plan !== undefined && (plan.isWide || planned)) return plan.id
    return planned ? firstWide : undefined
  }
}
