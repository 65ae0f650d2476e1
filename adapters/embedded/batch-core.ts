import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../batch-system.ts'
import {
  type JobOrder,
  type JobRecord,
  type NodeRecord,
  type PartOrder,
  type PartRecord,
  type PartReport,
  sameMark,
  type Verdict,
} from './batch-records.ts'
import { schedule } from './batch-schedule.ts'
import type { BatchStore } from './batch-store.ts'
import type { Fields } from './fields.ts'

/**
 * The mind of the embedded batch system.
 *
 *   asks, reports ──▶ change the records ──▶ settle: plan starts ──▶ one commit ──▶ answers, orders, hints
 *
 * Nothing leaves before what it rests on is on the disk. Orders to machines follow from the records, so
 * that an agent which comes back is simply told again.
 */

const JOBS_WAITING_MAX = 20_000
const JOBS_ENDED_KEPT = 10_000
const ATTEMPTS_KEPT = 50
const NODES_MAX = 5_000
/** An agent says something every two seconds. */
const AGENT_SILENT_MS_MAX = 10_000
const AGENT_CHECK_MS = 2_000

/** A connected node agent. */
export interface Agent {
  readonly number: number
  tell(event: string, body: Fields): void
  hangUp(): void
}

export interface BatchSettings {
  /** Runs on each node of a job after it; null for none. */
  readonly epilog: string | null
  readonly epilogMsMax: Millis
}

/** A node as it is now: the record, and what only the present knows. */
export interface NodeNow {
  readonly record: NodeRecord
  readonly connected: boolean
  readonly accepting: boolean
  readonly collectingFor: string | undefined
  readonly parts: readonly { readonly job: JobRecord; readonly part: PartRecord }[]
}

export type BatchCore = ReturnType<typeof batchCore>

