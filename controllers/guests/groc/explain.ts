import type { Instant } from '../../../actors/runtime/clock.ts'
import type { BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestView } from '../../controller.ts'
import { few, hour, some, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Shape } from './demand.ts'
import { demandOf, inSubmitOrder, servesQueue } from './demand.ts'
import { firstMemory } from './memory.ts'
import { afterFailures, afterRefusals } from './orders.ts'
import type { Packing, Place } from './packing.ts'
import { pack } from './packing.ts'
import type { Survey } from './survey.ts'
import { limitsOf, survey } from './survey.ts'

/** Why is there no node for my job? Answers from the same rehearsal that `decide` orders by. */
export function explainJob(
  jobId: string,
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  now: Instant,
): readonly string[] | undefined {
  const picture = view.observation
  const job = picture?.jobs.find(({ id }) => id === jobId)
  if (picture === undefined || job === undefined) return undefined
  const doubts = [
    ...(view.blind === undefined
      ? []
      : [
          `This is as of ${hour(picture.at)}: looks have failed since ${hour(view.blind.since)} (${view.blind.reason}), and until one succeeds nothing is asked for and nothing taken away.`,
        ]),
    ...(picture.trust === 'doubtful'
      ? ['The last look may not be believed, so nothing is asked for and nothing taken away.']
      : []),
  ]
  return [...sentences(job, view, picture, config, now), ...doubts]
}

function sentences(
  job: Job,
  view: GuestView<BatchPicture>,
  picture: BatchPicture,
  config: GrocConfig,
  now: Instant,
): readonly string[] {
  const it = `Job ${job.id} of ${job.user}`
  const word = job.vendorReason === '' ? '' : ` (the batch system says “${job.vendorReason}”)`
  switch (job.state) {
    case 'ended':
      return [`${it} has ended${job.endedAt === undefined ? '' : ` at ${hour(job.endedAt)}`}.`]
    case 'running':
    case 'completing':
      return [
        `${it} is ${job.state} on ${few(job.nodeNames, 8)}${job.startedAt === undefined ? '' : ` since ${hour(job.startedAt)}`}.`,
      ]
    case 'held':
      return [`${it} is not counted: it is held${word}, and no machine would cure that.`]
    case 'pending':
      break
  }
  if (!servesQueue(config, job.queue))
    return [
      `${it} is not counted: queue ${job.queue} is not one of those served here (${few(config.queues ?? [], 8)}).`,
    ]

  const ground = survey(view, picture, firstMemory, config, now)
  const demand = demandOf(picture.jobs, ground.unit, config)
  const limits = limitsOf(ground, config)
  const packing = pack(demand.shapes, ground.bins, ground.unit, limits)
  const memory = job.memoryMiBPerNode > 0 ? ` and ${job.memoryMiBPerNode} MiB` : ' (it names no memory)'
  const needs = `${some(Math.max(1, job.nodes), 'node')}${job.nodes > 1 ? ', each' : ''} with ${some(Math.max(1, job.cpusPerNode), 'cpu')}${memory}`
  const shape = demand.shapes.find(({ jobs }) => jobs.includes(job))
  if (shape === undefined)
    return [
      `${it} is not counted: it asks for ${needs}, and one unit of ${config.type} has only ${some(ground.unit.cpus, 'cpu')} and ${ground.unit.memoryMiB} MiB.`,
      'It can start only on a node of the cluster’s own that is large enough.',
    ]
  if (shape.nodes > limits.reach && placesOf(job, shape, packing.places.get(shape) ?? []).length === 0)
    return [
      `${it} cannot be served: it asks for ${needs}; there can never be that many nodes at once, for max is ${config.max}.`,
      `Ask for fewer nodes, or raise max of this guest’s controller to at least ${shape.nodes - (limits.reach - config.max)}.`,
    ]
  return [
    `${it} is counted: it has waited ${span(now - job.submittedAt)}${word} and asks for ${needs}.`,
    ...placeSentences(job, shape, packing, ground, view, config, now),
  ]
}

