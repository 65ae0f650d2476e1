import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { ExpectedNode, NodeMark } from '../batch-system.ts'
import type { Commands } from './commands.ts'
import { expandHosts } from './hostlist.ts'
import { markComment, markFeature, readMark, sameMark, withoutMark } from './marks.ts'
import { isBusyState } from './picture.ts'
import type { Reader } from './reader.ts'
import type { NodeRecord, Records } from './records.ts'

/**
 * What a record of a listed name is to us.
 *
 *   free     FUTURE; or CLOUD, powered down, with a drain of ours: a machine may take it
 *   going    CLOUD on its way there: Slurm is powering it down
 *   marked   a machine of ours has it
 *   theirs   anything else: it works, somebody drained it or wrote a comment, or Slurm itself would power it up for a job
 */
export type Standing = 'free' | 'going' | 'marked' | 'theirs'

const GOING = ['power_down', 'powering_down', 'power_drain']
const isGoing = ({ states }: NodeRecord): boolean =>
  states.includes('powered_down') || GOING.some((flag) => states.includes(flag))

const ASK_AGAIN_MS: Millis = 60
/** Slurm looks every ten seconds for what is to be powered down (power_save_interval). */
const TAKEN_UP_MS: Millis = 15_000

export function standingOf(record: NodeRecord, drainTag: string): Standing {
  const { states, features, comment, reason } = record
  if (readMark(features, comment) !== undefined) return 'marked'
  if (comment !== '') return 'theirs'
  if (states.includes('future')) return 'free'
  const isParked = states.includes('cloud') && states.includes('drain') && reason.startsWith(`${drainTag}:`)
  if (!isParked || isBusyState(states)) return 'theirs'
  if (states.includes('powered_down')) return 'free'
  return isGoing(record) ? 'going' : 'theirs'
}

/** What a parked name says, beside our tag, while no machine has it. */
export const PARKED = 'no machine'

/** The words of `scontrol update` that give a name to a machine: in one command, so that no crash comes between them. */
export function takingWords(record: NodeRecord, { address, mark }: ExpectedNode): readonly string[] {
  const marked = [`NodeName=${record.name}`, `Comment=${markComment(mark)}`]
  // Its slurmd tells the address itself.
  if (record.states.includes('future')) return marked
  return [...marked, `NodeAddr=${address}`]
}

/** Of a FUTURE record: its slurmd finds it by this feature, and jobs are sent there from then on. */
export const featuresWith = ({ features }: NodeRecord, mark: NodeMark): readonly string[] =>
  featureWords([...withoutMark(features), markFeature(mark)])

/** Slurm refuses available features without the active ones. */
const featureWords = (features: readonly string[]): readonly string[] =>
  ['AvailableFeatures', 'ActiveFeatures'].map((which) => `${which}=${features.join(',')}`)

/**
 * The last command that puts a name back to where it was; no crash comes between its parts. That of a CLOUD node follows
 * once Slurm is powering it down, which takes every drain away: a drain of others' is put there again.
 */
export function returningWords(record: NodeRecord, drainTag: string): readonly string[] {
  const { name, states, features, reason } = record
  const unmarked = [`NodeName=${name}`, 'Comment=']
  if (!states.includes('cloud')) return [...unmarked, ...featureWords(withoutMark(features)), 'State=FUTURE']
  const isOurs = reason === '' || reason.startsWith(`${drainTag}:`)
  const why = isOurs ? `${drainTag}: ${PARKED}` : reason
  return [...unmarked, `NodeAddr=${name}`, 'State=DRAIN', `Reason=${why}`]
}

/** It is taken, and no machine has come in under it. */
export const hasNoMachine = (record: NodeRecord): boolean =>
  !isBusyState(record.states) && (record.states.includes('future') || record.states.includes('powered_down'))

/** Slurm is powering it down, or has. */
const isPoweringDown = ({ states }: NodeRecord): boolean =>
  states.includes('powering_down') || states.includes('powered_down')

/** The listed names of a cluster, and which machine has which. Told by what Slurm keeps, not by what we remember. */
export interface ListedNames {
  /** All nodes but the names that nobody has. */
  nodes(signal: AbortSignal): Promise<Records<NodeRecord>>
  /** The record of this mark; undefined if there is none, nor another's of that name. */
  ours(name: string, mark: NodeMark, signal: AbortSignal): Promise<NodeRecord | undefined>
  /** The one that it has, or a free one, from now on marked. */
  take(node: ExpectedNode, signal: AbortSignal): Promise<NodeRecord>
  /**
   * Slurm ends every job there: only of a node that is drained and was seen empty after that, or is lost. False if Slurm
   * has not yet begun to power it down.
   */
  giveBack(record: NodeRecord, signal: AbortSignal): Promise<boolean>
  /** Those that slurm.conf is to list, with what they are; absent ones are undefined. */
  standings(signal: AbortSignal): Promise<ReadonlyMap<string, Listing>>
}

export interface Listing {
  readonly record: NodeRecord
  readonly standing: Standing
}

