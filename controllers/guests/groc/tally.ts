import type { BatchNode, Job } from '../../../adapters/batch-system.ts'
import { bounded } from '../../../adapters/job-bounds.ts'
import { listKeeper } from './last-look.ts'

/**
 * The jobs of a look by what they do. Of 100,000 jobs as a rule nearly all wait: whoever asks for the others does
 * not go through these again. Each list is that of the look before while the same jobs do the same.
 */
export interface Tally {
  readonly pending: readonly Job[]
  readonly held: readonly Job[]
  /** Running and completing ones. */
  readonly running: readonly Job[]
  readonly ended: readonly Job[]
}

const asBefore = listKeeper<Job>()
/** By list: it may be that of the look before. */
const tallies = new WeakMap<readonly Job[], Tally>()

export function tallyOf(told: readonly Job[]): Tally {
  let tally = tallies.get(told)
  if (tally === undefined) {
    tally = sortedOut(told)
    tallies.set(told, tally)
  }
  return tally
}

function sortedOut(told: readonly Job[]): Tally {
  const lists: Record<'pending' | 'held' | 'running' | 'ended', Job[]> = {
    pending: [],
    held: [],
    running: [],
    ended: [],
  }
  for (const one of told) {
    const job = bounded(one)
    lists[job.state === 'completing' ? 'running' : job.state].push(job)
  }
  const { pending, held, running, ended } = lists
  return {
    pending: asBefore(pending),
    held: asBefore(held),
    running: asBefore(running),
    ended: asBefore(ended),
  }
}

/** The nodes of a look by what is asked of them. */
export interface Nodes {
  /** Those that Sublet made, by unit. */
  readonly byUnit: ReadonlyMap<string, BatchNode>
  /** The others. */
  readonly own: readonly BatchNode[]
  /** Ids of jobs for which the scheduler collects nodes. */
  readonly collectors: ReadonlySet<string>
}

const ownAsBefore = listKeeper<BatchNode>()
/** By list: it is asked for more than once, and may be that of the look before. */
const known = new WeakMap<readonly BatchNode[], Nodes>()

export function nodesOf(list: readonly BatchNode[]): Nodes {
  let nodes = known.get(list)
  if (nodes === undefined) {
    const byUnit = new Map<string, BatchNode>()
    const own: BatchNode[] = []
    const collectors = new Set<string>()
    for (const node of list) {
      if (node.mark === undefined) own.push(node)
      else byUnit.set(node.mark.unitId, node)
      if (node.collectingFor !== undefined) collectors.add(node.collectingFor)
    }
    nodes = { byUnit, own: ownAsBefore(own), collectors }
    known.set(list, nodes)
  }
  return nodes
}
