import { beforeEach, describe, expect, test } from 'vitest'
import { type Body, RETURNED_MAX } from '../../actors/leases/messages.ts'
import { BrokerDesk, HOUR, NOW, type Said } from './broker-desk.ts'

let desk: BrokerDesk
beforeEach(() => {
  desk = new BrokerDesk()
})

/** So many were given back; their ids, in order. */
function given(count: number): string[] {
  const all = Array.from({ length: count }, (_, i) => `ticket-${String(i).padStart(4, '0')}`)
  for (const id of all)
    desk.rows.set('returned', id, {
      ...{ id, leaseId: `of-${id}`, holder: 'manager', site: 'site', due: NOW + HOUR },
    } as never)
  return all
}

const ticketsOf = (said: readonly Said[]): string[] =>
  said
    .filter(({ kind }) => kind === 'tickets-returned')
    .flatMap(({ body }) => (body as Body<'tickets-returned'>).tickets.map(({ ticketId }) => ticketId))

const asks = (): string[] => ticketsOf(desk.tell('site', 'holdings-query', 'q', { page: 0 }))

function retold(): string[] {
  const said = desk.due('retelling', 'site')
  const row = desk.rows.get('retelling', 'site')
  if (row !== undefined) expect(row.due).toBeGreaterThan(desk.now)
  return ticketsOf(said)
}

/** In the outbox: a message to the site that begins with the ticket. */
function keepUnsaid(id: string, ticketId: string): void {
  const body = { tickets: [{ ticketId, leaseId: `of-${ticketId}`, until: NOW + HOUR }] }
  const letter = { kind: 'tickets-returned', to: 'site', subject: 'returned', body }
  desk.rows.set('$out', id, { id, letter } as never)
}

describe('a broker tells a restored site of the tickets that were given back', () => {
  test('once at a time, and in few messages, however often it asks', () => {
    const all = given(4 * RETURNED_MAX + 1)
    expect(asks()).toEqual(all.slice(0, -1))
    for (let i = 0; i < 100; i++) expect(asks()).toEqual([])
    // The last message of what it was told is not taken yet.
    keepUnsaid('message-1', all[3 * RETURNED_MAX]!)
    for (let i = 0; i < 20; i++) expect(retold()).toEqual([])
    desk.rows.set('$out', 'message-1', undefined)
    expect(retold()).toEqual(all.slice(-1))
    // It was asked once more meanwhile: it may have been put back, and have forgotten what it was told.
    expect(retold()).toEqual(all.slice(0, -1))
    expect(retold()).toEqual(all.slice(-1))
    expect(retold()).toEqual([])
    expect(desk.rows.get('retelling', 'site')).toBeUndefined()
    expect(asks()).toEqual(all.slice(0, -1))
  })

  test('and of all of them in the end, whatever else is always on its way to it', () => {
    const all = given(8 * RETURNED_MAX + 1)
    const told = asks()
    // Somebody gives something back each second, of which the last is never acknowledged yet.
    for (let i = 0; i < 3; i++) {
      desk.now += 1_000
      keepUnsaid(`message-${i}`, `fresh-${i}`)
      desk.rows.set('$out', `message-${i - 1}`, undefined)
      told.push(...retold())
    }
    expect(told).toEqual(all)
    expect(desk.rows.get('retelling', 'site')).toBeUndefined()
  })

  test('going on where an earlier program began', () => {
    const all = given(4 * RETURNED_MAX + 1)
    asks()
    desk.rows.set('retelling', 'site', { ...desk.rows.get('retelling', 'site'), told: undefined } as never)
    expect(retold()).toEqual(all.slice(-1))
  })
})
