import type { Term } from '../../actors/leases/term.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { GuestIntent, HeldLease, HeldUnit, Refusal } from '../../controllers/controller.ts'
import type { Agenda } from './agenda.ts'

/**
 * Broker, site and service manager of one pool, as far as a controller can tell them from the real ones:
 *
 *   request ─TICKET─▶ ticketed ─boot─▶ active ─extend─▶ active … ─release, or its end─▶ closing ─TEARDOWN─▶ gone
 *                       units: awaited ─▶ joining ─▶ joined ⇄ draining ─▶ leaving ─LEAVE─▶ left
 *
 * A unit is held, and paid for, from its ticket until its machine is torn down. An extension begins at the old end;
 * until then the lease is `extending`, and the units it goes on without stay.
 */
const TICKET_MS: Millis = 1000
const JOIN_MS: Millis = 2000
const LEAVE_MS: Millis = 2000
const TEARDOWN_MS: Millis = 5000
/** The manager takes units out so long before the end of their lease: its leave budget, and what clocks may differ. */
const LEAVE_BUDGET_MS: Millis = 62_000
const REFUSALS_MAX = 50
interface Unit {
  readonly id: string
  readonly name: string
  readonly slot: number
  readonly lease: Lease
  state: HeldUnit['state']
  since: Instant
  joinedAt: Instant | undefined
  shown: HeldUnit | undefined
  freed: boolean
}

interface Lease {
  readonly id: string
  readonly type: string
  readonly requestedAt: Instant
  state: HeldLease['state']
  units: number
  term: Term | undefined
  extending: boolean
  held: Unit[]
  shown: HeldLease | undefined
}

/** What the pool does to the batch system, and tells of itself. */
export interface PoolParts {
  readonly agenda: Agenda
  /** How long the next machine takes to boot. */
  readonly bootMs: () => Millis
  nodeJoined(slot: number, unitId: string, leaseId: string, name: string): void
  nodeDrained(slot: number, drained: boolean): void
  /** Jobs that are still on it are cut. */
  nodeLeft(slot: number): void
  isBusy(slot: number): boolean
  /** So many units more (or fewer) are paid for. */
  paid(change: number): void
  ordered(now: Instant): void
  /** A unit that takes jobs is being taken away. */
  taken(slot: number, now: Instant): void
  givenBack(now: Instant): void
  /** Something that a controller may answer to: soon, or within the time that is said. */
  changed(now: Instant, withinMs?: Millis): void
  /** So long after a term of this length has begun nobody asks for the next one. */
  restMs(lengthMs: Millis, extendByMs: Millis): Millis
  /** A node takes jobs, or no more; a controller may have to wait until looks are sure to show that. */
  nodeChanged(now: Instant): void
}

export class Pool {
  readonly #parts: PoolParts
  readonly #type: string
  readonly #slotFree: Uint8Array
  readonly #leases = new Map<string, Lease>()
  readonly #units = new Map<string, Unit>()
  #free: number
  #lowest = 0
  #count = 0
  #refusals: readonly Refusal[] = []

  constructor(type: string, units: number, parts: PoolParts) {
    this.#type = type
    this.#parts = parts
    this.#free = units
    this.#slotFree = new Uint8Array(units).fill(1)
  }

  get refusals(): readonly Refusal[] {
    return this.#refusals
  }

