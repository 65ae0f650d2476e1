import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, BatchPicture } from '../../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import { few, hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { DrainCause, GrocMemory } from './memory.ts'
import { isRestoring } from './outage.ts'
import { stuckOn } from './stuck.ts'

/**
 * What each held unit is good for, from its state and from a look that is young enough to speak of it.
 *
 *   serving   takes jobs
 *   coming    ordered, booting, joining; or changed so recently that no look can tell yet
 *   spare     drained by us for being idle; one resume away from serving
 *   blocked   takes no new work, and resuming it would not cure that (`why`); where it goes by a time, it may take some that
 *             ends before (`until`)
 *   gone      leaving, left or lost
 */
export type Standing = 'serving' | 'coming' | 'spare' | 'blocked' | 'gone'

export interface Machine {
  readonly unit: HeldUnit
  readonly standing: Standing
  /** Why it is blocked; empty otherwise. */
  readonly why: string
  /** Blocked for a reason of ours, so that it is to be drained; undefined if blocked by others. */
  readonly drainAs: DrainCause | undefined
  /** It goes then for good, and could take what ends before. Undefined: it can be kept, or takes nothing anyway. */
  readonly until: Instant | undefined
  /** Its node, if a look that began late enough shows it. */
  readonly node: BatchNode | undefined
  /** Such a look was made, whether or not it shows the node. */
  readonly seen: boolean
  /** Seen without work, and nobody collects it or has reserved it. */
  readonly empty: boolean
  /** For how long looks have shown its node as not answering; 0 if it answers. */
  readonly silentMs: Millis
  /** Jobs there that have ended and do not let go of it. */
  readonly stuck: readonly string[]
  /** Neither its site nor the batch system can reach it: what runs there, if anything does, nobody will hear of. */
  readonly unreachable: boolean
}

/** Too late for another term: none was asked for in time, or it was refused. */
export function lapses(lease: HeldLease, now: Instant): string | undefined {
  if (lease.term === undefined) return undefined
  if (lease.extendRefused !== undefined)
    return `lease ${lease.id} ends at ${hour(lease.term.end)} and its extension was refused (${lease.extendRefused.reason})`
  if (!lease.extending && lease.extendBy !== undefined && now > lease.extendBy)
    return `lease ${lease.id} ends at ${hour(lease.term.end)} and it is too late to extend it`
  return undefined
}

/** What a machine was found to be, and all that this rests on. */
interface Finding {
  readonly lease: HeldLease
  readonly node: BatchNode | undefined
  readonly seen: boolean
  readonly cause: DrainCause | undefined
  readonly swallows: boolean
  readonly lapsed: boolean
  readonly machine: Machine
}

/** From one look to the next most units, leases and nodes are the very same objects, and so are these. */
const findings = new WeakMap<HeldUnit, Finding>()

