import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture, NodeMark } from '../../adapters/batch-system.ts'
import type { Cluster } from './cluster.ts'
import type { ReplayJob } from './jobs.ts'
import type { Scheduler } from './scheduler.ts'

/** Ended jobs stay listed for so long, as batch systems keep them. */
const LISTED_MS: Millis = 300_000

export interface NamedNode {
  readonly name: string
  readonly mark: NodeMark
  readonly drained: boolean
}

/**
 * What a look at the modelled batch system shows. Records of jobs and nodes are made when they change and kept until they
 * change again; a look puts them together.
 */
export class Looks {
  readonly #cluster: Cluster
  readonly #scheduler: Scheduler
  readonly #jobs: readonly ReplayJob[]
  readonly #named: (NamedNode | undefined)[]
  readonly #nodes: (BatchNode | undefined)[]
  readonly #ended: ReplayJob[] = []

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
    this.#nodes[slot] = undefined
  }

  named(slot: number): NamedNode | undefined {
    return this.#named[slot]
  }

  touched(slot: number): void {
    this.#nodes[slot] = undefined
  }

  started(job: ReplayJob): void {
    const nodeNames = job.slots.map((slot) => this.#named[slot]?.name ?? `n${slot}`)
    job.record = { ...job.record, state: 'running', vendorReason: '', startedAt: job.startedAt, nodeNames }
  }

  ended(job: ReplayJob): void {
    job.record = { ...job.record, state: 'ended', endedAt: job.endedAt }
    this.#ended.push(job)
  }

  look(now: Instant): BatchPicture {
    const stale = this.#ended.findIndex(({ endedAt = 0 }) => endedAt > now - LISTED_MS)
    this.#ended.splice(0, stale < 0 ? this.#ended.length : stale)
    const recordOf = ({ number }: { readonly number: number }) => this.#jobs[number]!.record
    const jobs = [
      ...this.#scheduler.queue.map(recordOf),
      ...this.#scheduler.running.map(recordOf),
      ...this.#ended.map(({ record }) => record),
    ]
    const nodes: BatchNode[] = []
    for (let slot = 0; slot < this.#cluster.slots; slot++) {
      const node = this.#nodeOf(slot)
      if (node !== undefined) nodes.push(node)
    }
    return { startedAt: now, at: now, jobs, nodes, warnings: [], trust: 'confirmed' }
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
