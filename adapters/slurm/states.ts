import type { JobState } from '../batch-system.ts'

/** Slurm’s words for a job that it holds since its start failed on a node. */
export const LAUNCH_FAILED = 'launch failed requeued held'

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

/**
 * Reasons for which a machine more is the cure. Everything else (holds, dependencies, begin times,
 * limits of users and accounts, licences, reservations, closed partitions) is not, and a reason that is
 * not known is treated as if it were not, for leasing machines that nobody can use is the dearer error.
 */
const CURED_BY_A_MACHINE = new Set([
  'None',
  '',
  'Resources',
  'Priority',
  /** What a partition says that has no node, or too few. */
  'PartitionConfig',
  'NodeDown',
  'NodesRequired',
  'SchedDefer',
])

const HELD = new Set([
  'Dependency',
  'DependencyNeverSatisfied',
  'JobHeldUser',
  'JobHeldAdmin',
  'BeginTime',
  'Licenses',
  'Reservation',
  'ReservationDeleted',
  'PartitionDown',
  'PartitionInactive',
  'PartitionTimeLimit',
  'JobArrayTaskLimit',
  'BadConstraints',
  'DeadLine',
  'InvalidAccount',
  'InvalidQOS',
  'AccountNotAllowed',
  'QOSNotAllowed',
  'AccountingPolicy',
  'Cleaning',
  'Prolog',
  'SystemFailure',
  'JobLaunchFailure',
  'NonZeroExitCode',
  'TimeLimit',
  'InactiveLimit',
  'FrontEndDown',
  'ReqNodeNotAvail',
  'BurstBufferResources',
  'BurstBufferStageIn',
  'BurstBufferOperation',
  'PartitionNodeLimit',
  'Power',
  'MaxRequeue',
  'MaxBBPerJob',
  'MaxPowerPerJob',
  'FedJobLock',
  'OutOfMemory',
  'JobHoldMaxRequeue',
  LAUNCH_FAILED,
])

export interface Waiting {
  readonly reason: string
  readonly nodes: number
  /** The partition's MaxNodes; Infinity if it has none. */
  readonly nodesMaxOfPartition: number
  readonly namesItsNodes: boolean
  /** Its begin time has not come. */
  readonly later: boolean
}

/** The first word, without what some reasons add: `ReqNodeNotAvail, UnavailableNodes:n4`. */
export function shortReason(reason: string): string {
  if (reason.startsWith('Nodes required for job are')) return 'NodesRequired'
  return reason.split(/[,(]/)[0]?.trim() ?? ''
}

function judge({ reason, nodes, nodesMaxOfPartition, namesItsNodes, later }: Waiting): JobState {
  const short = shortReason(reason)
  if (later) return 'held'
  if (CURED_BY_A_MACHINE.has(short)) return 'pending'
  // Says the same of a job that is too wide for good and of one that waits for more dynamic nodes.
  if (short === 'PartitionNodeLimit') return nodes <= nodesMaxOfPartition ? 'pending' : 'held'
  // Said also of jobs that name no node, when all nodes that would do are down or drained.
  if (short === 'ReqNodeNotAvail') return namesItsNodes || /Reserved/i.test(reason) ? 'held' : 'pending'
  return 'held'
}

/** The job's state, and a sentence if Slurm said something that is not in the tables. */
export function jobState(
  vendor: string,
  waiting: Waiting,
  onNodes: boolean,
): { state: JobState; unknown?: string } {
  const state = JOB_STATES[vendor]
  // Whatever holds a node is treated as running, so that the node is not empty.
  if (state === undefined) return { state: onNodes ? 'running' : 'held', unknown: `the job state ${vendor}` }
  if (state !== 'pending') return { state }
  const short = shortReason(waiting.reason)
  const known = CURED_BY_A_MACHINE.has(short) || HELD.has(short) || /^(Assoc|QOS|Max)/.test(short)
  const judged = judge(waiting)
  return known ? { state: judged } : { state: judged, unknown: `the reason “${short}” for waiting` }
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
