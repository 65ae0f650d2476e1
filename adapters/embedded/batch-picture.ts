import type { Instant } from '../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture, Job, JobState } from '../batch-system.ts'
import { bounded } from '../job-bounds.ts'
import type { BatchCore, NodeNow } from './batch-core.ts'
import type { JobRecord } from './batch-records.ts'

/** Ended jobs stay in the list for a while, as in other batch systems. */
const ENDED_SHOWN_MS = 300_000
const ENDED_SHOWN_MAX = 500

/** What a look at the pool shows. The server is the queue itself, so an empty list is an empty queue. */
export function picture(core: BatchCore, now: Instant): BatchPicture {
  const recent = core.jobs
    .ended()
    .slice(-ENDED_SHOWN_MAX)
    .flatMap((id) => core.jobs.get(id) ?? [])
    .filter((job) => (job.endedAt ?? 0) > now - ENDED_SHOWN_MS)
  const live = [...core.jobs.live()]
  const arrays = Map.groupBy(live.filter(isFreshTask), (job) => `${job.array} ${job.held}`)
  return {
    startedAt: now,
    at: now,
    jobs: [
      ...live.filter((job) => !isFreshTask(job)).map((job) => shown(core, job)),
      ...[...arrays.values()].flatMap((tasks) => shownTogether(core, tasks)),
      ...recent.map((job) => shown(core, job)),
    ],
    nodes: core.nodes().map(shownNode),
    warnings: [],
    trust: 'confirmed',
  }
}

/** A task that never started is one of many alike. */
const isFreshTask = (job: JobRecord): boolean =>
  job.array !== null && job.state === 'pending' && job.attempt === 0

function shownTogether(core: BatchCore, tasks: readonly JobRecord[]): Job[] {
  const [first, last] = [tasks[0], tasks.at(-1)]
  if (first === undefined || last === undefined) return []
  if (tasks.length === 1) return [shown(core, first)]
  const [from, to] = [first, last].map(({ id }) => id.slice(id.indexOf('_') + 1))
  return [{ ...shown(core, first), id: `${first.array}_[${from}-${to}]`, tasks: tasks.length }]
}

function shown(core: BatchCore, job: JobRecord): Job {
  const state: JobState = job.state === 'pending' && !core.jobs.eligible(job) ? 'held' : job.state
  return bounded({
    id: job.id,
    state,
    vendorReason: reason(core, job),
    ...(state === 'held' && { heldBy: job.held ? ('user' as const) : ('dependency' as const) }),
    user: job.user,
    queue: job.queue,
    nodes: job.nodes,
    cpusPerNode: job.cpusPerNode,
    memoryMiBPerNode: job.memoryMiBPerNode,
    walltimeMs: job.walltimeMs ?? undefined,
    submittedAt: job.submittedAt,
    startedAt: job.startedAt ?? undefined,
    endedAt: job.endedAt ?? undefined,
    nodeNames: nodesOf(job),
    requeueable: job.requeueable,
    restarts: job.restarts,
    ...(job.state === 'ended' && job.verdict?.outcome === 'finished' && { succeeded: true }),
    tasks: 1,
  })
}

function nodesOf({ state, parts, startedAt, attempts }: JobRecord): readonly string[] {
  if (state !== 'ended') return parts.filter((part) => part.state !== 'done').map((part) => part.node)
  return startedAt === null ? [] : (attempts.at(-1)?.nodes ?? [])
}

function reason(core: BatchCore, job: JobRecord): string {
  if (job.state !== 'pending') return job.verdict?.reason ?? ''
  if (job.held) return 'JobHeld'
  return core.jobs.dependencyOpen(job) ? 'Dependency' : 'Resources'
}

function shownNode({ record, connected, accepting, collectingFor, parts }: NodeNow): BatchNode {
  const { name, mark, cpus, memoryMiB, drain, expected, registered } = record
  const base = !registered
    ? 'expected'
    : !connected
      ? 'lost'
      : parts.some(({ job }) => job.state === 'running')
        ? 'allocated'
        : parts.length > 0
          ? 'completing'
          : 'idle'
  return {
    name,
    mark: mark ?? undefined,
    vendorState: drain !== null || !expected ? `${base}+drain` : base,
    responding: connected,
    accepting,
    empty: parts.length === 0,
    collectingFor,
    drained: drain?.by ?? (expected ? 'no' : 'ours'),
    drainReason: drain?.reason ?? (expected ? '' : 'not expected yet'),
    cpus,
    cpusInUse: parts.reduce((sum, { job }) => sum + job.cpusPerNode, 0),
    memoryMiB,
    jobs: parts.map(({ job }) => job.id),
  }
}
