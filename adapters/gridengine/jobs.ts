import type { Instant } from '../../actors/runtime/clock.ts'
import { largest } from '../../actors/runtime/extremes.ts'
import type { Steps } from '../batch/slices.ts'
import type { HeldBy, Job } from '../batch-system.ts'
import type { GridengineConfig } from './config.ts'
import { type Demand, demandOf, environmentOf } from './demand.ts'
import type { Facts } from './facts.ts'
import { hostOfInstance, type Look, queueOfInstance, shapeKey } from './look.ts'
import { quotaAgainst } from './quotas.ts'
import type { JobRow } from './records.ts'
import { bytesOf, countTasks } from './sizes.ts'
import { heldByReason, jobWord } from './states.ts'

/** Rows of one job or task: one for each of its slots, and one for where a parallel job began. */
export interface Group {
  readonly row: JobRow
  /** By the host; empty while it waits. */
  readonly slotsOn: ReadonlyMap<string, number>
}

export function* groupsOf(rows: readonly JobRow[]): Steps<readonly Group[]> {
  const byTask = new Map<string, JobRow[]>()
  for (const row of rows) {
    const task = `${row.id}.${row.tasks}`
    const key = row.queueInstance === '' ? `${task}.${row.word}` : task
    const known = byTask.get(key)
    if (known === undefined) byTask.set(key, [row])
    else known.push(row)
    yield
  }
  const groups: Group[] = []
  for (const group of byTask.values()) {
    groups.push(groupOf(group as [JobRow, ...JobRow[]]))
    yield
  }
  return groups
}

function groupOf(group: readonly [JobRow, ...JobRow[]]): Group {
  const slaves = group.filter((row) => !row.isMaster)
  const [first] = group
  const isApart = slaves.length > 0 && slaves.length >= (first.grantedSlots ?? 0)
  const slotsOn = new Map<string, number>()
  for (const row of group) {
    if (row.queueInstance === '') continue
    const host = hostOfInstance(row.queueInstance)
    slotsOn.set(host, (slotsOn.get(host) ?? 0) + (row.isMaster && isApart ? 0 : 1))
  }
  return { row: group.find((row) => row.isMaster) ?? first, slotsOn }
}

/** What the jobs on each host have of the complexes that are used up. */
export function takenOn(
  groups: readonly Group[],
  facts: Facts,
): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const taken = new Map<string, Map<string, number>>()
  for (const { row, slotsOn } of groups)
    for (const [name, value] of row.requests) {
      const consumable = facts.complexes.get(name)?.consumable ?? 'NO'
      if (consumable === 'NO') continue
      const amount = bytesOf(value) ?? 0
      for (const [host, slots] of slotsOn) {
        const begins = host === hostOfInstance(row.queueInstance)
        const used = consumable === 'YES' ? amount * slots : begins ? amount : 0
        const there = taken.get(host) ?? new Map<string, number>()
        taken.set(host, there.set(name, (there.get(name) ?? 0) + used))
      }
    }
  return taken
}

export interface Counts {
  readonly ofArray: ReadonlyMap<string, number>
  readonly ofUser: ReadonlyMap<string, number>
  readonly slotsOfEnvironment: ReadonlyMap<string, number>
}

export function countsOf(groups: readonly Group[], facts: Facts): Counts {
  const ofArray = new Map<string, number>()
  const ofUser = new Map<string, number>()
  const slotsOfEnvironment = new Map<string, number>()
  const add = (to: Map<string, number>, key: string, amount: number): void => {
    to.set(key, (to.get(key) ?? 0) + amount)
  }
  for (const { row, slotsOn } of groups) {
    if (slotsOn.size === 0) continue
    add(ofUser, row.user, 1)
    if (row.tasks !== '') add(ofArray, row.id, 1)
    const environment = environmentOf(row, facts)
    if (environment !== undefined) add(slotsOfEnvironment, environment.name, row.grantedSlots ?? 1)
  }
  return { ofArray, ofUser, slotsOfEnvironment }
}

/** A global consumable, such as a licence, that has too little left; its name. */
function missingLicence(row: JobRow, { global, facts }: Look): string | undefined {
  for (const [name, value] of row.requests) {
    const left = global?.values.get(name)
    if (left === undefined || left.from !== 'gc' || facts.complexes.get(name)?.consumable === 'NO') continue
    if (Number(left.value) < Number(value)) return name
  }
  return undefined
}

interface Held {
  readonly heldBy: HeldBy
  readonly words: string
  readonly notBefore?: Instant
}

