import type { Vector } from '../../actors/leases/resources.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { hasFeature, isKindOf } from '../../controllers/guests/groc/needs.ts'

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
  /** It ended well; absent where a trace does not tell. */
  readonly succeeded?: boolean
  /** What else each of its nodes has to give it; absent for most, and where a trace does not tell. */
  readonly extras?: TraceExtras
}

export interface TraceExtras {
  readonly consumables: Vector
  readonly features: readonly string[]
  /** It shares its nodes with nobody. */
  readonly exclusive: boolean
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
  /** Absent: none. */
  readonly consumables?: Vector
  readonly features?: readonly string[]
}

/** What a job takes of each of its nodes. */
export interface Shape {
  readonly nodes: number
  readonly cpus: number
  readonly memoryMiB: number
  /** Of each consumable of the unit, in the order of `dimensionsOf`; absent: of none. */
  readonly amounts?: readonly number[]
  /** Processors that it asked for, where it takes all of them to be alone. */
  readonly cpusAsked?: number
}

export const dimensionsOf = ({ consumables = {} }: UnitSize): readonly string[] =>
  Object.keys(consumables).sort()

/**
 * The one law of where a job of N processors lies:
 *
 *   nodes = ceil(N / cpus of a unit)     cpus of each = ceil(N / nodes)
 *
 * A job of no more processors than a unit has lies on one node, which it shares with others that fit. A trace that says
 * nodes and processors per node is believed, if a unit has so many. One that shares with nobody takes all processors of its
 * nodes. Undefined: no unit is large enough, or has what it asks for.
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
  if (memoryMiB > unit.memoryMiB) return undefined
  return job.extras === undefined
    ? { nodes, cpus, memoryMiB }
    : withExtras({ nodes, cpus, memoryMiB }, job.extras, unit)
}

function withExtras(shape: Shape, extras: TraceExtras, unit: UnitSize): Shape | undefined {
  const { consumables, features, exclusive } = extras
  if (!features.every((feature) => hasFeature(unit.features ?? [], feature))) return undefined
  const dimensions = dimensionsOf(unit)
  const amounts = dimensions.map(() => 0)
  for (const [name, amount] of Object.entries(consumables)) {
    // Any `gpu` is served by a `gpu:a100`.
    const at = dimensions.includes(name)
      ? dimensions.indexOf(name)
      : dimensions.findIndex((dimension) => isKindOf(dimension, name))
    if (at < 0) return undefined
    amounts[at]! += amount
  }
  if (dimensions.some((dimension, i) => amounts[i]! > unit.consumables![dimension]!)) return undefined
  return {
    ...shape,
    ...(exclusive && { cpus: unit.cpus, cpusAsked: shape.cpus }),
    ...(amounts.some((amount) => amount > 0) && { amounts }),
  }
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
