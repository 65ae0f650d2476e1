import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { addAmounts, type Cluster, haveAmounts } from './cluster.ts'
import type { Shape } from './trace.ts'

/** A job as a scheduler sees it, with where it is. */
export interface QueuedJob {
  readonly number: number
  readonly shape: Shape
  /** What it asked for, by which ends are planned. */
  readonly limitMs: Millis
  startedAt: Instant | undefined
  slots: readonly number[]
}

export const SCHEDULERS = ['fifo', 'easy'] as const
export type SchedulerKind = (typeof SCHEDULERS)[number]

/**
 * A batch scheduler over the nodes there are.
 *
 *   fifo   the first in the queue starts as soon as it fits; until then nobody else does
 *   easy   … and meanwhile others start that do not delay it: EASY backfill
 *
 *            nodes ▲ ████ runs ██│▒▒▒▒▒▒▒▒▒▒▒▒▒▒   the head has these nodes from its shadow time on, when by the times
 *                  │ ███ runs ███│▒▒▒▒ head ▒▒▒▒   that were asked for enough will be free
 *                  │ ░ backfill ░│▒▒▒▒▒▒▒▒▒▒▒▒▒▒   ends before it, or
 *                  │ ░░░░░░░ backfill ░░░░░░░░░    lies on what the head leaves over
 *                  └────────────shadow────────▶ t
 *
 * A head that needs more nodes than there are has no shadow, as in batch systems that only know registered nodes:
 * others go on past it until there are enough.
 */
export class Scheduler {
  readonly #kind: SchedulerKind
  readonly #cluster: Cluster
  readonly #queue: QueuedJob[] = []
  /** By planned end. */
  readonly #running: QueuedJob[] = []
  #roomChanged = true
  /** Place of the first job that has not been looked at. */
  #unseen = 0
  #shadow: Instant = Number.POSITIVE_INFINITY
  /** What the head leaves over of each node that it is to have; -1: it is not to have it. */
  readonly #leftOver: Int32Array
  readonly #leftOverMemory: Float64Array
  readonly #leftOverAmounts: readonly Float64Array[]
  #reserved: readonly number[] = []
  #plans = 0

  constructor(kind: SchedulerKind, cluster: Cluster) {
    this.#kind = kind
    this.#cluster = cluster
    this.#leftOver = new Int32Array(cluster.slots).fill(-1)
    this.#leftOverMemory = new Float64Array(cluster.slots)
    this.#leftOverAmounts = cluster.freeAmounts.map(() => new Float64Array(cluster.slots))
  }

  get queue(): readonly QueuedJob[] {
    return this.#queue
  }

  get running(): readonly QueuedJob[] {
    return this.#running
  }

  /** When the head starts at the latest, by what jobs asked for; infinite if nobody can say. */
  get shadow(): Instant {
    return this.#shadow
  }

  /** The number of the plan by which nodes are kept for the first job. */
  get plan(): number {
    return this.#plans
  }

  /** The first job of the queue, if the node is kept for it. */
  collects(slot: number): QueuedJob | undefined {
    return this.#leftOver[slot]! >= 0 ? this.#queue[0] : undefined
  }

  submit(job: QueuedJob): void {
    this.#queue.push(job)
  }

  ended(job: QueuedJob): void {
    this.#running.splice(this.#running.indexOf(job), 1)
    this.#cluster.give(job.number, job.slots, job.shape)
    this.#roomChanged = true
  }

  /** Nodes came, went, or take jobs again. */
  nodesChanged(): void {
    this.#roomChanged = true
  }

