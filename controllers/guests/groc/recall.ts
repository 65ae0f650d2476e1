import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { GuestIntent, HeldLease } from '../../controller.ts'
import { few, hour, some } from '../../sentence.ts'
import type { Machine } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import { compare } from './sequence.ts'
import type { Survey } from './survey.ts'

export interface RecallPlan {
  readonly drains: readonly GuestIntent[]
  /** Every unit that goes for a recall, the ones that were going anyway included. */
  readonly recalled: readonly string[]
  readonly notes: readonly string[]
}

/**
 * Answers recalls: the units whose loss does least damage stop taking work now, so that they are empty when
 * their owner wants them back.
 *
 *   already going ▷ without work ▷ work ends in time, the earliest first ▷ the fewest jobs that would be cut
 */
export function answerRecalls(survey: Survey, memory: GrocMemory, now: Instant): RecallPlan {
  const drains: GuestIntent[] = []
  const recalled: string[] = []
  const notes: string[] = []
  for (const { lease, machines: held } of survey.crews) {
    if (held.length === 0 || lease.recall === undefined || lease.state === 'closing') continue
    const { units, by } = lease.recall
    const machines = held.filter((machine) => mayAnswer(machine, now))
    const going = machines.filter(isGoing)
    const mine = going.filter(
      ({ unit }) => own(memory.drains, unit.id) === 'recall' || unit.state !== 'draining',
    )
    const chosen = [
      ...mine,
      ...going.filter((machine) => !mine.includes(machine)),
      ...machines
        .filter((machine) => isFree(machine))
        .map((machine) => ({ machine, harm: harmOf(machine, survey, by) }))
        .sort((a, b) => compareHarm(a.harm, b.harm) || compare(a.machine.unit.id, b.machine.unit.id))
        .map(({ machine }) => machine),
    ].slice(0, units)
    for (const { unit } of chosen)
      if (unit.state === 'joined' || unit.state === 'draining') recalled.push(unit.id)
    const plan = planOf(chosen, lease, survey, by)
    notes.push(`A ${plan}`)
    for (const { unit } of chosen)
      if (unit.state === 'joined')
        drains.push({ kind: 'drain', unitId: unit.id, reason: `${unit.name} goes, for a ${plan}` })
    if (chosen.length < units && now >= by)
      notes.push(
        `${some(units - chosen.length, 'recalled unit')} of lease ${lease.id} cannot be named: they have not joined yet.`,
      )
  }
  return { drains, recalled, notes }
}

/**
 * What is out already was not asked for, or is taken off what is asked for. From the time on by which it has to be off its
 * host the site may have given the lease another machine in its place; by advice nothing has to be.
 */
const mayAnswer = ({ unit: { state, leaveBy, leaveBinding } }: Machine, now: Instant): boolean =>
  state !== 'left' && state !== 'lost' && (leaveBy === undefined || leaveBinding !== true || now < leaveBy)

const isGoing = ({ unit, standing }: Machine): boolean => standing === 'gone' || unit.state === 'draining'

/** What an administrator drained is not ours to take out, so it answers no recall. */
const isFree = (machine: Machine): boolean =>
  machine.unit.state === 'joined' && machine.node?.drained !== 'theirs'

interface Harm {
  /** Jobs that would still run when the unit has to go. */
  readonly cut: number
  readonly collecting: boolean
  readonly emptyAt: Instant
}

/** A unit that no look has shown yet is taken to have a job without limit. */
function harmOf({ node, seen }: Machine, survey: Survey, by: Instant): Harm {
  const ends = seen ? (node?.jobs ?? []).map((id) => endOf(id, survey)) : [Number.POSITIVE_INFINITY]
  return {
    cut: ends.filter((end) => end > by).length,
    collecting: node?.collectingFor !== undefined,
    emptyAt: ends.reduce((latest, end) => Math.max(latest, end), 0),
  }
}

const compareHarm = (a: Harm, b: Harm): number =>
  a.cut - b.cut || Number(a.collecting) - Number(b.collecting) || compareInstants(a.emptyAt, b.emptyAt)

/** Two unlimited jobs both end at infinity, whose difference is not a number. */
const compareInstants = (a: Instant, b: Instant): number => (a === b ? 0 : a - b)

/** When the job ends at the latest; a job without limit never does. */
export function endOf(jobId: string, survey: Survey): Instant {
  const job = survey.running.get(jobId)
  if (job?.startedAt === undefined || job.walltimeMs === undefined) return Number.POSITIVE_INFINITY
  return job.startedAt + job.walltimeMs
}

function planOf(chosen: readonly Machine[], lease: HeldLease, survey: Survey, by: Instant): string {
  const cut = chosen.flatMap(({ node }) => (node?.jobs ?? []).filter((id) => endOf(id, survey) > by))
  const empty = chosen.filter((machine) => machine.empty || machine.standing === 'gone').length
  const risk =
    cut.length === 0
      ? 'all their work ends in time'
      : `${some(cut.length, 'job')} may not end in time: ${few(cut)}`
  return `recall takes ${some(lease.recall?.units ?? 0, 'unit')} of lease ${lease.id} until ${hour(by)}: chosen ${chosen.map(({ unit }) => unit.name).join(', ') || 'none yet'}, ${empty} of them empty; ${risk}.`
}