  leases(): readonly HeldLease[] {
    return Array.from(this.#leases.values(), (lease) => {
      lease.shown ??= {
        id: lease.id,
        state: lease.state,
        type: lease.type,
        units: lease.units,
        term: lease.term,
        requestedAt: lease.requestedAt,
        extending: lease.extending,
        extendBy: lease.term && lease.term.end - LEAVE_BUDGET_MS,
        extendRefused: undefined,
        recall: undefined,
        held: lease.held.map(shownUnit),
      }
      return lease.shown
    })
  }

  apply(intent: GuestIntent, now: Instant): void {
    switch (intent.kind) {
      case 'request':
        this.#request(intent, now)
        return
      case 'extend':
        this.#extend(intent, now)
        return
      case 'release': {
        const lease = this.#leases.get(intent.leaseId)
        if (lease !== undefined) this.#close(lease, now)
        return
      }
      case 'drain':
      case 'resume': {
        const unit = this.#units.get(intent.unitId)
        const from = intent.kind === 'drain' ? 'joined' : 'draining'
        if (unit?.state !== from) return
        if (intent.kind === 'drain') this.#parts.taken(unit.slot, now)
        this.#parts.nodeDrained(unit.slot, intent.kind === 'drain')
        this.#move(unit, intent.kind === 'drain' ? 'draining' : 'joined', now)
        this.#parts.nodeChanged(now)
        return
      }
      case 'leave': {
        const unit = this.#units.get(intent.unitId)
        if (unit?.state !== 'joined' && unit?.state !== 'draining') return
        if (!this.#parts.isBusy(unit.slot)) this.#leave(unit, now)
        return
      }
      default:
        // Nodes do not die here, and properties mean nothing.
        return
    }
  }

  #request(intent: Extract<GuestIntent, { kind: 'request' }>, now: Instant): void {
    this.#count += 1
    const lease: Lease = {
      id: `lease-${this.#count}`,
      type: intent.type,
      requestedAt: now,
      state: 'requested',
      units: intent.units,
      term: undefined,
      extending: false,
      held: [],
      shown: undefined,
    }
    this.#leases.set(lease.id, lease)
    this.#parts.agenda.at(now + TICKET_MS, () => this.#answer(lease, intent, now + TICKET_MS))
  }

  #answer(lease: Lease, intent: Extract<GuestIntent, { kind: 'request' }>, now: Instant): void {
    const granted = intent.type === this.#type ? Math.min(lease.units, this.#free) : 0
    if (granted < intent.unitsMin || granted < 1) {
      this.#leases.delete(lease.id)
      const refusal: Refusal = {
        at: now,
        leaseId: lease.id,
        type: lease.type,
        by: 'broker',
        image: '',
        reason: `${this.#free} units are free`,
        unitsMin: intent.unitsMin,
      }
      this.#refusals = [refusal, ...this.#refusals].slice(0, REFUSALS_MAX)
      this.#parts.changed(now)
      return
    }
    lease.state = 'ticketed'
    lease.units = granted
    lease.term = { start: now, end: now + intent.durationMs }
    lease.held = Array.from({ length: granted }, (_, i) => this.#boot(lease, i + 1, now))
    lease.shown = undefined
    this.#free -= granted
    this.#parts.paid(granted)
    this.#watchEnd(lease)
    // What comes as it was asked for was counted already.
    this.#parts.changed(now, granted < intent.units ? undefined : this.#restMs(intent.durationMs))
  }

  #boot(lease: Lease, number: number, now: Instant): Unit {
    while (this.#slotFree[this.#lowest] !== 1) this.#lowest += 1
    const slot = this.#lowest
    this.#slotFree[slot] = 0
    const id = `${lease.id}-${number}`
    const unit: Unit = {
      id,
      name: `n${slot}`,
      slot,
      lease,
      state: 'awaited',
      since: now,
      joinedAt: undefined,
      shown: undefined,
      freed: false,
    }
    this.#units.set(id, unit)
    this.#parts.ordered(now)
    const joinedAt = now + Math.max(JOIN_MS, Math.round(this.#parts.bootMs()))
    const { agenda } = this.#parts
    // Both are still to come for a controller, so that it starts to join is nothing to tell.
    agenda.at(joinedAt - JOIN_MS, () => {
      if (unit.state === 'awaited') this.#move(unit, 'joining', joinedAt - JOIN_MS)
    })
    agenda.at(joinedAt, () => this.#join(unit, joinedAt))
    return unit
  }

  #join(unit: Unit, now: Instant): void {
    if (unit.state !== 'joining') return
    unit.joinedAt = now
    this.#move(unit, 'joined', now)
    const { lease } = unit
    if (lease.state === 'ticketed') lease.state = 'active'
    this.#parts.nodeJoined(unit.slot, unit.id, lease.id, unit.name)
    this.#parts.nodeChanged(now)
  }

  #extend(intent: Extract<GuestIntent, { kind: 'extend' }>, now: Instant): void {
    const lease = this.#leases.get(intent.leaseId)
    if (lease?.term === undefined || lease.extending || lease.state !== 'active') return
    lease.extending = true
    lease.shown = undefined
    const { end } = lease.term
    this.#parts.agenda.at(Math.max(now, end), () => {
      if (lease.state === 'closing') return
      const victims = lease.held.filter(({ id }) => intent.victims.includes(id))
      lease.held = lease.held.filter((unit) => !victims.includes(unit))
      lease.units = lease.held.length
      lease.extending = false
      lease.term = { start: end, end: end + intent.durationMs }
      lease.shown = undefined
      for (const unit of victims) this.#end(unit, end)
      if (lease.held.length === 0) this.#leases.delete(lease.id)
      else this.#watchEnd(lease)
      // What was agreed has begun: all that it changes is when to ask again.
      this.#parts.changed(end, victims.length === 0 ? this.#restMs(intent.durationMs) : undefined)
    })
  }

  #restMs(lengthMs: Millis): Millis {
    return this.#parts.restMs(lengthMs, lengthMs - LEAVE_BUDGET_MS)
  }

  /** Unless it is extended by then, its units are taken out in time before the end; what works is cut at the end. */
  #watchEnd(lease: Lease): void {
    const { end } = lease.term!
    this.#parts.agenda.at(end - LEAVE_BUDGET_MS, () => {
      if (lease.extending || lease.state === 'closing' || lease.term?.end !== end) return
      const busy = lease.held.some(({ slot, state }) => state !== 'left' && this.#parts.isBusy(slot))
      if (!busy) this.#close(lease, end - LEAVE_BUDGET_MS)
    })
    this.#parts.agenda.at(end, () => {
      if (!lease.extending && lease.state !== 'closing' && lease.term?.end === end) this.#close(lease, end)
    })
  }

  #close(lease: Lease, now: Instant): void {
    if (lease.state === 'closing') return
    lease.state = 'closing'
    lease.shown = undefined
    for (const unit of lease.held) this.#end(unit, now)
    this.#parts.agenda.at(now + TEARDOWN_MS, () => {
      this.#leases.delete(lease.id)
      this.#parts.changed(now + TEARDOWN_MS)
    })
  }

  /** Out of the batch system at once, and torn down. */
  #end(unit: Unit, now: Instant): void {
    if (unit.state === 'joined') this.#parts.taken(unit.slot, now)
    if (unit.state === 'joined' || unit.state === 'draining' || unit.state === 'leaving')
      this.#parts.nodeLeft(unit.slot)
    if (unit.state !== 'left') this.#move(unit, 'left', now)
    if (unit.freed) return
    unit.freed = true
    this.#parts.agenda.at(now + TEARDOWN_MS, () => {
      this.#units.delete(unit.id)
      this.#slotFree[unit.slot] = 1
      this.#lowest = Math.min(this.#lowest, unit.slot)
      this.#free += 1
      this.#parts.paid(-1)
      this.#parts.givenBack(now + TEARDOWN_MS)
    })
  }

  #leave(unit: Unit, now: Instant): void {
    if (unit.state === 'joined') {
      this.#parts.taken(unit.slot, now)
      this.#parts.nodeDrained(unit.slot, true)
    }
    this.#move(unit, 'leaving', now)
    this.#parts.agenda.at(now + LEAVE_MS, () => {
      if (unit.state !== 'leaving') return
      this.#parts.nodeLeft(unit.slot)
      this.#move(unit, 'left', now + LEAVE_MS)
      this.#parts.changed(now + LEAVE_MS)
    })
  }

  #move(unit: Unit, state: HeldUnit['state'], now: Instant): void {
    unit.state = state
    unit.since = now
    unit.shown = undefined
    unit.lease.shown = undefined
  }
}

function shownUnit(unit: Unit): HeldUnit {
  const { id, name, state, since, joinedAt } = unit
  unit.shown ??= { id, name, state, since, joinedAt, suspect: undefined }
  return unit.shown
}
