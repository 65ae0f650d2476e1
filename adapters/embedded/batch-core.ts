import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../batch-system.ts'
import { batchCommit } from './batch-commit.ts'
import { batchJobs, type OpenPart } from './batch-jobs.ts'
import { type NodeRecord, type PartOrder, type PartReport, sameMark } from './batch-records.ts'
import { type Room, schedule } from './batch-schedule.ts'
import type { BatchStore } from './batch-store.ts'
import type { Fields } from './fields.ts'

/**
 * The mind of the embedded batch system: jobs (batch-jobs.ts) on nodes.
 *
 *   asks, reports ──▶ change the records ──▶ plan starts ──▶ one commit ──▶ answers, orders, hints
 *
 * Nothing leaves before what it rests on is on the disk. Orders to machines follow from the records, so
 * that an agent which comes back is simply told again.
 */

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
  readonly parts: readonly OpenPart[]
}

/** What an agent says when its line is new. */
export interface Registration {
  readonly name: string
  readonly mark: NodeMark | null
  readonly address: string
  readonly cpus: number
  readonly memoryMiB: number
  /** Every part that it ever began and was not told to forget. */
  readonly parts: readonly PartReport[]
}

export type BatchCore = ReturnType<typeof batchCore>

export function batchCore(deps: {
  readonly store: BatchStore
  readonly clock: Clock
  readonly settings: BatchSettings
  /** After every commit. */
  readonly onChange: () => void
  /** The store failed: what is in memory is not on the disk, so nothing may go on. */
  readonly onFatal: (error: unknown) => void
}) {
  const { store, clock, settings } = deps
  const nodes = new Map(store.nodes.map((node) => [node.name, node]))
  const agents = new Map<string, { readonly agent: Agent; heardAt: Millis }>()
  let collecting: ReadonlyMap<string, string> = new Map()
  let acceptWaiters: { readonly name: string; readonly resolve: () => void }[] = []

  const commit = batchCommit({
    store,
    plan,
    rows: (jobIds, names) => ({
      jobs: new Map([...jobIds].map((id) => [id, jobs.get(id) ?? null])),
      nodes: new Map([...names].map((name) => [name, nodes.get(name) ?? null])),
      nextJob: jobs.next(),
    }),
    onSettled,
    onFatal: deps.onFatal,
  })
  const { nodeChanged } = commit

  const jobs = batchJobs({
    records: store.jobs,
    next: store.nextJob,
    clock,
    changed: commit.jobChanged,
    tellStart(job, part) {
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
    },
    tellEnd: (job, part) =>
      tell(part.node, 'end', { jobId: job.id, attempt: job.attempt, reason: job.verdict?.reason ?? '' }),
  })

  /** To the agent that is there when the time has come; one that is not is told when it comes. */
  function tell(node: string, event: string, body: Fields): void {
    commit.order(() => agents.get(node)?.agent.tell(event, body))
  }

  function plan(): void {
    const next = schedule(jobs.waiting(), rooms(), coming())
    collecting = next.collecting
    for (const { jobId, nodes: names } of next.starts) jobs.start(jobId, names)
  }

  function onSettled(): void {
    const isReady = ({ name }: { readonly name: string }): boolean => nodeNow(name)?.accepting === true
    const ready = acceptWaiters.filter(isReady)
    acceptWaiters = acceptWaiters.filter((waiter) => !isReady(waiter))
    for (const waiter of ready) waiter.resolve()
    deps.onChange()
  }

  function nodeNow(name: string): NodeNow | undefined {
    const record = nodes.get(name)
    if (record === undefined) return undefined
    const connected = agents.has(name)
    return {
      record,
      connected,
      accepting: connected && record.expected && record.drain === null,
      collectingFor: collecting.get(name),
      parts: jobs.partsOn(name),
    }
  }

  const allNodes = (): readonly NodeNow[] => [...nodes.keys()].flatMap((name) => nodeNow(name) ?? [])

  function rooms(): Room[] {
    return allNodes()
      .filter(({ accepting }) => accepting)
      .map(({ record: { name, cpus, memoryMiB }, parts }) => ({
        name,
        cpus,
        memoryMiB,
        cpusFree: parts.reduce((free, { job }) => free - job.cpusPerNode, cpus),
        memoryMiBFree: parts.reduce((free, { job }) => free - job.memoryMiBPerNode, memoryMiB),
      }))
  }

  /** Expected, and not here yet or for the moment. */
  const coming = (): readonly NodeRecord[] =>
    [...nodes.values()].filter(({ name, expected, drain }) => expected && drain === null && !agents.has(name))

  // ── what agents say ───────────────────────────────────────────────────────────────────────────────

  function report(node: string, said: PartReport): void {
    const open = jobs.openPart(node, said)
    // Another attempt's, or one that was given up while the machine was away: it must not run on.
    if (open === undefined) tell(node, 'forget', { jobId: said.jobId, attempt: said.attempt })
    else jobs.hear(open, said)
    const record = nodes.get(node)
    if (said.nodeFault === '' || open === undefined || record === undefined || record.drain !== null) return
    record.drain = { by: 'theirs', reason: `job ${said.jobId}: ${said.nodeFault}` }
    nodeChanged(node)
  }

  /** Parts of the node that are open here and not in its list. */
  const unmentioned = (name: string, parts: readonly PartReport[]): readonly OpenPart[] =>
    jobs
      .partsOn(name)
      .filter(({ job }) => !parts.some(({ jobId, attempt }) => jobId === job.id && attempt === job.attempt))

  function register(agent: Agent, said: Registration): void {
    const { name, mark, address, cpus, memoryMiB, parts } = said
    const record =
      nodes.get(name) ?? newNode({ name, mark, address, cpus, memoryMiB, expected: mark === null })
    if (!sameMark(record.mark, mark))
      throw new SubletError('node-not-ours', `The node ${name} exists with another mark.`)
    nodes.set(name, Object.assign(record, { address, cpus, memoryMiB, registered: true }))
    const before = agents.get(name)?.agent
    agents.set(name, { agent, heardAt: clock.monotonic() })
    if (before?.number !== agent.number) before?.hangUp()
    nodeChanged(name)
    for (const open of unmentioned(name, parts)) jobs.missed(open)
    for (const each of parts) report(name, each)
  }

  const isAgentOf = (name: string, agent: Agent): boolean => agents.get(name)?.agent.number === agent.number

  function agentGone(name: string, agent: Agent): void {
    if (!isAgentOf(name, agent)) return
    agents.delete(name)
    if (nodes.get(name)?.expected === false) nodes.delete(name)
    nodeChanged(name)
  }

  /** The machine ends in good order, and nothing that it does not list was ever begun there. */
  function bye(name: string, agent: Agent, parts: readonly PartReport[]): void {
    for (const { job, part } of unmentioned(name, parts)) jobs.unstart(job, part)
    for (const each of parts) report(name, each)
    agentGone(name, agent)
  }

  function checkAgents(): void {
    const now = clock.monotonic()
    for (const { agent, heardAt } of agents.values()) if (now - heardAt > AGENT_SILENT_MS_MAX) agent.hangUp()
    stopChecking = clock.after(AGENT_CHECK_MS, checkAgents)
  }
  let stopChecking = clock.after(AGENT_CHECK_MS, checkAgents)

  // ── what Sublet and the admin ask ─────────────────────────────────────────────────────────────────

  function newNode(from: Omit<NodeRecord, 'registered' | 'drain'>): NodeRecord {
    if (nodes.size >= NODES_MAX)
      throw new SubletError('middleware-refused', `There are ${NODES_MAX} nodes already.`)
    return { ...from, registered: false, drain: null }
  }

  function theNode(name: string): NodeRecord {
    const record = nodes.get(name)
    if (record === undefined) throw new SubletError('unknown-id', `There is no node ${name}.`)
    return record
  }

  function ours(record: NodeRecord, mark: NodeMark): NodeRecord {
    if (sameMark(record.mark, mark)) return record
    const { name } = record
    throw new SubletError('node-not-ours', `The node ${name} does not carry the mark of unit ${mark.unitId}.`)
  }

  function setDrain(record: NodeRecord, drain: NodeRecord['drain']): void {
    record.drain = drain
    nodeChanged(record.name)
  }

  function removeNode(name: string, lost: boolean): void {
    const busy = jobs.partsOn(name)
    if (busy.length > 0 && !lost)
      throw new SubletError(
        'node-busy',
        `The node ${name} runs job ${busy.map(({ job }) => job.id).join(', ')}.`,
      )
    for (const { job, part } of busy) jobs.lose(job, part)
    const agent = agents.get(name)?.agent
    agents.delete(name)
    nodes.delete(name)
    commit.order(() => agent?.tell('removed', {}))
    nodeChanged(name)
  }

  return {
    jobs,
    nodes: allNodes,
    settled: commit.settled,

    /** Resolves once the node is registered and accepting, or the signal is aborted. */
    async expect(
      node: Pick<NodeRecord, 'name' | 'address' | 'cpus' | 'memoryMiB'> & { readonly mark: NodeMark },
      signal: AbortSignal,
    ): Promise<void> {
      const { name } = node
      const record = ours(nodes.get(name) ?? newNode({ ...node, expected: true }), node.mark)
      nodes.set(name, Object.assign(record, { expected: true }))
      if (record.drain?.by === 'ours') setDrain(record, null)
      else nodeChanged(name)
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
      const record = ours(theNode(name), mark)
      if (record.drain?.by !== 'theirs') setDrain(record, { by: 'ours', reason })
    },
    resume(name: string, mark: NodeMark): void {
      const record = ours(theNode(name), mark)
      if (record.drain?.by === 'ours') setDrain(record, null)
    },
    remove(name: string, mark: NodeMark, lost: boolean): void {
      const record = nodes.get(name)
      if (record === undefined) return
      ours(record, mark)
      removeNode(name, lost)
    },

    adminDrain: (name: string, reason: string): void => setDrain(theNode(name), { by: 'theirs', reason }),
    adminResume: (name: string): void => setDrain(theNode(name), null),
    adminDelete: (name: string, lost: boolean): void => removeNode(theNode(name).name, lost),

    register,
    report,
    bye,
    agentGone,
    isAgentOf,
    beat(name: string): void {
      const heard = agents.get(name)
      if (heard !== undefined) heard.heardAt = clock.monotonic()
    },
    stop: (): void => stopChecking(),
  }
}
