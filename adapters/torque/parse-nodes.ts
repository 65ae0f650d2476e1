import type { Instant } from '../../actors/runtime/clock.ts'
import { garbage, type NodeRecord } from '../pbs/records.ts'
import { memoryMiB, wholeNumber } from '../pbs/sizes.ts'
import { occupied } from './hosts.ts'
import { readProperties } from './marks.ts'
import { readPiece, words } from './parse-xml.ts'
import { nodeFitness } from './states.ts'

/**
 * `<status>` is what the mom last said, one list with blanks in its values. Its own `state=` is the mom's view
 * and its `jobs=` is up to 45 s old: of all of it only `rectime`, `physmem` and counts of devices are believed.
 */
function statusOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(',').map((each) => {
      const at = each.indexOf('=')
      return [each.slice(0, at).trim(), each.slice(at + 1).trim()] as const
    }),
  )
}

const list = (text: string): readonly string[] =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')

/** One `<Node>` of `pbsnodes -x`. */
export function nodeOf(piece: string): NodeRecord {
  const node = readPiece(piece)
  const name = words(node, 'name')
  const states = list(words(node, 'state').toLowerCase())
  if (name === '' || states.length === 0) throw garbage('it names no node or no state')
  const status = statusOf(words(node, 'status'))
  const { jobs, slots } = occupied(words(node, 'jobs'))
  const rectime = status.get('rectime') ?? ''
  const heardAt: Instant | undefined = /^\d+$/.test(rectime) ? Number(rectime) * 1000 : undefined
  const gpus = words(node, 'gpus')
  return {
    name,
    states,
    // A mom that has never said a word is not there, whatever the state is.
    ...nodeFitness(heardAt === undefined ? [...states, 'unknown'] : states),
    ...readProperties(list(words(node, 'properties'))),
    note: words(node, 'note'),
    cpus: wholeNumber(words(node, 'np'), 'np'),
    cpusInUse: slots,
    memoryMiB: memoryMiB(status.get('physmem')),
    consumables: gpus === '' || gpus === '0' ? {} : { gpu: wholeNumber(gpus, 'gpus') },
    jobs,
    heardAt,
  }
}
