import { z } from 'zod'
import type { BatchNode, BatchPicture, Job, JobState } from '../../adapters/batch-system.ts'

/**
 * What happened to jobs and nodes between two looks. Of a job it says what it asked for and how long it ran, never what
 * it is: no name, no command, no environment; its user is a number that is given out anew in each process.
 */
export const eventSchema = z.discriminatedUnion('e', [
  z.object({
    e: z.literal('submitted'),
    at: z.number(),
    job: z.string(),
    user: z.number(),
    queue: z.string(),
    nodes: z.number(),
    cpus: z.number(),
    memoryMiB: z.number(),
    /** Absent: it has no limit. */
    walltimeMs: z.number().optional(),
    consumables: z.record(z.string(), z.number()).optional(),
    features: z.array(z.string()).optional(),
    exclusive: z.boolean().optional(),
  }),
  /** What held it is over: from then on a machine could have helped. Without one that is so from its submission on. */
  z.object({ e: z.literal('eligible'), at: z.number(), job: z.string() }),
  z.object({ e: z.literal('started'), at: z.number(), job: z.string(), nodes: z.array(z.string()) }),
  /** `ran`: from its last start to its end. */
  z.object({ e: z.literal('ended'), at: z.number(), job: z.string(), ranMs: z.number() }),
  /** It left the list without having run. */
  z.object({ e: z.literal('gone'), at: z.number(), job: z.string() }),
  z.object({
    e: z.literal('node'),
    at: z.number(),
    node: z.string(),
    state: z.enum(['works', 'drained', 'silent', 'gone']),
    ours: z.boolean().optional(),
    cpus: z.number().optional(),
    memoryMiB: z.number().optional(),
  }),
])
export type RecordedEvent = z.output<typeof eventSchema>

interface Seen {
  readonly state: JobState
  readonly startedAt: number | undefined
  /** Of a held one, when it may begin. */
  readonly notBefore: number | undefined
}

/** Remembers the last look, and says what is different in the next. */
export class Differences {
  #jobs = new Map<string, Seen>()
  #nodes = new Map<string, string>()
  readonly #users = new Map<string, number>()

  /** In the order in which it happened, as far as that can be told. */
  take(picture: BatchPicture): readonly RecordedEvent[] {
    const events: RecordedEvent[] = []
    const jobs = new Map<string, Seen>()
    for (const job of picture.jobs) {
      const before = this.#jobs.get(job.id)
      // What had ended before anybody looked says nothing of when it came; tasks that wait together come one by one, parts
      // of a job with it.
      if (before === undefined && (job.state === 'ended' || job.tasks > 1 || job.partOf !== undefined))
        continue
      jobs.set(job.id, { state: job.state, startedAt: job.startedAt, notBefore: job.notBefore })
      if (before === undefined) events.push(this.#submitted(job))
      events.push(...moved(job, before, picture.at))
    }
    for (const [job, { state, startedAt }] of this.#jobs)
      if (!jobs.has(job)) events.push(...lost(job, state, startedAt, picture.at))
    this.#jobs = jobs
    events.push(...this.#nodeEvents(picture))
    return events.sort((a, b) => a.at - b.at)
  }

  #submitted(job: Job): RecordedEvent {
    const user = this.#users.get(job.user) ?? this.#users.size + 1
    if (this.#users.size < USERS_MAX) this.#users.set(job.user, user)
    return {
      ...{ e: 'submitted', at: job.submittedAt, job: job.id, user, queue: job.queue },
      ...{ nodes: job.nodes, cpus: job.cpusPerNode, memoryMiB: job.memoryMiBPerNode },
      ...(job.walltimeMs === undefined ? {} : { walltimeMs: job.walltimeMs }),
      ...(job.consumablesPerNode === undefined ? {} : { consumables: { ...job.consumablesPerNode } }),
      ...(job.features === undefined || job.features.length === 0 ? {} : { features: [...job.features] }),
      ...(job.exclusive === true ? { exclusive: true } : {}),
    }
  }

  #nodeEvents({ nodes, at }: BatchPicture): readonly RecordedEvent[] {
    const now = new Map<string, string>()
    const events: RecordedEvent[] = []
    for (const node of nodes) {
      const state = stateOf(node)
      now.set(node.name, state)
      if (this.#nodes.get(node.name) === state) continue
      const { name, mark, cpus, memoryMiB } = node
      const ours = mark === undefined ? {} : { ours: true }
      events.push({ e: 'node', at, node: name, state, ...ours, cpus, memoryMiB })
    }
    for (const name of this.#nodes.keys())
      if (!now.has(name)) events.push({ e: 'node', at, node: name, state: 'gone' })
    this.#nodes = now
    return events
  }
}

/** Users beyond that share a number. */
const USERS_MAX = 10_000

const runs = (state: JobState | undefined): boolean => state === 'running' || state === 'completing'

function moved(job: Job, before: Seen | undefined, at: number): RecordedEvent[] {
  if (before?.state === 'ended') return []
  const { id, state, startedAt = at, endedAt = at } = job
  const events: RecordedEvent[] = []
  if (before?.state === 'held' && state !== 'held' && (state !== 'ended' || job.startedAt !== undefined))
    events.push({ e: 'eligible', at: letGoAt(job, before, at), job: id })
  // Put back into the queue and started again, it has another start.
  if ((runs(state) || state === 'ended') && job.startedAt !== undefined && before?.startedAt !== startedAt)
    events.push({ e: 'started', at: startedAt, job: id, nodes: [...job.nodeNames] })
  if (state === 'ended')
    events.push(
      job.startedAt === undefined
        ? { e: 'gone', at: endedAt, job: id }
        : { e: 'ended', at: endedAt, job: id, ranMs: Math.max(0, endedAt - startedAt) },
    )
  return events
}

/** By its begin time, else by the look that shows it; before it started in any case. */
const letGoAt = (
  { submittedAt, startedAt = Number.POSITIVE_INFINITY }: Job,
  { notBefore }: Seen,
  at: number,
): number => Math.max(submittedAt, Math.min(notBefore ?? at, at, startedAt))

/** It was there in the last look, and is not in this one. */
function lost(job: string, state: JobState, startedAt: number | undefined, at: number): RecordedEvent[] {
  if (state === 'ended') return []
  return runs(state) && startedAt !== undefined
    ? [{ e: 'ended', at, job, ranMs: Math.max(0, at - startedAt) }]
    : [{ e: 'gone', at, job }]
}

const stateOf = ({ responding, drained, accepting }: BatchNode): 'works' | 'drained' | 'silent' =>
  !responding ? 'silent' : drained !== 'no' || !accepting ? 'drained' : 'works'