export function listedNames(
  { names: pattern = '', drainTag }: { readonly names?: string | undefined; readonly drainTag: string },
  {
    commands,
    reader,
    clock,
  }: { readonly commands: Commands; readonly reader: Reader; readonly clock: Clock },
): ListedNames {
  const names = expandHosts(pattern)
  const isListed = new Set(names)
  /** The end of the last taking: two machines must not find the same name free. */
  let turn: Promise<unknown> = Promise.resolve()

  const isUnused = (record: NodeRecord): boolean => {
    const standing = standingOf(record, drainTag)
    return isListed.has(record.name) && (standing === 'free' || standing === 'going')
  }

  const find = async (
    name: string,
    mark: NodeMark,
    signal: AbortSignal,
  ): Promise<{ own: NodeRecord | undefined; records: readonly NodeRecord[] }> => {
    const { records, unread } = await reader.all(signal)
    const own = records.find((each) => sameMark(readMark(each.features, each.comment), mark))
    // What cannot be read may be marked.
    const dark = unread.find((each) => each === '' || isListed.has(each))
    if (own === undefined && dark !== undefined)
      throw new SubletError(
        'middleware-garbage',
        `Which node is that of ${mark.leaseId}/${mark.unitId} is not known: the record of ${dark || 'one'} cannot be read`,
      )
    const called = records.find((each) => each.name === name)
    if (own === undefined && called !== undefined && !isUnused(called)) throw notOurs(called, mark)
    return { own, records }
  }

  const chosen = (name: string, records: readonly NodeRecord[]): NodeRecord => {
    const known = new Map(records.map((each) => [each.name, each]))
    const wanted = isListed.has(name) ? [name] : names
    const standings = wanted.map((each) => {
      const record = known.get(each)
      return record === undefined ? 'missing' : standingOf(record, drainTag)
    })
    const at = standings.indexOf('free')
    const found = known.get(wanted[at] ?? '')
    if (found !== undefined) return found
    const count = (what: Standing | 'missing'): number => standings.filter((each) => each === what).length
    throw new SubletError(
      'names-taken',
      `None of the names ${wanted.length === 1 ? name : pattern} is free: ${count('marked')} have a machine, ${count('going')} are powered down just now, ${count('theirs')} are others’, ${count('missing')} are not shown`,
    )
  }

  const taken = async (node: ExpectedNode, signal: AbortSignal): Promise<NodeRecord> => {
    const { own, records } = await find(node.name, node.mark, signal)
    if (own !== undefined) return own
    const { name } = chosen(node.name, records)
    // As it is now, and not as it was when all were looked at.
    const before = await reader.node(name, signal)
    if (before !== undefined && standingOf(before, drainTag) === 'free')
      await commands.ask('scontrol', ['update', ...takingWords(before, node)], signal)
    const after = await reader.node(name, signal)
    if (after !== undefined && sameMark(readMark(after.features, after.comment), node.mark)) return after
    throw new SubletError('middleware-refused', `Node ${name} did not take the mark of ${node.mark.unitId}`)
  }

  /** Slurm's power saving has taken it up, which it does within its interval. */
  const isDownSoon = async ({ name }: NodeRecord, signal: AbortSignal): Promise<boolean> => {
    const end = clock.monotonic() + TAKEN_UP_MS
    for (;;) {
      const record = await reader.node(name, signal)
      if (record === undefined || isPoweringDown(record)) return true
      if (clock.monotonic() > end) return false
      await sleep(clock, ASK_AGAIN_MS, signal)
    }
  }

  return {
    async nodes(signal) {
      const read = await reader.all(signal)
      return { ...read, records: read.records.filter((record) => !isUnused(record)) }
    },
    ours: async (name, mark, signal) => (await find(name, mark, signal)).own,
    take(node, signal) {
      const mine = turn.then(() => taken(node, signal))
      turn = mine.catch(() => undefined)
      return mine
    },
    async giveBack(record, signal) {
      const { name, states } = record
      if (states.includes('cloud')) {
        if (!isGoing(record))
          await commands.ask('scontrol', ['update', `NodeName=${name}`, 'State=POWER_DOWN'], signal)
        if (!(await isDownSoon(record, signal))) return false
      }
      await commands.ask('scontrol', ['update', ...returningWords(record, drainTag)], signal)
      return true
    },
    async standings(signal) {
      const { records } = await reader.all(signal)
      return new Map(
        records
          .filter(({ name }) => isListed.has(name))
          .map((record) => [record.name, { record, standing: standingOf(record, drainTag) }]),
      )
    },
  }
}

export function notOurs(record: NodeRecord, mark: NodeMark): SubletError {
  const found = readMark(record.features, record.comment)
  const whose =
    found === undefined ? 'carries no mark of ours' : `is marked for ${found.leaseId}/${found.unitId}`
  return new SubletError(
    'node-not-ours',
    `Node ${record.name} ${whose}, not for ${mark.leaseId}/${mark.unitId}`,
  )
}
