import type { Millis } from '../../actors/runtime/clock.ts'
import type { BatchNode } from '../batch-system.ts'
import type { GridengineConfig } from './config.ts'
import type { Look } from './look.ts'
import { readDrain, readMark } from './marks.ts'
import type { HostRecord } from './records.ts'
import { bytesOf } from './sizes.ts'
import { queueWord } from './states.ts'

export const isOurs = (host: HostRecord, config: GridengineConfig): boolean =>
  readMark(host.values.get(config.markComplex)?.value) !== undefined

/** A host that somebody reserved is not taken out from so long before. */
const RESERVED_SOON_MS: Millis = 60 * 60_000

/**
 * `qmod -d QUEUE` disables every instance that there is. One that is not heard, or has no slots, says nothing:
 * it may be there only so that the queue is never without a host.
 */
export function isClosed({ hosts }: Look, queue: string): boolean {
  const words = hosts
    .flatMap(({ queues }) => queues.filter((each) => each.queue === queue && each.slots > 0))
    .map(({ letters }) => queueWord(letters))
    .filter(({ fitness }) => fitness !== 'silent')
  return words.length > 0 && words.every(({ disabled }) => disabled)
}

export function nodeOf(
  host: HostRecord,
  work: { readonly jobs: readonly string[]; readonly taken: ReadonlyMap<string, number> },
  look: Look,
  config: GridengineConfig,
): { node: BatchNode; unknown: readonly string[] } {
  const { jobs } = work
  const inQueue = host.queues.find(({ queue }) => queue === config.queue)
  const words = host.queues.map(({ letters }) => queueWord(letters))
  const served = inQueue === undefined ? undefined : queueWord(inQueue.letters)
  const mark = readMark(host.values.get(config.markComplex)?.value)
  const drain = mark === undefined ? undefined : host.values.get(config.drainComplex)?.value
  const theirs = (served ?? words[0])?.disabled ?? false
  const responding = host.known && !words.some(({ fitness }) => fitness === 'silent')
  const used = host.queues.reduce((sum, { slotsUsed }) => sum + slotsUsed, 0)
  const reservation = look.reservations.get(host.name)
  const isNear = reservation !== undefined && reservation.startsAt <= look.now + RESERVED_SOON_MS
  const isReserved = isNear && reservation.startsAt <= look.now && reservation.slots >= (inQueue?.slots ?? 0)
  const consumables = consumablesOf(host, work.taken, config)
  const features = featuresOf(host, look, config)
  const vendor = [
    ...new Set(words.flatMap((each) => each.words)),
    ...(drain === undefined ? [] : ['no-slots']),
  ]
  const node: BatchNode = {
    name: host.name,
    mark,
    vendorState: vendor.length === 0 ? (used > 0 ? 'busy' : 'free') : vendor.join('+'),
    responding,
    accepting: responding && served?.fitness === 'works' && drain === undefined && !isReserved,
    empty: jobs.length === 0 && used === 0,
    collectingFor: undefined,
    drained: theirs ? 'theirs' : drain === undefined ? 'no' : 'ours',
    drainReason: theirs
      ? `disabled in the queue ${(inQueue ?? host.queues[0])?.queue}`
      : drain === undefined
        ? ''
        : readDrain(drain),
    cpus: inQueue?.slots ?? Math.max(0, ...host.queues.map(({ slots }) => slots)),
    cpusInUse: used,
    memoryMiB: host.memoryMiB,
    ...(Object.keys(consumables.inAll).length > 0 && {
      consumables: consumables.inAll,
      consumablesInUse: consumables.inUse,
    }),
    ...(features.length > 0 && { features }),
    ...(isNear && { reservedFor: `advance reservation ${reservation.id}` }),
    jobs: [...new Set(jobs)],
  }
  return { node, unknown: words.flatMap((each) => each.unknown) }
}

/** qhost tells what is left of a consumable; what its jobs have taken comes from their requests. */
function consumablesOf(host: HostRecord, taken: ReadonlyMap<string, number>, config: GridengineConfig) {
  const inAll: Record<string, number> = {}
  const inUse: Record<string, number> = {}
  for (const [name, { value, from }] of host.values) {
    if (from !== 'hc' || name === 'slots' || config.memoryComplexes.includes(name)) continue
    const used = taken.get(name) ?? 0
    inUse[name] = used
    inAll[name] = Math.max(0, Math.round(bytesOf(value) ?? 0)) + used
  }
  return { inAll, inUse }
}

/** Fixed values that the admin gave the host, and words that it reports of itself, such as its architecture. */
function featuresOf(host: HostRecord, { facts }: Look, config: GridengineConfig): readonly string[] {
  const found: string[] = []
  for (const [name, { value, from }] of host.values) {
    if (name === config.markComplex || name === config.drainComplex || !/^h[fl]$/.test(from)) continue
    const type = facts.complexes.get(name)?.type
    if (type === 'BOOL') {
      if (Number(value) > 0 || /^true$/i.test(value)) found.push(name)
    } else if (type !== undefined && /STRING/.test(type) && !/^m_topology/.test(name))
      found.push(`${name}=${value}`)
  }
  return found
}
