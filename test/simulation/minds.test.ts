import { describe, expect, test } from 'vitest'
import { broker } from '../../actors/broker/broker.ts'
import type { BrokerTables, TicketRow } from '../../actors/broker/rows.ts'
import { issueTicket } from '../../actors/leases/ticket.ts'
import { Draft } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import type { Input, Mind } from '../../actors/runtime/mind.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet, type Tables } from '../../actors/runtime/rows.ts'
import type { LeaseRow, ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import type { Allocation, BrokerPolicy } from '../../controllers/controller.ts'
import { cheapIdentity } from './identities.ts'
import { Trial } from './trial.ts'

const NOW = Date.UTC(2026, 0, 5, 8)
const MINUTE = 60_000
const conditions = { recallable: true, noticeMs: 1_000, graceMs: 0 }

/** One mind, its rows, and an hour that the test sets. */
class Desk<T extends Tables> {
  readonly rows = new RowSet()
  now = NOW
  readonly #mind: Mind<T>
  readonly #self: string

  constructor(mind: Mind<T>, self: string) {
    this.#mind = mind
    this.#self = self
  }

  give(input: Input): Draft<T> {
    const draft = new Draft<T>(this.rows, this.#self, this.now, idSource(seededRandom(this.now)))
    this.#mind.handle(input, draft)
    for (const [table, drafted] of draft.changed)
      for (const [id, row] of drafted) this.rows.set(table, id, row)
    return draft
  }

  tell(from: string, kind: string, subject: string, body: unknown): Draft<T> {
    const sealed = { protocol: 1, id: 'message', number: 1, bodyHash: '', signature: '' }
    const envelope = {
      ...sealed,
      from,
      to: this.#self,
      kind,
      subject,
      body,
      sentAt: this.now,
      until: NOW * 2,
    }
    return this.give({ kind: 'message', envelope })
  }

  due(table: string, id: string): Draft<T> {
    return this.give({ kind: 'due', table, row: this.rows.get(table, id)! })
  }
}

function brokerDesk(policy: BrokerPolicy = firstCome): Desk<BrokerTables> {
  const times = { batchMs: 50, quarantineMs: 1_000, answerMs: MINUTE }
  const desk = new Desk<BrokerTables>(broker({ policy, ...times }, cheapIdentity('broker')), 'broker')
  const offer = { type: 't', units: 4, vector: {}, conditions, settledRecalls: [], reason: 'begun' }
  desk.tell('site', 'delegation', 'offer-t', offer)
  return desk
}

const ask = { type: 't', units: 4, durationMs: MINUTE, start: NOW, properties: {} }

/** Rounds after the batching window; what was answered, by lease. */
function decide(desk: Desk<BrokerTables>): Draft<BrokerTables> {
  desk.now += 50
  return desk.due('round', 'round')
}

const outcomes = (draft: Draft<BrokerTables>): string[] =>
  draft.outgoing.map(({ body }) => (body as { outcome: string }).outcome)

describe('whatever its policy says, the broker', () => {
  const grant: Allocation = {
    ...{ kind: 'grant', leaseId: 'lease-1', site: 'site', units: 4, reason: 'so it is' },
    term: { start: NOW, end: NOW + MINUTE },
  }
  test.each<[string, readonly Allocation[], number]>([
    ['grants what is asked for and free', [grant], 1],
    ['grants it once', [grant, grant], 1],
    ['grants no more than was asked for', [{ ...grant, units: 5 }], 0],
    ['grants nothing of what nobody lends', [{ ...grant, site: 'nowhere' }], 0],
    ['grants no half units', [{ ...grant, units: 0.5 }], 0],
    ['grants no term that ends as it starts', [{ ...grant, term: { start: NOW, end: NOW } }], 0],
    ['answers nobody who has not asked', [{ ...grant, leaseId: 'lease-9' }], 0],
  ])('%s', (_, allocations, granted) => {
    const desk = brokerDesk(() => allocations)
    desk.tell('manager', 'ticket', 'lease-1', ask)
    const draft = decide(desk)
    expect(outcomes(draft).filter((outcome) => outcome === 'granted')).toHaveLength(granted)
  })

  test('grants no two requests what is there once', () => {
    const desk = brokerDesk(() => [grant, { ...grant, leaseId: 'lease-2' }])
    desk.tell('manager', 'ticket', 'lease-1', ask)
    desk.tell('manager', 'ticket', 'lease-2', ask)
    const draft = decide(desk)
    expect(outcomes(draft)).toEqual(['granted'])
    expect(draft.notes.map(({ kind }) => kind)).toContain('decision dropped')
  })

  test('answers a request that its policy forgets', () => {
    const desk = brokerDesk(() => [])
    desk.tell('manager', 'ticket', 'lease-1', ask)
    decide(desk)
    desk.now = desk.rows.get('ticket', 'lease-1')!.due!
    expect(outcomes(desk.due('ticket', 'lease-1'))).toEqual(['refused'])
  })
})

describe('the broker', () => {
  const extend = (desk: Desk<BrokerTables>, units: number): string[] => {
    const row = desk.rows.get('ticket', 'lease-1') as TicketRow
    const predecessor = row.tickets.at(-1)!.id
    desk.tell('manager', 'extend-ticket', 'lease-1', { predecessor, units, durationMs: MINUTE })
    return outcomes(decide(desk))
  }

  test('extends a lease again and again after it gave units back', () => {
    const desk = brokerDesk()
    desk.tell('manager', 'ticket', 'lease-1', ask)
    decide(desk)
    desk.tell('site', 'recall-units', 'offer-t', {
      ...{ recallId: 'r', type: 't', units: 1, by: desk.now + 10_000, reason: 'needed' },
    })
    const plan = { recallId: 'r', units: 1, by: desk.now + 10_000, reason: 'as the terms say' }
    desk.tell('manager', 'recall-plan', 'lease-1', plan)
    expect(extend(desk, 3)).toEqual(['granted'])
    desk.now += MINUTE
    expect(extend(desk, 3)).toEqual(['granted'])
  })

  test('gives an extension that the site refused back with the next question', () => {
    const desk = brokerDesk()
    desk.tell('manager', 'ticket', 'lease-1', ask)
    decide(desk)
    const first = (desk.rows.get('ticket', 'lease-1') as TicketRow).tickets[0]!.id
    expect(extend(desk, 4)).toEqual(['granted'])
    desk.tell('manager', 'extend-ticket', 'lease-1', { predecessor: first, units: 3, durationMs: MINUTE })
    expect(outcomes(decide(desk))).toEqual(['granted'])
    const { tickets } = desk.rows.get('ticket', 'lease-1') as TicketRow
    expect(tickets.map(({ units, predecessor }) => [units, predecessor])).toEqual([
      [4, null],
      [3, first],
    ])
  })

  test('forgets the numbers of conversations about nothing', () => {
    const desk = brokerDesk()
    const refused = desk.tell('manager', 'ticket', 'lease-1', { ...ask, properties: { elastic: 'perhaps' } })
    expect([...refused.retired.keys()]).toEqual(['lease-1'])
    const unknown = desk.tell('manager', 'relinquish', 'lease-2', { reason: 'none' })
    expect([...unknown.retired.keys()]).toEqual(['lease-2'])
  })

  test('refuses a request whose latest start is past', () => {
    const desk = brokerDesk()
    const draft = desk.tell('manager', 'ticket', 'lease-1', {
      ...ask,
      properties: { deferrable: 'true', deadline: String(NOW - 1) },
    })
    expect(outcomes(draft)).toEqual(['refused'])
  })
})

describe('the holder', () => {
  function heldLease(change: Partial<LeaseRow>): Desk<ServiceManagerTables> {
    const mind = new Trial({ seed: 1, calm: true }).serviceManagerMind()
    const desk = new Desk<ServiceManagerTables>(mind, 'service-manager')
    const ticket = issueTicket(
      {
        ...{ id: 'ticket-1', leaseId: 'lease-1', holder: 'service-manager', site: 'authority' },
        ...{ type: 'vm.small', units: 4, predecessor: null, issuedAt: NOW, conditions },
        term: { start: NOW, end: NOW + 10 * MINUTE },
      },
      cheapIdentity('broker'),
    )
    const lease: LeaseRow = {
      ...{ id: 'lease-1', guest: 'groc', ticketState: 'held', leaseState: 'active', type: 'vm.small' },
      ...{ unitsAsked: 4, durationMs: MINUTE, properties: {}, image: '', requestedAt: NOW, reason: 'wanted' },
      ...{ ticket, next: undefined, term: ticket.term, units: [], victims: [], boundary: undefined },
      ...{ extendRefused: undefined, recall: undefined, closeReason: '', graceMs: 0 },
      ...change,
    }
    desk.rows.set('lease', 'lease-1', lease)
    return desk
  }
  const lease = (desk: Desk<ServiceManagerTables>): LeaseRow => desk.rows.get('lease', 'lease-1') as LeaseRow

  test('does not wait for ever for the broker to say that a ticket is closed', () => {
    const desk = heldLease({ ticketState: 'returning', leaseState: 'closed' })
    desk.give({ kind: 'started', epoch: 2 })
    desk.now = lease(desk).due!
    desk.due('lease', 'lease-1')
    expect(lease(desk).ticketState).toBe('closed')
  })

  test('serves a second recall besides the first', () => {
    const desk = heldLease({})
    const unit = { vector: {}, facts: {}, reason: '' }
    desk.tell('authority', 'lease-update', 'lease-1', {
      ...{ state: 'active', term: lease(desk).term, ticketId: 'ticket-1', image: '', reason: '' },
      extensionRefused: null,
      units: ['a', 'b', 'c', 'd'].map((id) => ({ ...unit, id, name: id, report: 'coming' })),
    })
    const recall = { units: 2, by: NOW + 5 * MINUTE, binding: true, reason: 'needed' }
    desk.tell('broker', 'recall', 'lease-1', { ...recall, recallId: 'r1' })
    desk.tell('broker', 'recall', 'lease-1', { ...recall, recallId: 'r2', units: 1, by: NOW + 2 * MINUTE })
    expect(lease(desk).recall).toMatchObject({ units: 3, by: NOW + 2 * MINUTE })
  })

  test('promises nothing for a recall that is only advice', () => {
    const desk = heldLease({})
    const advice = { recallId: 'r1', units: 2, by: NOW + MINUTE, binding: false, reason: 'needed' }
    const draft = desk.tell('broker', 'recall', 'lease-1', advice)
    expect(lease(desk).recall).toBeUndefined()
    expect(draft.outgoing.map(({ kind, body }) => [kind, (body as { units: number }).units])).toEqual([
      ['recall-plan', 0],
    ])
  })

  test('takes no ticket for another type or for more than it asked for', () => {
    for (const change of [{ type: 'vm.large' }, { units: 5 }]) {
      const desk = heldLease({ ticketState: 'asked', leaseState: 'none' })
      const { signature: _, broker: __, ...record } = lease(desk).ticket!
      desk.rows.set('lease', 'lease-1', { ...lease(desk), ticket: undefined, term: undefined } as LeaseRow)
      const ticket = issueTicket({ ...record, ...change }, cheapIdentity('broker'))
      const draft = desk.tell('broker', 'ticket-update', 'lease-1', {
        ...{ outcome: 'granted', ticket, reason: 'granted', earliest: null, unitsNow: 0 },
      })
      expect(draft.outgoing.map(({ kind }) => kind)).toEqual(['relinquish'])
    }
  })

  test('believes a site about its own leases’ units only', () => {
    const desk = heldLease({})
    const other = { id: 'unit-1', leaseId: 'lease-2', state: 'joined' }
    desk.rows.set('unit', 'unit-1', other as never)
    const unit = { id: 'unit-1', name: 'n1', report: 'ended', vector: {}, facts: {}, reason: '' }
    desk.tell('authority', 'lease-update', 'lease-1', {
      ...{ state: 'active', term: lease(desk).term, ticketId: 'ticket-1', image: '', reason: '' },
      ...{ extensionRefused: null, units: [unit] },
    })
    expect(desk.rows.get('unit', 'unit-1')).toEqual(other)
  })
})
