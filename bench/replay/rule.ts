import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { BatchNode, BatchPicture, Job } from '../../adapters/batch-system.ts'
import type { GuestIntent, GuestView } from '../../controllers/controller.ts'
import type { Policy } from '../../deploy/replay/replay.ts'

/**
 * A controller without leases, as others write them: so many machines on, these off. Each machine is a lease of its own that
 * never ends. What it turns off is out of the batch system at once, without a drain and a second look: that favours it.
 */
export interface Sight {
  readonly now: Instant
  /** Nodes that take jobs. */
  readonly nodes: readonly BatchNode[]
  /** Ordered, booting, joining. */
  readonly coming: number
  /** Coming ones and nodes that are not on their way out. */
  readonly there: number
  /** In the order of the queue. */
  readonly waiting: readonly Job[]
}

export interface Verdict {
  readonly order: number
  /** Unit ids of empty nodes. */
  readonly off: readonly string[]
  /** When the answer may be another one though nothing happens. */
  readonly steadyUntil: Instant
}

export type Rule = (sight: Sight) => Verdict

/** Far beyond any trace. */
const NEVER_ENDS: Millis = 50 * 365 * 86_400_000

export function rulePolicy(name: string, periodMs: Millis, rule: Rule): Policy {
  return {
    name,
    type: 'node',
    periodMs,
    decide(view, now) {
      const { order, off, steadyUntil } = rule(sightOf(view, now))
      const intents: GuestIntent[] = []
      for (const lease of view.leases)
        if (lease.state !== 'closing' && lease.held[0]?.state === 'left')
          intents.push({ kind: 'release', leaseId: lease.id, reason: '' })
      for (const unitId of off) intents.push({ kind: 'leave', unitId, reason: '' })
      for (let i = 0; i < order; i++)
        intents.push({
          ...{ kind: 'request', type: 'node', units: 1, unitsMin: 1, durationMs: NEVER_ENDS },
          ...{ startBy: undefined, reason: '' },
        })
      return { intents, againMs: periodMs, steadyUntil }
    },
  }
}

function sightOf(view: GuestView<BatchPicture>, now: Instant): Sight {
  let coming = 0
  const joined = new Set<string>()
  for (const { state, held } of view.leases) {
    const [unit] = held
    if (state === 'closing') continue
    if (unit === undefined || unit.state === 'awaited' || unit.state === 'joining') coming += 1
    else if (unit.state === 'joined') joined.add(unit.id)
  }
  const { nodes = [], jobs = [] } = view.observation ?? {}
  const taking = nodes.filter(({ mark }) => joined.has(mark?.unitId ?? ''))
  const waiting: Job[] = []
  // The queue comes first in a look.
  for (const job of jobs)
    if (job.state === 'pending') waiting.push(job)
    else break
  return { now, nodes: taking, coming, there: taking.length + coming, waiting }
}

/** Since when each node has been without a job, by unit. */
export class IdleTimes {
  #since = new Map<string, Instant>()

  /** `kept`: nodes that count as in use. */
  see({ nodes, now }: Sight, kept: ReadonlySet<string> = new Set()): void {
    const next = new Map<string, Instant>()
    for (const { empty, mark } of nodes)
      if (empty && mark !== undefined && !kept.has(mark.unitId))
        next.set(mark.unitId, this.#since.get(mark.unitId) ?? now)
    this.#since = next
  }

  /** Longest idle first. */
  longerThan(idleMs: Millis, now: Instant): readonly string[] {
    return [...this.#since]
      .filter(([, since]) => now - since >= idleMs)
      .sort(([, a], [, b]) => a - b)
      .map(([id]) => id)
  }

  soonest(idleMs: Millis, now: Instant): Instant {
    let soonest = Number.POSITIVE_INFINITY
    for (const since of this.#since.values())
      if (since + idleMs > now) soonest = Math.min(soonest, since + idleMs)
    return soonest
  }
}

/** Room on nodes, by cpus that are free: what is on, then what is coming, then what may be ordered. */
export class Room {
  readonly #cpus: number
  /** How many nodes have so many free cpus. */
  readonly #free: number[]
  ordered = 0
  /** Units of empty nodes, those that are given to jobs first; and how many of them are. */
  readonly #empty: readonly string[]
  #emptyUsed = 0

  constructor({ nodes, coming }: Sight, cpus: number) {
    this.#cpus = cpus
    this.#free = new Array<number>(cpus + 1).fill(0)
    for (const node of nodes) this.#free[Math.max(0, node.cpus - node.cpusInUse)]! += 1
    this.#free[cpus]! += coming
    this.#empty = nodes.flatMap(({ empty, mark }) => (empty && mark !== undefined ? [mark.unitId] : []))
  }

  /** Empty nodes that jobs were given. */
  get used(): ReadonlySet<string> {
    return new Set(this.#empty.slice(0, this.#emptyUsed))
  }

  /** Gives the job its nodes, with up to `most` ordered ones; false, and nothing changed, if it cannot have them all. */
  give({ nodes, cpusPerNode }: Job, most: number): boolean {
    let there = 0
    for (let free = cpusPerNode; free <= this.#cpus; free++) there += this.#free[free]!
    const missing = Math.max(0, nodes - there)
    if (missing > Math.max(0, most)) return false
    this.ordered += missing
    this.#free[this.#cpus]! += missing
    let left = nodes
    for (let free = cpusPerNode; free <= this.#cpus && left > 0; free++) {
      const taken = Math.min(left, this.#free[free]!)
      if (free === this.#cpus) this.#emptyUsed = Math.min(this.#empty.length, this.#emptyUsed + taken)
      this.#free[free]! -= taken
      this.#free[free - cpusPerNode]! += taken
      left -= taken
    }
    return true
  }
}
