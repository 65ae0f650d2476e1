import { describe, expect, test } from 'vitest'
import { isRecalledOf } from '../../actors/authority/fill.ts'
import type { DrawnRow, LeaseRow } from '../../actors/authority/rows.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { seal } from '../../actors/runtime/envelope.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import { cheapIdentity } from '../simulation/identities.ts'
import { MINUTE, NOW, Stage } from './authority-stage.ts'
import { BrokerDesk, inShort } from './broker-desk.ts'

describe('what is recalled beside an extension that is agreed already', () => {
  test('is not assigned again at the boundary', () => {
    const { stage } = extended({ units: 2 })
    recall(stage)
    giveBack(stage, 1)
    expect(stage.live()).toHaveLength(1)
    stage.pass(12 * MINUTE)
    expect(stage.live()).toHaveLength(1)
  })

  test('is there for the lease to which the broker has given it', () => {
    const { stage, boundary } = extended({ units: 2 })
    recall(stage)
    giveBack(stage, 1)
    stage.pass(6 * MINUTE)
    const term = { start: boundary + MINUTE, end: boundary + 20 * MINUTE }
    const ticket = stage.ticket({ leaseId: 'lease-2', units: 4, term })
    stage.tell('redeem', 'lease-2', { ticket, properties: {} })
    stage.pass(6 * MINUTE)
    expect(stage.row('lease-2')).toMatchObject({ state: 'active' })
    expect(stage.live('lease-2')).toHaveLength(4)
  })

  test('is no more in the account of the claim that the extension was drawn from', () => {
    const { stage } = recalledThenExtended()
    const term = { start: NOW + 10 * MINUTE, end: NOW + 20 * MINUTE }
    // Five are lent since; what was given back is another's now, and no more than that.
    const tooMany = stage.ticket({ leaseId: 'lease-2', units: 5, term })
    stage.tell('redeem', 'lease-2', { ticket: tooMany, properties: {} })
    expect(stage.row('lease-2')).toBeUndefined()
    stage.tell('redeem', 'lease-3', {
      ticket: stage.ticket({ leaseId: 'lease-3', units: 4, term }),
      properties: {},
    })
    stage.pass(6 * MINUTE)
    expect(stage.live('lease-3')).toHaveLength(4)
    expect(stage.live('lease-1')).toHaveLength(1)
  })

  test('is missing from what it grows to', () => {
    const { stage } = extended({ units: 4 })
    recall(stage)
    giveBack(stage, 1)
    stage.pass(12 * MINUTE)
    expect(stage.live()).toHaveLength(3)
    expect(stage.notes.filter(({ kind }) => kind === 'lease grows').map(({ reason }) => reason)).toEqual([
      'from 1 unit to 3',
    ])
  })

  test('comes back with an extension that is agreed later', () => {
    const { stage, boundary } = extended({ units: 2 })
    recall(stage)
    giveBack(stage, 1)
    stage.pass(12 * MINUTE)
    stage.command('lend again', { type: 'vm.small', units: 1, reason: 'done' })
    stage.pass(MINUTE)
    expect(stage.live()).toHaveLength(1)
    extend(stage, { units: 2, term: { start: boundary + 10 * MINUTE, end: boundary + 20 * MINUTE } })
    stage.pass(10 * MINUTE)
    expect(stage.live()).toHaveLength(2)
  })

  test('is not assigned again where the site had to take it', () => {
    const full = new Stage()
    full.lease({ leaseId: 'lease-2', units: 4, term: { start: NOW, end: NOW + 9 * MINUTE } })
    const { stage } = extended({ units: 2 }, 0, full)
    recall(stage)
    stage.pass(12 * MINUTE)
    expect(stage.row('lease-2').state).toBe('closed')
    expect(stage.live('lease-1')).toHaveLength(1)
  })
})

