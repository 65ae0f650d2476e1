import type { Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, Job } from '../../../adapters/batch-system.ts'
import type { HeldUnit } from '../../controller.ts'
import { span } from '../../sentence.ts'
import type { GrocConfig, ServedQueue } from './config.ts'
import { nodesOf, type Tally } from './tally.ts'

/**
 * What one queue has of its own, such as `express` against `long`:
 *
 *   grow.wait, .backlog   open orders for its jobs alone; queues without either are opened together, by the settings of all
 *   grow.run              what its jobs without limit are taken to last
 *   max                   units that its jobs have, or are packed onto, up to which more are ordered for them
 *   shrink.idle           of units whose latest jobs were of it
 */
const queueOf = (config: GrocConfig, name: string): ServedQueue | undefined =>
  config.queues?.find((one) => one.name === name)

export const runOfQueue = (config: GrocConfig, name: string): Millis =>
  queueOf(config, name)?.grow?.run ?? config.grow.run

/** Whether its orders open apart from those of others. */
const opensAlone = ({ grow }: ServedQueue): boolean => grow?.wait !== undefined || grow?.backlog !== undefined

export const opensApart = (config: GrocConfig): boolean => config.queues?.some(opensAlone) === true

/** Its own name if its orders open apart, else that of all others together. */
export const groupOf = (config: GrocConfig, name: string): string | undefined => {
  const queue = queueOf(config, name)
  return queue !== undefined && opensAlone(queue) ? name : undefined
}

/** When orders open: thresholds, and how one calls them. */
export interface GrowThresholds {
  readonly wait: Millis
  readonly backlog: Millis | undefined
  /** Compared with the work of this queue alone. */
  readonly isOwnBacklog: boolean
  /** `grow.wait 5s`, `its grow.wait 1m`. */
  readonly words: string
}

export function growOf(config: GrocConfig, group: string | undefined): GrowThresholds {
  const grow = group === undefined ? undefined : queueOf(config, group)?.grow
  const wait = grow?.wait ?? config.grow.wait
  return {
    wait,
    backlog: grow?.backlog ?? config.grow.backlog,
    isOwnBacklog: grow?.backlog !== undefined,
    words: `${grow?.wait === undefined ? '' : `that of queue ${group}: `}grow.wait ${span(wait)}`,
  }
}

/** How far orders for one queue may go. */
export interface QueueRoom {
  readonly max: number
  /** Ids of held units on which its jobs run. */
  readonly busy: ReadonlySet<string>
}

/** Of the queues with a `max` of their own; undefined without such. */
export function queueRooms(
  config: GrocConfig,
  nodes: readonly BatchNode[],
  jobs: Tally,
): ReadonlyMap<string, QueueRoom> | undefined {
  const limited = config.queues?.filter(({ max }) => max !== undefined) ?? []
  if (limited.length === 0) return undefined
  const units = unitsByNode(nodes)
  const busy = new Map(limited.map(({ name }) => [name, new Set<string>()]))
  for (const { queue, nodeNames } of jobs.running)
    for (const name of nodeNames) {
      const unitId = units.get(name)
      if (unitId !== undefined) busy.get(queue)?.add(unitId)
    }
  return new Map(limited.map(({ name, max }) => [name, { max: max!, busy: busy.get(name)! }]))
}

/** While orders for some queues are not open yet: none for them. */
export function without(
  rooms: ReadonlyMap<string, QueueRoom> | undefined,
  closed: ReadonlySet<string>,
): ReadonlyMap<string, QueueRoom> {
  const nothing: QueueRoom = { max: 0, busy: new Set() }
  return new Map([...(rooms ?? []), ...[...closed].map((name) => [name, nothing] as const)])
}

const unitsByNode = (nodes: readonly BatchNode[]): ReadonlyMap<string, string> =>
  new Map([...nodesOf(nodes).byUnit].map(([unitId, { name }]) => [name, unitId]))

/** By unit, of those that a queue with a `shrink.idle` of its own had last: the queue. */
export type LastQueues = Readonly<Record<string, string>>

/** Of several queues on one unit the one that keeps it longest. */
export function observeQueues(
  before: LastQueues | undefined,
  here: readonly (readonly HeldUnit[])[],
  nodes: readonly BatchNode[],
  { running, ended }: Pick<Tally, 'running' | 'ended'>,
  config: GrocConfig,
): LastQueues | undefined {
  if (config.queues?.some(({ shrink }) => shrink?.idle !== undefined) !== true) return undefined
  const units = new Set(here.flat().map(({ id }) => id))
  const unitOf = unitsByNode(nodes)
  const latest = new Map<string, { readonly at: number; readonly queue: string }>()
  const see = ({ queue, nodeNames }: Job, at: number): void => {
    for (const name of nodeNames) {
      const unitId = unitOf.get(name)
      if (unitId === undefined) continue
      const known = latest.get(unitId)
      const isLonger = known?.at === at && idleOf(config, queue) > idleOf(config, known.queue)
      if (known === undefined || at > known.at || isLonger) latest.set(unitId, { at, queue })
    }
  }
  for (const job of ended) see(job, job.endedAt ?? 0)
  for (const job of running) see(job, Number.POSITIVE_INFINITY)
  const after = new Map(Object.entries(before ?? {}).filter(([unitId]) => units.has(unitId)))
  for (const [unitId, { queue }] of latest)
    if (queueOf(config, queue)?.shrink?.idle === undefined) after.delete(unitId)
    else if (units.has(unitId)) after.set(unitId, queue)
  return Object.fromEntries(after)
}

const idleOf = (config: GrocConfig, name: string): Millis =>
  queueOf(config, name)?.shrink?.idle ?? config.shrink.idle

/** How long a unit is kept idle, and by which setting. */
export interface IdleHold {
  readonly ms: Millis
  readonly words: string
}

export function idleHolds(queues: LastQueues | undefined, config: GrocConfig): (unitId: string) => IdleHold {
  const common = { ms: config.shrink.idle, words: `shrink.idle ${span(config.shrink.idle)}` }
  if (queues === undefined) return () => common
  return (unitId) => {
    const name = own(queues, unitId)
    const ms = name === undefined ? undefined : queueOf(config, name)?.shrink?.idle
    return ms === undefined ? common : { ms, words: `shrink.idle ${span(ms)} of queue ${name}` }
  }
}

export const maxOfQueue = (config: GrocConfig, name: string): number | undefined => queueOf(config, name)?.max
