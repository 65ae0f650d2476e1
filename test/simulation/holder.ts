import { hashOfClaim, issueClaim } from '../../actors/leases/claim.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import type { Draft } from '../../actors/runtime/draft.ts'
import type { Guest, ServiceManagerConfig } from '../../actors/service-manager/config.ts'
import type { LeaseRow, ServiceManagerTables, UnitRow } from '../../actors/service-manager/rows.ts'
import { serviceManager } from '../../actors/service-manager/service-manager.ts'
import type { GuestIntent, GuestView, HeldLease } from '../../controllers/controller.ts'
import { Desk, MINUTE, NOW } from './desk.ts'
import { cheapIdentity, cheapKey, cheapTrust } from './identities.ts'

export const conditions = { recallable: true, noticeMs: 1_000, graceMs: 0 }
type HolderDraft = Draft<ServiceManagerTables>

export const LEAVE_BUDGET_MS = 5_000
export const SKEW_MS_MAX = 2_000

/** A service manager whose guest, `g`, wishes what the test says, and shows what it is shown. */
export class Holder {
  readonly desk: Desk<ServiceManagerTables>
  view: GuestView<unknown> | undefined
  #intents: readonly GuestIntent[] = []

  constructor(change: Partial<ServiceManagerConfig> = {}) {
    const controller = {
      ...{ name: 'puppet', firstMemory: undefined, explainJob: () => undefined },
      decide: (view: GuestView<unknown>) => {
        this.view = view
        const figures = { backlogJobs: 0, unitsWanted: 0, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 0 }
        return { intents: this.#intents, memory: undefined, reason: 'as told', figures, againMs: 1_000 }
      },
    }
    const guest: Guest = { controller, config: undefined, properties: { image: 'plain' } }
    const config: ServiceManagerConfig = {
      guests: { g: guest, h: { ...guest, broker: 'broker-2' } },
      broker: 'broker',
      skewMsMax: SKEW_MS_MAX,
      leaveBudgetMs: LEAVE_BUDGET_MS,
      ...{ askMs: 20_000, joinMs: 3_000, leaveMs: 5_000, retryMs: 500, joinFailuresMax: 3 },
      ...{ quarantineMs: MINUTE, answerMs: 60 * MINUTE },
      ...change,
    }
    const names = ['manager', 'broker', 'broker-2', 'site', 'site-2', 'site-3', 'site-9', 'observer']
    this.desk = new Desk<ServiceManagerTables>(serviceManager(config, cheapTrust(names)), 'manager')
  }

  /** One look, at which the controller wishes this. */
  wish(intents: readonly GuestIntent[], guest = 'g'): HolderDraft {
    this.#intents = intents
    const traces = { startedAt: this.desk.now, nodes: [], launchFailed: [] }
    const look = { guest, observation: undefined, failure: undefined, traces }
    const draft = this.desk.give({ kind: 'command', name: 'look', args: look })
    this.#intents = []
    return draft
  }

  /** Asks for units; the id of the lease. */
  ask(change: Partial<Extract<GuestIntent, { kind: 'request' }>> = {}, guest = 'g'): string {
    const basic = {
      type: 't',
      units: 2,
      unitsMin: 2,
      durationMs: 10 * MINUTE,
      startBy: undefined,
      reason: 'test',
    }
    const draft = this.wish([{ kind: 'request', ...basic, ...change }], guest)
    return [...(draft.changed.get('lease')?.keys() ?? [])].at(-1) ?? 'none'
  }

  lease(id: string): LeaseRow {
    return this.desk.rows.get('lease', id) as LeaseRow
  }

  unit(id: string): UnitRow {
    return this.desk.rows.get('unit', id) as UnitRow
  }

  /** What the controller sees of a lease at a look now. */
  shown(id: string): HeldLease | undefined {
    this.wish([])
    return this.view?.leases.find((lease) => lease.id === id)
  }

  grant(leaseId: string, change: Partial<Ticket> = {}): HolderDraft {
    const ticket = this.ticketFor(leaseId, change)
    return this.answer(leaseId, 'granted', { ticket }, ticket.broker)
  }

  answer(leaseId: string, outcome: string, change: object = {}, from = 'broker'): HolderDraft {
    const body = { outcome, ticket: null, reason: outcome, earliest: null, unitsNow: 0, ...change }
    return this.desk.tell(from, 'ticket-update', leaseId, body)
  }

  /** What the site says; by default all units of the ticket are there and active. */
  update(
    leaseId: string,
    change: object = {},
    units: readonly object[] = this.reports(leaseId),
  ): HolderDraft {
    const { term, ticket } = this.lease(leaseId)
    return this.desk.tell('site', 'lease-update', leaseId, {
      ...{ state: 'active', term, ticketId: ticket?.id ?? 'none', image: 'plain', reason: '' },
      ...{ extensionRefused: null, units },
      ...change,
    })
  }

  reports(leaseId: string, report = 'active'): object[] {
    const count = this.lease(leaseId).ticket?.units ?? 0
    return Array.from({ length: count }, (_, i) => this.report(`${leaseId}-${i + 1}`, report))
  }

  report(id: string, report: string, change: object = {}): object {
    return {
      id,
      name: `node-${id}`,
      report,
      vector: { cpu: 1 },
      facts: { address: `at ${id}` },
      reason: '',
      ...change,
    }
  }

  /** The middleware has done what it was asked to do with a unit. */
  done(unitId: string, verb: string, value: unknown = { kind: 'left' }): HolderDraft {
    const outcome = { kind: 'done' as const, value }
    return this.desk.give({ kind: 'effect', key: unitId, verb, args: {}, attempt: 1, outcome })
  }

  failed(unitId: string, verb: string): HolderDraft {
    const outcome = { kind: 'failed' as const, reason: 'no answer', code: 'exec-timeout' as const }
    return this.desk.give({ kind: 'effect', key: unitId, verb, args: {}, attempt: 1, outcome })
  }

  /** A lease whose units have all joined. */
  active(change: Partial<Extract<GuestIntent, { kind: 'request' }>> = {}): string {
    const id = this.ask(change)
    this.grant(id)
    this.update(id)
    for (const unitId of this.lease(id).units) this.done(unitId, 'join')
    return id
  }

  /** A ticket of protocol 1 as asked for; of protocol 2 with `proved`. */
  ticketFor(leaseId: string, change: Partial<Ticket> = {}): Ticket {
    const {
      type,
      unitsAsked: units,
      durationMs,
      ticket,
      asking,
      broker: name = 'broker',
    } = this.lease(leaseId)
    const start = ticket?.term.end ?? this.lease(leaseId).startAt ?? this.desk.now
    const record = {
      ...{ id: `ticket-${leaseId}-${start}`, leaseId, holder: 'manager', site: 'site', type },
      ...{
        units: asking?.units ?? units,
        predecessor: ticket?.id ?? null,
        issuedAt: this.desk.now,
        conditions,
      },
      term: { start, end: start + durationMs },
    }
    return issueTicket({ ...record, ...change }, cheapIdentity(name))
  }
}

/** Turns a ticket into one of protocol 2, drawn from a claim of its site. */
export function proved(ticket: Ticket, change: Partial<Ticket['proof']> = {}): Ticket {
  const { signature: _, broker, ...record } = ticket
  const claim = issueClaim(
    {
      ...{ id: 'claim-1', parent: null, holder: broker, holderKey: cheapKey(broker), site: 'site' },
      ...{ type: ticket.type, units: 10, vector: { cpu: 2 }, conditions: ticket.conditions, issuedAt: NOW },
      term: { start: NOW - MINUTE, end: NOW + 1_000 * MINUTE },
    },
    cheapIdentity('site'),
  )
  const proof = {
    ...{ parent: hashOfClaim(claim), brokerKey: cheapKey(broker), holderKey: cheapKey('manager') },
    ...{ vector: { cpu: 1 }, request: {} },
    ...change,
  }
  return { ...issueTicket({ ...record, proof }, cheapIdentity(broker)), chain: [claim] }
}

export const kindsOf = ({ outgoing }: HolderDraft): string[] => outgoing.map(({ kind }) => kind)