export function batchCore(deps: {
  readonly store: BatchStore
  readonly clock: Clock
  readonly settings: BatchSettings
  /** After every commit that changed something. */
  readonly onChange: () => void
  /** The store failed: what is in memory is not on the disk, so nothing may go on. */
  readonly onFatal: (error: unknown) => void
}) {
  const { store, clock, settings } = deps
  const jobs = new Map(store.jobs.map((job) => [job.id, job]))
  const nodes = new Map(store.nodes.map((node) => [node.name, node]))
  /** Not ended, in the order of the queue. */
  const live = new Set(store.jobs.filter((job) => job.state !== 'ended'))
  /** Running or completing: the only ones that have parts. */
  const active = new Set(store.jobs.filter((job) => job.parts.length > 0 && job.state !== 'ended'))
  const ended = store.jobs
    .filter((job) => job.state === 'ended')
    .sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0))
    .map((job) => job.id)
  const agents = new Map<string, { readonly agent: Agent; heardAt: Millis }>()
  let collecting: ReadonlyMap<string, string> = new Map()
  let nextJob = store.nextJob

  // ── one commit ────────────────────────────────────────────────────────────────────────────────────

  const jobsChanged = new Set<string>()
  const nodesChanged = new Set<string>()
  let orders: (() => void)[] = []
  let waiters: { readonly resolve: () => void; readonly reject: (reason: unknown) => void }[] = []
  let acceptWaiters: { readonly name: string; readonly resolve: () => void }[] = []
  let settling = false

  function soon(): void {
    if (settling) return
    settling = true
    setImmediate(settle)
  }
  const jobChanged = (job: JobRecord): void => {
    jobsChanged.add(job.id)
    soon()
  }
  const nodeChanged = (name: string): void => {
    nodesChanged.add(name)
    soon()
  }
  /** Everything said so far is on the disk, and its orders are sent. */
  const settled = (): Promise<void> =>
    settling ? new Promise((resolve, reject) => waiters.push({ resolve, reject })) : Promise.resolve()

  function settle(): void {
    const plan = schedule(waiting(), rooms())
    collecting = plan.collecting
    for (const { jobId, nodes: names } of plan.starts) start(jobs.get(jobId), names)
    settling = false
    const [told, woken] = [orders, waiters]
    orders = []
    waiters = []
    try {
      if (jobsChanged.size + nodesChanged.size > 0)
        store.commit({
          jobs: new Map([...jobsChanged].map((id) => [id, jobs.get(id) ?? null])),
          nodes: new Map([...nodesChanged].map((name) => [name, nodes.get(name) ?? null])),
          nextJob,
        })
    } catch (error) {
      for (const waiter of woken) waiter.reject(error)
      deps.onFatal(error)
      return
    }
    jobsChanged.clear()
    nodesChanged.clear()
    for (const order of told) order()
    for (const waiter of woken) waiter.resolve()
    const [ready, notYet] = split(acceptWaiters, ({ name }) => nodeNow(name)?.accepting === true)
    acceptWaiters = notYet
    for (const waiter of ready) waiter.resolve()
    deps.onChange()
  }

  // ── the queue ─────────────────────────────────────────────────────────────────────────────────────

  const dependencyOpen = (job: JobRecord): boolean => {
    const first = job.after === null ? undefined : jobs.get(job.after)
    return first !== undefined && first.state !== 'ended'
  }
  const eligible = (job: JobRecord): boolean => job.state === 'pending' && !job.held && !dependencyOpen(job)
  const waiting = (): JobRecord[] => [...live].filter(eligible)

  function rooms() {
    return [...nodes.keys()].flatMap((name) => {
      const now = nodeNow(name)
      if (now === undefined || !now.accepting) return []
      const used = now.parts.reduce(
        (sum, { job }) => ({
          cpus: sum.cpus + job.cpusPerNode,
          memoryMiB: sum.memoryMiB + job.memoryMiBPerNode,
        }),
        { cpus: 0, memoryMiB: 0 },
      )
      const { cpus, memoryMiB } = now.record
      return [
        { name, cpus, memoryMiB, cpusFree: cpus - used.cpus, memoryMiBFree: memoryMiB - used.memoryMiB },
      ]
    })
  }

  /** Parts that are not done. */
  const partsOn = (name: string): { job: JobRecord; part: PartRecord }[] =>
    [...active].flatMap((job) =>
      job.parts.filter((part) => part.node === name && part.state !== 'done').map((part) => ({ job, part })),
    )

  function nodeNow(name: string): NodeNow | undefined {
    const record = nodes.get(name)
    if (record === undefined) return undefined
    const connected = agents.has(name)
    return {
      record,
      connected,
      accepting: connected && record.expected && record.drain === null,
      collectingFor: collecting.get(name),
      parts: partsOn(name),
    }
  }

  function start(job: JobRecord | undefined, names: readonly string[]): void {
    if (job === undefined) return
    job.state = 'running'
    job.attempt += 1
    job.startedAt = clock.now()
    job.parts = names.map((node) => ({ node, state: 'assigned' }))
    active.add(job)
    jobChanged(job)
    for (const part of job.parts) tellStart(job, part)
  }

  function tell(node: string, event: string, body: Fields): void {
    orders.push(() => agents.get(node)?.agent.tell(event, body))
    soon()
  }

  function tellStart(job: JobRecord, part: PartRecord): void {
    const order: PartOrder = {
      jobId: job.id,
      attempt: job.attempt,
      first: part === job.parts[0],
      command: job.command,
      environment: job.environment,
      output: job.output,
      nodes: job.parts.map(({ node }) => node),
      walltimeMs: job.walltimeMs,
      epilog: settings.epilog,
      epilogMsMax: settings.epilogMsMax,
    }
    tell(part.node, 'start', { ...order })
  }

  /** The command is over or to be ended: what runs is killed, what was kept is released. */
  function conclude(job: JobRecord, verdict: Verdict): void {
    // A user who cancels a job that is being requeued wants it gone.
    if (job.verdict === null || (job.verdict.outcome === 'requeued' && verdict.outcome === 'cancelled'))
      job.verdict = verdict
    job.state = 'completing'
    jobChanged(job)
    for (const part of job.parts) tellEnd(job, part)
    finishIfDone(job)
  }

  function tellEnd(job: JobRecord, part: PartRecord): void {
    if (part.state === 'assigned' || part.state === 'running')
      tell(part.node, 'end', { jobId: job.id, attempt: job.attempt, reason: job.verdict?.reason ?? '' })
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
    jobChanged(job)
  }

  function end(job: JobRecord): void {
    job.state = 'ended'
    job.endedAt = clock.now()
    live.delete(job)
    ended.push(job.id)
    jobChanged(job)
    const oldest = ended.length > JOBS_ENDED_KEPT ? ended.shift() : undefined
    if (oldest !== undefined) {
      jobs.delete(oldest)
      jobsChanged.add(oldest)
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

  // ── what agents say ───────────────────────────────────────────────────────────────────────────────

  function report(node: string, said: PartReport): void {
    const job = jobs.get(said.jobId)
    const part = job?.attempt === said.attempt ? job.parts.find((each) => each.node === node) : undefined
    if (job === undefined || part === undefined || part.state === 'done') {
      // Another attempt's, or one that was given up while the machine was away: it must not run on.
      tell(node, 'forget', { jobId: said.jobId, attempt: said.attempt })
      return
    }
    jobChanged(job)
    if (said.state === 'running') {
      if (part.state === 'assigned') part.state = 'running'
      if (job.verdict !== null) tellEnd(job, part)
      return
    }
    if (said.state === 'killed') {
      lose(job, part)
      return
    }
    part.state = said.state
    if (said.epilogFault !== '') {
      const record = nodes.get(node)
      if (record !== undefined && record.drain === null)
        record.drain = { by: 'theirs', reason: `epilog of job ${job.id}: ${said.epilogFault}` }
      nodeChanged(node)
    }
    if (part === job.parts[0] && job.verdict === null) {
      const { exitCode, reason } = said
      const outcome = reason === 'walltime' ? 'timeout' : exitCode === 0 ? 'finished' : 'failed'
      conclude(job, { outcome, reason, exitCode, neverRan: false })
    } else finishIfDone(job)
  }

  function register(
    agent: Agent,
    said: {
      name: string
      mark: NodeMark | null
      address: string
      cpus: number
      memoryMiB: number
      parts: readonly PartReport[]
    },
  ): void {
    const known = nodes.get(said.name)
    if (known !== undefined && !sameMark(known.mark, said.mark))
      throw new SubletError('node-not-ours', `The node ${said.name} exists with another mark.`)
    if (known === undefined && nodes.size >= NODES_MAX)
      throw new SubletError('middleware-refused', `There are ${NODES_MAX} nodes already.`)
    const record: NodeRecord = known ?? {
      name: said.name,
      mark: said.mark,
      address: said.address,
      cpus: said.cpus,
      memoryMiB: said.memoryMiB,
      expected: said.mark === null,
      registered: true,
      drain: null,
    }
    Object.assign(record, {
      address: said.address,
      cpus: said.cpus,
      memoryMiB: said.memoryMiB,
      registered: true,
    })
    nodes.set(said.name, record)
    const before = agents.get(said.name)
    agents.set(said.name, { agent, heardAt: clock.monotonic() })
    if (before !== undefined && before.agent.number !== agent.number) before.agent.hangUp()
    nodeChanged(said.name)
    for (const { job, part } of partsOn(said.name)) {
      if (said.parts.some(({ jobId, attempt }) => jobId === job.id && attempt === job.attempt)) continue
      if (part.state !== 'assigned') lose(job, part)
      else if (job.verdict !== null) unstart(job, part)
      else tellStart(job, part)
    }
    for (const each of said.parts) report(said.name, each)
  }

  const isAgentOf = (name: string, agent: Agent): boolean => agents.get(name)?.agent.number === agent.number

  function agentGone(name: string, agent: Agent): void {
    if (!isAgentOf(name, agent)) return
    agents.delete(name)
    if (nodes.get(name)?.expected === false) nodes.delete(name)
    nodeChanged(name)
  }

  /** The machine ends in good order; it lists every part that it ever began. */
  function bye(name: string, agent: Agent, parts: readonly PartReport[]): void {
    for (const each of parts) report(name, each)
    for (const { job, part } of partsOn(name))
      if (!parts.some(({ jobId, attempt }) => jobId === job.id && attempt === job.attempt)) unstart(job, part)
    agentGone(name, agent)
  }

  function checkAgents(): void {
    const now = clock.monotonic()
    for (const { agent, heardAt } of agents.values()) if (now - heardAt > AGENT_SILENT_MS_MAX) agent.hangUp()
    stopChecking = clock.after(AGENT_CHECK_MS, checkAgents)
  }
  let stopChecking = clock.after(AGENT_CHECK_MS, checkAgents)

  // ── what Sublet, users and the admin ask ──────────────────────────────────────────────────────────

  function ours(name: string, mark: NodeMark): NodeRecord | undefined {
    const record = nodes.get(name)
    if (record !== undefined && !sameMark(record.mark, mark))
      throw new SubletError(
        'node-not-ours',
        `The node ${name} does not carry the mark of unit ${mark.unitId}.`,
      )
    return record
  }

  function theNode(name: string): NodeRecord {
    const record = nodes.get(name)
    if (record === undefined) throw new SubletError('unknown-id', `There is no node ${name}.`)
    return record
  }

  function removeNode(name: string, lost: boolean): void {
    const busy = partsOn(name)
    if (busy.length > 0 && !lost)
      throw new SubletError(
        'node-busy',
        `The node ${name} runs job ${busy.map(({ job }) => job.id).join(', ')}.`,
      )
    for (const { job, part } of busy) lose(job, part)
    nodes.delete(name)
    tellRemoved(name)
    nodeChanged(name)
  }

  function tellRemoved(name: string): void {
    const agent = agents.get(name)?.agent
    agents.delete(name)
    orders.push(() => agent?.tell('removed', {}))
  }

  function theJobs(id: string): JobRecord[] {
    const job = jobs.get(id)
    const tasks = job === undefined ? [...live].filter(({ array }) => array === id) : [job]
    if (tasks.length === 0) throw new SubletError('unknown-id', `There is no job ${id}.`)
    return tasks
  }

  soon()
  return {
    jobs: (): Iterable<JobRecord> => jobs.values(),
    live: (): Iterable<JobRecord> => live,
    /** The last to end comes last. */
    ended: (): readonly string[] => ended,
    job: (id: string): JobRecord | undefined => jobs.get(id),
    nodes: (): readonly NodeNow[] => [...nodes.keys()].flatMap((name) => nodeNow(name) ?? []),
    eligible,
    dependencyOpen,
    settled,

    submit(order: JobOrder, options: { readonly held: boolean; readonly tasks: number }): string {
      if (live.size + options.tasks > JOBS_WAITING_MAX)
        throw new SubletError(
          'middleware-refused',
          `The queue holds ${live.size} jobs and takes ${JOBS_WAITING_MAX}.`,
        )
      if (order.nodes < 1 || order.cpusPerNode < 1 || options.tasks < 1)
        throw new SubletError('middleware-refused', 'A job needs at least one node, one cpu and one task.')
      if (order.after !== null) theJobs(order.after)
      const number = String(nextJob)
      nextJob += 1
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
        jobChanged(job)
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
        jobChanged(job)
      }
    },

    requeue(ids: readonly string[], reason: string): { id: string; reason: string }[] {
      return ids.flatMap((id) => {
        const job = jobs.get(id)
        const why =
          job === undefined
            ? 'there is no such job'
            : job.state === 'ended'
              ? 'it has ended'
              : job.state === 'completing' && job.verdict?.outcome !== 'requeued'
                ? 'it is ending'
                : job.state === 'running' && !job.requeueable
                  ? 'it may not be run again'
                  : undefined
        if (why !== undefined) return [{ id, reason: why }]
        if (job?.state === 'running')
          conclude(job, { outcome: 'requeued', reason, exitCode: null, neverRan: false })
        return []
      })
    },

    /** Resolves once the node is registered and accepting, or the signal is aborted. */
    async expect(
      said: { name: string; address: string; mark: NodeMark; cpus: number; memoryMiB: number },
      signal: AbortSignal,
    ): Promise<void> {
      const { name, mark, address, cpus, memoryMiB } = said
      const known = ours(name, mark)
      if (known === undefined && nodes.size >= NODES_MAX)
        throw new SubletError('middleware-refused', `There are ${NODES_MAX} nodes already.`)
      const record = known ?? {
        name,
        mark,
        address,
        cpus,
        memoryMiB,
        expected: true,
        registered: false,
        drain: null,
      }
      record.expected = true
      nodes.set(name, record)
      nodeChanged(name)
      await new Promise<void>((resolve, reject) => {
        const waiter = { name, resolve }
        acceptWaiters.push(waiter)
        signal.addEventListener('abort', () => {
          acceptWaiters = acceptWaiters.filter((each) => each !== waiter)
          reject(signal.reason)
        })
      })
    },

    drain(name: string, mark: NodeMark, reason: string): void {
      const record = ours(name, mark)
      if (record === undefined) throw new SubletError('unknown-id', `There is no node ${name}.`)
      if (record.drain?.by === 'theirs') return
      record.drain = { by: 'ours', reason }
      nodeChanged(name)
    },

    resume(name: string, mark: NodeMark): void {
      const record = ours(name, mark)
      if (record === undefined) throw new SubletError('unknown-id', `There is no node ${name}.`)
      if (record.drain?.by !== 'ours') return
      record.drain = null
      nodeChanged(name)
    },

    remove(name: string, mark: NodeMark, lost: boolean): void {
      if (ours(name, mark) !== undefined) removeNode(name, lost)
    },

    adminDrain(name: string, reason: string): void {
      theNode(name).drain = { by: 'theirs', reason }
      nodeChanged(name)
    },

    adminResume(name: string): void {
      theNode(name).drain = null
      nodeChanged(name)
    },

    adminDelete(name: string, lost: boolean): void {
      theNode(name)
      removeNode(name, lost)
    },

    register,
    report,
    bye,
    agentGone,
    isAgentOf,
    beat(name: string): void {
      const heard = agents.get(name)
      if (heard !== undefined) heard.heardAt = clock.monotonic()
    },
    stop(): void {
      stopChecking()
    },
  }
}

function split<T>(items: readonly T[], wanted: (item: T) => boolean): [T[], T[]] {
  return [items.filter(wanted), items.filter((item) => !wanted(item))]
}