describe('an extension that comes only after a unit was given back for a recall', () => {
  const term = { start: NOW + 10 * MINUTE, end: NOW + 20 * MINUTE }
  const drawn = (stage: Stage, { id }: Ticket): number | undefined =>
    (stage.rows.get('drawn', id) as DrawnRow | undefined)?.units

  /** Of six four are lent, and one of those is recalled and back. The extension is issued as much later than the recall. */
  function late(issuedAfterMs: number, early = false): { stage: Stage; next: Ticket } {
    const stage = new Stage()
    const first = stage.lease({ units: 4, term: { start: NOW, end: term.start } }).ticket
    recall(stage)
    stage.now += issuedAfterMs
    const next = stage.ticket({ term, predecessor: first.id, units: 4 })
    stage.now = NOW + MINUTE
    if (early) agree(stage, next)
    giveBack(stage, 1)
    if (!early) agree(stage, next)
    expect(stage.row().next?.id).toBe(next.id)
    return { stage, next }
  }

  function agree(stage: Stage, ticket: Ticket): void {
    stage.tell('extend-lease', 'lease-1', { ticket, victims: [] })
    stage.settle()
  }

  test('is without it, as one that came before', () => {
    for (const early of [true, false]) {
      const { stage, next } = late(1_000, early)
      expect(drawn(stage, next)).toBe(3)
      // Its broker gave the unit to another lease; with the one that it has kept that makes five of five that are lent.
      stage.pass(6 * MINUTE)
      const other = stage.ticket({ leaseId: 'lease-2', units: 2, term })
      stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
      stage.pass(6 * MINUTE)
      expect([stage.live('lease-1').length, stage.live('lease-2').length]).toEqual([3, 2])
    }
  })

  test('is not too much because another lease has the unit already', () => {
    const stage = new Stage()
    const first = stage.lease({ units: 4, term: { start: NOW, end: term.start } }).ticket
    recall(stage)
    const next = stage.ticket({ term, predecessor: first.id, units: 4 })
    giveBack(stage, 1)
    const other = stage.ticket({ leaseId: 'lease-2', units: 3, term })
    stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
    agree(stage, next)
    expect(stage.row().next?.id).toBe(next.id)
    expect(stage.notes.map(({ kind }) => kind)).not.toContain('claim overdrawn')
  })

  test('is without it where it was here before, also if the clock of its broker is ahead', () => {
    const { stage, next } = late(2 * MINUTE, true)
    expect(drawn(stage, next)).toBe(3)
    stage.pass(12 * MINUTE)
    expect(stage.live('lease-1')).toHaveLength(3)
  })

  test('is whole where it was asked for later, also if the clock of its broker is behind', () => {
    const stage = new Stage()
    const first = stage.lease({ units: 4, term: { start: NOW, end: term.start } }).ticket
    recall(stage)
    const [unit] = stage.live('lease-1')
    const letter = {
      ...{ id: 'message-7', from: 'manager', to: 'duke', kind: 'vacate', subject: 'lease-1', number: 2 },
      body: { units: [unit!.id], reason: 'the site recalls it', recalled: [unit!.id] },
    }
    const at = { sentAt: NOW, until: NOW + MINUTE }
    const envelope = seal({ ...letter, ...at }, cheapIdentity('manager'), { generation: 0, seq: 7 })
    stage.give({ kind: 'message', envelope })
    stage.settle()
    const asked = (seq: number) => {
      const request = { ...letter, id: `message-${seq}`, to: 'broker', kind: 'extend-ticket', body: {} }
      const proof = requestProof(
        seal({ ...request, ...at }, cheapIdentity('manager'), { generation: 0, seq }),
      )
      return stage.ticket({
        ...{ term, predecessor: first.id, units: 4, issuedAt: NOW - 1_000 },
        proof: { request: proof } as unknown as NonNullable<Ticket['proof']>,
      })
    }
    const isBefore = (seq: number): boolean => isRecalledOf(asked(seq), stage.units('lease-1')[0]!)
    expect([isBefore(6), isBefore(8)]).toEqual([true, false])
    const next = asked(8)
    agree(stage, next)
    expect(drawn(stage, next)).toBe(4)
  })
})

