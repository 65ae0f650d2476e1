import { largest } from '../../actors/runtime/extremes.ts'
import { own } from '../../actors/runtime/plain.ts'
import type { JobPart } from '../batch-system.ts'
import { whole } from '../job-bounds.ts'
import { summands, unlike } from '../pbs/parts.ts'
import type { Demand } from '../pbs/records.ts'
import { garbage } from '../pbs/records.ts'
import { memoryMiB, wholeNumber } from '../pbs/sizes.ts'

interface Chunk {
  readonly count: number
  readonly cpus: number
  readonly memoryMiB: number
  readonly consumables: Readonly<Record<string, number>>
  readonly features: readonly string[]
}

/** How a chunk's cpus are used, not what they are. */
const ABOUT_USE = new Set(['mpiprocs', 'ompthreads'])
/** Dimensions by our names. */
const CONSUMABLES: Readonly<Record<string, string>> = { ngpus: 'gpu' }

function chunkOf(text: string): Chunk {
  const [head = '', ...rest] = text.split(':')
  const isCount = /^\d+$/.test(head)
  const consumables: Record<string, number> = {}
  const features: string[] = []
  let cpus = 1
  let memory = 0
  for (const word of isCount ? rest : [head, ...rest]) {
    const [key = '', value] = word.split('=')
    if (value === undefined) throw garbage(`it selects “${text.slice(0, 60)}”`)
    if (key === 'ncpus') cpus = wholeNumber(value, 'ncpus')
    else if (key === 'mem') memory = memoryMiB(value)
    else if (key === 'vmem') memory = memory || memoryMiB(value)
    else if (key === 'host' || key === 'vnode') features.push(value)
    else if (ABOUT_USE.has(key)) continue
    else if (/^\d+$/.test(value)) consumables[CONSUMABLES[key] ?? key] = Number(value)
    else if (/^(?:true|t|y|1)$/i.test(value)) features.push(key)
    else features.push(`${key}=${value}`)
  }
  return { count: isCount ? Number(head) : 1, cpus, memoryMiB: memory, consumables, features }
}

/**
 *   2:ncpus=2, place=scatter    2 × 2                 1:ncpus=2:ngpus=1   1 × 2, 1 gpu
 *   8:ncpus=1, place=free       8 × 1; on machines of 4 that are lent: 2 × 4
 *   8:ncpus=1, place=pack       1 × 8                 2:ncpus=4+1:ncpus=1:host=vm02    3 × 4, vm02, in parts: 2 × 4, 1 × 1
 *   1:ncpus=4+2:ncpus=1         place=pack: 1 × 6; free, on machines of 8: 1 × 6; else 3 × 4, in parts: 1 × 4, 2 × 1
 */
export function demandOf(select: string, place: string, cpusOfMachine: number | undefined): Demand {
  const chunks = alike(
    summands(select, chunkOf).map(([chunk, times]) => ({ ...chunk, count: chunk.count * times })),
  )
  const words = place.split(':')
  const exclusive = words.some((word) => /^excl/.test(word))
  const isScattered = words.some((word) => /^v?scatter$/.test(word))
  const onOne = (chunk: Chunk): number => {
    const room = Math.floor((cpusOfMachine ?? 0) / Math.max(1, chunk.cpus))
    return Math.max(1, Math.min(chunk.count, isScattered ? 1 : room))
  }
  const parts = (
    words.includes('pack') || (!isScattered && fitsOne(chunks, cpusOfMachine))
      ? [together(chunks)]
      : chunks.filter(({ count }) => count > 0)
  ).map((chunk) => partOf(chunk, onOne(chunk)))
  const consumables: Record<string, number> = {}
  for (const { consumablesPerNode } of parts)
    for (const [key, amount] of Object.entries(consumablesPerNode))
      consumables[key] = Math.max(own(consumables, key) ?? 0, amount)
  return {
    nodes: whole(parts.reduce((sum, { nodes }) => sum + nodes, 0)),
    cpusPerNode: largest(
      parts.map(({ cpusPerNode }) => cpusPerNode),
      0,
    ),
    memoryMiBPerNode: largest(
      parts.map(({ memoryMiBPerNode }) => memoryMiBPerNode),
      0,
    ),
    consumablesPerNode: consumables,
    features: [...new Set(parts.flatMap(({ features }) => features))],
    exclusive,
    ...unlike(parts),
  }
}

/** Equal ones together. */
function alike(chunks: readonly Chunk[]): readonly Chunk[] {
  if (chunks.length === 1) return chunks
  const byText = new Map<string, Chunk>()
  for (const chunk of chunks) {
    const { count, consumables, features, ...figures } = chunk
    const text = JSON.stringify([figures, Object.entries(consumables).sort(), features.toSorted()])
    byText.set(text, { ...chunk, count: whole(count + (byText.get(text)?.count ?? 0)) })
  }
  return [...byText.values()]
}

/** Chunks that are unlike share a machine, if one is large enough, where nothing speaks against it. */
const fitsOne = (chunks: readonly Chunk[], cpusOfMachine = 0): boolean =>
  chunks.length > 1 &&
  chunks.every(({ features, consumables }) => features.length + Object.keys(consumables).length === 0) &&
  chunks.reduce((sum, { count, cpus }) => sum + count * cpus, 0) <= cpusOfMachine

/** All of them on one machine. */
function together(chunks: readonly Chunk[]): Chunk {
  const consumables: Record<string, number> = {}
  let [cpus, memory] = [0, 0]
  for (const chunk of chunks) {
    cpus += chunk.count * chunk.cpus
    memory += chunk.count * chunk.memoryMiB
    for (const [key, amount] of Object.entries(chunk.consumables))
      consumables[key] = (own(consumables, key) ?? 0) + chunk.count * amount
  }
  const features = [...new Set(chunks.flatMap((chunk) => chunk.features))]
  return { count: 1, cpus, memoryMiB: memory, consumables, features }
}

/** So many of the chunks on each machine. */
const partOf = (chunk: Chunk, onEach: number): Required<JobPart> => ({
  nodes: Math.ceil(chunk.count / onEach),
  cpusPerNode: whole(chunk.cpus * onEach),
  memoryMiBPerNode: whole(chunk.memoryMiB * onEach),
  consumablesPerNode: Object.fromEntries(
    Object.entries(chunk.consumables).map(([key, amount]) => [key, whole(amount * onEach)]),
  ),
  features: chunk.features,
})
