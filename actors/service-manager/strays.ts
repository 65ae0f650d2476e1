import type { Instant, Millis } from '../runtime/clock.ts'
import { few } from '../runtime/sentence.ts'
import type { ServiceManagerConfig } from './config.ts'
import type { MarkedNode, Members } from './members.ts'
import type { ServiceManagerDraft, UnknownNode } from './rows.ts'

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
/** A node of a lease that is not known is told once looks have shown it for so long. */
const UNKNOWN_MS: Millis = 60_000
/** Of one guest. */
const UNKNOWN_MAX = 100

/** With what to do about it. */
export const unknownSentence = (nodes: readonly UnknownNode[]): string =>
  `${nodes.length === 1 ? 'a node carries' : `${nodes.length} nodes carry`} the mark of a lease that nobody here knows: ${few(
    nodes.map(({ name, leaseId }) => `${name} (${leaseId})`),
    8,
  )}; left alone, for another Sublet may use it. If none does, delete its record once it is empty (scontrol delete, qmgr delete node, qconf -de)`

/**
 * Puts right what the middleware remembers wrongly. A batch system that was killed may come back with an
 * older memory: nodes of ours that have left are in it again, jobs are sent to them, and fail to start.
 *
 *   node marked ours, unit has left or is lost  ──▶ removed again, its jobs back into the queue
 *   lease is over, unit was forgotten           ──▶ leaves; is lost if its machine does not answer for long
 *   job held since its start failed             ──▶ let go, if a machine of ours may have been the cause
 *
 *   node of a lease that nobody here knows      ──▶ left alone, for it may be another's; told, once it was seen for a while
 *
 * A unit is forgotten if an older store was put back.
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
    tellUnknown(guest, traces, draft)
    letGo(guest, traces, draft)
  }

  /** Another Sublet may drive it; or it is left of a store that was lost, and then nobody ever removes it. */
  function tellUnknown(guest: string, { nodes }: Traces, draft: ServiceManagerDraft): void {
    const row = draft.get('guest', guest)
    const before = row?.unknown ?? []
    const seen = nodes
      .filter(({ mark }) => draft.get('lease', mark.leaseId) === undefined)
      .slice(0, UNKNOWN_MAX)
    if (row === undefined || (seen.length === 0 && before.length === 0)) return
    const known = seen.map(({ name, mark }): UnknownNode => {
      const same = before.find(
        (one) => one.name === name && one.unitId === mark.unitId && one.leaseId === mark.leaseId,
      )
      return same ?? { ...mark, name, since: draft.now, told: false }
    })
    const fresh = known.filter(({ since, told }) => !told && draft.now - since >= UNKNOWN_MS)
    if (fresh.length > 0)
      draft.note('nodes unknown', guest, unknownSentence(fresh), {
        nodes: fresh.map(({ name, leaseId, unitId }) => ({ name, leaseId, unitId })),
      })
    const unknown = known.map((one) => (fresh.includes(one) ? { ...one, told: true } : one))
    const isSame = unknown.length === before.length && unknown.every((one, i) => one === before[i])
    if (!isSame) draft.put('guest', { ...row, unknown: unknown.length === 0 ? undefined : unknown })
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
