import type { Instant } from '../../../actors/runtime/clock.ts'
import type { BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GuestView } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import { type Demand, demandOf, inSubmitOrder, type Shape } from './demand.ts'
import { type Ends, endsOf } from './ends.ts'
import { notice, withoutSilence } from './health.ts'
import { toKeep } from './keep.ts'
import type { GrocMemory } from './memory.ts'
import type { Room } from './needs.ts'
import { type Orders, ordersFor } from './orders.ts'
import { type Packing, type Place, pack } from './packing.ts'
import { offersOf, type PatientOffer } from './patience.ts'
import { queueRooms, without } from './queues.ts'
import { rollCall } from './roll.ts'
import { expectations } from './runs.ts'
import { limitsOf, type Survey, survey } from './survey.ts'
import { tallyOf } from './tally.ts'
import { type Behind, turnOf } from './turn.ts'
import { userPurses } from './user-budget.ts'
import { type Beyond, turnstile } from './users.ts'

/** What a decision orders by, and where each job would come to lie. */
export interface Rehearsal {
  readonly noticed: ReturnType<typeof notice>
  readonly ground: Survey
  readonly units: readonly Room[]
  readonly limits: ReturnType<typeof limitsOf>
  readonly offers: readonly PatientOffer[]
  readonly packing: Packing
  /** What would be asked for now, and why no more. */
  orders(): Orders
  /** Jobs of users that are not counted now. */
  readonly beyond: ReadonlyMap<string, Beyond>
  /** Undefined if no machine goes by a time. */
  readonly ends: Ends | undefined
  shapeOf(job: Job): Shape | undefined
  /** Its shape, where that fits no unit that can be had. */
  misfitOf(job: Job): Shape | undefined
  /** Those of its queue behind which it waits for its turn. */
  behindOf(job: Job): Behind | undefined
  /** Equal jobs are served in order of arrival, so those of a job are those at its position. */
  placesOf(job: Job, shape: Shape): readonly Place[]
}

/** Costs about as much as a decision; then every job of the look can be looked up. */
export function rehearse(
  view: GuestView<BatchPicture>,
  picture: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Rehearsal {
  const jobs = tallyOf(picture.jobs)
  const rolls = rollCall(view.leases, picture, config)
  const noticed = withoutSilence(
    notice(rolls, picture, jobs, memory, config),
    ...([view.leases, picture.startedAt, config] as const),
  )
  const ground = survey(rolls, picture, jobs, noticed, config, now)
  const units = [...ground.units.values()]
  const expected = expectations(noticed.runs, config)
  const purses = userPurses(
    ...([noticed.userAccounts, jobs.running, picture.nodes, expected, config, now] as const),
  )
  const gate = turnstile(noticed.users, units, config, now, purses)
  const turn = turnOf(jobs, units, ground.ownNodes, config)
  const demand: Demand = demandOf(turn.jobs, units, expected, config, gate, ground.ends)
  const limits = limitsOf(ground, config, queueRooms(config, picture.nodes, jobs))
  const offers = offersOf(view, ground, noticed, config, now)
  const ends = endsOf(ground, demand, jobs, expected, now)
  const bins = ends?.bins ?? ground.bins
  const packing = pack(demand.shapes, bins, offers, limits, ends)
  const packWithout = (closed: ReadonlySet<string>): Packing =>
    pack(demand.shapes, bins, offers, { ...limits, queues: without(limits.queues, closed) }, ends)
  const shapes = byJob(demand.shapes)
  const misfits = byJob(demand.misfits)
  const positions = new Map<Shape, ReadonlyMap<string, number>>()
  let orders: Orders | undefined
  return {
    ...{ noticed, ground, units, limits, offers, packing, ends, beyond: gate?.beyond ?? new Map() },
    orders() {
      const keep = toKeep(ground, packing, limits, config)
      orders ??= ordersFor(
        ...([demand, packing, packWithout, ground, offers, keep, view, noticed, config, now] as const),
      )
      return orders
    },
    shapeOf: (job) => shapes.get(job.id),
    misfitOf: (job) => misfits.get(job.id),
    behindOf: ({ id }) => turn.behind.find((line) => line.jobs.some((one) => one.id === id)),
    placesOf(job, shape) {
      const those = positions.get(shape) ?? positionsIn(shape)
      positions.set(shape, those)
      return placesAt(those.get(job.id)!, job.tasks, shape, packing.places.get(shape) ?? [])
    },
  }
}

/** By id: a job whose figures were brought within bounds is another object. */
const byJob = (shapes: readonly Shape[]): ReadonlyMap<string, Shape> =>
  new Map(shapes.flatMap((shape) => shape.jobs.map(({ id }) => [id, shape] as const)))

/** How many tasks come before each job. */
function positionsIn(shape: Shape): ReadonlyMap<string, number> {
  const positions = new Map<string, number>()
  let position = 0
  for (const job of inSubmitOrder(shape)) {
    positions.set(job.id, position)
    position += job.tasks
  }
  return positions
}

function placesAt(
  position: number,
  tasks: number,
  { nodes }: Shape,
  places: readonly Place[],
): readonly Place[] {
  if (nodes > 1) return places.slice(position * nodes, (position + tasks) * nodes)
  const mine: Place[] = []
  let before = 0
  for (const place of places) {
    if (before + place.tasks > position && before < position + tasks) mine.push(place)
    before += place.tasks
  }
  return mine
}