function placeSentences(
  job: Job,
  shape: Shape,
  packing: Packing,
  ground: Survey,
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  now: Instant,
): readonly string[] {
  const places = placesOf(job, shape, packing.places.get(shape) ?? [])
  if (places.length === 0)
    return [
      `It needs more units at once than may be had now: max is ${config.max}, and ${ground.total} are held or asked for.`,
      'Units that are free are kept for it until enough of the others are.',
    ]
  const names = (kind: Place['bin']['kind']): readonly string[] =>
    places.filter(({ bin }) => bin.kind === kind).map(({ bin }) => nameOf(bin.id, ground))
  const fresh = names('fresh')
  const ready = [...names('collecting'), ...names('serving')]
  const spare = names('spare')
  const coming = names('coming')
  return [
    ...(ready.length === 0
      ? []
      : [`There is room for it on ${few(ready, 8)}; the batch system has not placed it there yet.`]),
    ...(spare.length === 0 ? [] : [`${few(spare, 8)} will take work again for it.`]),
    ...(coming.length === 0 ? [] : [`It is to be served by ${few(coming, 8)}.`]),
    ...(fresh.length === 0 ? [] : orderSentences(fresh.length, job, shape, ground, view, config, now)),
  ]
}

function orderSentences(
  units: number,
  job: Job,
  shape: Shape,
  ground: Survey,
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  now: Instant,
): readonly string[] {
  const needed =
    shape.nodes > 1
      ? `${some(units, 'unit')} of its own, all or none`
      : 'a further unit, shared with jobs like it'
  const blocks: string[] = []
  if (view.hold !== undefined) blocks.push(`nothing may be asked for: ${view.hold}`)
  if (ground.total + (shape.nodes > 1 ? units : 1) > config.max)
    blocks.push(`max is ${config.max}, and ${ground.total} are held or asked for`)
  const waitedMs = now - job.submittedAt
  if (waitedMs < config.grow.wait)
    blocks.push(
      `units are asked for once a job has waited ${span(config.grow.wait)}, in ${span(config.grow.wait - waitedMs)}`,
    )
  const refused = afterRefusals(view, config, shape.nodes > 1 ? units : 1)
  if (refused !== undefined && now < refused.until)
    blocks.push(`the next ask is at ${hour(refused.until)}: ${refused.reason}`)
  const failed = afterFailures(view, firstMemory, config)
  if (failed !== undefined && now < failed.until)
    blocks.push(`the next ask is at ${hour(failed.until)}: ${failed.reason}`)
  return [
    `It needs ${needed}.`,
    ...(blocks.length === 0
      ? ['That is asked for with the next decision.']
      : blocks.map((block) => `Not yet asked for: ${block}.`)),
  ]
}

/** Equal jobs are served in order of arrival, so this one's places are those at its position. */
function placesOf(job: Job, shape: Shape, places: readonly Place[]): readonly Place[] {
  let position = 0
  for (const earlier of inSubmitOrder(shape)) {
    if (earlier === job) break
    position += earlier.tasks
  }
  if (shape.nodes > 1) return places.slice(position * shape.nodes, (position + job.tasks) * shape.nodes)
  const mine: Place[] = []
  let before = 0
  for (const place of places) {
    if (before + place.tasks > position && before < position + job.tasks) mine.push(place)
    before += place.tasks
  }
  return mine
}

function nameOf(binId: string, ground: Survey): string {
  const machine = ground.machines.find(({ unit }) => unit.id === binId)
  if (machine !== undefined) return `${machine.unit.name} (lease ${machine.lease.id}, ${machine.unit.state})`
  const node = ground.ownNodes.find(({ name }) => `node:${name}` === binId)
  return node === undefined
    ? `an ordered unit of lease ${binId.split('#')[0]}`
    : `${node.name} (the cluster’s own)`
}
