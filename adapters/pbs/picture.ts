import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { BatchNode, HeldBy, Job, JobPart } from '../batch-system.ts'
import { bounded } from '../job-bounds.ts'
import { isOurNote } from './marks.ts'
import type { JobRecord, NodeRecord } from './records.ts'
import type { QueueSettings, ServerSettings } from './settings.ts'

/** What records become a picture: pure, and the same for Torque and OpenPBS. */
export interface Frame {
  readonly settings: ServerSettings
  readonly drainTag: string
  /** By the server's clock. */
  readonly now: Instant
}

/** A node whose daemon is silent for this much longer than the server allows is not there. */
const LATE_MS: Millis = 30_000

interface Held {
  readonly heldBy: HeldBy
  readonly reason: string
}

/** What of its queue or of the server keeps a waiting job from starting, whatever machines there were. */
function heldByQueue(job: JobRecord, { scheduling }: ServerSettings, queue: QueueSettings): Held | undefined {
  if (!scheduling) return { heldBy: 'queue', reason: 'the server has scheduling = False' }
  if (queue.isRoute) return { heldBy: 'queue', reason: `${job.queue} is a routing queue` }
  return queue.isStarted ? undefined : { heldBy: 'queue', reason: `the queue ${job.queue} is stopped` }
}

/**
 * Counts those that run, then lets waiting ones pass in the order of the list until a limit is reached:
 * max_running and max_user_run, of the queue and of the server.
 */
function turnstile(
  records: readonly JobRecord[],
  settings: ServerSettings,
): (job: JobRecord) => Held | undefined {
  const taken = new Map<string, number>()
  const countersOf = ({ queue, user }: JobRecord): readonly (readonly [string, number])[] => {
    const own = settings.queues.get(queue)
    return [
      [`server`, settings.runMax],
      [`server user ${user}`, settings.userRunMax],
      [`queue ${queue}`, own?.runMax ?? Number.POSITIVE_INFINITY],
      [`queue ${queue} user ${user}`, own?.userRunMax ?? Number.POSITIVE_INFINITY],
    ]
  }
  const count = (job: JobRecord): void => {
    for (const [key] of countersOf(job)) taken.set(key, (taken.get(key) ?? 0) + 1)
  }
  for (const job of records)
    if (job.verdict.state === 'running' || job.verdict.state === 'completing') count(job)
  return (job) => {
    const full = countersOf(job).find(([key, most]) => (taken.get(key) ?? 0) >= most)
    if (full !== undefined) return { heldBy: 'limit', reason: `at most ${full[1]} may run: ${full[0]}` }
    count(job)
    return undefined
  }
}

export function jobsOf(
  records: readonly JobRecord[],
  { settings }: Frame,
): { jobs: readonly Job[]; warnings: readonly string[] } {
  const warnings = new Set<string>()
  const pass = turnstile(records, settings)
  const jobs = records.map((record): Job => {
    const { verdict, demand } = record
    const queue = settings.queues.get(record.queue)
    if (verdict.unknown !== undefined)
      warnings.add(
        `Job ${record.id} has ${verdict.unknown}, which is not known; it counts as ${verdict.state}`,
      )
    const held =
      verdict.state === 'pending' && queue !== undefined
        ? (heldByQueue(record, settings, queue) ?? pass(record))
        : undefined
    const state = held === undefined ? verdict.state : 'held'
    const heldBy = held?.heldBy ?? verdict.heldBy
    const hasStarted = state === 'running' || state === 'completing' || state === 'ended'
    return bounded({
      id: record.id,
      state,
      vendorReason: held?.reason ?? record.reason,
      ...(state === 'held' && { heldBy: heldBy ?? 'unknown' }),
      ...(state === 'held' && record.notBefore !== undefined && { notBefore: record.notBefore }),
      user: record.user,
      ...(record.account !== '' && { account: record.account }),
      queue: record.queue,
      nodes: demand.nodes,
      cpusPerNode: demand.cpusPerNode,
      memoryMiBPerNode: demand.memoryMiBPerNode || (queue?.defaultMemoryMiB ?? 0),
      ...(Object.keys(demand.consumablesPerNode).length > 0 && {
        consumablesPerNode: demand.consumablesPerNode,
      }),
      ...(demand.features.length > 0 && { features: demand.features }),
      ...(demand.exclusive && { exclusive: true }),
      ...(demand.parts !== undefined && { parts: demand.parts.map((part) => withDefault(part, queue)) }),
      walltimeMs: record.walltimeMs ?? queue?.defaultWalltimeMs ?? settings.defaultWalltimeMs,
      submittedAt: record.submittedAt,
      startedAt: hasStarted ? record.startedAt : undefined,
      endedAt: state === 'ended' ? record.endedAt : undefined,
      nodeNames: hasStarted ? record.hosts : [],
      requeueable: record.rerunable,
      restarts: Math.max(0, record.starts - 1),
      ...(heldBy === 'system' && { launchFailed: record.starts > 0 }),
      tasks: 1,
    })
  })
  return { jobs, warnings: [...warnings] }
}

