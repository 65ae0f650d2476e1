import { broker } from '../../actors/broker/broker.ts'
import type { BrokerConfig } from '../../actors/broker/config.ts'
import type { BrokerTables, TicketRow } from '../../actors/broker/rows.ts'
import { type Claim, issueClaim } from '../../actors/leases/claim.ts'
import type { Body } from '../../actors/leases/messages.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { Draft } from '../../actors/runtime/draft.ts'
import type { Envelope } from '../../actors/runtime/envelope.ts'
import type { KeyRing } from '../../actors/runtime/identity.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import type { Input, Mind } from '../../actors/runtime/mind.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'

export const NOW = Date.UTC(2026, 0, 5, 8)
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const conditions = { recallable: true, noticeMs: 1_000, graceMs: 0 }
export const NAMES = ['broker', 'site', 'other-site', 'manager', 'other']

export interface Said {
  readonly to: string
  readonly kind: string
  readonly subject: string
  readonly body: unknown
}

/** The broker's mind, its rows, and an hour that the test sets. `protocol` is what the others speak. */
export class BrokerDesk {
  readonly rows = new RowSet()
  readonly trust: KeyRing
  now = NOW
  protocol = 2
  readonly notes: string[] = []
  /** What its lines have besides, by kind and subject; the last ones. */
  readonly data = new Map<string, unknown>()
  readonly retired: string[] = []
  /** To the last command. */
  reply: unknown
  readonly #mind: Mind<BrokerTables>
  lastHeard: Envelope | undefined
  #said = 0
  #ids = 0

  constructor(config: Partial<BrokerConfig> = {}, names: readonly string[] = NAMES) {
    this.trust = cheapTrust(names)
    const times = { batchMs: 50, quarantineMs: 1_000, answerMs: MINUTE }
    const all = { policy: firstCome, ...times, ...config }
    this.#mind = broker(all, cheapIdentity('broker'), this.trust)
  }

  /** What was said; its rows are committed. */
  give(input: Input): Said[] {
    return this.draft(input).outgoing
  }

  draft(input: Input): Draft<BrokerTables> {
    const draft = new Draft<BrokerTables>(this.rows, 'broker', this.now, idSource(seededRandom(++this.#ids)))
    this.reply = this.#mind.handle(input, draft)
    for (const [table, drafted] of draft.changed)
      for (const [id, row] of drafted) this.rows.set(table, id, row && JSON.parse(JSON.stringify(row)))
    this.retired.push(...[...draft.retired.values()].map(({ subject }) => subject))
    this.notes.push(...draft.notes.map(({ kind, subject, reason }) => `${kind} ${subject}: ${reason}`))
    for (const { kind, subject, data } of draft.notes) this.data.set(`${kind} ${subject}`, data)
    return draft
  }

  tell(from: string, kind: string, subject: string, body: unknown): Said[] {
    return this.hear(from, kind, subject, body).outgoing
  }

  hear(from: string, kind: string, subject: string, body: unknown): Draft<BrokerTables> {
    const place = this.protocol < 2 ? {} : { key: cheapKey(from), generation: 0, seq: 1 }
    const envelope = {
      ...{ protocol: this.protocol, id: `message-${++this.#said}`, number: 1, bodyHash: '' },
      ...{ from, to: 'broker', kind, subject, body, sentAt: this.now, until: NOW * 2, ...place },
      signature: 'signed',
    }
    this.lastHeard = envelope
    return this.draft({ kind: 'message', envelope })
  }

  /** The very same message, as one is sent again of which the store does not know that it came. */
  hearAgain(envelope: Envelope): Said[] {
    return this.draft({ kind: 'message', envelope }).outgoing
  }

  offer(units: number, change: Partial<Body<'delegation'>> = {}, site = 'site'): Said[] {
    const offer = { type: 't', units, vector: { cpu: 1 }, conditions, settledRecalls: [], reason: 'begun' }
    const claim = this.protocol < 2 || units === 0 ? {} : { claim: this.claim(units, {}, site) }
    return this.tell(site, 'delegation', 'offer-t', { ...offer, ...claim, ...change })
  }

  claim(units: number, change: Partial<Claim> = {}, site = 'site'): Claim {
    const record = {
      ...{ id: `claim-${++this.#ids}`, parent: null, holder: 'broker', holderKey: cheapKey('broker'), site },
      ...{ type: 't', units, vector: { cpu: 1 }, conditions, issuedAt: this.now },
      term: { start: this.now, end: this.now + 24 * HOUR },
    }
    return issueClaim({ ...record, ...change }, cheapIdentity(site))
  }

  ask(leaseId: string, change: Partial<Body<'ticket'>> = {}, holder = 'manager'): Said[] {
    const ask = { type: 't', units: 4, durationMs: HOUR, start: this.now, properties: {} }
    return this.tell(holder, 'ticket', leaseId, { ...ask, ...change })
  }

  extend(leaseId: string, change: Partial<Body<'extend-ticket'>> = {}): Said[] {
    const predecessor = this.row(leaseId).tickets.at(-1)?.id ?? ''
    return this.tell('manager', 'extend-ticket', leaseId, {
      ...{ predecessor, units: 4, durationMs: HOUR },
      ...change,
    })
  }

  due(table: string, id: string): Said[] {
    return this.give({ kind: 'due', table, row: this.rows.get(table, id)! })
  }

  /** The round after the batching window. */
  decide(): Said[] {
    this.now += 50
    return this.due('round', 'round')
  }

  /** A request and what it is answered. */
  granted(leaseId: string, change: Partial<Body<'ticket'>> = {}): Ticket {
    this.ask(leaseId, change)
    const ticket = ticketsIn(this.decide()).find((one) => one.leaseId === leaseId)
    if (ticket === undefined) throw new Error(`${leaseId} was not granted`)
    return ticket
  }

  row(leaseId: string): TicketRow {
    return this.rows.get('ticket', leaseId) as TicketRow
  }
}

const updates = (said: readonly Said[]): Body<'ticket-update'>[] =>
  said.filter(({ kind }) => kind === 'ticket-update').map(({ body }) => body as Body<'ticket-update'>)

export const ticketsIn = (said: readonly Said[]): Ticket[] =>
  updates(said).flatMap(({ ticket }) => ticket ?? [])

/** `lease-1 granted 4`, in the order in which it was said. */
export const inShort = (said: readonly Said[]): string[] =>
  said
    .filter(({ kind }) => kind === 'ticket-update')
    .map(({ subject, body }) => {
      const { outcome, ticket } = body as Body<'ticket-update'>
      return [subject, outcome, ticket?.units].filter((word) => word !== undefined).join(' ')
    })

export const reasonsIn = (said: readonly Said[]): string[] => updates(said).map(({ reason }) => reason)
