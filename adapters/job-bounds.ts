import type { Vector } from '../actors/leases/resources.ts'
import type { Instant } from '../actors/runtime/clock.ts'
import type { Job, JobPart } from './batch-system.ts'

/**
 * Users write what they like: four hundred digits, or no node at all. Within these bounds every figure of a job is a whole
 * number, and so are sums and products of them.
 *
 *   waits     and asks for more, or for nothing   held: impossible, and no machine would cure it
 *   runs, ended                                   its figures are brought within the bounds
 */
export const NODES_MAX = 1_000_000
export const CPUS_MAX = 1_000_000
/** An exbibyte. */
export const MEMORY_MIB_MAX = 2 ** 40
export const TASKS_MAX = 1_000_000_000
/** Kinds of consumables, and of features and hosts, of one job. */
const KINDS_MAX = 256
const FEATURES_MAX = 10_000
/** Unlike ones, of one job. */
export const PARTS_MAX = 256
const WALLTIME_MS_MAX = 1000 * 366 * 24 * 60 * 60_000
const INSTANT_MAX = 8_640_000_000_000_000

/** A figure as others wrote it: whole, finite, not below 0. */
export const whole = (figure: number): number =>
  Number.isNaN(figure) ? 0 : Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.ceil(figure)))

const isWithin = (figure: number, least: number, most: number): boolean =>
  Number.isSafeInteger(figure) && figure >= least && figure <= most

const isSound = (at: number | undefined, most: number): boolean =>
  at === undefined || (Number.isFinite(at) && at >= 0 && at <= most)

const isPossible = (job: Job): boolean =>
  isPossiblePart(job) &&
  (job.parts === undefined || (job.parts.length <= PARTS_MAX && job.parts.every(isPossiblePart)))

const isPossiblePart = ({
  nodes,
  cpusPerNode,
  memoryMiBPerNode,
  consumablesPerNode,
  features,
}: JobPart): boolean =>
  isWithin(nodes, 1, NODES_MAX) &&
  isWithin(cpusPerNode, 0, CPUS_MAX) &&
  isWithin(memoryMiBPerNode, 0, MEMORY_MIB_MAX) &&
  (consumablesPerNode === undefined || areWithin(consumablesPerNode)) &&
  (features === undefined || features.length <= FEATURES_MAX)

function areWithin(consumables: Vector): boolean {
  let kinds = 0
  for (const name in consumables)
    if (++kinds > KINDS_MAX || !isWithin(consumables[name]!, 0, Number.MAX_SAFE_INTEGER)) return false
  return true
}

const isToldSoundly = ({ tasks, restarts, walltimeMs, submittedAt, startedAt, endedAt, notBefore }: Job) =>
  isWithin(tasks, 1, TASKS_MAX) &&
  isWithin(restarts, 0, Number.MAX_SAFE_INTEGER) &&
  isSound(walltimeMs, WALLTIME_MS_MAX) &&
  Number.isFinite(submittedAt) &&
  [submittedAt, startedAt, endedAt, notBefore].every((at) => isSound(at, INSTANT_MAX))

/** The very same job, as nearly all are; else one with figures that can be reckoned with. */
export function bounded(job: Job): Job {
  const isServable = isPossible(job)
  if (isServable && isToldSoundly(job)) return job
  const { notBefore, consumablesPerNode, features, parts, ...rest } = job
  const told: Job = {
    ...rest,
    nodes: upTo(job.nodes, 1, NODES_MAX),
    cpusPerNode: upTo(job.cpusPerNode, 0, CPUS_MAX),
    memoryMiBPerNode: upTo(job.memoryMiBPerNode, 0, MEMORY_MIB_MAX),
    ...(consumablesPerNode !== undefined && {
      consumablesPerNode: Object.fromEntries(
        Object.entries(consumablesPerNode)
          .slice(0, KINDS_MAX)
          .map(([name, amount]) => [name, whole(amount)]),
      ),
    }),
    ...(features !== undefined && { features: features.slice(0, FEATURES_MAX) }),
    ...(isServable && parts !== undefined && { parts }),
    // Longer than anything lasts is no limit.
    walltimeMs: isSound(job.walltimeMs, WALLTIME_MS_MAX) ? job.walltimeMs : undefined,
    submittedAt: upTo(job.submittedAt, 0, INSTANT_MAX),
    startedAt: instant(job.startedAt),
    endedAt: instant(job.endedAt),
    ...(instant(notBefore) !== undefined && { notBefore: notBefore! }),
    restarts: whole(job.restarts),
    tasks: upTo(job.tasks, 1, TASKS_MAX),
  }
  if (isServable || (job.state !== 'pending' && job.state !== 'held')) return told
  return {
    ...told,
    state: 'held',
    heldBy: 'impossible',
    vendorReason: job.vendorReason || 'it asks for what no cluster has',
  }
}

const upTo = (figure: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, whole(figure)))

const instant = (at: Instant | undefined): Instant | undefined => (isSound(at, INSTANT_MAX) ? at : undefined)