/** The first of these that is so, or nothing: then a machine is what it waits for. */
function heldOf(row: JobRow, demand: Demand, counts: Counts, look: Look, queue: string): Held | undefined {
  const detail = look.details.get(row.id)
  const hold = look.holds.get(`${row.id}.${row.tasks}`)
  if (hold !== undefined) {
    const notBefore = hold.heldBy === 'start-time' ? detail?.notBefore : undefined
    return { ...hold, ...(notBefore !== undefined && { notBefore }) }
  }
  if (detail?.reservation !== undefined)
    return { heldBy: 'reservation', words: `waits for the advance reservation ${detail.reservation}` }
  if (demand.impossible !== undefined) return { heldBy: 'impossible', words: demand.impossible }
  if (look.facts.queue === undefined || look.facts.queue.closed)
    return { heldBy: 'queue', words: 'new queue instances come up disabled' }
  const licence = missingLicence(row, look)
  if (licence !== undefined) return { heldBy: 'licence', words: `too few of ${licence} are left` }
  if ((counts.ofUser.get(row.user) ?? 0) >= look.facts.jobsOfUserMax)
    return { heldBy: 'limit', words: 'maxujobs' }
  const quota = quotaAgainst(row, queue, look.quotas)
  if (quota !== undefined)
    return { heldBy: 'limit', words: `the quota ${quota.rule}: ${quota.used} of ${quota.limit} slots used` }
  const environment = environmentOf(row, look.facts)
  const used = environment === undefined ? 0 : (counts.slotsOfEnvironment.get(environment.name) ?? 0)
  if (environment !== undefined && used + (row.environment?.slots ?? 1) > environment.slots)
    return { heldBy: 'limit', words: `the environment ${environment.name} has too few slots left` }
  for (const words of look.messages.get(shapeKey(row)) ?? []) {
    const heldBy = heldByReason(words)
    if (heldBy !== undefined) return { heldBy, words }
  }
  return undefined
}

/** How many waiting tasks could start now. */
function tasksOf(row: JobRow, counts: Counts, look: Look): { left: number; startable: number } {
  const left = row.tasks === '' ? 1 : Math.max(1, countTasks(row.tasks))
  if (row.tasks === '') return { left, startable: 1 }
  const own = look.details.get(row.id)?.tasksAtOnce || Number.POSITIVE_INFINITY
  const running = counts.ofArray.get(row.id) ?? 0
  const room = Math.min(own, look.facts.tasksOfArrayMax) - running
  return { left, startable: Math.max(0, Math.min(left, room)) }
}

const AT_LIMIT: Held = { heldBy: 'limit', words: 'as many tasks run as the array may have at once' }

export function jobOf(
  group: Group,
  counts: Counts,
  look: Look,
  config: GridengineConfig,
  closed: boolean,
): Job & { readonly unknown?: string } {
  const { row, slotsOn } = group
  const nodeNames = [...slotsOn.keys()]
  const detail = look.details.get(row.id)
  const word = jobWord(row.word, nodeNames.length > 0)
  const demand = demandOf(row, look.facts, config, look.globalNames)
  const tasks = tasksOf(row, counts, look)
  const mayWait = word.state === 'pending' || (word.state === 'held' && word.heldBy === undefined)
  let held: Held | undefined
  if (mayWait) held = heldOf(row, demand, counts, look, config.queue)
  if (mayWait && held === undefined && closed)
    held = { heldBy: 'queue', words: `every instance of the queue ${config.queue} is disabled` }
  if (mayWait && held === undefined && tasks.startable === 0) held = AT_LIMIT
  // A hold that no filter told of: it came, or went, between two commands.
  if (word.state === 'held' && held === undefined)
    held = { heldBy: word.heldBy ?? 'unknown', words: detail?.error || row.word }
  const state = held === undefined ? word.state : 'held'
  const isOn = nodeNames.length > 0
  const rerun =
    detail === undefined ? false : detail.rerun === 'queue' ? look.facts.queue?.rerun : detail.rerun === 'yes'
  return {
    id: row.tasks === '' ? row.id : `${row.id}.${row.tasks}`,
    state,
    vendorReason: held?.words ?? messageOf(row, look, state),
    ...(held !== undefined && { heldBy: held.heldBy }),
    ...(held?.notBefore !== undefined && { notBefore: held.notBefore }),
    user: row.user,
    queue: isOn ? queueOfInstance(row.queueInstance) : config.queue,
    nodes: isOn ? nodeNames.length : demand.nodes,
    cpusPerNode: isOn ? largest(slotsOn.values(), 1) : demand.cpusPerNode,
    memoryMiBPerNode: demand.memoryMiBPerNode,
    ...(Object.keys(demand.consumablesPerNode).length > 0 && {
      consumablesPerNode: demand.consumablesPerNode,
    }),
    ...(demand.features.length > 0 && { features: demand.features }),
    ...(demand.exclusive && { exclusive: true }),
    walltimeMs: demand.walltimeMs,
    submittedAt: row.submittedAt ?? detail?.submittedAt ?? row.startedAt ?? look.now,
    startedAt: isOn ? row.startedAt : undefined,
    endedAt: undefined,
    nodeNames,
    requeueable: rerun ?? false,
    restarts: word.restarted ? 1 : 0,
    tasks: isOn ? 1 : held === undefined ? Math.max(1, tasks.startable) : tasks.left,
    ...(word.unknown !== undefined && { unknown: word.unknown }),
  }
}

const messageOf = (row: JobRow, look: Look, state: Job['state']): string =>
  state === 'pending' ? (look.messages.get(shapeKey(row))?.at(-1) ?? '') : ''
