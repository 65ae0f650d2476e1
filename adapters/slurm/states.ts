import type { HeldBy, JobState } from '../batch-system.ts'
import { judge, shortReason, type Waiting } from './reasons.ts'

/** Slurm's job states. `pending` is judged by its reason. */
const JOB_STATES: Readonly<Record<string, JobState>> = {
  PENDING: 'pending',
  RUNNING: 'running',
  // A suspended or configuring job keeps its nodes.
  SUSPENDED: 'running',
  STOPPED: 'running',
  CONFIGURING: 'running',
  RESIZING: 'running',
  SIGNALING: 'running',
  COMPLETING: 'completing',
  STAGE_OUT: 'completing',
  // Between a requeue and the next wait: no machine would help yet.
  REQUEUED: 'held',
  REQUEUE_FED: 'held',
  REQUEUE_HOLD: 'held',
  RESV_DEL_HOLD: 'held',
  SPECIAL_EXIT: 'held',
  COMPLETED: 'ended',
  CANCELLED: 'ended',
  FAILED: 'ended',
  TIMEOUT: 'ended',
  NODE_FAIL: 'ended',
  PREEMPTED: 'ended',
  BOOT_FAIL: 'ended',
  DEADLINE: 'ended',
  OUT_OF_MEMORY: 'ended',
  REVOKED: 'ended',
}

/** What holds a job in such a state if its reason does not tell. */
const HELD_STATES: Readonly<Record<string, HeldBy>> = {
  REQUEUED: 'start-time',
  REQUEUE_FED: 'start-time',
  REQUEUE_HOLD: 'operator',
  SPECIAL_EXIT: 'operator',
  RESV_DEL_HOLD: 'reservation',
}

export interface Verdict {
  readonly state: JobState
  /** Of a held job only. */
  readonly heldBy?: HeldBy
  /** What Slurm said, if it is in no table. */
  readonly unknown?: string
}

/** The job's state, and a sentence if Slurm said something that is not in the tables. */
export function jobState(vendor: string, waiting: Waiting, onNodes: boolean): Verdict {
  const state = JOB_STATES[vendor]
  if (state === undefined) {
    const unknown = `the job state ${vendor}`
    // Whatever holds a node is treated as running, so that the node is not empty.
    return onNodes ? { state: 'running', unknown } : { state: 'held', heldBy: 'unknown', unknown }
  }
  if (state !== 'pending' && state !== 'held') return { state }
  const { judgement, isKnown } = judge(waiting)
  if (state === 'held') {
    // What stands beside the state is often the reason of the start before.
    const own = HELD_STATES[vendor] ?? 'unknown'
    return { state, heldBy: judgement === 'cured' || !isKnown ? own : judgement }
  }
  if (judgement === 'cured') return { state }
  const verdict: Verdict = { state: 'held', heldBy: judgement }
  return isKnown
    ? verdict
    : { ...verdict, unknown: `the reason “${shortReason(waiting.reason)}” for waiting` }
}

/** It has nodes; a word that is not known may mean that. */
export const isOnNodes = (vendor: string): boolean => {
  const state = JOB_STATES[vendor]
  return state === undefined || state === 'running' || state === 'completing'
}

export type NodeFitness = 'works' | 'refuses' | 'silent'

/** Slurm's node states and flags: works · takes no new jobs · is not there at all. */
const NODE_STATES: Readonly<Record<string, NodeFitness>> = {
  idle: 'works',
  allocated: 'works',
  mixed: 'works',
  completing: 'works',
  planned: 'works',
  cloud: 'works',
  dynamic_norm: 'works',
  dynamic_future: 'works',
  drain: 'refuses',
  undrain: 'works',
  resume: 'works',
  fail: 'refuses',
  down: 'refuses',
  error: 'refuses',
  maintenance: 'refuses',
  maint: 'refuses',
  reserved: 'refuses',
  blocked: 'refuses',
  invalid_reg: 'refuses',
  invalid: 'refuses',
  network: 'refuses',
  power_drain: 'refuses',
  reboot_requested: 'refuses',
  reboot_issued: 'refuses',
  reboot: 'refuses',
  powering_down: 'refuses',
  power_down: 'refuses',
  powering_up: 'silent',
  power_up: 'silent',
  powered_down: 'silent',
  not_responding: 'silent',
  unknown: 'silent',
  future: 'silent',
}

export function nodeFitness(states: readonly string[]): { fitness: NodeFitness; unknown: readonly string[] } {
  const judged = states.map((state) => NODE_STATES[state])
  const unknown = states.filter((state) => NODE_STATES[state] === undefined)
  if (judged.includes('silent')) return { fitness: 'silent', unknown }
  return { fitness: judged.includes('refuses') || unknown.length > 0 ? 'refuses' : 'works', unknown }
}