test('a unit that its holder gives up without a recall is back where the extension begins', () => {
  const { stage } = extended({ units: 2 })
  giveBack(stage, 1)
  expect(stage.live()).toHaveLength(1)
  stage.pass(12 * MINUTE)
  expect(stage.live()).toHaveLength(2)
})

describe('a broker to which units are promised back of a lease that shrinks where its extension begins', () => {
  test('does not count those that leave there twice', () => {
    const desk = recalledDesk(2, 1, 1)
    expect(desk.row('lease-1').reduced).toMatchObject({ units: 1, of: 2 })
    // Five are lent, and one is kept.
    expect(ask(desk, 'lease-2', 5)).toEqual(['lease-2 refused'])
    expect(ask(desk, 'lease-3', 4)).toEqual(['lease-3 granted 4'])
  })

  test('hears of more than the extension is for', () => {
    const desk = recalledDesk(2, 1, 2)
    expect(desk.row('lease-1').reduced).toMatchObject({ units: 2, of: 2 })
    expect(desk.data.get('recall planned lease-1')).toMatchObject({ units: 2, of: 2, from: NOW + 5 * MINUTE })
    expect(ask(desk, 'lease-3', 4)).toEqual(['lease-3 granted 4'])
  })

  test('counts all of them where it grows', () => {
    const desk = recalledDesk(1, 2, 1)
    expect(ask(desk, 'lease-2', 5)).toEqual(['lease-2 refused'])
    expect(ask(desk, 'lease-3', 4)).toEqual(['lease-3 granted 4'])
  })
})

test('a plan and the answer to an extension in one instant: the extension is without what was promised back', () => {
  const desk = new BrokerDesk()
  desk.offer(3)
  desk.granted('lease-0', { units: 1, durationMs: 10 * MINUTE })
  desk.granted('lease-1', { units: 2, durationMs: 10 * MINUTE })
  const order = { recallId: 'recall-1', units: 1, by: desk.now, reason: 'needed' }
  desk.tell('site', 'recall-units', 'offer-t', { ...order, type: 't' })
  desk.extend('lease-1', { units: 2, durationMs: 30 * MINUTE })
  desk.now += 50
  desk.tell('manager', 'recall-plan', 'lease-1', order)
  expect(desk.row('lease-1').reduced).toMatchObject({ units: 1 })
  // The round that the plan makes due is of the same commit.
  desk.now -= 50
  expect(inShort(desk.decide())).toEqual(['lease-1 granted 2'])
  expect(ask(desk, 'lease-2', 1)).toEqual(['lease-2 refused'])
})

test('what is given back for a recall that is over counts until the ticket ends', () => {
  const desk = new BrokerDesk()
  desk.offer(4)
  desk.granted('lease-1', { units: 4, durationMs: 30 * MINUTE })
  const order = { recallId: 'recall-1', units: 1, by: desk.now, reason: 'needed' }
  desk.tell('site', 'recall-units', 'offer-t', { ...order, type: 't' })
  desk.offer(3, { settledRecalls: ['recall-1'] })
  desk.offer(4, { settledRecalls: ['recall-1'] })
  desk.tell('manager', 'recall-plan', 'lease-1', order)
  expect(ask(desk, 'lease-2', 1)).toEqual(['lease-2 refused'])
})