export function machineOf(
  unit: HeldUnit,
  lease: HeldLease,
  known: BatchNode | undefined,
  picture: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Machine {
  const seen = picture.startedAt >= unit.since + config.settle
  const node = seen ? known : undefined
  // How long it has been silent is told, and that changes with every look.
  const isStuck = stuckOn(node, memory, picture.startedAt, config).length > 0
  if (unit.suspect !== undefined || node?.responding === false || isStuck)
    return judged(unit, lease, node, seen, picture, memory, config, now)
  const cause = own(memory.drains, unit.id)
  const swallows = own(memory.blackHoles, unit.id) !== undefined
  const lapsed = lapses(lease, now) !== undefined
  const before = findings.get(unit)
  if (
    before !== undefined &&
    (before.lease === lease ||
      (!lapsed && saysNothing(before.lease, unit, cause) && saysNothing(lease, unit, cause))) &&
    before.node === node &&
    before.seen === seen &&
    before.cause === cause &&
    before.swallows === swallows &&
    before.lapsed === lapsed
  )
    return before.machine
  const machine = judged(unit, lease, node, seen, picture, memory, config, now)
  findings.set(unit, { lease, node, seen, cause, swallows, lapsed, machine })
  return machine
}

/** Nothing of the lease makes a difference to the unit but whether it lapses: not when it ends, nor whether it goes on. */
const saysNothing = ({ state }: HeldLease, { leaveBy }: HeldUnit, cause: DrainCause | undefined): boolean =>
  state !== 'closing' && leaveBy === undefined && (cause === undefined || cause === 'idle')

function judged(
  unit: HeldUnit,
  lease: HeldLease,
  node: BatchNode | undefined,
  seen: boolean,
  picture: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Machine {
  const empty =
    node?.empty === true &&
    node.jobs.length === 0 &&
    (node.collectingFor === undefined || config.collect === 'release') &&
    node.reservedFor === undefined
  // While its site sets up again what a power cut took nothing is given up.
  const silentMs =
    node?.responding === false && !isRestoring(lease, now, config)
      ? picture.startedAt - (own(memory.missingSince, unit.id) ?? picture.startedAt)
      : 0
  const stuck = stuckOn(node, memory, picture.startedAt, config)
  const unreachable = unit.suspect !== undefined && silentMs >= config.missing
  const as = (
    standing: Standing,
    why = '',
    drainAs?: DrainCause,
    until = standing === 'blocked' ? undefined : unit.leaveBy,
  ): Machine => ({ unit, standing, why, drainAs, until, node, seen, empty, silentMs, stuck, unreachable })

  if (unit.state === 'leaving' || unit.state === 'left' || unit.state === 'lost') return as('gone')
  if (lease.state === 'closing') return as('blocked', `lease ${lease.id} is closing`)
  if (node?.drained === 'theirs')
    return as(
      'blocked',
      `an administrator drained ${node.name}${node.drainReason === '' ? '' : ` (“${node.drainReason}”)`}`,
    )
  if (unit.suspect !== undefined && isRestoring(lease, now, config))
    return as('blocked', `its site doubts ${unit.name} (${unit.suspect}) and sets machines up again`)
  if (unreachable)
    return as(
      'blocked',
      `its site doubts ${unit.name} (${unit.suspect}), and the batch system has not heard of it for ${span(silentMs)}; lease ${lease.id} is not extended for it`,
      'unfit',
    )
  const unfit = unfitness(unit, lease, memory, now)
  if (unfit !== undefined) {
    const until = isOpen(node) && mayServeOn(unit, memory) ? unfit.until : undefined
    return as('blocked', unfit.why, unfit.cause, until)
  }
  if (unit.state === 'awaited' || unit.state === 'joining') return as('coming')
  if (!seen) return as(unit.state === 'joined' ? 'coming' : 'spare')
  if (node === undefined) return as('blocked', `node ${unit.name} is not known to the batch system`)
  if (!node.responding)
    return silentMs >= config.missing && !node.empty && unit.pinned === undefined
      ? as(
          'blocked',
          `${node.name} has work and has not answered for ${span(silentMs)} (${node.vendorState})`,
          'silent',
        )
      : as('blocked', `node ${node.name} does not answer (${node.vendorState})`)
  if (stuck.length > 0 && unit.pinned === undefined)
    return as('blocked', `${few(stuck)} ended on ${node.name} and does not let go of it`, 'stuck')
  if (unit.state === 'draining' || node.drained === 'ours') return as('spare')
  if (!node.accepting)
    return as('blocked', `the batch system starts nothing on ${node.name} (${node.vendorState})`)
  return as('serving')
}

/** A batch system that was restarted shows every node so until it has answered again. */
export const isBrieflySilent = (
  { unit, standing, node, drainAs }: Machine,
  { startedAt }: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
): boolean =>
  standing === 'blocked' &&
  drainAs === undefined &&
  node?.responding === false &&
  node.drained === 'no' &&
  startedAt - (own(memory.missingSince, unit.id) ?? startedAt) < config.missing

/** But for our drain, or nothing at all, it would take jobs. */
const isOpen = (node: BatchNode | undefined): boolean =>
  node?.responding === true && (node.drained === 'ours' || (node.accepting && node.drained === 'no'))

/** It is in the batch system, and was not promised to anybody. */
const mayServeOn = ({ id, state, mustLeave }: HeldUnit, { drains }: GrocMemory): boolean => {
  const cause = own(drains, id)
  return (
    (state === 'joined' || state === 'draining') &&
    mustLeave !== true &&
    cause !== 'victim' &&
    cause !== 'recall'
  )
}

/** Then the units of a lease that is not extended leave. */
const lastOf = (lease: HeldLease, { leaveBy }: HeldUnit): Instant | undefined => {
  const end = lease.extendBy ?? lease.term?.end
  return end === undefined || leaveBy === undefined ? (end ?? leaveBy) : Math.min(end, leaveBy)
}

/** What keeps a unit from new work and lies in the unit, or in a promise made about it. */
function unfitness(
  unit: HeldUnit,
  lease: HeldLease,
  memory: GrocMemory,
  now: Instant,
): { readonly why: string; readonly cause: DrainCause; readonly until?: Instant | undefined } | undefined {
  if (unit.suspect !== undefined)
    return { why: `its site doubts ${unit.name} (${unit.suspect})`, cause: 'unfit' }
  if (own(memory.blackHoles, unit.id) !== undefined)
    return {
      why: `jobs in a row ended on ${unit.name} right after their start, while jobs elsewhere work`,
      cause: 'unfit',
    }
  // Until its lease ends there is no need to go.
  if (unit.leaveBy !== undefined && unit.leaveBy < (lease.term?.end ?? 0))
    return {
      why: `the host of ${unit.name} is to be worked on, and its site wants it empty by ${hour(unit.leaveBy)}`,
      cause: 'maintenance',
      until: unit.leaveBy,
    }
  const cause = own(memory.drains, unit.id)
  if (cause === 'victim')
    return { why: `${unit.name} is given back when lease ${lease.id} is extended`, cause }
  if (cause === 'recall' && lease.recall !== undefined)
    return { why: `${unit.name} is recalled by its site until ${hour(lease.recall.by)}`, cause }
  if (unit.mustLeave === true)
    return { why: `${unit.name} goes as soon as its work has ended`, cause: cause ?? 'recall' }
  const why = lapses(lease, now)
  if (why !== undefined)
    return { why, cause: 'lapse', until: lease.extendRefused === undefined ? undefined : lastOf(lease, unit) }
  // Asked once more after a refusal: nothing has changed yet, so a node drained for it stays drained.
  if (cause === 'lapse' && lease.extending)
    return {
      ...{ why: `lease ${lease.id} ends unless its extension is granted after all`, cause },
      until: lastOf(lease, unit),
    }
  return undefined
}
