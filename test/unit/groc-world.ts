import type { BatchNode, BatchPicture, Job } from '../../adapters/batch-system.ts'
import type {
  GuestDecision,
  GuestIntent,
  GuestView,
  HeldLease,
  HeldUnit,
  Refusal,
} from '../../controllers/controller.ts'
import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { grocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import type { Room } from '../../controllers/guests/groc/needs.ts'

/** What the tests of GROC speak about: jobs, nodes, leases, and a small cluster on virtual time. */

export const T0 = Date.parse('2026-03-02T08:00:00Z')
export const SECOND = 1000
export const MINUTE = 60_000

export const configOf = (over: Record<string, unknown> = {}): GrocConfig =>
  grocConfig.parse({
    type: 'small',
    unit: { cpus: 4, memoryMiB: 4096 },
    max: 20,
    grow: { wait: '0s' },
    settle: '1s',
    every: '5s',
    ...over,
  })

export const jobOf = (id: string, over: Partial<Job> = {}): Job => ({
  id,
  state: 'pending',
  vendorReason: '',
  user: 'ada',
  queue: 'batch',
  nodes: 1,
  cpusPerNode: 4,
  memoryMiBPerNode: 0,
  walltimeMs: undefined,
  submittedAt: T0,
  startedAt: undefined,
  endedAt: undefined,
  nodeNames: [],
  requeueable: true,
  restarts: 0,
  tasks: 1,
  ...over,
})

export const jobsOf = (count: number, over: Partial<Job> = {}): readonly Job[] =>
  Array.from({ length: count }, (_, i) => jobOf(`${i + 1}`, over))

export const nodeOf = (unitId: string, over: Partial<BatchNode> = {}): BatchNode => ({
  name: `node-${unitId}`,
  mark: { leaseId: `lease-of-${unitId}`, unitId },
  vendorState: 'idle',
  responding: true,
  accepting: true,
  empty: true,
  collectingFor: undefined,
  drained: 'no',
  drainReason: '',
  cpus: 4,
  cpusInUse: 0,
  memoryMiB: 4096,
  jobs: [],
  ...over,
})

/** A node of ours that our own drain keeps from new jobs. */
export const drainedNode = (unitId: string, over: Partial<BatchNode> = {}): BatchNode =>
  nodeOf(unitId, { accepting: false, drained: 'ours', vendorState: 'idle+drain', ...over })

/** A node with one job on all its processors. */
export const busyNode = (unitId: string, jobId: string, over: Partial<BatchNode> = {}): BatchNode =>
  nodeOf(unitId, { empty: false, cpusInUse: 4, vendorState: 'allocated', jobs: [jobId], ...over })

export const runningOn = (jobId: string, unitId: string, over: Partial<Job> = {}): Job =>
  jobOf(jobId, { state: 'running', startedAt: T0 - 10 * MINUTE, nodeNames: [`node-${unitId}`], ...over })

export const pictureOf = (over: Partial<BatchPicture> = {}): BatchPicture => ({
  startedAt: T0,
  at: T0,
  jobs: [],
  nodes: [],
  warnings: [],
  trust: 'confirmed',
  ...over,
})

export const unitOf = (id: string, over: Partial<HeldUnit> = {}): HeldUnit => ({
  id,
  name: `node-${id}`,
  state: 'joined',
  since: T0 - 30 * MINUTE,
  joinedAt: T0 - 30 * MINUTE,
  suspect: undefined,
  ...over,
})

export const leaseOf = (id: string, held: readonly HeldUnit[], over: Partial<HeldLease> = {}): HeldLease => ({
  id,
  state: 'active',
  type: 'small',
  units: held.length,
  term: { start: T0 - 30 * MINUTE, end: T0 + 30 * MINUTE },
  requestedAt: T0 - 31 * MINUTE,
  extending: false,
  extendBy: T0 + 28 * MINUTE,
  extendRefused: undefined,
  recall: undefined,
  held,
  ...over,
})

export const viewOf = (
  leases: readonly HeldLease[],
  picture: Partial<BatchPicture> = {},
  over: Partial<GuestView<BatchPicture>> = {},
): GuestView<BatchPicture> => ({
  observation: pictureOf(picture),
  blind: undefined,
  leases,
  refusals: [],
  hold: undefined,
  ...over,
})

export const refusalOf = (leaseId: string, at: number, over: Partial<Refusal> = {}): Refusal => ({
  at,
  leaseId,
  type: 'small',
  by: 'broker',
  image: 'debian',
  reason: 'nothing is free',
  ...over,
})

export type Request = Extract<GuestIntent, { kind: 'request' }>

export const requestsIn = (intents: readonly GuestIntent[]): readonly Request[] =>
  intents.filter((intent) => intent.kind === 'request')

export const unitsAsked = (intents: readonly GuestIntent[]): number =>
  requestsIn(intents).reduce((sum, { units }) => sum + units, 0)

/** `drain u1`, `release l1`, ...: what a decision does, without the reasons. */
export const inShort = (intents: readonly GuestIntent[]): readonly string[] =>
  intents.map((intent) => {
    switch (intent.kind) {
      case 'request':
        return `request ${intent.unitsMin}-${intent.units}`
      case 'extend':
        return `extend ${intent.leaseId}${intent.victims.length === 0 ? '' : ` without ${intent.victims.join(', ')}`}`
      case 'release':
        return `release ${intent.leaseId}`
      case 'requeue':
        return `requeue ${intent.jobIds.join(', ')}`
      case 'modify':
        return `modify ${intent.leaseId}`
      default:
        return `${intent.kind} ${intent.unitId}`
    }
  })

export const decideOn = (
  view: GuestView<BatchPicture>,
  config: GrocConfig = configOf(),
  memory: GrocMemory = groc.firstMemory,
  now: number = T0,
): GuestDecision<GrocMemory> => groc.decide(view, memory, config, now)

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

interface WorldUnit extends Writable<HeldUnit> {
  readyAt: number
}

interface WorldLease extends Omit<Writable<HeldLease>, 'held'> {
  held: WorldUnit[]
  unitsMin: number
  durationMs: number
  victims: readonly string[]
  oldEnd: number | undefined
}

export interface WorldOptions {
  /** Of each machine, or by the number of machines that were made before it. */
  readonly bootMs?: number | ((machine: number) => number)
  /** Units the broker has, by time. */
  readonly supply?: (now: number, type: string) => number
  readonly tickMs?: number
  /** The broker refuses extensions. */
  readonly extensions?: 'granted' | 'refused'
  /** What the controller is shown instead of what is so, such as a look that failed. */
  readonly shown?: (view: GuestView<BatchPicture>, now: number) => GuestView<BatchPicture>
}

/** A batch system, a broker and a site in a few lines; one step is one second. */
export function world(config: GrocConfig, options: WorldOptions = {}) {
  const { bootMs = 20 * SECOND, supply = () => 1000, tickMs = 5 * SECOND, extensions = 'granted' } = options
  const { shown = (view) => view } = options
  const jobs = new Map<string, Writable<Job>>()
  const runMs = new Map<string, number>()
  let leases: WorldLease[] = []
  let refusals: Refusal[] = []
  const log: { at: number; intent: GuestIntent }[] = []
  const killed: string[] = []
  let memory: GrocMemory = groc.firstMemory
  let now = T0
  let named = 0
  let machines = 0
  let reason = ''

  const units = (): WorldUnit[] => leases.flatMap(({ held }) => held)
  const inService = (): WorldUnit[] =>
    units().filter(({ state }) => state === 'joined' || state === 'draining')
  const jobsOn = (unit: WorldUnit): Writable<Job>[] =>
    [...jobs.values()].filter((job) => job.state === 'running' && job.nodeNames.includes(unit.name))
  const sizeOf = (unit: WorldUnit): Room => {
    const type = leases.find(({ held }) => held.includes(unit))?.type
    return (config.types.find((one) => one.type === type) ?? config.types[0]!).unit
  }
  const freeCpus = (unit: WorldUnit): number =>
    sizeOf(unit).cpus - jobsOn(unit).reduce((sum, job) => sum + job.cpusPerNode, 0)

  function look(): BatchPicture {
    const nodes = inService().map((unit): BatchNode => {
      const on = jobsOn(unit)
      return nodeOf(unit.id, {
        name: unit.name,
        accepting: unit.state === 'joined',
        drained: unit.state === 'draining' ? 'ours' : 'no',
        empty: on.length === 0,
        jobs: on.map(({ id }) => id),
        cpus: sizeOf(unit).cpus,
        cpusInUse: sizeOf(unit).cpus - freeCpus(unit),
        memoryMiB: sizeOf(unit).memoryMiB,
      })
    })
    return pictureOf({ startedAt: now, at: now, nodes, jobs: [...jobs.values()].map((job) => ({ ...job })) })
  }

  function schedule(): void {
    for (const job of jobs.values()) {
      if (job.state === 'running' && now >= (job.startedAt ?? now) + (runMs.get(job.id) ?? 0)) {
        job.state = 'ended'
        job.endedAt = now
      }
    }
    for (const job of jobs.values()) {
      if (job.state !== 'pending') continue
      const room = inService().filter((unit) => unit.state === 'joined' && freeCpus(unit) >= job.cpusPerNode)
      if (room.length < job.nodes) continue
      job.state = 'running'
      job.startedAt = now
      job.nodeNames = room.slice(0, job.nodes).map(({ name }) => name)
    }
  }

  function broker(): void {
    for (const lease of leases.filter(({ state }) => state === 'requested')) {
      const given = leases.reduce(
        (sum, { state, type, units }) => sum + (state === 'requested' || type !== lease.type ? 0 : units),
        0,
      )
      const granted = Math.min(lease.units, supply(now, lease.type) - given)
      if (granted < lease.unitsMin) {
        leases = leases.filter((other) => other !== lease)
        const refusal = refusalOf(lease.id, now, { type: lease.type, unitsMin: lease.unitsMin })
        refusals = [refusal, ...refusals].slice(0, 50)
        continue
      }
      lease.state = 'ticketed'
      lease.units = granted
      lease.term = { start: now, end: now + lease.durationMs }
      lease.extendBy = lease.term.end - 10 * SECOND
      lease.held = Array.from({ length: granted }, (_, i) => ({
        ...unitOf(`${lease.id}-u${i + 1}`, { state: 'awaited', since: now, joinedAt: undefined }),
        readyAt: now + (typeof bootMs === 'number' ? bootMs : bootMs(machines++)),
      }))
    }
  }

  function site(): void {
    for (const unit of units()) {
      if (unit.state === 'awaited' && now >= unit.readyAt)
        Object.assign(unit, { state: 'joined', since: now, joinedAt: now })
      if (unit.state !== 'leaving') continue
      Object.assign(unit, { state: 'left', since: now })
      const lease = leases.find(({ held }) => held.includes(unit))
      if (lease?.recall !== undefined)
        lease.recall = lease.recall.units > 1 ? { ...lease.recall, units: lease.recall.units - 1 } : undefined
    }
    for (const lease of leases) {
      if (lease.state === 'ticketed' && lease.held.every(({ state }) => state !== 'awaited'))
        lease.state = 'active'
      if (lease.oldEnd !== undefined && now >= lease.oldEnd) {
        for (const unit of lease.held.filter(({ id }) => lease.victims.includes(id))) kill(unit)
        lease.held = lease.held.filter(({ id }) => !lease.victims.includes(id))
        lease.units = lease.held.length
        lease.oldEnd = undefined
      }
      if (lease.term !== undefined && now >= lease.term.end) for (const unit of lease.held) kill(unit)
    }
    leases = leases.filter(({ term }) => term === undefined || now < term.end)
  }

  const kill = (unit: WorldUnit): void => {
    for (const job of jobsOn(unit)) {
      killed.push(job.id)
      job.state = 'ended'
      job.endedAt = now
    }
  }

  const unitNamed = (id: string): WorldUnit => {
    const unit = units().find((one) => one.id === id)
    if (unit === undefined) throw new Error(`no unit ${id}`)
    return unit
  }
  const leaseNamed = (id: string): WorldLease => {
    const lease = leases.find((one) => one.id === id)
    if (lease === undefined) throw new Error(`no lease ${id}`)
    return lease
  }
  const move = (id: string, state: WorldUnit['state']): void => {
    Object.assign(unitNamed(id), { state, since: now })
  }

  function apply(intent: GuestIntent): void {
    log.push({ at: now, intent })
    switch (intent.kind) {
      case 'request':
        named += 1
        leases.push({
          ...leaseOf(`l${named}`, [], {
            state: 'requested',
            type: intent.type,
            units: intent.units,
            term: undefined,
            extendBy: undefined,
            requestedAt: now,
          }),
          held: [],
          unitsMin: intent.unitsMin,
          durationMs: intent.durationMs,
          victims: [],
          oldEnd: undefined,
        })
        return
      case 'extend': {
        const lease = leaseNamed(intent.leaseId)
        if (lease.term === undefined) throw new Error(`${lease.id} has no term yet`)
        if (extensions === 'refused') {
          lease.extendRefused = { at: now, reason: 'others come first' }
          return
        }
        lease.oldEnd = lease.term.end
        lease.victims = intent.victims
        lease.term = { start: lease.term.end, end: lease.term.end + intent.durationMs }
        lease.extendBy = lease.term.end - 10 * SECOND
        return
      }
      case 'drain':
        move(intent.unitId, 'draining')
        return
      case 'resume':
        move(intent.unitId, 'joined')
        return
      case 'leave':
        if (jobsOn(unitNamed(intent.unitId)).length > 0)
          throw new Error(`${intent.unitId} left with a job on it`)
        move(intent.unitId, 'leaving')
        return
      case 'release':
        leases = leases.filter(({ id }) => id !== intent.leaseId)
        return
      case 'requeue':
        return
    }
  }

  const view = (): GuestView<BatchPicture> => ({
    observation: look(),
    blind: undefined,
    leases: leases.map((lease) => ({ ...lease, held: lease.held.map((unit) => ({ ...unit })) })),
    refusals,
    hold: undefined,
  })

  return {
    log,
    killed,
    view,
    get now() {
      return now
    },
    get reason() {
      return reason
    },
    get memory() {
      return memory
    },
    submit(job: Job, lastsMs: number): void {
      jobs.set(job.id, { ...job, submittedAt: now })
      runMs.set(job.id, lastsMs)
    },
    /** The site asks units of each lease back. */
    recall(units: number, by: number): void {
      for (const lease of leases) lease.recall = { units, by }
    },
    /** Seconds pass; it decides at every tick. */
    pass(ms: number, each?: () => void): void {
      for (const end = now + ms; now < end; now += SECOND) {
        site()
        schedule()
        if ((now - T0) % tickMs === 0) {
          const decision = groc.decide(shown(view(), now), memory, config, now)
          // What a store would do with it: only plain JSON comes back.
          memory = JSON.parse(JSON.stringify(decision.memory)) as GrocMemory
          reason = decision.reason
          for (const intent of decision.intents) apply(intent)
        }
        broker()
        each?.()
      }
    },
    held: (): number => leases.reduce((sum, { units }) => sum + units, 0),
    joined: (): number => units().filter(({ state }) => state === 'joined').length,
    waiting: (): number => [...jobs.values()].filter(({ state }) => state === 'pending').length,
    ended: (): number => [...jobs.values()].filter(({ state }) => state === 'ended').length,
    asked: (): number => unitsAsked(log.map(({ intent }) => intent)),
    count: (kind: GuestIntent['kind']): number => log.filter(({ intent }) => intent.kind === kind).length,
  }
}
