import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import type { BatchPicture } from '../../adapters/batch-system.ts'
import type { GuestDecision, GuestView } from '../../controllers/controller.ts'
import { Agenda } from './agenda.ts'
import { Churn } from './churn.ts'
import { Cluster } from './cluster.ts'
import { type ReplayJob, workloadOf } from './jobs.ts'
import { type Curve, Meter } from './meter.ts'
import { Looks } from './picture.ts'
import { Pool } from './pool.ts'
import { Scheduler, type SchedulerKind } from './scheduler.ts'
import type { TraceJob, UnitSize } from './trace.ts'

/**
 * One trace through one pool on a virtual clock:
 *
 *   trace ─submit─▶ scheduler ◀─nodes─ pool ◀─intents─ decide(view, memory, now)
 *                       └───────look──────────▶ view ─────────┘
 *
 * The instants at which something happens are visited, and no others. A decision is taken a quiet window after something
 * changed, and when the last one said that its answer may be another one (`steadyUntil`, or else `againMs`).
 */
export interface Policy {
  readonly name: string
  /** The resource type that it asks for. */
  readonly type: string
  /** Keeps what it has to remember; asked in order of time. */
  decide(
    view: GuestView<BatchPicture>,
    now: Instant,
  ): Pick<GuestDecision<unknown>, 'intents' | 'againMs' | 'steadyUntil'>
  /** It decides only at multiples of this length, as programs with a loop do; 0: a quiet window after a change. */
  readonly periodMs: Millis
  /** It believes a look about a node only so long after that was changed, and does nothing about it before. */
  readonly settleMs?: Millis
  /** So long after a term of that length has begun it asks for no other one, wherever it may ask until so long after it. */
  restMs?(lengthMs: Millis, extendByMs: Millis): Millis
}

export interface ReplayOptions {
  /** Units that there are. */
  readonly units: number
  readonly unit: UnitSize
  readonly scheduler: SchedulerKind
  /** Boots are uniform between the two. */
  readonly bootMs: { readonly least: Millis; readonly most: Millis }
  readonly seed: string
  /** Undefined: all units are always there. */
  readonly policy: Policy | undefined
}

export interface Replayed {
  readonly jobs: readonly ReplayJob[]
  readonly tooLarge: number
  readonly from: Instant
  readonly until: Instant
  /** Unit-milliseconds. */
  readonly paidMs: Millis
  readonly workedMs: Millis
  /** Cpu-milliseconds of jobs. */
  readonly cpuMs: Millis
  readonly boots: number
  readonly takenWhileWanted: number
  readonly oscillations: number
  readonly decisions: number
  readonly curve: Curve
}

/** From a change to the decision that sees it: the wait for further ones, and the look. */
const QUIET_MS: Millis = 1000
/** Where nothing more comes and nothing runs for so long, what waits is taken to wait for ever. */
const STUCK_MS: Millis = 7 * 86_400_000
const CURVE_POINTS = 400
/** The share of a new term within which nobody asks for another one, of whom nothing else is known. */
const REST = 0.1

