import type { Instant } from '../../actors/runtime/clock.ts'
import type { HeldBy } from '../batch-system.ts'
import { environmentOf } from './demand.ts'
import type { Facts } from './facts.ts'
import { fits } from './glob.ts'
import type { Reservation } from './parse-reservations.ts'
import type { Quota } from './quotas.ts'
import type { HostRecord, JobDetail, JobRow } from './records.ts'

/** Everything that one look has read. */
export interface Look {
  readonly rows: readonly JobRow[]
  readonly details: ReadonlyMap<string, JobDetail>
  /** What holds a job or the waiting tasks of an array, by `id.tasks`. */
  readonly holds: ReadonlyMap<string, { readonly heldBy: HeldBy; readonly words: string }>
  /** What the scheduler says of waiting jobs of this shape, see `shapeKey`. */
  readonly messages: ReadonlyMap<string, readonly string[]>
  readonly hosts: readonly HostRecord[]
  readonly global: HostRecord | undefined
  /** What the host `global` has of, such as licences: no machine's. */
  readonly globalNames: ReadonlySet<string>
  /** Advance reservations by the hosts that they have. */
  readonly reservations: ReadonlyMap<string, Reservation>
  readonly quotas: readonly Quota[]
  readonly facts: Facts
  readonly now: Instant
}

export const hostOfInstance = (instance: string): string => instance.slice(instance.indexOf('@') + 1)
export const queueOfInstance = (instance: string): string => instance.split('@')[0] ?? ''

/** Could run in the queue, or does. */
export function isOfQueue(row: JobRow, facts: Facts, queue: string, ourHosts: ReadonlySet<string>): boolean {
  if (row.queueInstance !== '')
    return queueOfInstance(row.queueInstance) === queue || ourHosts.has(hostOfInstance(row.queueInstance))
  const named = [...row.queues, row.requests.get('qname') ?? ''].filter((each) => each !== '')
  if (named.length > 0 && !named.some((each) => fits(queueOfInstance(each) || '*', queue))) return false
  return row.environment === undefined || environmentOf(row, facts) !== undefined
}

/** Jobs of one shape are judged alike by the scheduler: the first stands for all. */
export function shapeKey(row: JobRow): string {
  const known = keys.get(row)
  if (known !== undefined) return known
  const key = JSON.stringify([row.user, row.environment ?? null, [...row.requests], row.queues])
  keys.set(row, key)
  return key
}

const keys = new WeakMap<JobRow, string>()
