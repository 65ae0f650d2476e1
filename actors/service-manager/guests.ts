import type { GuestDecision, GuestIntent, GuestView } from '../../controllers/controller.ts'
import { tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import { inOneLine, SubletError } from '../runtime/errors.ts'
import type { Input } from '../runtime/mind.ts'
import type { Guest, ServiceManagerConfig } from './config.ts'
import { type LeaseLife, unitsOf } from './leases.ts'
import { leaseMachine, ticketMachine } from './machines.ts'
import { isOut, type ServiceManagerDraft } from './members.ts'
import type { GuestRow, LeaseRow } from './rows.ts'
import { strays, type Traces } from './strays.ts'
import { guestView, isFinished } from './view.ts'

/** A controller's look, or why there is none. */
export interface Look {
  readonly guest: string
  readonly observation: unknown
  /** The latest look failed; `observation` is the last one that may still be acted on, if any. */
  readonly failure: string | undefined
  /** What a fresh look shows of ours; undefined if the look failed. */
  readonly traces: Traces | undefined
}

/**
 * Lets the controllers decide and carries out what they wish:
 *
 *   look ──▶ view (picture, leases, refusals) ──▶ decide ──▶ request, extend, drain, resume, leave, release
 */
export function guestDesk(config: ServiceManagerConfig, { members, leaveAt, isBegun, leaveAll }: LeaseLife) {
  const { putRight } = strays(config, members)
  return { look, releaseAll, requeued }

  function look(
    { guest: name, observation, failure, traces }: Look,
    draft: ServiceManagerDraft,
  ): { againMs: number } {
    const guest = guestOf(name)
    const before = draft.get('guest', name)
    const leases = draft.all('lease').filter((lease) => lease.guest === name)
    const view = guestView(
      leases,
      (id) => draft.get('unit', id),
      before,
      observation,
      failure,
      (lease) => leaveAt(lease, draft),
      draft.now,
      (lease) => !isBegun(lease, draft),
    )
    const decision = decide(name, guest, view, before, draft)
    const after: GuestRow = {
      id: name,
      memory: decision.memory,
      refusals: before?.refusals ?? [],
      reason: decision.reason,
      figures: decision.figures,
      decidedAt: draft.now,
      letGoAt: before?.letGoAt,
      blindSince: failure === undefined ? undefined : (before?.blindSince ?? draft.now),
    }
    if (before === undefined || changed(before, after)) draft.put('guest', after)
    if (failure !== undefined && before?.blindSince === undefined)
      draft.note(
        'blind',
        name,
        `the middleware could not be looked at; the last picture is kept for a while: ${failure}`,
      )
    if (failure === undefined && before?.blindSince !== undefined)
      draft.note('sees again', name, 'the middleware can be looked at again')
    if (decision.intents.length > 0)
      draft.note('decided', name, decision.reason, { figures: decision.figures, intents: decision.intents })
    for (const intent of decision.intents) carryOut(name, guest, intent, draft)
    if (traces !== undefined) putRight(name, traces, draft)
    return { againMs: decision.againMs }
  }

  /**
   * What an older version of a controller remembered may be of no use to this one. Without its memory it is
   * slower to act and nothing worse; without a decision its guest would be left alone for ever.
   */
  function decide(
    name: string,
    { controller, config: settings }: Guest,
    view: GuestView<unknown>,
    before: GuestRow | undefined,
    draft: ServiceManagerDraft,
  ): GuestDecision<unknown> {
    if (before === undefined) return controller.decide(view, controller.firstMemory, settings, draft.now)
    try {
      return controller.decide(view, before.memory, settings, draft.now)
    } catch (error) {
      const decision = controller.decide(view, controller.firstMemory, settings, draft.now)
      draft.note(
        'memory dropped',
        name,
        `the controller stumbled over what it remembered: ${inOneLine(error)}`,
      )
      return decision
    }
  }

  function carryOut(name: string, guest: Guest, intent: GuestIntent, draft: ServiceManagerDraft): void {
    switch (intent.kind) {
      case 'request':
        return request(name, guest, intent, draft)
      case 'extend':
        return extend(draft.get('lease', intent.leaseId), intent, draft)
      case 'release':
        return release(draft.get('lease', intent.leaseId), intent.reason, draft)
      case 'requeue':
        return draft.effect({
          key: `requeue-${name}`,
          verb: 'requeue',
          args: { guest: name, jobIds: intent.jobIds, reason: intent.reason },
          timeoutMs: config.leaveMs,
        })
      case 'drain':
      case 'resume':
      case 'leave': {
        const unit = draft.get('unit', intent.unitId)
        if (unit === undefined)
          throw new Error(
            `the controller of ${name} wants to ${intent.kind} ${intent.unitId}, which it does not hold`,
          )
        if (intent.kind === 'drain') return members.drain(unit, intent.reason, draft)
        if (intent.kind === 'resume') return members.resume(unit, intent.reason, draft)
        return members.leave(unit, undefined, false, intent.reason, draft)
      }
    }
  }

  function request(
    name: string,
    guest: Guest,
    intent: GuestIntent & { kind: 'request' },
    draft: ServiceManagerDraft,
  ): void {
    const { type, units, unitsMin, durationMs, startBy, reason } = intent
    const properties = {
      ...guest.properties,
      elastic: String(unitsMin < units),
      'units.min': String(unitsMin),
      deferrable: String(startBy !== undefined),
      ...(startBy === undefined ? {} : { deadline: String(startBy) }),
    }
    const until = (startBy ?? draft.now) + config.askMs
    const lease: LeaseRow = {
      id: draft.newId('lease'),
      guest: name,
      ticketState: 'asked',
      leaseState: 'none',
      type,
      unitsAsked: units,
      durationMs,
      properties,
      image: guest.properties.image ?? '',
      requestedAt: draft.now,
      reason,
      ...{ ticket: undefined, next: undefined, term: undefined, units: [], victims: [], boundary: undefined },
      ...{ extendRefused: undefined, recall: undefined, closeReason: '', graceMs: 0 },
      due: until,
    }
    draft.put('lease', lease)
    draft.note('requested', lease.id, reason, { type, units, unitsMin, durationMs })
    tell(
      draft,
      config.broker,
      'ticket',
      lease.id,
      { type, units, durationMs, start: draft.now, properties },
      until,
    )
  }

  /** Asks to keep what is still alive, less the victims, for another term. */
  function extend(
    lease: LeaseRow | undefined,
    intent: GuestIntent & { kind: 'extend' },
    draft: ServiceManagerDraft,
  ): void {
    if (lease?.ticket === undefined || lease.next !== undefined || draft.now >= leaveAt(lease, draft)!) return
    if (!isBegun(lease, draft)) return
    const gone = unitsOf(lease, draft)
      .filter(isOut)
      .map((unit) => unit.id)
    const victims = [...new Set([...intent.victims.filter((id) => lease.units.includes(id)), ...gone])]
    const keep = lease.units.length - victims.length
    if (keep < 1) return release(lease, `${intent.reason}; nothing of it would be kept`, draft)
    const ticketState = nextState(ticketMachine, lease.ticketState, 'extend')
    const leaseState = nextState(leaseMachine, lease.leaseState, 'extend')
    if (ticketState === undefined || leaseState === undefined) return
    draft.put('lease', {
      ...lease,
      ticketState,
      leaseState,
      victims,
      durationMs: intent.durationMs,
      extendRefused: undefined,
    })
    draft.note('extension asked', lease.id, intent.reason, { keep, victims })
    const body = { predecessor: lease.ticket.id, units: keep, durationMs: intent.durationMs }
    tell(draft, config.broker, 'extend-ticket', lease.id, body, lease.ticket.term.end)
  }

  function release(lease: LeaseRow | undefined, reason: string, draft: ServiceManagerDraft): void {
    if (lease === undefined || isFinished(lease)) return
    leaveAll(lease, undefined, reason, draft)
  }

  function releaseAll(reason: string, draft: ServiceManagerDraft): { leases: number } {
    const open = draft.all('lease').filter((lease) => !isFinished(lease))
    for (const lease of open) leaveAll(lease, draft.now, reason, draft)
    return { leases: open.length }
  }

  function requeued(input: Input & { kind: 'effect' }, draft: ServiceManagerDraft): void {
    const { outcome } = input
    const reason =
      outcome.kind === 'failed' ? outcome.reason : `requeued, but for ${JSON.stringify(outcome.value)}`
    draft.note(outcome.kind === 'failed' ? 'requeue failed' : 'requeued', input.key, reason)
  }

  function guestOf(name: string): Guest {
    const guest = config.guests[name]
    if (guest === undefined) throw new SubletError('unknown-id', `no guest is named ${name}`)
    return guest
  }
}

/** The memory and the reason are kept when they differ; figures alone are not worth a disk sync. */
const changed = (before: GuestRow, after: GuestRow): boolean =>
  before.reason !== after.reason ||
  before.blindSince !== after.blindSince ||
  JSON.stringify(before.memory) !== JSON.stringify(after.memory)
