import type { BatchNode, Job } from '../../../adapters/batch-system.ts'
import { some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { servesQueue } from './demand.ts'
import { lastLook } from './last-look.ts'
import type { Room } from './needs.ts'
import type { Tally } from './tally.ts'

/**
 * Where the batch system starts no job before one of its queue that came earlier (`starts: in-order`), machines for those behind
 * one that waits for others to end would stand idle:
 *
 *   max + lookahead ├── running ────┤── first ──┤── second ─────┤
 *                                               third: behind the second, and no demand until others have ended
 *
 * It is reckoned in processors, the least that jobs take: none that could start is held to be behind.
 */
export interface Turn {
  /** With the pending ones whose turn may come. */
  readonly jobs: Tally
  readonly behind: readonly Behind[]
}

/** Those of one queue that wait for the turn of one. */
export interface Behind {
  readonly queue: string
  readonly first: Job
  readonly jobs: readonly Job[]
}

const lastTurn = lastLook<Turn>()

export function turnOf(
  jobs: Tally,
  units: readonly Room[],
  ownNodes: readonly BatchNode[],
  config: GrocConfig,
): Turn {
  if (config.starts === 'any') return { jobs, behind: [] }
  return lastTurn(config, [jobs.pending, jobs.held, jobs.running, ownNodes, ...units], () =>
    sortedOut(jobs, capacityOf(jobs, units, ownNodes, config), config),
  )
}

/** Processors that are not at work, or could be ordered. */
function capacityOf(
  { running }: Tally,
  units: readonly Room[],
  ownNodes: readonly BatchNode[],
  { max, lookahead, ownNodes: own, queues }: GrocConfig,
): number {
  const unitCpus = units.reduce((most, { cpus }) => Math.max(most, cpus), 0)
  const ownCpus = own === 'count' ? ownNodes.reduce((sum, { cpus }) => sum + cpus, 0) : 0
  let inUse = 0
  for (const job of running) if (servesQueue({ queues }, job.queue)) inUse += cpusOf(job)
  return (max + lookahead) * unitCpus + ownCpus - inUse
}

function sortedOut(jobs: Tally, capacity: number, config: GrocConfig): Turn {
  const lines = new Map<string, { left: number; first: Job; behind: Job[] }>()
  const pending: Job[] = []
  const isOlder = (a: Job, b: Job): number => a.submittedAt - b.submittedAt
  for (const job of jobs.pending.toSorted(isOlder)) {
    // It starts with the job that it is a part of.
    if (job.partOf !== undefined) {
      pending.push(job)
      continue
    }
    const line = lines.get(job.queue) ?? { left: capacity, first: job, behind: [] }
    lines.set(job.queue, line)
    if (line.left < 0 && servesQueue(config, job.queue)) {
      line.behind.push(job)
      continue
    }
    line.left -= cpusOf(job)
    line.first = job
    pending.push(job)
  }
  const behind = [...lines].flatMap(([queue, { first, behind: of }]) =>
    of.length === 0 ? [] : [{ queue, first, jobs: of }],
  )
  return behind.length === 0 ? { jobs, behind } : { jobs: { ...jobs, pending }, behind }
}

/** Of an array that is begun, all that may still come. */
const cpusOf = ({ nodes, cpusPerNode, parts, tasks }: Job): number => {
  const ofOne =
    parts === undefined
      ? Math.max(1, nodes) * Math.max(1, cpusPerNode)
      : parts.reduce((sum, part) => sum + part.nodes * part.cpusPerNode, 0)
  return ofOne * tasks
}

export const turnNotes = ({ behind }: Turn): readonly string[] =>
  behind.map(
    ({ queue, first, jobs }) =>
      `Not counted, for queue ${queue} is served in order: ${some(jobs.length, 'job')} behind job ${first.id}, which waits for others to end.`,
  )
