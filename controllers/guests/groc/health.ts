import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture, Job } from '../../../adapters/batch-system.ts'
import { mayWorkThere, presenceOf } from '../../../adapters/presence.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import { endedBy, withoutAhead } from './ahead.ts'
import type { GrocConfig } from './config.ts'
import { servesQueue } from './demand.ts'
import { lastLook } from './last-look.ts'
import { observeBoots } from './later.ts'
import type { GrocMemory, QuickEnds } from './memory.ts'
import { isBelieved, isRestoring, outageIn } from './outage.ts'
import { observeQueues } from './queues.ts'
import { isMember, type Roll } from './roll.ts'
import { observeRuns } from './runs.ts'
import { completingSince } from './stuck.ts'
import type { Tally } from './tally.ts'
import { observeSpending } from './user-budget.ts'
import { observeUsers } from './users.ts'

/**
 * What a look tells of the nodes' health: nodes that are gone or silent, and nodes that swallow jobs (a full
 * disk, a missing mount: every job that starts there ends at once, so the node is always free for the next).
 * And how long jobs run. Forgets whatever is no longer held.
 */
export function notice(
  rolls: readonly Roll[],
  picture: BatchPicture,
  tally: Tally,
  before: GrocMemory,
  config: GrocConfig,
): GrocMemory {
  const jobs = { ...tally, ended: endedBy(tally.ended, picture.at) }
  const memory = withoutAhead(before, picture.at)
  const here = rolls.map((roll) => roll.here)

  const outage = outageIn(rolls, picture, memory.outage, config)
  const { startedAt } = picture
  // What was in between nobody saw: an outage that is over, or no look for twice as long as it takes to give a node up.
  const isOver =
    memory.outage !== undefined && outage === undefined && isBelieved(memory.outage, startedAt, config)
  const isGap = memory.silentSeenAt !== undefined && startedAt - memory.silentSeenAt > 2 * config.missing
  const missingSince = new Map<string, number>()
  for (const { lease, unclear } of rolls)
    for (const { unit, known: node, seen } of unclear) {
      const known = own(memory.missingSince, unit.id)
      if (!seen) {
        if (known !== undefined) missingSince.set(unit.id, known)
      } else if (node !== undefined || !isThere(unit, lease, picture))
        missingSince.set(
          unit.id,
          (isOver || isGap) && unit.suspect === undefined ? startedAt : (known ?? startedAt),
        )
    }

  const quickEnds = quickEndsOf(rolls, memory.quickEnds, jobs.ended, config)
  const blackHoles = new Map(Object.entries(only(memory.blackHoles, here)))
  for (const [unitId, row] of Object.entries(quickEnds))
    if (row.inRow >= config.blackHole.jobs && !blackHoles.has(unitId) && !endSoAnywhere(unitId, quickEnds)) {
      const name = here.flat().find(({ id }) => id === unitId)?.name ?? ''
      if (othersWork(picture, jobs, name, row, config)) blackHoles.set(unitId, picture.at)
    }
  const badNodes = new Set<string>()
  if (blackHoles.size > 0) for (const { id, name } of here.flat()) if (blackHoles.has(id)) badNodes.add(name)
  return {
    pressedSince: memory.pressedSince,
    pressedQueues: memory.pressedQueues,
    lastQueues: observeQueues(memory.lastQueues, here, picture.nodes, jobs, config),
    futureSince: memory.futureSince,
    rampedAt: memory.rampedAt,
    boots: observeBoots(memory.boots, rolls),
    reservations: memory.reservations,
    users:
      config.userMax === undefined && config.userBudget === undefined
        ? undefined
        : observeUsers(memory.users ?? {}, jobs.ended, badNodes, config),
    userAccounts: observeSpending(
      memory.userAccounts,
      jobs.running,
      picture.nodes,
      config,
      picture.startedAt,
    ),
    account: memory.account,
    idleSince: memory.idleSince,
    missingSince: Object.fromEntries(missingSince),
    silentSeenAt: missingSince.size === 0 ? undefined : startedAt,
    putBackAt: memory.putBackAt,
    completingSince: completingSince(memory.completingSince, jobs.running, rolls, picture.startedAt),
    outage,
    drains: only(memory.drains, here),
    quickEnds,
    blackHoles: Object.fromEntries(blackHoles),
    runs: observeRuns(memory.runs ?? {}, jobs.ended, (queue) => servesQueue(config, queue), badNodes),
  }
}