export function replay(trace: readonly TraceJob[], options: ReplayOptions): Replayed {
  const { units, unit, policy } = options
  const { jobs, tooLarge } = workloadOf(trace, units, unit)
  const from = jobs[0]?.trace.submittedAt ?? 0
  const agenda = new Agenda()
  const meter = new Meter(from)
  const cluster = new Cluster(units, unit, (slot) => looks.touched(slot))
  const scheduler = new Scheduler(options.scheduler, cluster)
  const looks = new Looks(cluster, scheduler, jobs)
  const churn = new Churn()
  const random = seededRandom(options.seed).child('boot')
  let now = from
  let decideAt = policy === undefined ? Number.POSITIVE_INFINITY : nextMultiple(from, policy.periodMs)
  let decidedAt = Number.NEGATIVE_INFINITY
  let endedCount = 0
  let decisions = 0

  const soon = (at: Instant, quietMs = QUIET_MS): void => {
    if (policy === undefined) return
    // Once at an instant is enough, also for what the decision itself changed.
    const due = policy.periodMs === 0 ? at + quietMs : Math.max(at, decidedAt + 1)
    decideAt = Math.min(decideAt, nextMultiple(due, policy.periodMs))
  }
  const end = (job: ReplayJob, at: Instant): void => {
    scheduler.ended(job)
    job.endedAt = at
    endedCount += 1
    if (policy !== undefined) looks.ended(job)
    meter.add('wanted', -sizeOf(job, unit))
    soon(at)
  }
  const pool = new Pool(policy?.type ?? '', units, {
    agenda,
    bootMs: () => options.bootMs.least + random.next() * (options.bootMs.most - options.bootMs.least),
    nodeJoined(slot, unitId, leaseId, name) {
      looks.name(slot, { name, mark: { leaseId, unitId }, drained: false })
      cluster.add(slot)
      scheduler.nodesChanged()
    },
    nodeDrained(slot, drained) {
      const known = looks.named(slot)
      if (known !== undefined) looks.name(slot, { ...known, drained })
      cluster.accept(slot, !drained)
      scheduler.nodesChanged()
    },
    nodeLeft(slot) {
      for (const number of [...(cluster.jobsOn[slot] ?? [])]) {
        jobs[number]!.cut = true
        end(jobs[number]!, now)
      }
      cluster.remove(slot)
      looks.name(slot, undefined)
      scheduler.nodesChanged()
    },
    isBusy: (slot) => cluster.isBusy(slot),
    paid: (change) => meter.add('paid', change),
    ordered: (at) => churn.ordered(at),
    taken: () => churn.taken(scheduler.queue.length > 0),
    givenBack: (at) => churn.givenBack(at),
    changed: soon,
    nodeChanged: (at) => soon(at, policy?.settleMs),
    restMs: (lengthMs, extendByMs) =>
      Math.max(QUIET_MS, policy?.restMs?.(lengthMs, extendByMs) ?? lengthMs * REST),
  })
  if (policy === undefined) {
    for (let slot = 0; slot < units; slot++) cluster.add(slot)
    meter.set('paid', units)
  }

  const decide = (): void => {
    decideAt = Number.POSITIVE_INFINITY
    decidedAt = now
    decisions += 1
    const view = {
      observation: looks.look(now),
      blind: undefined,
      leases: pool.leases(),
      refusals: pool.refusals,
      hold: undefined,
    }
    const { intents, againMs, steadyUntil } = policy!.decide(view, now)
    for (const intent of intents) pool.apply(intent, now)
    const again = Math.max(now + 1, steadyUntil ?? now + againMs)
    decideAt = Math.min(decideAt, nextMultiple(again, policy!.periodMs))
  }

  const start = (): void => {
    for (const { number } of scheduler.pass(now)) {
      const job = jobs[number]!
      if (policy !== undefined) looks.started(job)
      const endsAt = now + job.trace.runMs
      agenda.at(endsAt, () => {
        if (job.endedAt === undefined) end(job, endsAt)
      })
      soon(now)
    }
  }

  let next = 0
  let lastJobAt = from
  while (endedCount < jobs.length) {
    const arrival = jobs[next]?.trace.submittedAt ?? Number.POSITIVE_INFINITY
    const event = Math.min(arrival, agenda.soonest)
    now = Math.min(event, decideAt)
    if (next < jobs.length || scheduler.running.length > 0) lastJobAt = now
    if (now - lastJobAt > STUCK_MS) {
      now = lastJobAt
      break
    }
    meter.pass(now)
    agenda.perform(now)
    for (; jobs[next]?.trace.submittedAt === now; next++) {
      scheduler.submit(jobs[next]!)
      if (policy !== undefined) looks.submitted(jobs[next]!)
      meter.add('wanted', sizeOf(jobs[next]!, unit))
      soon(now)
    }
    start()
    if (decideAt <= now) {
      decide()
      start()
    }
    meter.set('working', cluster.working)
    meter.set('cpus', cluster.cpusInUse)
  }
  return {
    jobs,
    tooLarge,
    from,
    until: now,
    paidMs: meter.total('paid'),
    workedMs: meter.total('working'),
    cpuMs: meter.total('cpus'),
    ...{ boots: churn.boots, takenWhileWanted: churn.takenWhileWanted, oscillations: churn.oscillations },
    decisions,
    curve: meter.curve(CURVE_POINTS),
  }
}

const nextMultiple = (at: Instant, periodMs: Millis): Instant =>
  periodMs === 0 ? at : Math.ceil(at / periodMs) * periodMs

/** In units, if each of their cpus were used. */
const sizeOf = ({ shape }: ReplayJob, unit: UnitSize): number => (shape.nodes * shape.cpus) / unit.cpus