test('what nobody asked back is not given back: its units are where they were', () => {
  const desk = new BrokerDesk()
  desk.offer(4)
  desk.granted('lease-1', { units: 4, durationMs: 30 * MINUTE })
  const plan = { recallId: 'nobody-said', units: 3, by: desk.now, reason: 'as the terms of the lease say' }
  desk.tell('manager', 'recall-plan', 'lease-1', plan)
  expect(ask(desk, 'lease-2', 1)).toEqual(['lease-2 refused'])
  const order = { recallId: 'recall-1', units: 1, by: desk.now, reason: 'needed' }
  desk.tell('site', 'recall-units', 'offer-t', { ...order, type: 't' })
  desk.tell('manager', 'recall-plan', 'lease-1', { ...order, units: 2 })
  expect(desk.row('lease-1').reduced).toBeUndefined()
  desk.tell('manager', 'recall-plan', 'lease-1', order)
  desk.tell('manager', 'recall-plan', 'lease-1', order)
  expect(desk.row('lease-1').reduced).toMatchObject({ units: 1 })
})

/** Of six one lease has some and goes on with others, one has the rest; units are recalled and promised back. */
function recalledDesk(first: number, next: number, units: number): BrokerDesk {
  const desk = new BrokerDesk()
  desk.offer(6)
  desk.granted('lease-0', { units: 6 - first, durationMs: 10 * MINUTE })
  desk.granted('lease-1', { units: first, durationMs: 10 * MINUTE })
  desk.extend('lease-1', { units: next, durationMs: 30 * MINUTE })
  desk.decide()
  const by = NOW + 5 * MINUTE
  const order = { recallId: 'recall-1', units, by, reason: 'needed' }
  desk.tell('site', 'recall-units', 'offer-t', { ...order, type: 't' })
  desk.tell('manager', 'recall-plan', 'lease-1', order)
  desk.now = by
  desk.offer(6 - units, { settledRecalls: ['recall-1'] })
  return desk
}

/** For then, when the extension has begun. */
function ask(desk: BrokerDesk, leaseId: string, units: number): string[] {
  desk.ask(leaseId, { units, start: NOW + 12 * MINUTE, durationMs: 10 * MINUTE })
  return inShort(desk.decide())
}

test('a victim of the extension that goes early for a recall is one fewer once', () => {
  const { stage } = extended({ units: 1 }, 1)
  recall(stage)
  giveBack(stage, 1)
  stage.pass(12 * MINUTE)
  expect(stage.live()).toHaveLength(1)
})

/** A lease of two units for ten minutes that goes on for another ten; so many of its first units go in between. */
function extended(
  change: Partial<Ticket>,
  victims = 0,
  stage = new Stage(),
): { stage: Stage; boundary: number } {
  const boundary = NOW + 10 * MINUTE
  stage.lease({ units: 2, term: { start: NOW, end: boundary } })
  extend(stage, { ...change, term: { start: boundary, end: boundary + 10 * MINUTE } }, victims)
  return { stage, boundary }
}

/** One of six is recalled; the extension is drawn from the claim to the other five, and its holder hears late of the recall. */
function recalledThenExtended(): { stage: Stage } {
  const stage = new Stage()
  stage.lease({ units: 2, term: { start: NOW, end: NOW + 10 * MINUTE } })
  recall(stage)
  stage.pass(5 * MINUTE)
  extend(stage, { units: 2, term: { start: NOW + 10 * MINUTE, end: NOW + 20 * MINUTE } })
  giveBack(stage, 1)
  return { stage }
}

function extend(stage: Stage, change: Partial<Ticket>, victims = 0): void {
  const predecessor = (stage.row() satisfies LeaseRow).ticket.id
  const named = stage
    .live()
    .slice(0, victims)
    .map(({ id }) => id)
  stage.tell('extend-lease', 'lease-1', { ticket: stage.ticket({ ...change, predecessor }), victims: named })
  stage.settle()
}

function recall(stage: Stage): void {
  stage.command('recall', { type: 'vm.small', units: 1, by: NOW + 5 * MINUTE, reason: 'ours' })
}

/** So many of its first units. */
function giveBack(stage: Stage, units: number): void {
  const given = stage
    .live('lease-1')
    .slice(0, units)
    .map(({ id }) => id)
  stage.tell('vacate', 'lease-1', { units: given, reason: 'the site recalls it' })
  stage.settle()
}
