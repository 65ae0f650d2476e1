import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture, Job, NodeMark } from '../../adapters/batch-system.ts'
import type { Cluster } from './cluster.ts'
import type { ReplayJob } from './jobs.ts'
import type { QueuedJob, Scheduler } from './scheduler.ts'

/** Ended jobs stay listed for so long, as batch systems keep them. */
const LISTED_MS: Millis = 300_000

export interface NamedNode {
  readonly name: string
  readonly mark: NodeMark
  readonly drained: boolean
}

/**
 * What a look at the modelled batch system shows. Records of jobs and nodes are made when they change and kept until they
 * change again; a look puts them together, in the very lists of the look before if nothing of them has changed.
 */
export class Looks {
  readonly #cluster: Cluster
  readonly #scheduler: Scheduler
  readonly #jobs: readonly ReplayJob[]
  readonly #named: (NamedNode | undefined)[]
  readonly #nodes: (BatchNode | undefined)[]
  readonly #ended: ReplayJob[] = []
  /** By number, of those that are listed: of a year of jobs nearly all are not any more, or not yet. */
  readonly #records = new Map<number, Job>()
  /** Of the look before; undefined where something changed since. */
  #jobList: readonly Job[] | undefined
  #nodeList: readonly BatchNode[] | undefined
  /** The plan of the scheduler that the list of nodes shows. */
  #plan = -1

  constructor(cluster: Cluster, scheduler: Scheduler, jobs: readonly ReplayJob[]) {
    this.#cluster = cluster
    this.#scheduler = scheduler
    this.#jobs = jobs
    this.#named = new Array<NamedNode | undefined>(cluster.slots).fill(undefined)
    this.#nodes = new Array<BatchNode | undefined>(cluster.slots).fill(undefined)
  }

  /** The node in this slot, or that there is none any more. */
  name(slot: number, node: NamedNode | undefined): void {
    this.#named[slot] = node
    this.touched(slot)
  }

  named(slot: number): NamedNode | undefined {
    return this.#named[slot]
  }

  touched(slot: number): void {
    this.#nodes[slot] = undefined
    this.#nodeList = undefined
  }

  submitted(job: ReplayJob): void {
    this.#jobList = undefined
    this.#records.set(job.number, waiting(job))
  }

  started(job: ReplayJob): void {
    this.#jobList = undefined
    const nodeNames = job.slots.map((slot) => this.#named[slot]?.name ?? `n${slot}`)
    const changes = { state: 'running', vendorReason: '', startedAt: job.startedAt, nodeNames } as const
    this.#records.set(job.number, { ...this.#recordOf(job), ...changes })
  }

  ended(job: ReplayJob): void {
    this.#jobList = undefined
    const succeeded = job.trace.succeeded === true && !job.cut
    const changes = { state: 'ended', endedAt: job.endedAt, ...(succeeded && { succeeded }) } as const
    this.#records.set(job.number, { ...this.#recordOf(job), ...changes })
    this.#ended.push(job)
  }

  look(now: Instant): BatchPicture {
    const stale = this.#ended.findIndex(({ endedAt = 0 }) => endedAt > now - LISTED_MS)
    const gone = this.#ended.splice(0, stale < 0 ? this.#ended.length : stale)
    for (const { number } of gone) this.#records.delete(number)
    if (gone.length > 0 || this.#jobList === undefined) this.#jobList = this.#listJobs()
    if (this.#plan !== this.#scheduler.plan || this.#nodeList === undefined) {
      this.#nodeList = this.#listNodes()
      this.#plan = this.#scheduler.plan
    }
    return {
      ...{ startedAt: now, at: now, jobs: this.#jobList, nodes: this.#nodeList },
      ...{ warnings: [], trust: 'confirmed' },
    }
  }

  #listJobs(): readonly Job[] {
    const { queue, running } = this.#scheduler
    return [...queue, ...running, ...this.#ended].map((job) => this.#recordOf(job))
  }

  #recordOf({ number }: QueuedJob): Job {
    return this.#records.get(number)!
  }

  #listNodes(): readonly BatchNode[] {
    const before = this.#nodeList
    const nodes: BatchNode[] = []
    for (let slot = 0; slot < this.#cluster.slots; slot++) {
      const node = this.#nodeOf(slot)
      if (node !== undefined) nodes.push(node)
    }
    return before?.length === nodes.length && before.every((node, i) => node === nodes[i]) ? before : nodes
  }

  #nodeOf(slot: number): BatchNode | undefined {
    const named = this.#named[slot]
    if (named === undefined) return undefined
    const collector = this.#scheduler.collects(slot)
    const isBusy = this.#cluster.isBusy(slot)
    // Slurm shows a node as planned only while it is free.
    const collectingFor =
      collector === undefined || isBusy ? undefined : this.#jobs[collector.number]!.trace.id
    const known = this.#nodes[slot]
    if (known !== undefined && known.collectingFor === collectingFor) return known
    const { unit, free } = this.#cluster
    const node: BatchNode = {
      name: named.name,
      mark: named.mark,
      vendorState: isBusy ? 'allocated' : 'idle',
      responding: true,
      accepting: !named.drained,
      empty: !isBusy,
      collectingFor,
      drained: named.drained ? 'ours' : 'no',
      drainReason: named.drained ? 'drained by Sublet' : '',
      cpus: unit.cpus,
      cpusInUse: unit.cpus - free[slot]!,
      memoryMiB: unit.memoryMiB,
      jobs: [...(this.#cluster.jobsOn[slot] ?? [])].map((number) => this.#jobs[number]!.trace.id),
    }
    this.#nodes[slot] = node
    return node
  }
}

const waiting = ({ trace: job, shape }: ReplayJob): Job => ({
  id: job.id,
  state: 'pending',
  vendorReason: 'Resources',
  user: job.user,
  queue: job.queue,
  nodes: shape.nodes,
  cpusPerNode: shape.cpusAsked ?? shape.cpus,
  memoryMiBPerNode: shape.memoryMiB,
  ...(job.extras !== undefined && {
    consumablesPerNode: job.extras.consumables,
    features: job.extras.features,
    exclusive: job.extras.exclusive,
  }),
  walltimeMs: job.walltimeMs,
  submittedAt: job.submittedAt,
  startedAt: undefined,
  endedAt: undefined,
  nodeNames: [],
  requeueable: true,
  restarts: 0,
  tasks: 1,
})
