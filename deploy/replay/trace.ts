import type { Instant, Millis } from '../../actors/runtime/clock.ts'

/** One job of a trace, as its batch system wrote it down. */
export interface TraceJob {
  readonly id: string
  readonly submittedAt: Instant
  /** How long it really ran. */
  readonly runMs: Millis
  /** What it asked for; undefined if the trace does not say. */
  readonly walltimeMs: Millis | undefined
  readonly processors: number
  /** So many nodes with so many processors each, where the trace says so. */
  readonly spread: { readonly nodes: number; readonly cpusPerNode: number } | undefined
  /** 0 if the trace does not say. Either of the two, whatever the trace counts by. */
  readonly memoryMiBPerProcessor: number
  readonly memoryMiBPerNode: number
  readonly queue: string
  readonly user: string
}

export interface Trace {
  readonly name: string
  /** In order of submission. */
  readonly jobs: readonly TraceJob[]
  /** From its header, such as `MaxProcs`; names as they stand there. */
  readonly header: ReadonlyMap<string, string>
  /** The first of them, a sentence each with its line; `warningCount` says how many there were. */
  readonly warnings: readonly string[]
  readonly warningCount: number
  /** Jobs that never ran, or of which nothing is known. */
  readonly leftOut: number
}

export interface UnitSize {
  readonly cpus: number
  readonly memoryMiB: number
}

/** What a job takes of each of its nodes. */
export interface Shape {
  readonly nodes: number
  readonly cpus: number
  readonly memoryMiB: number
}

/**
 * The one law of where a job of N processors lies:
 *
 *   nodes = ceil(N / cpus of a unit)     cpus of each = ceil(N / nodes)
 *
 * A job of no more processors than a unit has lies on one node, which it shares with others that fit. A trace that says
 * nodes and processors per node is believed, if a unit has so many. Undefined: no unit is large enough.
 */
export function shapeOf(job: TraceJob, unit: UnitSize): Shape | undefined {
  const { spread, processors } = job
  const nodes =
    spread !== undefined && spread.cpusPerNode <= unit.cpus ? spread.nodes : Math.ceil(processors / unit.cpus)
  const cpus =
    spread !== undefined && spread.cpusPerNode <= unit.cpus
      ? spread.cpusPerNode
      : Math.ceil(processors / nodes)
  const memoryMiB = Math.max(job.memoryMiBPerNode, job.memoryMiBPerProcessor * cpus)
  return memoryMiB > unit.memoryMiB ? undefined : { nodes, cpus, memoryMiB }
}

const WIDTHS = [1, 4, 16, 64, 256] as const

/** `1`, `2-4`, `5-16`, ...: jobs of about the same number of processors. */
export function widthClassOf(processors: number): string {
  let from = 1
  for (const to of WIDTHS) {
    if (processors <= to) return from === to ? `${to}` : `${from}-${to}`
    from = to + 1
  }
  return `${from}+`
}
