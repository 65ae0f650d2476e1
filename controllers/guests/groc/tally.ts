import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import { bounded } from '../../../adapters/job-bounds.ts'

/**
 * The jobs of a look by what they do. Of 100,000 jobs as a rule nearly all wait: whoever asks for the others does
 * not go through these again.
 */
export interface Tally {
  /** The pending ones and all others. */
  readonly all: readonly Job[]
  readonly held: readonly Job[]
  /** Running and completing ones. */
  readonly running: readonly Job[]
  readonly ended: readonly Job[]
}

export function tallyOf(told: readonly Job[]): Tally {
  const all = told.every((job) => bounded(job) === job) ? told : told.map(bounded)
  const held: Job[] = []
  const running: Job[] = []
  const ended: Job[] = []
  for (const job of all) {
    const { state } = job
    if (state === 'pending') continue
    if (state === 'held') held.push(job)
    else if (state === 'ended') ended.push(job)
    else running.push(job)
  }
  return { all, held, running, ended }
}

/** By look: it is asked for twice. */
const nodesOf = new WeakMap<BatchPicture, ReadonlyMap<string, BatchNode>>()

/** The nodes that Sublet made, by unit. */
export function nodesByUnit(picture: BatchPicture): ReadonlyMap<string, BatchNode> {
  let nodes = nodesOf.get(picture)
  if (nodes === undefined) {
    const byUnit = new Map<string, BatchNode>()
    for (const node of picture.nodes) if (node.mark !== undefined) byUnit.set(node.mark.unitId, node)
    nodes = byUnit
    nodesOf.set(picture, nodes)
  }
  return nodes
}
