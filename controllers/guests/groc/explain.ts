import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { BatchPicture, Job, JobPart } from '../../../adapters/batch-system.ts'
import { bounded } from '../../../adapters/job-bounds.ts'
import type { GuestView } from '../../controller.ts'
import { few, hour, some, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { silentSentences } from './dead.ts'
import type { Shape } from './demand.ts'
import { servesQueue } from './demand.ts'
import { mayUse } from './ends.ts'
import { startSentence } from './forecast.ts'
import { heldSentence, isAlarming } from './held.ts'
import type { GrocMemory } from './memory.ts'
import { fits } from './needs.ts'
import { lackedByAll, typesInWords } from './notes.ts'
import { pressedOf } from './orders.ts'
import type { Place } from './packing.ts'
import type { PatientOffer } from './patience.ts'
import { groupOf, growOf, maxOfQueue } from './queues.ts'
import { type Rehearsal, rehearse } from './rehearsal.ts'
import { reservedFor } from './reservations.ts'
import { seasonAt } from './season.ts'
import { stuckSentences } from './stuck.ts'
import type { Survey } from './survey.ts'
import { mostUnits } from './survey.ts'
import { pauseOf } from './users.ts'

/** Why is there no node for my job? Answers from the same rehearsal that `decide` orders by. */
export const explainJob = (
  jobId: string,
  ...rest: readonly [GuestView<BatchPicture>, GrocMemory, GrocConfig, Instant]
): readonly string[] | undefined => explainJobs([jobId], ...rest).get(jobId)

/** ... one rehearsal for all that are asked for. */
export function explainJobs(
  jobIds: readonly string[],
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): ReadonlyMap<string, readonly string[]> {
  const picture = view.observation
  if (picture === undefined) return new Map()
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
  const asked = new Set(jobIds)
  const jobs = new Map<string, Job>()
  for (const job of picture.jobs) if (asked.has(job.id) && !jobs.has(job.id)) jobs.set(job.id, bounded(job))
  const inSeason = seasonAt(config, now).config
  // Only if a job is asked for that it can tell anything of.
  let rehearsal: Rehearsal | undefined
  const said = (job: Job): readonly string[] => {
    const known = settled(job, memory, inSeason, now)
    if (known !== undefined)
      return [
        ...known,
        ...silentSentences(job, picture, memory, inSeason),
        ...stuckSentences(job, memory, inSeason),
      ]
    const whole = job.partOf === undefined ? undefined : picture.jobs.find(({ id }) => id === job.partOf)
    if (whole !== undefined)
      return [`Job ${job.id} starts together with job ${whole.id}, or not at all.`, ...said(bounded(whole))]
    rehearsal ??= rehearse(view, picture, memory, inSeason, now)
    return sentences(job, rehearsal, view, inSeason, now)
  }
  return new Map([...jobs].map(([id, job]) => [id, [...said(job), ...doubts]]))
}

const wordOf = ({ vendorReason }: Job): string =>
  vendorReason === '' ? '' : ` (the batch system says “${vendorReason}”)`

/** Where and from when it ran, if it did, and how it ended as far as the batch system tells. */
function endedSentence(job: Job): string {
  const { id, user, startedAt, endedAt, nodeNames } = job
  const at = endedAt === undefined ? '' : ` at ${hour(endedAt)}`
  const where = nodeNames.length === 0 ? '' : ` on ${few(nodeNames, 8)}`
  const ran = startedAt === undefined ? '' : `; it ran${where} from ${hour(startedAt)} on`
  return `Job ${id} of ${user} has ended${at}${ran}${wordOf(job)}.`
}

/** Of a job that its own record says enough of. */
function settled(
  job: Job,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): readonly string[] | undefined {
  const it = `Job ${job.id} of ${job.user}`
  switch (job.state) {
    case 'ended':
      return [endedSentence(job)]
    case 'running':
    case 'completing':
      return [
        `${it} is ${job.state} on ${few(job.nodeNames, 8)}${job.startedAt === undefined ? '' : `${job.state === 'running' ? ' since' : '; it started at'} ${hour(job.startedAt)}`}.`,
      ]
    case 'held':
      return [
        `${it} is not counted: it is held${wordOf(job)}, and no machine would cure that.`,
        heldSentence(job),
        ...reservedSentence(job, memory, config, now),
        ...(isAlarming(job) && job.heldBy !== 'system'
          ? ['Its start failed on a node; it is let go by itself if a machine of ours was the cause.']
          : []),
      ]
    case 'pending':
      break
  }
  if (!servesQueue(config, job.queue))
    return [
      `${it} is not counted: queue ${job.queue} is not one of those served here (${few(config.queues?.map(({ name }) => name) ?? [], 8)}).`,
      'Move it to one of those, or have the queue added to `queues` of this guest’s controller.',
    ]
  return undefined
}

/** Machines are asked for so that they are there when it may begin. */
function reservedSentence(
  job: Job,
  { reservations }: GrocMemory,
  config: GrocConfig,
  now: Instant,
): readonly string[] {
  const reserved = reservedFor(job, reservations, config, now)
  return reserved === undefined
    ? []
    : [
        `Machines for it are asked for from ${hour(reserved.startAt)} on, so that they are there then; \`sublet leases\` tells whether they are granted.`,
      ]
}

/** Of one that waits in a queue that is served here. */
function sentences(
  job: Job,
  rehearsal: Rehearsal,
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  now: Instant,
): readonly string[] {
  const { noticed, ground, units, limits } = rehearsal
  const it = `Job ${job.id} of ${job.user}`
  const needs = needsOf(job)
  const shape = rehearsal.shapeOf(job)
  if (shape === undefined) {
    const behind = rehearsal.behindOf(job)
    if (behind !== undefined)
      return [
        `${it} is not counted yet: queue ${job.queue} is served in order (starts), and job ${behind.first.id} of ${behind.first.user}, which came earlier, waits for others to end.`,
        'It is counted when there may be room for both.',
      ]
    const misfit = rehearsal.misfitOf(job)
    const pause = misfit === undefined ? pauseOf(job, noticed.users, config, now) : undefined
    if (pause !== undefined)
      return [
        `${it} is not counted before ${hour(pause.until)}: ${pause.inRow} jobs of ${job.user} in a row ended right after their start, on more than one node, and each further one makes the pause longer.`,
        'Look why they end: the first that lasts ends the pause. On machines that are there it may start before.',
      ]
    const { budget, until } = rehearsal.beyond.get(job.user) ?? {}
    if (misfit === undefined && budget !== undefined)
      return [
        `${it} is not counted yet: it is beyond what jobs of ${job.user} may take in ${span(config.userBudget?.per ?? 0)} (userBudget): ${budget}.`,
        `It is counted when enough of that is long ago${until === undefined ? '' : `, not before ${hour(until)}`}; on machines that are there it may start before.`,
      ]
    if (misfit === undefined)
      return [
        `${it} is not counted yet: other waiting jobs of ${job.user} come first, and those of one user may cause ${some(config.userMax ?? 0, 'unit')} at once (userMax).`,
        'It is counted when some of these have started, and nobody can say when that is; on machines that are there it may start before.',
      ]
    const lacks = lackedByAll(misfit, units)
    return lacks.length > 0
      ? [
          `${it} is not counted: it asks for ${needs}, and no unit that can be had has ${few(lacks, 8)}.`,
          'It can start only on a node of the cluster’s own that has that; else ask for something else, or have a type that has it added to `types` of this guest’s controller.',
        ]
      : [
          `${it} is not counted: it asks for ${needs}, and ${typesInWords(ground)}, no more.`,
          'It can start only on a node of the cluster’s own that is large enough; else ask for less, or have a larger type added to `types` of this guest’s controller.',
        ]
  }
  if (shape.nodes > limits.reach && rehearsal.placesOf(job, shape).length === 0)
    return [
      `${it} cannot be served: it asks for ${needs}; there can never be that many nodes at once, for max is ${mostUnits(config)}.`,
      `Ask for fewer nodes, or raise max of this guest’s controller to at least ${shape.nodes - (limits.reach - mostUnits(config))}.`,
    ]
  // Submitted later than now, by a clock that is ahead of ours.
  const waitedMs = now - Math.min(job.submittedAt, noticed.futureSince ?? now)
  return [
    `${it} is counted: it has waited ${span(waitedMs)}${wordOf(job)} and asks for ${needs}.`,
    ...placeSentences(job, shape, rehearsal, view, config, waitedMs, now),
  ]
}

function placeSentences(
  job: Job,
  shape: Shape,
  rehearsal: Rehearsal,
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  waitedMs: Millis,
  now: Instant,
): readonly string[] {
  const { ground, offers } = rehearsal
  const places = rehearsal.placesOf(job, shape)
  const queueMax = maxOfQueue(config, shape.queue)
  if (places.length === 0 && queueMax !== undefined && rehearsal.packing.capped.has(shape.queue))
    return [
      `Nothing is ordered for it: jobs of queue ${shape.queue} may have ${some(queueMax, 'unit')} (its max), and have them or are to get them.`,
      'It is served when others of its queue have ended, or sooner on machines that are there.',
    ]
  if (places.length === 0)
    return [
      `It needs more units at once than may be had now: max is ${config.max}, and ${ground.total} are held or asked for.`,
      config.collect === 'keep'
        ? 'Units that are free are kept for it until enough of the others are.'
        : 'Units that are free are not kept for it (collect); they are ordered anew when enough of the others are free.',
      startSentence(job, shape, places, { at: undefined }, ...([rehearsal, config, now] as const)),
    ]
  const names = (kind: Place['bin']['kind']): readonly string[] =>
    places.filter(({ bin }) => bin.kind === kind).map(({ bin }) => nameOf(bin.id, ground))
  const fresh = places.filter(({ bin }) => bin.kind === 'fresh')
  const types = [...new Set(fresh.map(({ bin }) => bin.type))]
  const ready = [...names('collecting'), ...names('serving')]
  const spare = names('spare')
  const ending = names('ending')
  const coming = names('coming')
  const asks = types.flatMap((type) => {
    const offer = offers.find((one) => one.type === type)
    const units = fresh.filter(({ bin }) => bin.type === type).length
    return offer === undefined ? [] : [askingFor(units, shape, rehearsal, offer, view, config, waitedMs, now)]
  })
  const asking = asks.length === 0 ? undefined : { at: lastOf(asks.map(({ at }) => at)) }
  return [
    ...(ready.length === 0
      ? []
      : [`There is room for it on ${few(ready, 8)}; the batch system has not placed it there yet.`]),
    ...(ending.length === 0
      ? []
      : [`${few(ending, 8)} will take it, which ends by its time limit before that goes.`]),
    ...goingSentences(shape, rehearsal),
    ...(spare.length === 0 ? [] : [`${few(spare, 8)} will take work again for it.`]),
    ...(coming.length === 0 ? [] : [`It is to be served by ${few(coming, 8)}.`]),
    ...asks.flatMap(({ sentences }) => sentences),
    ...(types.length > 1 ? ['It is given all of these at one common start, or none.'] : []),
    startSentence(job, shape, places, asking, rehearsal, config, now),
  ]
}

/** Where there would be room for it, if it were sure to end in time. */
function goingSentences(shape: Shape, { ground, ends }: Rehearsal): readonly string[] {
  if (ends === undefined) return []
  const short = ground.bins.filter(
    (bin) => bin.until !== undefined && mayUse(shape, bin) && ends.now + ends.runMs(shape) > bin.until,
  )
  return short
    .slice(0, 3)
    .map(({ id, until }) => `${nameOf(id, ground)} goes by ${hour(until!)}, and the job may last longer.`)
}

/** The last of them, unless nobody knows one. */
const lastOf = (instants: readonly (Instant | undefined)[]): Instant | undefined =>
  instants.reduce<Instant | undefined>(
    (last, at) => (last === undefined || at === undefined ? undefined : Math.max(last, at)),
    Number.NEGATIVE_INFINITY,
  )

/** What is to be asked for a job: in sentences, and when; undefined if nobody knows. */
interface Asking {
  readonly sentences: readonly string[]
  readonly at: Instant | undefined
}

function askingFor(
  units: number,
  shape: Shape,
  { ground, offers, noticed, orders }: Rehearsal,
  offer: PatientOffer,
  view: GuestView<BatchPicture>,
  config: GrocConfig,
  waitedMs: Millis,
  now: Instant,
): Asking {
  const least = shape.nodes > 1 ? units : 1
  const passedOver = offers.slice(0, offers.indexOf(offer)).flatMap((other) => {
    const patience = fits(shape, other.unit) ? other.patience(least) : undefined
    return patience === undefined
      ? []
      : [`${other.type} is passed over until ${hour(patience.until)}: ${patience.reason}.`]
  })
  const ofType = config.types.length > 1 ? ` of type ${offer.type}` : ''
  const needed =
    shape.nodes > 1
      ? `${some(units, 'unit')}${ofType} of its own, all or none`
      : `a further unit${ofType}, ${shape.exclusive ? 'shared with nobody' : 'shared with jobs like it'}`
  const blocks: string[] = []
  let at: Instant | undefined = now
  const until = (time: Instant | undefined): void => {
    at = at === undefined || time === undefined ? undefined : Math.max(at, time)
  }
  if (view.hold !== undefined) {
    const cure = view.still === undefined ? '' : '; `sublet thaw` ends that'
    blocks.push(`nothing may be asked for: ${view.hold}${cure}`)
    until(undefined)
  }
  if (view.blind !== undefined || view.observation?.trust === 'doubtful') {
    blocks.push('nothing is asked for before a look succeeds')
    until(undefined)
  }
  if (ground.total + (shape.nodes > 1 ? units : 1) > config.max) {
    blocks.push(`max is ${config.max}, and ${ground.total} are held or asked for`)
    until(undefined)
  }
  const group = groupOf(config, shape.queue)
  const { wait } = growOf(config, group)
  if (waitedMs < wait) {
    blocks.push(
      `units are asked for once a job${wait === config.grow.wait ? '' : ` of queue ${shape.queue}`} has waited ${span(wait)}, in ${span(wait - waitedMs)}`,
    )
    until(now + wait - waitedMs + config.grow.sustain)
  } else if (config.grow.sustain > 0) until((pressedOf(noticed, group) ?? now) + config.grow.sustain)
  const patience = offer.patience(least)
  if (patience !== undefined) {
    blocks.push(`the next ask is at ${hour(patience.until)}: ${patience.reason}`)
    until(patience.until)
  }
  // What else keeps it from being asked for: the budget, starts per minute, the share of the ramp.
  if (blocks.length === 0 && orders().intents.length === 0) {
    const { notes, wake } = orders()
    blocks.push(...notes.map((note) => note.replace(/\.$/, '')))
    if (notes.length > 0) until(wake.length === 0 ? undefined : Math.min(...wake))
  }
  const avoided = offer.sites.avoid.map(
    ({ site, until, probing, reason }) =>
      `Units of ${site} are not asked for ${probing ? `but one at a time, the next at ${hour(until)}` : `until ${hour(until)}`}: ${reason}.`,
  )
  const sentences = [
    `It needs ${needed}.`,
    ...passedOver,
    ...avoided,
    ...(blocks.length === 0
      ? ['That is asked for with the next decision.']
      : blocks.map((block) => `Not yet asked for: ${block}.`)),
  ]
  return { sentences, at }
}

/** `28 times 1 node with 1 cpu`, `5 nodes: 1 node with 16 cpus, and 4 nodes, each with 1 cpu`, `2 nodes, each with 4 cpus and 2048 MiB, 1 gpu and feature ssd, for itself alone`. */
function needsOf(job: Job): string {
  const times = job.tasks > 1 ? `${job.tasks} times ` : ''
  const alone = job.exclusive === true ? ', for itself alone' : ''
  const inAll = job.parts === undefined ? '' : `${some(job.nodes, 'node')}: `
  return `${times}${inAll}${(job.parts ?? [job]).map(nodesInWords).join(', and ')}${alone}`
}

function nodesInWords(part: JobPart): string {
  const memory = part.memoryMiBPerNode > 0 ? ` and ${part.memoryMiBPerNode} MiB` : ' (it names no memory)'
  const consumables = Object.entries(part.consumablesPerNode ?? {}).map(
    ([name, amount]) => `, ${amount} ${name}`,
  )
  const features = (part.features ?? []).map((feature) => `, feature ${feature}`)
  return `${some(Math.max(1, part.nodes), 'node')}${part.nodes > 1 ? ', each' : ''} with ${some(Math.max(1, part.cpusPerNode), 'cpu')}${memory}${consumables.join('')}${features.join('')}`
}

const ON_ITS_WAY: Readonly<Record<string, string>> = {
  awaited: 'its machine is being set up',
  joining: 'its machine is joining the batch system',
}

function nameOf(binId: string, ground: Survey): string {
  for (const { lease, machines } of ground.crews)
    for (const { unit } of machines)
      if (unit.id === binId)
        return `${unit.name} (lease ${lease.id}, ${ON_ITS_WAY[unit.state] ?? unit.state})`
  const node = ground.ownNodes.find(({ name }) => `node:${name}` === binId)
  return node === undefined
    ? orderedIn(binId.split('#')[0] ?? '', ground)
    : `${node.name} (the cluster’s own)`
}

/** One that nobody has told of yet: somebody has still to answer, and it is said who. */
function orderedIn(leaseId: string, ground: Survey): string {
  const lease = ground.crews.find((crew) => crew.lease.id === leaseId)?.lease
  const isRequested = lease?.state === 'requested'
  return `a unit of lease ${leaseId} (${
    isRequested
      ? `asked for at ${hour(lease.requestedAt)}; the broker has not answered yet`
      : 'granted; its site has not said yet which machine it is'
  })`
}