/** What its queue gives a job that names no memory. */
const withDefault = (part: JobPart, queue: QueueSettings | undefined): JobPart =>
  part.memoryMiBPerNode > 0 || queue === undefined || queue.defaultMemoryMiB === 0
    ? part
    : { ...part, memoryMiBPerNode: queue.defaultMemoryMiB }

/** It reported within what the server allows; a dead one keeps its old state for minutes. */
export const isHeard = ({ heardAt, fitness }: NodeRecord, { settings, now }: Frame): boolean =>
  fitness !== 'silent' && (heardAt === undefined || now - heardAt <= settings.nodeCheckMs + LATE_MS)

export const drainOf = (record: NodeRecord, tag: string): BatchNode['drained'] => {
  if (!record.isOffline) return 'no'
  // A node without our mark cannot carry a drain of ours, whatever its note says.
  const isOurs = record.mark !== undefined && isOurNote(tag, record.note)
  return isOurs ? 'ours' : 'theirs'
}

export function nodesOf(
  records: readonly NodeRecord[],
  jobs: readonly Job[],
  frame: Frame,
): { nodes: readonly BatchNode[]; warnings: readonly string[] } {
  const jobsByNode = new Map<string, Set<string>>()
  for (const { id, state, nodeNames } of jobs)
    if (state === 'running' || state === 'completing')
      for (const name of nodeNames) jobsByNode.set(name, (jobsByNode.get(name) ?? new Set()).add(id))

  const warnings: string[] = []
  const nodes = records.map((record): BatchNode => {
    for (const word of record.unknown)
      warnings.push(
        `Node ${record.name} has the state ${word}, which is not known; it counts as not accepting`,
      )
    // The node's own list and the jobs' are two looks: a job in either keeps the node from being empty.
    const on = [...new Set([...record.jobs, ...(jobsByNode.get(record.name) ?? [])])]
    const responding = isHeard(record, frame)
    return {
      name: record.name,
      mark: record.isKept
        ? undefined
        : record.mark && { leaseId: record.mark.leaseId, unitId: record.mark.unitId },
      vendorState: record.states.join(','),
      responding,
      accepting: responding && record.fitness === 'works' && !record.isOffline,
      empty: on.length === 0 && record.cpusInUse === 0,
      collectingFor: undefined,
      drained: drainOf(record, frame.drainTag),
      drainReason: record.note,
      cpus: record.cpus,
      cpusInUse: record.cpusInUse,
      memoryMiB: record.memoryMiB,
      ...(Object.keys(record.consumables).length > 0 && { consumables: record.consumables }),
      ...(record.features.length > 0 && { features: record.features }),
      ...(record.reservedFor !== undefined && { reservedFor: record.reservedFor }),
      jobs: on,
    }
  })
  return { nodes, warnings }
}
