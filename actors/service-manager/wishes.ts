import type { GuestIntent } from '../../controllers/controller.ts'
import { tell } from '../leases/correspondence.ts'
import { nextState } from '../leases/machine.ts'
import type { Properties } from '../leases/properties.ts'
import { someUnits } from '../leases/words.ts'
import { coded } from '../runtime/errors.ts'
import { GUEST_PROPERTY } from './adoption.ts'
import type { Guest, ServiceManagerConfig } from './config.ts'
import { brokerOf, type LeaseLife } from './leases.ts'
import { recalledUnits } from './leavers.ts'
import { leaseMachine, ticketMachine } from './machines.ts'
import { isOut } from './members.ts'
import { takePlace } from './places.ts'
import { restoredOf } from './restoring.ts'
import type { LeaseRow, ServiceManagerDraft } from './rows.ts'
import { isFinished, unitsOf } from './steps.ts'

/** What comes of a wish here; what brokers and sites make of it is in the row of its lease. */
export interface Carried {
  readonly leaseId?: string
  /** Why nobody is even asked. */
  readonly refused?: string | undefined
}

/** What controllers wish, as requests and as work in the middleware. A wish that cannot be is refused with a reason. */
export function wishes(config: ServiceManagerConfig, life: LeaseLife) {
  const { members, modified, leaveAt, isBegun, leaveAll, remember } = life
  return { carryOut }

  /** `byHand`: nobody knows better than the person who asks what is to become of a lease. */
  function carryOut(
    name: string,
    guest: Guest,
    intent: GuestIntent,
    byHand: boolean,
    draft: ServiceManagerDraft,
  ): Carried {
    switch (intent.kind) {
      case 'request':
        return request(name, guest, intent, draft)
      case 'extend':
        return { refused: extend(draft.get('lease', intent.leaseId), intent, byHand, draft) }
      case 'modify':
        return {
          refused: modified.ask(draft.get('lease', intent.leaseId), intent.properties, intent.reason, draft),
        }
      case 'release':
        return { refused: release(draft.get('lease', intent.leaseId), intent.reason, draft) }
      case 'requeue':
        draft.effect({
          key: `requeue-${intent.unitId}`,
          verb: 'requeue',
          args: { guest: name, jobIds: intent.jobIds, reason: intent.reason },
          timeoutMs: config.leaveMs,
        })
        return {}
      case 'drain':
      case 'resume':
      case 'leave': {
        const unit = draft.get('unit', intent.unitId)
        if (unit === undefined)
          throw new Error(
            `the controller of ${name} wants to ${intent.kind} ${intent.unitId}, which it does not hold`,
          )
        if (intent.kind === 'drain') members.drain(unit, intent.reason, draft)
        else if (intent.kind === 'resume') members.resume(unit, intent.reason, draft)
        else members.leave(unit, undefined, false, intent.reason, draft)
        return {}
      }
    }
  }

  function request(
    name: string,
    guest: Guest,
    intent: GuestIntent & { kind: 'request' },
    draft: ServiceManagerDraft,
  ): Carried {
    const { type, units, unitsMin, durationMs, startAt, startBy, reason } = intent
    const properties: Properties = {
      ...guest.properties,
      ...intent.properties,
      [GUEST_PROPERTY]: name,
      elastic: String(unitsMin < units),
      'units.min': String(unitsMin),
      deferrable: String(startBy !== undefined),
      ...(startBy === undefined ? {} : { deadline: String(startBy) }),
    }
    const start = Math.max(draft.now, startAt ?? draft.now)
    const until = Math.max(start, startBy ?? start) + config.askMs
    const lease: LeaseRow = {
      id: draft.newId('lease'),
      guest: name,
      openFor: name,
      broker: guest.broker ?? config.broker,
      ticketState: 'asked',
      leaseState: 'none',
      type,
      unitsAsked: units,
      durationMs,
      properties,
      image: properties.image ?? '',
      requestedAt: draft.now,
      reason,
      startAt,
      label: intent.label,
      ...{ ticket: undefined, next: undefined, term: undefined, units: [], victims: [], boundary: undefined },
      ...{ extendRefused: undefined, recall: undefined, closeReason: '', graceMs: 0 },
      due: until,
    }
    const placed = takePlace(lease, intent, draft)
    if (typeof placed === 'string') {
      remember(lease, 'broker', placed, draft)
      draft.note('refused', lease.id, `it is not even asked for: ${placed}`)
      return { leaseId: lease.id, refused: placed }
    }
    draft.put('lease', placed)
    const { label, group, after } = intent
    const queue = properties.queue ?? ''
    const data = { guest: name, queue, type, units, unitsMin, durationMs, startAt, label, group, after }
    draft.note('requested', lease.id, reason, data)
    const body = { type, units, durationMs, start, properties: { ...placed.properties } }
    tell(draft, brokerOf(lease, config), 'ticket', lease.id, body, until)
    return { leaseId: lease.id }
  }

  /** Asks to keep what is alive and does not leave already, less the victims, for another term; or that and more. */
  function extend(
    lease: LeaseRow | undefined,
    intent: GuestIntent & { kind: 'extend' },
    byHand: boolean,
    draft: ServiceManagerDraft,
  ): string | undefined {
    if (lease?.ticket === undefined) return 'it has no ticket yet that could be extended'
    if (lease.next !== undefined)
      return coded('extension-pending', 'an extension is agreed already, and has not been confirmed yet')
    if (draft.now >= leaveAt(lease, draft)!) return 'it is too late: its units leave already'
    if (!isBegun(lease, draft)) return coded('extension-pending', 'its last extension has not begun yet')
    if (lease.units.length === 0) return 'its site has not said yet which units it has'
    const all = unitsOf(lease, draft)
    const gone = all.filter(isOut).map(({ id }) => id)
    const named = { ...lease, victims: intent.victims }
    const promised = recalledUnits(named, lease.recall?.units ?? 0, draft).map(({ id }) => id)
    // They are promised back, or only let their work end: another term would be paid for machines that take no jobs.
    const leaving = all
      .filter((unit) => !isOut(unit) && (unit.mustLeave || promised.includes(unit.id)))
      .map(({ id }) => id)
    const going = [...leaving, ...gone]
    const chosen = [...new Set(intent.victims)].filter(
      (id) => lease.units.includes(id) && !going.includes(id),
    )
    const keep = lease.units.length - going.length - chosen.length
    // Where all leave for their hosts' sake others may come in their place; they may be kept then.
    // So may those that its site sets up again.
    const restored = chosen.length === 0 ? restoredOf(lease, all, draft.now) : 0
    const isWaiting = restored > 0 || (leaving.length > 0 && chosen.length === 0)
    if (keep < 1 && !isWaiting && byHand) return 'nothing of it would be kept: all its units have left'
    if (keep < 1 && !isWaiting) return release(lease, `${intent.reason}; nothing of it would be kept`, draft)
    const units = intent.units ?? keep + restored
    const fault =
      keep + restored < 1 ? 'all its units leave already' : faultOfSize(keep, units, chosen.length)
    if (fault !== undefined) {
      if (!byHand) refuseExtension(lease, fault, draft)
      return fault
    }
    const ticketState = nextState(ticketMachine, lease.ticketState, 'extend')
    const leaseState = nextState(leaseMachine, lease.leaseState, 'extend')
    if (ticketState === undefined || leaseState === undefined)
      return `it cannot be extended while its ticket is ${lease.ticketState} and its lease ${lease.leaseState}`
    const unitsMin = Math.min(units, Math.max(keep, intent.unitsMin ?? units))
    // Whoever grows names nobody but those that still leave: what is out is known at the site to be over.
    const victims = units > keep ? leaving : [...chosen, ...going]
    draft.put('lease', {
      ...lease,
      ticketState,
      leaseState,
      victims,
      asking: { units, unitsMin, without: [...chosen, ...going], ...(byHand && { byHand }) },
      durationMs: intent.durationMs,
      extendRefused: undefined,
    })
    draft.note('extension asked', lease.id, intent.reason, { keep, victims, units })
    const body = {
      predecessor: lease.ticket.id,
      units,
      durationMs: intent.durationMs,
      ...(unitsMin < units ? { unitsMin } : {}),
    }
    tell(draft, brokerOf(lease, config), 'extend-ticket', lease.id, body, lease.ticket.term.end)
    return undefined
  }

  function refuseExtension(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    draft.put('lease', { ...lease, extendRefused: { at: draft.now, reason } })
    draft.note('extension refused', lease.id, `it is not even asked for: ${reason}`)
  }

  function release(
    lease: LeaseRow | undefined,
    reason: string,
    draft: ServiceManagerDraft,
  ): string | undefined {
    if (lease === undefined || isFinished(lease)) return 'it is over already'
    leaveAll(lease, undefined, reason, draft)
    return undefined
  }
}

/** The guest chooses who goes; and a lease does not give units up and take others at the same boundary. */
function faultOfSize(keep: number, units: number, victims: number): string | undefined {
  if (units < keep)
    return `${someUnits(keep)} would stay and ${units} are asked for: those that go have to be named`
  if (units > keep && victims > 0)
    return `it cannot grow to ${someUnits(units)} and give up ${victims} at the same boundary`
  return undefined
}
