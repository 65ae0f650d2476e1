import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { own } from '../../actors/runtime/plain.ts'
import type { BatchNode, HeldBy, Job, JobPart } from '../batch-system.ts'
import { bounded } from '../job-bounds.ts'
import { type Counter, countersOf } from './limits.ts'
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
 * Counts those that run, then lets waiting ones pass in the order of the list until a limit is reached: of the server, of the
 * queue, of the array.
 */
function turnstile(
  records: readonly JobRecord[],
  settings: ServerSettings,
): (job: JobRecord) => Held | undefined {
  const taken = new Map<string, number>()
  const known = new Map<string, readonly Counter[]>()
  const ofOwner = ({ queue, user, group, project }: JobRecord): readonly Counter[] => {
    const key = JSON.stringify([queue, user, group, project])
    let counters = known.get(key)
    if (counters === undefined) {
      const owner = { user, group, project }
      const own = settings.queues.get(queue)?.limits ?? []
      counters = [
        ...countersOf(settings.limits, 'server', owner),
        ...countersOf(own, `queue ${queue}`, owner),
      ]
      known.set(key, counters)
    }
    return counters
  }
  const isLimited =
    settings.limits.length > 0 || [...settings.queues.values()].some((queue) => queue.limits.length > 0)
  const countersFor = (job: JobRecord): readonly Counter[] => {
    const counters = isLimited ? ofOwner(job) : NO_COUNTERS
    if (job.array === undefined) return counters
    return [...counters, { key: `array ${job.array.id}`, most: job.array.runMax, resource: undefined }]
  }
  const keyOf = ({ key, resource }: Counter): string => (resource === undefined ? key : `${resource} ${key}`)
  const takes = (job: JobRecord, { resource }: Counter): number =>
    resource === undefined ? 1 : (own(job.amounts ?? {}, resource) ?? 0)
  const count = (job: JobRecord): void => {
    for (const counter of countersFor(job))
      taken.set(keyOf(counter), (taken.get(keyOf(counter)) ?? 0) + takes(job, counter))
  }
  for (const job of records)
    if (job.verdict.state === 'running' || job.verdict.state === 'completing') count(job)
  return (job) => {
    const full = countersFor(job).find((counter) => {
      const amount = takes(job, counter)
      return amount > 0 && (taken.get(keyOf(counter)) ?? 0) + amount > counter.most
    })
    if (full !== undefined)
      return {
        heldBy: 'limit',
        reason: `at most ${full.most}${full.resource === undefined ? '' : ` ${full.resource}`} may run: ${full.key}`,
      }
    count(job)
    return undefined
  }
}

const NO_COUNTERS: readonly Counter[] = []

export function jobsOf(
  records: readonly JobRecord[],
  { settings, now }: Frame,
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
      ...(state === 'running' && neverBegan(record, now) && { neverBegan: true }),
      ...(state === 'ended' && record.hasSucceeded === true && { succeeded: true }),
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

/** A prologue may take five minutes (prologalarm), and a mom reports within one. */
const BEGIN_MS: Millis = 10 * 60_000

/** The server gave it nodes and no mom has begun it: a sister was not reached, or the mother superior is gone. */
export const neverBegan = ({ verdict, hasProcess, startedAt }: JobRecord, now: Instant): boolean =>
  verdict.state === 'running' && hasProcess === false && startedAt !== undefined && now - startedAt > BEGIN_MS

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
