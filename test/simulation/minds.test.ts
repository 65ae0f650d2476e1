import { describe, expect, test } from 'vitest'
import { broker } from '../../actors/broker/broker.ts'
import type { BrokerTables, TicketRow } from '../../actors/broker/rows.ts'
import type { Draft } from '../../actors/runtime/draft.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import type { Allocation, BrokerPolicy } from '../../controllers/controller.ts'
import { Desk, MINUTE, NOW } from './desk.ts'
import { cheapIdentity, cheapTrust } from './identities.ts'

const conditions = { recallable: true, noticeMs: 1_000, graceMs: 0 }

function brokerDesk(policy: BrokerPolicy = firstCome): Desk<BrokerTables> {
  const times = { batchMs: 50, quarantineMs: 1_000, answerMs: MINUTE }
  const trust = cheapTrust(['broker', 'site', 'manager'])
  const mind = broker({ policy, ...times }, cheapIdentity('broker'), trust)
  const desk = new Desk<BrokerTables>(mind, 'broker')
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

  test('is told whose a lease is, what it asks, and where it was planned before', () => {
    const seen: string[] = []
    const planned = { site: 'site', start: NOW + MINUTE }
    const desk = brokerDesk((requests, _supply, _now, holdings) => {
      for (const one of requests) seen.push(`${one.leaseId} ${one.properties?.guest} ${one.planned?.site}`)
      for (const one of holdings) seen.push(`held: ${one.leaseId} ${one.properties?.guest}`)
      return requests.map(({ leaseId }) =>
        leaseId === 'lease-1' ? grant : { kind: 'wait', leaseId, reason: 'full', planned },
      )
    })
    const properties = { guest: 'lab', deferrable: 'true' }
    for (const id of ['lease-1', 'lease-2']) desk.tell('manager', 'ticket', id, { ...ask, properties })
    decide(desk)
    decide(desk)
    expect(seen).toEqual([
      'lease-1 lab undefined',
      'lease-2 lab undefined',
      'lease-2 lab site',
      'held: lease-1 lab',
    ])
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
    expect([...refused.retired.values()]).toMatchObject([{ subject: 'lease-1', peer: 'manager' }])
    const unknown = desk.tell('manager', 'relinquish', 'lease-2', { reason: 'none' })
    expect([...unknown.retired.values()]).toMatchObject([{ subject: 'lease-2', peer: 'manager' }])
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
