import type { Vector } from '../../actors/leases/resources.ts'
import { largest } from '../../actors/runtime/extremes.ts'
import { own } from '../../actors/runtime/plain.ts'
import { whole } from '../job-bounds.ts'
import { summands, unlike } from '../pbs/parts.ts'
import { type Demand, garbage } from '../pbs/records.ts'
import { memoryMiB } from '../pbs/sizes.ts'

/** Resource_List, its values as Torque prints them. */
export type ResourceList = Readonly<Record<string, string>>

interface Part {
  readonly nodes: number
  readonly ppn: number
  readonly consumables: Vector
  readonly features: readonly string[]
}

/** Words after `gpus=` that say how they are shared, and are no property of a node. */
const GPU_MODES = new Set([
  'shared',
  'exclusive',
  'exclusive_thread',
  'exclusive_process',
  'default',
  'reseterr',
])

/** Dimensions by our names. */
const CONSUMABLES: Readonly<Record<string, string>> = { gpus: 'gpu', mics: 'mic' }

const NAME = /^[A-Za-z][\w.-]*$/

function partOf(text: string): Part {
  const [head = '', ...words] = text.split(':')
  const isCount = /^\d+$/.test(head)
  if (!isCount && !NAME.test(head)) throw garbage(`it asks for the nodes “${text.slice(0, 60)}”`)
  let ppn = 1
  const consumables: Record<string, number> = {}
  // A part without a count is a host by its name, or one node with this property.
  const features = isCount ? [] : [head]
  for (const word of words) {
    const [, key, amount] = /^([a-z]+)=(\d+)$/i.exec(word) ?? []
    if (key === 'ppn') ppn = Number(amount)
    else if (key !== undefined) consumables[CONSUMABLES[key] ?? key] = Number(amount)
    else if (!GPU_MODES.has(word)) features.push(word)
  }
  return { nodes: isCount ? Number(head) : 1, ppn, consumables, features }
}

const largestOf = (vectors: readonly Vector[]): Vector => {
  const found: Record<string, number> = {}
  for (const vector of vectors)
    for (const [key, amount] of Object.entries(vector))
      found[key] = whole(Math.max(own(found, key) ?? 0, amount))
  return found
}

/**
 *   nodes=4              4 × 1              nodes=1:ppn=2+2:ppn=1   3 × 2, in parts: 1 × 2 and 2 × 1
 *   nodes=2:ppn=2        2 × 2              nodes=vm02:ppn=1        1 × 1, on that host
 *   nodes=1:xen:gpus=2   1 × 1, xen, 2 gpu  procs=3                 3 × 1, or as they fit on the machines that are lent
 *
 * `mem` and `vmem` are the whole job's, `pmem` and `pvmem` each processor's.
 */
export function demandOf(list: ResourceList, cpusOfMachine: number | undefined): Demand {
  const procs = whole(Number(list.procs ?? 0))
  const spec = list.nodes ?? (procs > 0 ? spread(procs, cpusOfMachine) : '1')
  const [asked = '', ...flags] = spec.split('#')
  const parts = summands(asked, partOf).map(([part, times]) => ({ ...part, nodes: part.nodes * times }))
  const nodes = whole(parts.reduce((sum, part) => sum + part.nodes, 0))
  const cpusPerNode = whole(
    largest(
      parts.map(({ ppn }) => ppn),
      0,
    ),
  )
  const ofJob = memoryMiB(list.mem) || memoryMiB(list.vmem)
  const ofProcessor = memoryMiB(list.pmem) || memoryMiB(list.pvmem)
  const memoryOf = (cpus: number): number => whole(Math.max(ofJob / Math.max(1, nodes), ofProcessor * cpus))
  return {
    nodes,
    cpusPerNode,
    memoryMiBPerNode: memoryOf(cpusPerNode),
    consumablesPerNode: largestOf(parts.map(({ consumables }) => consumables)),
    features: [...new Set(parts.flatMap(({ features }) => features))],
    exclusive: flags.includes('excl') || list.naccesspolicy?.toLowerCase() === 'singlejob',
    ...unlike(
      parts.map(({ nodes, ppn, consumables, features }) => ({
        ...{ nodes, cpusPerNode: ppn, memoryMiBPerNode: memoryOf(ppn) },
        ...{ consumablesPerNode: consumables, features },
      })),
    ),
  }
}

const spread = (procs: number, cpusOfMachine = 1): string =>
  `${Math.ceil(procs / cpusOfMachine)}:ppn=${Math.min(procs, cpusOfMachine)}`
