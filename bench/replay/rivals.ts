import type { Millis } from '../../actors/runtime/clock.ts'
import type { Policy } from '../../deploy/replay/replay.ts'
import { IdleTimes, Room, type Rule, rulePolicy } from './rule.ts'

/**
 * What others do, from their descriptions; own code. Each is given what favours it: machines that it turns off are gone at
 * once, and nothing that it does fails.
 *
 *   clues             every 5 s; jobs get nodes in order of the queue; nodes that idle for IDLE_TIME go, whatever waits
 *   parallelcluster   every 60 s; nodes for all that waits, beside those that work; nodes that idle for so long go
 *   slurm             every 10 s; jobs get nodes as the scheduler would give them; those are not idle; at most 60 go a minute
 *   cobald            every 30 s; more while the nodes there are work, fewer while they do not; does not see the queue
 */
const SECOND: Millis = 1000

export interface Size {
  readonly cpus: number
  readonly max: number
}

/** CLUES: a job that cannot be given all its nodes gets none ordered, and the next one is looked at. */
export function clues(idleMs: Millis, { cpus, max }: Size): Policy {
  const idle = new IdleTimes()
  const rule: Rule = (sight) => {
    idle.see(sight)
    const room = new Room(sight, cpus)
    for (const job of sight.waiting) room.give(job, max - sight.there - room.ordered)
    const off = idle.longerThan(idleMs, sight.now)
    return { order: room.ordered, off, steadyUntil: idle.soonest(idleMs, sight.now) }
  }
  return rulePolicy(`clues, idle ${idleMs / 60_000} min`, 5 * SECOND, rule)
}

/** The node daemons of AWS ParallelCluster 2: the number wanted is nodes with work and nodes for all that waits. */
export function parallelCluster(idleMs: Millis, { cpus, max }: Size): Policy {
  const idle = new IdleTimes()
  const rule: Rule = (sight) => {
    idle.see(sight)
    const nothing = new Room({ ...sight, nodes: [], coming: 0 }, cpus)
    for (const job of sight.waiting) nothing.give(job, Number.POSITIVE_INFINITY)
    const busy = sight.nodes.filter(({ empty }) => !empty).length
    const wanted = sight.waiting.length === 0 ? 0 : Math.min(max, busy + nothing.ordered)
    const off = idle.longerThan(idleMs, sight.now)
    return { order: Math.max(0, wanted - sight.there), off, steadyUntil: idle.soonest(idleMs, sight.now) }
  }
  return rulePolicy(`parallelcluster, idle ${idleMs / 60_000} min`, 60 * SECOND, rule)
}

const SUSPENDS_A_MINUTE = 60
const LOOPS_A_MINUTE = 6

/** Slurm: the scheduler counts machines that are off as free; a job that gets all its nodes has them booted and kept. */
export function slurmPowerSaving(suspendMs: Millis, { cpus, max }: Size): Policy {
  const idle = new IdleTimes()
  const rule: Rule = (sight) => {
    const room = new Room(sight, cpus)
    for (const job of sight.waiting) room.give(job, max - sight.there - room.ordered)
    idle.see(sight, room.used)
    const off = idle.longerThan(suspendMs, sight.now).slice(0, SUSPENDS_A_MINUTE / LOOPS_A_MINUTE)
    const steadyUntil = off.length > 0 ? sight.now + 10 * SECOND : idle.soonest(suspendMs, sight.now)
    return { order: room.ordered, off, steadyUntil }
  }
  return rulePolicy(`slurm, SuspendTime ${suspendMs / 60_000} min`, 10 * SECOND, rule)
}

export interface Linear {
  /** Units a second. */
  readonly rate: number
  readonly low: number
  readonly high: number
}

const LOOP_S = 30

/** COBalD’s linear controller over a factory: without machines it takes them for used, as it cannot see the queue. */
export function cobald({ rate, low, high }: Linear, { max }: Size): Policy {
  let demand = 0
  const rule: Rule = (sight) => {
    const inAll = sight.nodes.reduce((sum, node) => sum + node.cpus, 0)
    const inUse = sight.nodes.reduce((sum, node) => sum + node.cpusInUse, 0)
    const used = inAll === 0 ? 1 : inUse / inAll
    if (used < low) demand -= rate * LOOP_S
    else if (used > high) demand += rate * LOOP_S
    demand = Math.min(max, Math.max(0, demand))
    const wanted = Math.round(demand)
    const empty = sight.nodes.flatMap(({ empty, mark }) => (empty && mark !== undefined ? [mark.unitId] : []))
    return {
      order: Math.max(0, wanted - sight.there),
      off: empty.slice(0, Math.max(0, sight.there - wanted)),
      steadyUntil: sight.now + LOOP_S * SECOND,
    }
  }
  return rulePolicy(`cobald, rate ${rate.toFixed(2)}, ${low} to ${high}`, LOOP_S * SECOND, rule)
}