  /** Starts what may start now. */
  pass(now: Instant): readonly QueuedJob[] {
    const started: QueuedJob[] = []
    // Time alone lets nothing more start, so without more room only the new ones are tried.
    let next = this.#roomChanged || this.#shadow < now ? 0 : this.#unseen
    if (next === 0) {
      while (this.#queue[0] !== undefined) {
        const head = this.#queue[0]
        if (!this.#tryStart(0, now)) break
        started.push(head)
      }
      this.#plan(now)
      next = 1
    }
    this.#roomChanged = false
    if (this.#kind === 'easy')
      for (let i = next; i < this.#queue.length && this.#cluster.hasRoom(); )
        if (!this.#tryBackfill(i, now, started)) i += 1
    this.#unseen = this.#queue.length
    return started
  }

  #tryStart(place: number, now: Instant, allowed?: (slot: number) => boolean): boolean {
    const job = this.#queue[place]!
    const slots = this.#cluster.choose(job.shape, allowed)
    if (slots === undefined) return false
    this.#queue.splice(place, 1)
    this.#cluster.take(job.number, slots, job.shape)
    job.slots = slots
    job.startedAt = now
    this.#running.splice(this.#placeOf(plannedEnd(job)), 0, job)
    return true
  }

  #tryBackfill(place: number, now: Instant, started: QueuedJob[]): boolean {
    const job = this.#queue[place]!
    if (!this.#cluster.mayFit(job.shape)) return false
    const inTime = now + job.limitMs <= this.#shadow
    const allowed = inTime ? undefined : (slot: number): boolean => this.#leavesOver(slot, job.shape)
    if (!this.#tryStart(place, now, allowed)) return false
    started.push(job)
    if (!inTime)
      for (const slot of job.slots)
        if (this.#leftOver[slot]! >= 0) {
          this.#leftOver[slot]! -= job.shape.cpus
          this.#leftOverMemory[slot]! -= job.shape.memoryMiB
          const { amounts } = job.shape
          if (amounts !== undefined) addAmounts(this.#leftOverAmounts, slot, amounts, -1)
        }
    return true
  }

  #leavesOver(slot: number, { cpus, memoryMiB, amounts }: Shape): boolean {
    const left = this.#leftOver[slot]!
    if (left < 0) return true
    if (left < cpus || this.#leftOverMemory[slot]! < memoryMiB) return false
    return amounts === undefined || haveAmounts(this.#leftOverAmounts, slot, amounts)
  }

  /** Finds the head's shadow time and its nodes: rather those that are busy now, so that free ones serve others. */
  #plan(now: Instant): void {
    this.#plans += 1
    for (const slot of this.#reserved) this.#leftOver[slot] = -1
    this.#reserved = []
    this.#shadow = Number.POSITIVE_INFINITY
    const head = this.#queue[0]
    if (head === undefined || this.#kind === 'fifo') return
    const { nodes, cpus, memoryMiB, amounts } = head.shape
    const { accepts, slots } = this.#cluster
    const free = this.#cluster.free.slice()
    const memory = this.#cluster.freeMemory.slice()
    const others = this.#cluster.freeAmounts.map((each) => each.slice())
    const fits = (slot: number): boolean =>
      free[slot]! >= cpus &&
      memory[slot]! >= memoryMiB &&
      (amounts === undefined || haveAmounts(others, slot, amounts))
    const freeNow: number[] = []
    for (let slot = slots - 1; slot >= 0; slot--) if (accepts[slot] === 1 && fits(slot)) freeNow.push(slot)
    const later: number[] = []
    let at = now
    for (const job of this.#running) {
      if (freeNow.length + later.length >= nodes) break
      at = Math.max(now + 1, plannedEnd(job))
      for (const slot of job.slots) {
        const before = fits(slot)
        free[slot]! += job.shape.cpus
        memory[slot]! += job.shape.memoryMiB
        if (job.shape.amounts !== undefined) addAmounts(others, slot, job.shape.amounts, 1)
        if (accepts[slot] === 1 && !before && fits(slot)) later.push(slot)
      }
    }
    if (freeNow.length + later.length < nodes) return
    this.#shadow = at
    this.#reserved = [...later, ...freeNow].slice(0, nodes)
    for (const slot of this.#reserved) {
      this.#leftOver[slot] = free[slot]! - cpus
      this.#leftOverMemory[slot] = memory[slot]! - memoryMiB
      for (const [i, left] of this.#leftOverAmounts.entries())
        left[slot] = others[i]![slot]! - (amounts?.[i] ?? 0)
    }
  }

  /** Where a job that is to end then belongs among the running ones, behind those that end then, too. */
  #placeOf(end: Instant): number {
    let [low, high] = [0, this.#running.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (plannedEnd(this.#running[middle]!) <= end) low = middle + 1
      else high = middle
    }
    return low
  }
}

const plannedEnd = ({ startedAt = 0, limitMs }: QueuedJob): Instant => startedAt + limitMs
