import type { BatchNode, BatchPicture, NodeMark } from './batch-system.ts'

/**
 * What a look says of one of our machines. That a node is gone has to be shown, not inferred from a name that was not
 * found: GridEngine writes names in lower case, a resolver adds domains, and a record may be unreadable.
 *
 *   a node carries its mark                                    ──▶ shown
 *   a node of its name, of nobody, of a machine that was in    ──▶ shown, `isMarked` false: its mark was taken away
 *   a record of its name, or of no name, cannot be read        ──▶ unread
 *   no record, but a job runs on its name, however spelt       ──▶ unread
 *   none of these                                              ──▶ absent
 *
 * A record of no name may be that of each that is not shown, and so holds all of them, for as long as it is there: that no
 * job is listed on one proves little where records cannot be read. It ends with the lease, when the site ends the machine.
 */
export type Presence =
  | { readonly kind: 'shown'; readonly node: BatchNode; readonly isMarked: boolean }
  /** It is there, or may be; `jobs` are those that are known to run on it. */
  | {
      readonly kind: 'unread'
      readonly jobs: readonly string[]
      /** Nothing tells of it but a record of no name, which may be any machine's. */
      readonly nameless?: true
    }
  | { readonly kind: 'absent' }

export interface Sought extends NodeMark {
  readonly name: string
  /** It was let in at some time, so that a node of its name that is nobody's was its own. */
  readonly wasIn: boolean
}

export function presenceOf(picture: BatchPicture, { name, leaseId, unitId, wasIn }: Sought): Presence {
  const { marked, called, busy } = indexOf(picture)
  const own = marked.get(`${leaseId}/${unitId}`)
  if (own !== undefined) return { kind: 'shown', node: own, isMarked: true }
  const alike = called.get(keyOf(name)) ?? []
  const node = alike.find((each) => each.name === name) ?? alike.find((each) => isSameHost(each.name, name))
  // What runs on another's node is another's.
  if (node !== undefined)
    return wasIn && node.mark === undefined ? { kind: 'shown', node, isMarked: false } : { kind: 'absent' }
  const there = (busy.get(keyOf(name)) ?? []).filter(({ host }) => isSameHost(host, name))
  const jobs = [...new Set(there.map(({ jobId }) => jobId))]
  const isNamed = picture.unread?.some((each) => each !== '' && isSameHost(each, name)) === true
  if (isNamed || jobs.length > 0) return { kind: 'unread', jobs }
  return picture.unread?.includes('') === true ? { kind: 'unread', jobs, nameless: true } : { kind: 'absent' }
}

/** Work is there, or may be, though no node carries the mark: it must not be taken for gone. */
export function mayWorkThere(found: Presence): boolean {
  return found.kind === 'unread' || (found.kind === 'shown' && !found.node.empty)
}

/** Two spellings of one host: names differ in no case, and one of them may lack its domain. */
export function isSameHost(a: string, b: string): boolean {
  const [one, other] = [a.toLowerCase(), b.toLowerCase()]
  if (one === other) return true
  return one.includes('.') !== other.includes('.') && keyOf(one) === keyOf(other)
}

const keyOf = (name: string): string => name.toLowerCase().split('.')[0] ?? ''

interface Index {
  readonly marked: ReadonlyMap<string, BatchNode>
  /** By the first word of the name. */
  readonly called: ReadonlyMap<string, readonly BatchNode[]>
  /** Where jobs run or complete, by the first word of the host's name. */
  readonly busy: ReadonlyMap<string, readonly { readonly host: string; readonly jobId: string }[]>
}

/** By look: many units may be sought in one. */
const indexes = new WeakMap<BatchPicture, Index>()

function indexOf(picture: BatchPicture): Index {
  const known = indexes.get(picture)
  if (known !== undefined) return known
  const { nodes, jobs } = picture
  const places = jobs
    .filter(({ state }) => state === 'running' || state === 'completing')
    .flatMap(({ id, nodeNames }) => nodeNames.map((host) => ({ host, jobId: id })))
  const index: Index = {
    marked: new Map(
      nodes.flatMap((node) => (node.mark ? [[`${node.mark.leaseId}/${node.mark.unitId}`, node]] : [])),
    ),
    called: Map.groupBy(nodes, (node) => keyOf(node.name)),
    busy: Map.groupBy(places, ({ host }) => keyOf(host)),
  }
  indexes.set(picture, index)
  return index
}
