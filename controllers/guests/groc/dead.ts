import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestIntent, HeldUnit } from '../../controller.ts'
import { few, hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Machine } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import { isBelieved } from './outage.ts'
import { endOf } from './recall.ts'
import type { Survey } from './survey.ts'

/**
 * A node that does not answer and has work: its daemon died, and its machine may live. Torque and GridEngine show such
 * jobs as running for ever; Slurm gives the node up itself after its SlurmdTimeout.
 *
 *   silent for           what is done
 *   ──────────           ────────────
 *   below `missing`      nothing: it is no room for jobs, and no reason to order another one for `min`
 *   `missing`            drained as silent; jobs that wait are packed without it
 *   `missing` + `dead`   the jobs there that may start again are put back into the queue, and once more after each
 *                        `retry.most` while they are still there; the others are named
 *     nothing left       it leaves as any other, and its lease goes on without it
 *     others left        it stays for them: until they end, or an admin acts. Its lease is extended for them up to
 *                        their time limits, for a job without one as long as it is there
 *   it answers again     resumed, whatever was done before
 *
 * Nothing is put back while an outage is believed, on a look that may not be believed, when frozen, from a node that an
 * administrator drained or a person pinned, nor before a look shows our drain: what starts there meanwhile would be put
 * back at once. What may start again says the batch system, of each job.
 */
export interface Dead {
  readonly intents: readonly GuestIntent[]
  readonly notes: readonly string[]
  /** By unit: when its jobs were last put back. */
  readonly putBackAt: GrocMemory['putBackAt']
}

/** It is taken for dead: what runs there, if anything does, is not waited for. */
export const isDead = ({ silentMs }: Pick<Machine, 'silentMs'>, { missing, dead }: GrocConfig): boolean =>
  silentMs >= missing + dead

export function fromTheDead(
  survey: Survey,
  memory: GrocMemory,
  lookedAt: Instant,
  config: GrocConfig,
  /** Nothing is put back. */
  still = false,
): Dead {
  const intents: GuestIntent[] = []
  const soon: string[] = []
  const left: string[] = []
  const putBackAt = new Map<string, Instant>()
  const told = new Set<string>()
  for (const { unit, node, silentMs } of silentAtWork(survey, config)) {
    const last = own(memory.putBackAt ?? {}, unit.id)
    if (last !== undefined) putBackAt.set(unit.id, last)
    if (!isDead({ silentMs }, config)) {
      soon.push(`of ${node.name} at ${hour(lookedAt + config.missing + config.dead - silentMs)}`)
      continue
    }
    const again = node.jobs.filter((id) => mayStartAgain(id, survey))
    for (const id of node.jobs) if (!again.includes(id)) left.push(`${inWords(id, survey)} on ${node.name}`)
    const jobIds = again.filter((id) => !told.has(id))
    const isRecent = last !== undefined && lookedAt - last < config.retry.most && lookedAt >= last
    // All of them are put back from another node.
    if (again.length > 0 && jobIds.length === 0) putBackAt.set(unit.id, lookedAt)
    if (jobIds.length === 0 || isRecent || still) continue
    for (const id of jobIds) told.add(id)
    putBackAt.set(unit.id, lookedAt)
    const reason = `${node.name} has not answered for ${span(silentMs)} (missing and dead allow ${span(config.missing + config.dead)}); back into the queue: ${few(jobIds)}`
    intents.push({ kind: 'requeue', unitId: unit.id, jobIds, reason })
  }
  return {
    intents,
    notes: [
      ...(soon.length === 0
        ? []
        : [`Unless it answers before, jobs that may start again are put back: ${few(soon)}.`]),
      ...(left.length === 0
        ? []
        : [
            `On nodes that do not answer, and not put back, for they may not start again: ${few(left)}; each is left until it ends or an admin acts (${CURE}).`,
          ]),
    ],
    putBackAt: putBackAt.size === 0 ? undefined : Object.fromEntries(putBackAt),
  }
}

const CURE = 'start the node daemon, or delete the job'

interface AtWork {
  readonly unit: HeldUnit
  readonly node: BatchNode
  readonly silentMs: Millis
}

/** Nodes with jobs that a look, young enough to show our drain, shows as silent and drained by us: nothing new starts there. */
const silentAtWork = ({ crews }: Survey, { missing }: GrocConfig): readonly AtWork[] =>
  crews
    .filter(({ lease }) => lease.state !== 'closing')
    .flatMap(({ machines }) => machines)
    .flatMap(({ unit, node, silentMs }) =>
      node?.responding === false &&
      node.jobs.length > 0 &&
      node.drained === 'ours' &&
      silentMs >= missing &&
      unit.state === 'draining' &&
      unit.pinned === undefined
        ? [{ unit, node, silentMs }]
        : [],
    )

/** Of one that is not listed nobody knows. */
const mayStartAgain = (id: string, survey: Survey): boolean => {
  const job = survey.running.get(id)
  return job?.state === 'running' && job.requeueable
}

const inWords = (id: string, survey: Survey): string =>
  `${id} of ${survey.running.get(id)?.user ?? 'an unknown user'}`

/** Nothing that is on it would come to an end there: no term more is paid for it. */
export function isHopeless(
  machine: Machine,
  survey: Survey,
  config: GrocConfig,
  now: Instant,
  /** Nothing is put back. */
  still = false,
): boolean {
  const { unit, node, stuck } = machine
  if (node === undefined || node.jobs.length === 0) return false
  const dead = !node.responding && isDead(machine, config)
  // What is not put back from it is waited for like any work.
  const isPutBack = (id: string): boolean =>
    !still && node.drained === 'ours' && unit.pinned === undefined && mayStartAgain(id, survey)
  return node.jobs.every((id) => stuck.includes(id) || (dead && (isPutBack(id) || endOf(id, survey) <= now)))
}

/** Of a job that runs on nodes of ours which do not answer. */
export function silentSentences(
  job: Job,
  { nodes, startedAt }: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
): readonly string[] {
  if (job.state !== 'running' && job.state !== 'completing') return []
  const silent = nodes.filter(
    ({ name, mark, responding }) => !responding && mark !== undefined && job.nodeNames.includes(name),
  )
  return silent.slice(0, SENTENCES_MAX).map(({ name, mark }) => {
    const since = own(memory.missingSince, mark?.unitId ?? '') ?? startedAt
    const what = `${name} has not answered since ${hour(since)}`
    if (isBelieved(memory.outage, startedAt, config))
      return `${what}, as many others: nothing is put back before ${hour(memory.outage.since + config.outage)}.`
    return job.state === 'running' && job.requeueable
      ? `${what}: unless it does by ${hour(since + config.missing + config.dead)}, the job is put back into the queue.`
      : `${what}, and the job may not start again: it is left there until it ends or an admin acts (${CURE}).`
  })
}

const SENTENCES_MAX = 8