/**
 * What is decided by while it is believed: nobody has been silent for long, but those that their site doubts, too; and of
 * leases that are set up again after a power cut nobody at all.
 */
export function withoutSilence(
  memory: GrocMemory,
  leases: readonly HeldLease[],
  at: Instant,
  config: GrocConfig,
): GrocMemory {
  const believed = isBelieved(memory.outage, at, config)
  const restored = leases.filter((lease) => isRestoring(lease, at, config))
  if (!believed && restored.length === 0) return memory
  const missingSince = { ...memory.missingSince }
  const isHeard = (id: string): void => {
    if (Object.hasOwn(missingSince, id)) missingSince[id] = at
  }
  if (believed)
    for (const { held } of leases) for (const { id, suspect } of held) if (suspect === undefined) isHeard(id)
  for (const { held } of restored) for (const { id } of held) isHeard(id)
  return { ...memory, missingSince }
}

/** By another spelling, by a job on it, or by a record that cannot be read. */
const isThere = ({ id, name }: HeldUnit, lease: HeldLease, picture: BatchPicture): boolean =>
  mayWorkThere(presenceOf(picture, { name, leaseId: lease.id, unitId: id, wasIn: true }))

/** What is known of the units that are here; the very same record if that is all. */
function only<Value>(
  record: Readonly<Record<string, Value>>,
  here: readonly (readonly HeldUnit[])[],
): Readonly<Record<string, Value>> {
  let left = Object.keys(record).length
  if (left === 0) return record
  const found: [string, Value][] = []
  for (const units of here)
    for (const { id } of units) {
      const value = own(record, id)
      if (value === undefined) continue
      found.push([id, value])
      left -= 1
      if (left === 0) return record
    }
  return Object.fromEntries(found)
}

const lastQuickEnds = lastLook<GrocMemory['quickEnds']>()

/** By unit, with what has ended since. */
function quickEndsOf(
  rolls: readonly Roll[],
  before: GrocMemory['quickEnds'],
  ended: readonly Job[],
  config: GrocConfig,
): GrocMemory['quickEnds'] {
  // Who is a member, and on which node, stands in the seats.
  return lastQuickEnds(config, [before, ended, ...rolls.map(({ seats }) => seats)], () => {
    const members = rolls.map((roll) => roll.members)
    return withEnds(rolls, only(before, members), endsByNode(ended), config)
  })
}

function withEnds(
  rolls: readonly Roll[],
  still: GrocMemory['quickEnds'],
  ends: ReadonlyMap<string, readonly EndedJob[]>,
  config: GrocConfig,
): GrocMemory['quickEnds'] {
  if (ends.size === 0) return still
  const after = new Map<string, QuickEnds>()
  for (const { seats } of rolls)
    for (const { unit, known } of seats) {
      const endsThere = isMember(unit) ? ends.get(known?.name ?? '') : undefined
      if (endsThere === undefined) continue
      const counted = own(still, unit.id)
      const one = countQuickEnds(counted, endsThere, unit, config)
      if (one !== undefined && one !== counted) after.set(unit.id, one)
    }
  return after.size === 0 ? still : { ...still, ...Object.fromEntries(after) }
}

type EndedJob = Job & { readonly startedAt: number; readonly endedAt: number }

const hasEnded = (job: Job): job is EndedJob =>
  job.state === 'ended' && job.startedAt !== undefined && job.endedAt !== undefined

/** Single-node jobs only: of a wide one nobody can tell which of its nodes made it fail. Oldest end first. */
function endsByNode(jobs: readonly Job[]): ReadonlyMap<string, readonly EndedJob[]> {
  const byNode = new Map<string, EndedJob[]>()
  for (const job of jobs) {
    const [node, ...others] = job.nodeNames
    if (!hasEnded(job) || node === undefined || others.length > 0) continue
    const ofNode = byNode.get(node)
    if (ofNode === undefined) byNode.set(node, [job])
    else ofNode.push(job)
  }
  for (const ofNode of byNode.values()) ofNode.sort((a, b) => a.endedAt - b.endedAt)
  return byNode
}

