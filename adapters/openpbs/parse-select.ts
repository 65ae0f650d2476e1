import { largest } from '../../actors/runtime/extremes.ts'
import { own } from '../../actors/runtime/plain.ts'
import { whole } from '../job-bounds.ts'
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
 *   8:ncpus=1, place=pack       1 × 8                 2:ncpus=4+1:ncpus=1:host=vm02    3 × 4, vm02
 */
export function demandOf(select: string, place: string, cpusOfMachine: number | undefined): Demand {
  const chunks = select.split('+').map(chunkOf)
  const words = place.split(':')
  const count = whole(chunks.reduce((sum, chunk) => sum + chunk.count, 0))
  const cpus = largest(
    chunks.map((chunk) => chunk.cpus),
    0,
  )
  const memory = largest(
    chunks.map((chunk) => chunk.memoryMiB),
    0,
  )
  const room = cpusOfMachine === undefined ? 1 : Math.max(1, Math.floor(cpusOfMachine / Math.max(1, cpus)))
  const onOne = words.includes('pack') ? count : words.some((word) => /^v?scatter$/.test(word)) ? 1 : room
  const together = Math.max(1, Math.min(count, onOne))
  const consumables: Record<string, number> = {}
  for (const chunk of chunks)
    for (const [key, amount] of Object.entries(chunk.consumables))
      consumables[key] = whole(Math.max(own(consumables, key) ?? 0, amount * together))
  return {
    nodes: Math.ceil(count / together),
    cpusPerNode: whole(cpus * together),
    memoryMiBPerNode: whole(memory * together),
    consumablesPerNode: consumables,
    features: [...new Set(chunks.flatMap((chunk) => chunk.features))],
    exclusive: words.some((word) => /^excl/.test(word)),
  }
}
