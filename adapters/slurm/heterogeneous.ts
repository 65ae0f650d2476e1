import type { Vector } from '../../actors/leases/resources.ts'
import { own } from '../../actors/runtime/plain.ts'
import type { Job, JobPart } from '../batch-system.ts'

/**
 * Heterogeneous jobs (`sbatch … : …`), whose components Slurm lists one by one and starts all at once, on different nodes:
 *
 *   20+0  1 × 16    ──▶  20+0  2 parts: 1 × 16 and 8 × 1
 *   20+1  8 × 1          20+1  part of 20+0
 *
 * What holds one of them holds all.
 */
export function withHeterogeneous(jobs: readonly Job[]): readonly Job[] {
  if (!jobs.some(({ id }) => id.includes('+'))) return jobs
  const byLeader = new Map<string, Job[]>()
  for (const job of jobs) {
    const leader = leaderOf(job.id)
    if (leader !== undefined) byLeader.set(leader, [...(byLeader.get(leader) ?? []), job])
  }
  return jobs.map((job): Job => {
    const leader = leaderOf(job.id)
    const all = leader === undefined ? undefined : byLeader.get(leader)
    const first = all?.find(({ id }) => id === leader)
    if (first === undefined || all === undefined || all.length < 2) return job
    const told = job === first || job.queue !== first.queue ? job : { ...job, partOf: first.id }
    if (job.state !== 'pending') return told
    const held = all.find(({ state }) => state === 'held')
    if (held !== undefined)
      return { ...told, state: 'held', heldBy: held.heldBy ?? 'unknown', vendorReason: held.vendorReason }
    return job === first ? together(all.filter(({ queue }) => queue === first.queue)) : told
  })
}

/** `20+0` of `20+1`. */
const leaderOf = (id: string): string | undefined => {
  const [, number] = /^(\d+)\+\d+$/.exec(id) ?? []
  return number === undefined ? undefined : `${number}+0`
}

function together(components: readonly Job[]): Job {
  const [first, ...others] = components
  if (others.length === 0) return first!
  const most = (of: (job: Job) => number): number =>
    components.reduce((most, job) => Math.max(most, of(job)), 0)
  const consumables: Record<string, number> = {}
  for (const { consumablesPerNode = {} } of components)
    for (const [name, amount] of Object.entries(consumablesPerNode))
      consumables[name] = Math.max(own(consumables as Vector, name) ?? 0, amount)
  const features = [...new Set(components.flatMap((job) => job.features ?? []))]
  return {
    ...first!,
    nodes: components.reduce((sum, { nodes }) => sum + nodes, 0),
    cpusPerNode: most((job) => job.cpusPerNode),
    memoryMiBPerNode: most((job) => job.memoryMiBPerNode),
    ...(Object.keys(consumables).length > 0 && { consumablesPerNode: consumables }),
    ...(features.length > 0 && { features }),
    // The longest of their limits; one without has none.
    walltimeMs: components.some(({ walltimeMs }) => walltimeMs === undefined)
      ? undefined
      : most(({ walltimeMs = 0 }) => walltimeMs),
    parts: components.map(partOf),
  }
}

const partOf = ({ nodes, cpusPerNode, memoryMiBPerNode, consumablesPerNode, features }: Job): JobPart => ({
  ...{ nodes, cpusPerNode, memoryMiBPerNode },
  ...(consumablesPerNode !== undefined && { consumablesPerNode }),
  ...(features !== undefined && { features }),
})
