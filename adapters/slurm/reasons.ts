import type { HeldBy } from '../batch-system.ts'

/** Slurm’s words for a job that it holds since its start failed on a node. */
export const LAUNCH_FAILED = 'launch failed requeued held'

/** A machine more is the cure, or what holds the job, so that none is. */
export type Judgement = 'cured' | HeldBy

/**
 * Why a job waits, in the words of 22.05 (scontrol, squeue), and what a machine more would make of it. What is
 * not in here is not cured, for leasing machines that nobody can use is the dearer error.
 */
const REASONS: Readonly<Record<string, Judgement>> = {
  '': 'cured',
  None: 'cured',
  Resources: 'cured',
  Priority: 'cured',
  // A partition that has no node, or too few.
  PartitionConfig: 'cured',
  NodeDown: 'cured',
  NodesRequired: 'cured',
  SchedDefer: 'cured',

  JobHeldUser: 'user',
  JobHeldAdmin: 'operator',

  // Slurm has put it back after a failed start, a bad exit code or too many starts, and does not start it again.
  [LAUNCH_FAILED]: 'system',
  JobLaunchFailure: 'system',
  JobHoldMaxRequeue: 'system',
  MaxRequeue: 'system',
  SystemFailure: 'system',
  NonZeroExitCode: 'system',
  OutOfMemory: 'system',
  TimeLimit: 'system',
  InactiveLimit: 'system',
  FrontEndDown: 'system',
  BlockMaxError: 'system',
  BlockFreeAction: 'system',

  Dependency: 'dependency',
  DependencyNeverSatisfied: 'impossible',

  BeginTime: 'start-time',
  // Its last run has not been cleared away, or the prolog of its next one has begun.
  Cleaning: 'start-time',
  Prolog: 'start-time',

  JobArrayTaskLimit: 'limit',
  AccountingPolicy: 'limit',
  AssociationJobLimit: 'limit',
  AssociationResourceLimit: 'limit',
  AssociationTimeLimit: 'limit',
  PowerNotAvail: 'limit',
  PowerReserved: 'limit',

  Licenses: 'licence',
  // A pool that all nodes share.
  BurstBufferResources: 'licence',
  BurstBufferStageIn: 'licence',
  BurstBufferOperation: 'licence',

  Reservation: 'reservation',
  ReservationDeleted: 'reservation',

  PartitionDown: 'queue',
  PartitionInactive: 'queue',

  PartitionTimeLimit: 'impossible',
  BadConstraints: 'impossible',
  DeadLine: 'impossible',
  InvalidAccount: 'impossible',
  InvalidQOS: 'impossible',
  AccountNotAllowed: 'impossible',
  QOSNotAllowed: 'impossible',

  // Another cluster of the federation may have started it.
  FedJobLock: 'unknown',
}

/** Some 150 limits of associations, qualities of service and accounts: `AssocGrpCpuLimit`, `QOSMaxGRESPerUser`, … */
const LIMITS = /^(?:Assoc(?:Grp|Max)|QOS|Max)[A-Z]/

export interface Waiting {
  readonly reason: string
  readonly nodes: number
  /** The partition's MaxNodes; Infinity if it has none. */
  readonly nodesMaxOfPartition: number
  /** It is to run in a reservation. */
  readonly isReserved: boolean
  /** Somebody has reserved nodes of the partition, for now or soon. */
  readonly othersReserved: boolean
  /** Its begin time has not come. */
  readonly later: boolean
}

/** The first word, without what some reasons add: `ReqNodeNotAvail, UnavailableNodes:n4`. */
export function shortReason(reason: string): string {
  if (reason.startsWith('Nodes required for job are')) return 'NodesRequired'
  return reason.split(/[,(]/)[0]?.trim() ?? ''
}

/** Undefined for a reason that nobody knows. */
function ofReason({ reason, nodes, nodesMaxOfPartition, othersReserved }: Waiting): Judgement | undefined {
  const short = shortReason(reason)
  // Says the same of a job that is too wide for good and of one that waits for more dynamic nodes.
  if (short === 'PartitionNodeLimit') return nodes <= nodesMaxOfPartition ? 'cured' : 'impossible'
  if (short === 'ReqNodeNotAvail') {
    // All nodes that would do are down, drained or reserved, or the job named them: then it is asked of a machine to
    // be one of them. “May be reserved for other job” is said whenever Slurm knows no better, also without any reservation.
    const isBlocked = /May be reserved/i.test(reason) ? othersReserved : /reserved/i.test(reason)
    return isBlocked ? 'reservation' : 'cured'
  }
  return REASONS[short] ?? (LIMITS.test(short) ? 'limit' : undefined)
}

/** What a waiting job waits for, and whether its reason is in the tables. */
export function judge(waiting: Waiting): { readonly judgement: Judgement; readonly isKnown: boolean } {
  const found = ofReason(waiting)
  if (found === undefined) return { judgement: 'unknown', isKnown: false }
  if (found !== 'cured') return { judgement: found, isKnown: true }
  if (waiting.later) return { judgement: 'start-time', isKnown: true }
  // No machine that is still to come is of a reservation that has been made.
  return { judgement: waiting.isReserved ? 'reservation' : 'cured', isKnown: true }
}
