import type { Instant, Millis } from '../runtime/clock.ts'
import type { ServiceManagerConfig } from './config.ts'
import type { MarkedNode, Members } from './members.ts'
import type { ServiceManagerDraft } from './rows.ts'

/** What one look at the middleware shows of ours. */
export interface Traces {
  readonly startedAt: Instant
  readonly nodes: readonly MarkedNode[]
  /** Jobs that the middleware holds since their start failed on a node. */
  readonly launchFailed: readonly { readonly id: string; readonly restarts: number }[]
}

/** A look may still show a node for a moment after it was removed. */
const AFTERGLOW_MS: Millis = 3_000
/** A start that failed is put down to a machine of ours that died or a node that came back so recently. */
const OUR_FAULT_MS: Millis = 600_000
/** A job whose start fails more often than this has a cause of its own. */
const RESTARTS_MAX = 5
const LET_GO_AGAIN_MS: Millis = 10_000

/**
 * Puts right what the middleware remembers wrongly. A batch system that was killed may come back with an
 * older memory: nodes of ours that have left are in it again, jobs are sent to them, and fail to start.
 *
 *   node marked ours, unit has left or is lost  ──▶ removed again, its jobs back into the queue
 *   lease is over, unit was forgotten           ──▶ leaves; is lost if its machine does not answer for long
 *   job held since its start failed             ──▶ let go, if a machine of ours may have been the cause
 *
 * A unit is forgotten if an older store was put back. A node whose lease is not in our rows may be another's: it is
 * left alone.
 */
export function strays(config: ServiceManagerConfig, members: Members) {
  return { putRight }

  function putRight(guest: string, traces: Traces, draft: ServiceManagerDraft): void {
    for (const node of traces.nodes) {
      const { name, mark } = node
      const lease = draft.get('lease', mark.leaseId)
      if (lease?.leaseState === 'closed' && lease.guest === guest) members.forgotten(lease, node, draft)
      const unit = draft.get('unit', mark.unitId)
      if (unit?.guest !== guest || unit.leaseId !== mark.leaseId || unit.doing !== undefined) continue
      const isOver = unit.state === 'left' || (unit.state === 'lost' && unit.settled)
      if (!isOver || traces.startedAt < unit.since + AFTERGLOW_MS) continue
      draft.note(
        'node came back',
        unit.id,
        `${name} is in the middleware again, though its unit is ${unit.state}; it is removed`,
      )
      members.removeAgain(unit, draft)
    }
    letGo(guest, traces, draft)
  }

  function letGo(guest: string, { launchFailed }: Traces, draft: ServiceManagerDraft): void {
    const row = draft.get('guest', guest)
    const jobs = launchFailed.filter((job) => job.restarts <= RESTARTS_MAX).map((job) => job.id)
    if (row === undefined || jobs.length === 0 || draft.now < (row.letGoAt ?? 0) + LET_GO_AGAIN_MS) return
    if (!wasOurFault(guest, draft)) return
    const reason = `${jobs.join(', ')} could not be started since a machine of ours was gone; the middleware holds them`
    draft.put('guest', { ...row, letGoAt: draft.now })
    draft.note('jobs let go', guest, reason)
    draft.effect({
      key: `requeue-${guest}`,
      verb: 'requeue',
      args: { guest, jobIds: jobs, reason },
      timeoutMs: config.leaveMs,
    })
  }

  /** A machine was lost, or a node that had left was removed once more. */
  function wasOurFault(guest: string, draft: ServiceManagerDraft): boolean {
    return draft
      .where('unit', 'guest', guest)
      .some((unit) => (unit.state === 'lost' || unit.settled) && draft.now - unit.since < OUR_FAULT_MS)
  }
}