/**
 * Ended jobs stay listed for a while, so each is counted once, by the instant and the names of the last ones. What ended well
 * was short by itself.
 */
function countQuickEnds(
  before: QuickEnds | undefined,
  ends: readonly EndedJob[],
  unit: HeldUnit,
  config: GrocConfig,
): QuickEnds | undefined {
  let count = before
  for (const job of ends) {
    // An earlier machine may have had the same node name.
    if (job.startedAt < (unit.joinedAt ?? unit.since)) continue
    if (count !== undefined && job.endedAt < count.lastAt) continue
    if (count !== undefined && job.endedAt === count.lastAt && count.lastJobs.includes(job.id)) continue
    const quick = job.succeeded !== true && job.endedAt - job.startedAt <= config.blackHole.within
    const inRow = quick ? (count?.inRow ?? 0) + 1 : 0
    const row = inRow > 1 ? count : undefined
    count = {
      inRow,
      since: row?.since ?? job.startedAt,
      lastAt: job.endedAt,
      lastJobs: count?.lastAt === job.endedAt ? [...count.lastJobs, job.id] : [job.id],
      kinds: withKind(row === undefined ? [] : row.kinds, kindOf(job)),
    }
  }
  return count
}

/** So many kinds of a row are told apart. */
const KINDS_MAX = 8
/** Where jobs of so many users ended at once, it is hardly the jobs. */
const USERS_HIT = 3

/** Jobs of one kind last about as long: of one user, in one queue, with one limit. */
const kindOf = ({ user, queue, walltimeMs }: Job): string => `${user}\n${queue}\n${walltimeMs ?? ''}`
const userIn = (kind: string): string => kind.slice(0, kind.indexOf('\n'))

/** Undefined stays what nobody knows. */
const withKind = (kinds: QuickEnds['kinds'], kind: string): QuickEnds['kinds'] =>
  kinds === undefined || kinds.includes(kind) || kinds.length >= KINDS_MAX ? kinds : [...kinds, kind]

const usersIn = (kinds: readonly string[]): number => new Set(kinds.map(userIn)).size

/** Meanwhile jobs of the same kinds ended at once on another node as well, and one or two users have these: it is the jobs. */
function endSoAnywhere(unitId: string, rows: GrocMemory['quickEnds']): boolean {
  const { since, kinds } = rows[unitId]!
  if (kinds === undefined || usersIn(kinds) >= USERS_HIT) return false
  return Object.entries(rows).some(
    ([id, other]) =>
      id !== unitId &&
      other.inRow > 1 &&
      other.lastAt >= since &&
      other.kinds?.some((kind) => kinds.includes(kind)) === true,
  )
}

/**
 * Short jobs are no crime: a node is suspicious only while nothing works that began there meanwhile, and while jobs on other
 * nodes last longer,
 *
 *   of the same kinds    where those of one or two users ended at once: an array of short tasks
 *   of any kind          where those of three and more did
 */
function othersWork(
  picture: BatchPicture,
  { running, ended }: Tally,
  nodeName: string,
  { since, kinds }: QuickEnds,
  config: GrocConfig,
): boolean {
  const lasts = ({ startedAt = Number.POSITIVE_INFINITY, state, endedAt }: Job): boolean => {
    const until = state === 'ended' ? endedAt : picture.at
    return until !== undefined && until >= since && until - startedAt > config.blackHole.within
  }
  const isHere = ({ nodeNames }: Job): boolean => nodeNames.includes(nodeName)
  if (running.some((job) => isHere(job) && (job.startedAt ?? since) > since && lasts(job))) return false
  const counts =
    kinds === undefined || usersIn(kinds) >= USERS_HIT
      ? () => true
      : (job: Job) => kinds.includes(kindOf(job))
  return [...running, ...ended].some(
    (job) => job.nodeNames.length > 0 && !isHere(job) && counts(job) && lasts(job),
  )
}
