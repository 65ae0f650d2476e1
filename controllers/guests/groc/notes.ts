import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import { few, some, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Demand, Shape } from './demand.ts'
import { heldInWords } from './held.ts'
import type { GrocMemory } from './memory.ts'
import { fitsAmong, hasFeature, inWords, lackingOf, type Need, type Room } from './needs.ts'
import type { Packing } from './packing.ts'
import { maxOfQueue } from './queues.ts'
import type { Survey } from './survey.ts'
import { limitsOf } from './survey.ts'

/** What a decision says of what it sees. */

export function summary(demand: Demand, packing: Packing, ground: Survey): string {
  const held = heldInWords(demand.held)
  const units = `${some(ground.serving, 'unit')} serve${ground.serving === 1 ? 's' : ''}, ${ground.coming} coming, ${ground.spare} spare`
  if (demand.count === 0) return `No job waits for a machine${held}; ${units}.`
  return `${some(demand.count, 'job')} wait${demand.count === 1 ? 's' : ''} in ${some(demand.shapes.length, 'shape')}${held}; ${some(packing.wanted, 'unit')} would serve all at once; ${units}.`
}

/** `last`: of those that go, the ones that take some work all the same. */
export function blockedNotes(ground: Survey, last: ReadonlySet<string>): readonly string[] {
  if (ground.blocked === 0) return []
  const all = ground.crews
    .flatMap(({ machines }) => machines)
    .filter(({ standing }) => standing === 'blocked')
  const blocked = last.size === 0 ? all : all.filter(({ unit }) => !last.has(unit.id))
  const ending = last.size === 0 ? [] : all.filter(({ unit }) => last.has(unit.id))
  const ends =
    ending.length === 0
      ? []
      : [
          `${some(ending.length, 'unit')} take${ending.length === 1 ? 's' : ''} what waits, for all of it ends in time by its limit: ${few([...new Set(ending.map(({ why }) => why))])}.`,
        ]
  if (blocked.length === 0) return ends
  return [
    ...ends,
    `${some(blocked.length, 'unit')} take${blocked.length === 1 ? 's' : ''} no work: ${few([...new Set(blocked.map(({ why }) => why))])}.`,
  ]
}

/** Jobs that have ended and hold their node for too long. */
export function stuckNotes(
  survey: Survey,
  { completingSince: since = {} }: GrocMemory,
  lookedAt: Instant,
  { completing }: GrocConfig,
): readonly string[] {
  const stuck = survey.crews
    .flatMap(({ machines }) => machines)
    .filter(({ standing }) => standing !== 'gone')
    .flatMap(({ node, stuck: ids }) =>
      ids.map((id) => {
        const user = survey.running.get(id)?.user ?? 'an unknown user'
        return `${id} of ${user} on ${node?.name} for ${span(lookedAt - (own(since, id) ?? lookedAt))}`
      }),
    )
  return stuck.length === 0
    ? []
    : [
        `${some(stuck.length, 'job')} ended and ${stuck.length === 1 ? 'does' : 'do'} not let go of a node (completing allows ${span(completing)}): ${few(stuck)}; the node takes no more work, and no lease is extended for that. Look there for processes that do not end.`,
      ]
}

/** Batch systems tell whole seconds, and a look takes its time. */
const AHEAD_MS = 30_000

/** A job that was submitted later than now. */
export function clockNotes({ shapes }: Demand, now: Instant): readonly string[] {
  const latest = shapes.flatMap(({ jobs }) => jobs).reduce((most, job) => Math.max(most, job.submittedAt), 0)
  return latest - now < AHEAD_MS
    ? []
    : [
        `The clock of the batch system is ahead of ours by ${span(latest - now)} at least; until ours has come so far, waits count from when there was no room for a job.`,
      ]
}

const nameOf = (shape: Shape): string => {
  const more = shape.count > 1 ? ` and ${shape.count - 1} like it` : ''
  return `job ${shape.jobs[0]?.id ?? ''}${more}`
}

/** Jobs that no type there is to ask for could serve. */
export function misfitNotes(demand: Demand, ground: Survey): readonly string[] {
  const units = [...ground.units.values()]
  const lacking = demand.misfits.flatMap((shape) => {
    const lacks = lackedByAll(shape, units)
    return lacks.length === 0 ? [] : [{ shape, lacks }]
  })
  const large = demand.misfits.filter((shape) => lacking.every((one) => one.shape !== shape))
  return [
    ...(large.length === 0
      ? []
      : [
          `Not counted, for ${typesInWords(ground)}: ${few(large.map((shape) => `${nameOf(shape)} (${few(tooLarge(shape, units).map(inWords))} per node)`))}.`,
        ]),
    ...(lacking.length === 0
      ? []
      : [
          `Not counted, for no type has what they ask for: ${few(lacking.map(({ shape, lacks }) => `${nameOf(shape)} (${few(lacks)}${shape.features.some((feature) => ground.ownNodes.some((node) => hasFeature(node.features ?? [], feature))) ? ', of the cluster’s own nodes' : ''})`))}.`,
        ]),
  ]
}

/** The part of it that fits no type, or itself. */
const tooLarge = (shape: Shape, units: readonly Room[]): readonly Need[] =>
  shape.parts === undefined ? [shape] : shape.parts.filter((part) => !fitsAmong(part, units))

/** What each type lacks, be the machine ever so large; empty if some type lacks nothing. Of parts, those that fit none. */
export function lackedByAll(need: Need, units: readonly Room[]): readonly string[] {
  if (need.parts !== undefined) return [...new Set(need.parts.flatMap((part) => lackedByAll(part, units)))]
  const lacks = units.map((unit) => lackingOf(need, unit))
  return lacks.some(({ length }) => length === 0) ? [] : [...new Set(lacks.flat())]
}

export const typesInWords = (ground: Survey): string =>
  [...ground.units].map(([type, unit]) => `one unit of ${type} has ${inWords(unit)}`).join(', ')

export function tooWideNotes(packing: Packing, ground: Survey, config: GrocConfig): readonly string[] {
  const { reach } = limitsOf(ground, config)
  const tooWide = [...packing.tooWide.keys()]
  if (tooWide.length === 0) return []
  const inNodes = (shapes: readonly Shape[]): string =>
    few(shapes.map((shape) => `${nameOf(shape)} (${shape.nodes} nodes)`))
  const never = tooWide.filter(({ nodes }) => nodes > reach)
  const notNow = tooWide.filter(({ nodes }) => nodes <= reach)
  return [
    ...(never.length === 0
      ? []
      : [`Never ordered, for there can be at most ${some(reach, 'node')}: ${inNodes(never)}.`]),
    ...(notNow.length === 0
      ? []
      : [
          `Not ordered now, for max is ${config.max} and ${ground.total} are held or asked for; ${config.collect === 'keep' ? 'free units are kept for' : 'no free units are kept (collect) for'}: ${inNodes(notNow)}.`,
        ]),
  ]
}

export function warningNotes(picture: BatchPicture): readonly string[] {
  return picture.warnings.length === 0
    ? []
    : [`The look has ${some(picture.warnings.length, 'warning')}: ${few(picture.warnings)}`]
}

/** Jobs for which nothing is ordered, as their queue has what it may have. */
export function cappedNotes({ capped }: Packing, config: GrocConfig): readonly string[] {
  if (capped.size === 0) return []
  return [...capped].map(
    ([name, jobs]) =>
      `${some(jobs, 'job')} of queue ${name} wait${jobs === 1 ? 's' : ''} for others of it: its max is ${some(maxOfQueue(config, name) ?? 0, 'unit')}.`,
  )
}
