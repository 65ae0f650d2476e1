import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { CPUS_MAX, MEMORY_MIB_MAX, NODES_MAX } from '../job-bounds.ts'
import type { JobOrder, JobRecord, PartRecord, PartReport, Verdict } from './batch-records.ts'

/** The jobs of the embedded batch system: the drawing is in batch-records.ts. */

const JOBS_WAITING_MAX = 20_000
const JOBS_ENDED_KEPT = 10_000
const ATTEMPTS_KEPT = 50

/** A part that is not done, and its job. */
export interface OpenPart {
  readonly job: JobRecord
  readonly part: PartRecord
}

export type BatchJobs = ReturnType<typeof batchJobs>

export function batchJobs(deps: {
  readonly records: readonly JobRecord[]
  /** The number the next job gets. */
  readonly next: number
  readonly clock: Clock
  readonly changed: (id: string) => void
  /** Tells the machine of a part to begin it. */
  readonly tellStart: (job: JobRecord, part: PartRecord) => void
  /** Tells the machine of a part to end it. */
  readonly tellEnd: (job: JobRecord, part: PartRecord) => void
}) {
  const { records, clock, changed } = deps
  const jobs = new Map(records.map((job) => [job.id, job]))
  /** Not ended, in the order of the queue. */
  const live = new Set(records.filter((job) => job.state !== 'ended'))
  /** Running or completing: the only ones that have parts. */
  const active = new Set(records.filter((job) => job.parts.length > 0 && job.state !== 'ended'))
  const ended = records
    .filter((job) => job.state === 'ended')
    .sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0))
    .map((job) => job.id)
  let next = deps.next

  const dependencyOpen = (job: JobRecord): boolean => {
    const first = job.after === null ? undefined : jobs.get(job.after)
    return first !== undefined && first.state !== 'ended'
  }
  const eligible = (job: JobRecord): boolean => job.state === 'pending' && !job.held && !dependencyOpen(job)
  /** Could start now, in the order of the queue. */
  const waiting = (): JobRecord[] => [...live].filter(eligible)

  /** Parts that are not done. */
  const partsOn = (name: string): OpenPart[] =>
    [...active].flatMap((job) =>
      job.parts.filter((part) => part.node === name && part.state !== 'done').map((part) => ({ job, part })),
    )

  const openPart = (node: string, said: PartReport): OpenPart | undefined =>
    partsOn(node).find(({ job }) => job.id === said.jobId && job.attempt === said.attempt)

  function start(id: string, names: readonly string[]): void {
    const job = jobs.get(id)
    if (job === undefined) return
    job.state = 'running'
    job.attempt += 1
    job.startedAt = clock.now()
    job.parts = names.map((node) => ({ node, state: 'assigned' }))
    active.add(job)
    changed(job.id)
    for (const part of job.parts) deps.tellStart(job, part)
  }

  /** The command is over or to be ended: what runs is killed, what was kept is released. */
  function conclude(job: JobRecord, verdict: Verdict): void {
    // A user who cancels a job that is being requeued wants it gone.
    if (job.verdict === null || (job.verdict.outcome === 'requeued' && verdict.outcome === 'cancelled'))
      job.verdict = verdict
    job.state = 'completing'
    changed(job.id)
    for (const part of job.parts) endPart(job, part)
    finishIfDone(job)
  }

  function endPart(job: JobRecord, part: PartRecord): void {
    if (part.state === 'assigned' || part.state === 'running') deps.tellEnd(job, part)
  }

  function finishIfDone(job: JobRecord): void {
    const { verdict } = job
    if (verdict === null || job.parts.some(({ state }) => state !== 'done')) return
    active.delete(job)
    const { outcome, reason, exitCode, neverRan } = verdict
    job.attempts = [
      ...job.attempts.slice(1 - ATTEMPTS_KEPT),
      {
        attempt: job.attempt,
        startedAt: job.startedAt ?? clock.now(),
        endedAt: clock.now(),
        nodes: job.parts.map(({ node }) => node),
        outcome,
        reason,
        exitCode,
      },
    ]
    if (outcome === 'requeued') {
      job.state = 'pending'
      job.startedAt = null
      job.parts = []
      job.verdict = null
      if (!neverRan) job.restarts += 1
    } else end(job)
    changed(job.id)
  }

  function end(job: JobRecord): void {
    job.state = 'ended'
    job.endedAt = clock.now()
    live.delete(job)
    ended.push(job.id)
    changed(job.id)
    const oldest = ended.length > JOBS_ENDED_KEPT ? ended.shift() : undefined
    if (oldest !== undefined) {
      jobs.delete(oldest)
      changed(oldest)
    }
  }

  const unknownOutcome = (job: JobRecord, node: string): Verdict =>
    job.requeueable
      ? { outcome: 'requeued', reason: `machine ${node} died`, exitCode: null, neverRan: false }
      : {
          outcome: 'failed',
          reason: `outcome unknown: machine ${node} died`,
          exitCode: null,
          neverRan: false,
        }

  /** Its machine is gone, and nothing of this part runs any more. */
  function lose(job: JobRecord, part: PartRecord): void {
    part.state = 'done'
    conclude(job, job.verdict ?? unknownOutcome(job, part.node))
  }

  /** Its machine knows for certain that it never began it. */
  function unstart(job: JobRecord, part: PartRecord): void {
    part.state = 'done'
    const neverRan = part === job.parts[0]
    const reason = `machine ${part.node} ended before the job began`
    const verdict: Verdict = neverRan
      ? { outcome: 'requeued', reason, exitCode: null, neverRan }
      : unknownOutcome(job, part.node)
    conclude(job, job.verdict ?? verdict)
  }

  /** What the machine says of a part that is open there. */
  function hear({ job, part }: OpenPart, said: PartReport): void {
    changed(job.id)
    if (said.state === 'killed') {
      lose(job, part)
      return
    }
    if (said.state === 'running') {
      if (part.state === 'assigned') part.state = 'running'
      if (job.verdict !== null) endPart(job, part)
      return
    }
    part.state = said.state
    if (part === job.parts[0] && job.verdict === null) {
      const { exitCode, reason } = said
      const outcome = reason === 'walltime' ? 'timeout' : exitCode === 0 ? 'finished' : 'failed'
      conclude(job, { outcome, reason, exitCode, neverRan: false })
    } else finishIfDone(job)
  }

  /** The machine is here and does not know the part: it never began, or the machine has lost its memory. */
  function missed({ job, part }: OpenPart): void {
    if (part.state !== 'assigned') lose(job, part)
    else if (job.verdict !== null) unstart(job, part)
    else deps.tellStart(job, part)
  }

  function theJobs(id: string): JobRecord[] {
    const job = jobs.get(id)
    const tasks = job === undefined ? [...live].filter(({ array }) => array === id) : [job]
    if (tasks.length === 0) throw new SubletError('unknown-id', `There is no job ${id}.`)
    return tasks
  }

  /** Why a job cannot be put back into the queue; undefined if it can. */
  function refusal(job: JobRecord | undefined): string | undefined {
    if (job === undefined) return 'there is no such job'
    if (job.state === 'ended') return 'it has ended'
    if (job.state === 'completing' && job.verdict?.outcome !== 'requeued') return 'it is ending'
    return job.state === 'running' && !job.requeueable ? 'it may not be run again' : undefined
  }

  return {
    all: (): Iterable<JobRecord> => jobs.values(),
    live: (): Iterable<JobRecord> => live,
    /** The last to end comes last. */
    ended: (): readonly string[] => ended,
    get: (id: string): JobRecord | undefined => jobs.get(id),
    next: (): number => next,
    dependencyOpen,
    eligible,
    waiting,
    partsOn,
    openPart,
    start,
    hear,
    missed,
    lose,
    unstart,

    submit(order: JobOrder, options: { readonly held: boolean; readonly tasks: number }): string {
      if (live.size + options.tasks > JOBS_WAITING_MAX)
        throw new SubletError(
          'middleware-refused',
          `The queue holds ${live.size} jobs and takes ${JOBS_WAITING_MAX}.`,
        )
      if (order.nodes < 1 || order.cpusPerNode < 1 || options.tasks < 1)
        throw new SubletError('middleware-refused', 'A job needs at least one node, one cpu and one task.')
      if (order.nodes > NODES_MAX || order.cpusPerNode > CPUS_MAX || order.memoryMiBPerNode > MEMORY_MIB_MAX)
        throw new SubletError(
          'middleware-refused',
          `A job has at most ${NODES_MAX} nodes, with ${CPUS_MAX} cpus and ${MEMORY_MIB_MAX} MiB each.`,
        )
      if (order.after !== null) theJobs(order.after)
      const number = String(next)
      next += 1
      for (let task = 0; task < options.tasks; task += 1) {
        const job: JobRecord = {
          ...order,
          id: options.tasks === 1 ? number : `${number}_${task}`,
          order: Number(number) * JOBS_WAITING_MAX + task,
          array: options.tasks === 1 ? null : number,
          held: options.held,
          state: 'pending',
          submittedAt: clock.now(),
          startedAt: null,
          endedAt: null,
          attempt: 0,
          restarts: 0,
          parts: [],
          verdict: null,
          attempts: [],
        }
        jobs.set(job.id, job)
        live.add(job)
        changed(job.id)
      }
      return number
    },

    cancel(id: string): void {
      for (const job of theJobs(id)) {
        const verdict: Verdict = {
          outcome: 'cancelled',
          reason: 'cancelled by a user',
          exitCode: null,
          neverRan: false,
        }
        if (job.state === 'running' || job.state === 'completing') conclude(job, verdict)
        else if (job.state === 'pending') {
          job.verdict = verdict
          end(job)
        }
      }
    },

    hold(id: string, held: boolean): void {
      for (const job of theJobs(id)) {
        job.held = held
        changed(job.id)
      }
    },

    requeue(ids: readonly string[], reason: string): { id: string; reason: string }[] {
      return ids.flatMap((id) => {
        const job = jobs.get(id)
        const why = refusal(job)
        if (why !== undefined) return [{ id, reason: why }]
        if (job?.state === 'running')
          conclude(job, { outcome: 'requeued', reason, exitCode: null, neverRan: false })
        return []
      })
    },
  }
}
