import { KEPT, readMarkWord } from '../pbs/marks.ts'
import { garbage, type NodeRecord } from '../pbs/records.ts'
import { memoryMiB, wholeNumber } from '../pbs/sizes.ts'
import { type Json, type JsonObject, objectOf, readPiece, wordOf } from './parse-json.ts'
import { nodeFitness } from './states.ts'

const OWN = new Set(['host', 'vnode', 'ncpus', 'mem', 'vmem', 'ngpus'])

/** Custom resources as the demands of jobs name them: `pool=burst`, or `ssd` for one that is True. */
const featuresOf = (resources: JsonObject, markResource: string): readonly string[] =>
  Object.entries(resources).flatMap(([key, value]) => {
    if (OWN.has(key) || key === markResource || typeof value !== 'string') return []
    if (/^true$/i.test(value)) return [key]
    // Several values, or an amount.
    return /^\d/.test(value) || /^false$/i.test(value) ? [] : value.split(',').map((each) => `${key}=${each}`)
  })

const idsOf = (value: Json | undefined): readonly string[] =>
  (Array.isArray(value) ? value : typeof value === 'string' ? value.split(',') : [])
    .map((each: Json) => String(each).trim().split('/')[0] ?? '')
    .filter((id: string) => id !== '')

/** One node of `pbsnodes -a -F json`. */
export function nodeOf(piece: string, markResource: string): NodeRecord {
  const [name, node] = readPiece(piece)
  const states = wordOf(node, 'state')
    .toLowerCase()
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  if (states.length === 0) throw garbage(`node ${name} has no state`)
  const available = objectOf(node.resources_available)
  const assigned = objectOf(node.resources_assigned)
  const mark = readMarkWord(wordOf(available, markResource))
  const gpus = Number(wordOf(available, 'ngpus') || 0)
  const reservations = idsOf(node.resv)
  return {
    name,
    states,
    ...nodeFitness(states),
    mark,
    isKept: mark?.leaseId === KEPT.leaseId,
    note: wordOf(node, 'comment'),
    features: featuresOf(available, markResource),
    cpus: wholeNumber(wordOf(available, 'ncpus') || '0', 'ncpus'),
    cpusInUse: wholeNumber(wordOf(assigned, 'ncpus') || '0', 'ncpus'),
    memoryMiB: memoryMiB(wordOf(available, 'mem')),
    consumables: gpus > 0 ? { gpu: gpus } : {},
    jobs: [...new Set(idsOf(node.jobs))],
    ...(reservations.length > 0 && { reservations }),
    // The server knows within a second whether a mom is there.
    heardAt: undefined,
  }
}
