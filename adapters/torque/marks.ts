import type { NodeMark } from '../batch-system.ts'
import { KEPT, markWord, readMarkWord } from '../pbs/marks.ts'
import type { PlacedMark } from '../pbs/records.ts'

/**
 * The mark is a property of the node: it is written by `create node` itself, survives restarts of the server (it
 * stands in server_priv/nodes), and nothing that an admin does to a node day by day touches it. The note would be
 * lost with the next `pbsnodes -N`, which everybody uses to say why a node is offline.
 */
const PREFIX = 'sublet_'

export const markProperty = (mark: NodeMark, address: string): string => `${PREFIX}${markWord(mark, address)}`

/** The mark among a node's properties, and those that are not ours. */
export function readProperties(properties: readonly string[]): {
  readonly mark: PlacedMark | undefined
  readonly isKept: boolean
  readonly features: readonly string[]
} {
  const marks = properties
    .filter((each) => each.startsWith(PREFIX))
    .map((each) => readMarkWord(each.slice(PREFIX.length)))
  const mark = marks.find((each) => each !== undefined)
  return {
    mark,
    isKept: mark?.leaseId === KEPT.leaseId && mark.unitId === KEPT.unitId,
    features: properties.filter((each) => !each.startsWith(PREFIX)),
  }
}
