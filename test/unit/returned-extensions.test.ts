import { describe, expect, test } from 'vitest'
import type { TicketRow } from '../../actors/broker/rows.ts'
import { RETURNED_OF_HOLDER_MAX } from '../../actors/leases/given-back.ts'
import type { Body } from '../../actors/leases/messages.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, type Said, ticketsIn } from './broker-desk.ts'

/** A lease of some units for an hour, and an extension of it that is granted. */
function extended(units: number, next = units) {
  const desk = new BrokerDesk({ sites: ['site'], peers: ['manager'] })
  desk.offer(6)
  const first = desk.granted('lease-1', { units })
  desk.extend('lease-1', { units: next })
  desk.decide()
  const extension = desk.row('lease-1').tickets.at(-1)!
  const back = (ticketId = extension.id, holder = 'manager'): Said[] =>
    desk.tell(holder, 'return-extension', 'lease-1', { ticketId })
  return { desk, first, extension, back }
}

const withId = (id: string): object => expect.objectContaining({ id })
const ids = (desk: BrokerDesk): string[] => desk.row('lease-1').tickets.map(({ id }) => id)

describe('an extension that is given back', () => {
  test.each([
    ['of as many units', 4, 4],
    ['to more', 2, 6],
    ['to fewer', 6, 4],
  ])('%s is free for others in the same commit, and the lease goes on to its old end', (_, units, next) => {
    const { desk, first, extension, back } = extended(units, next)
    const { start } = extension.term
    desk.ask('lease-2', { units: 6, start, durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-2 refused'])
    back()
    expect(ids(desk)).toEqual([first.id])
    expect(desk.row('lease-1')).toMatchObject({ state: 'granted', due: first.term.end + 1_000 })
    expect(desk.notes.at(-1)).toContain(`manager gives it back: ${extension.id} is not used, ${next} of t`)
    desk.ask('lease-3', { units: 6, start, durationMs: HOUR })
    expect(inShort(desk.decide())).toEqual(['lease-3 granted 6'])
    // Until then it has what it had.
    desk.ask('lease-4', { units: 7 - units })
    expect(inShort(desk.decide())).toEqual(['lease-4 refused'])
  })

  test('is told to the site, with the head of the message that says so', () => {
    const { desk, extension, back } = extended(4)
    back()
    const [told] = desk.due('telling', 'site')
    const proof = { from: 'manager', kind: 'return-extension', subject: 'lease-1', signature: 'signed' }
    expect(told).toMatchObject({ to: 'site', kind: 'tickets-returned' })
    expect(told!.body).toMatchObject({ tickets: [{ ticketId: extension.id, leaseId: 'lease-1', proof }] })
  })

  test('is given back once, however often that is said, before or after another one was granted', () => {
    const { desk, first, extension, back } = extended(4)
    back()
    desk.due('telling', 'site')
    back()
    expect([...desk.rows.all('telling')]).toEqual([])
    desk.extend('lease-1', { units: 4, durationMs: MINUTE })
    back()
    expect(desk.row('lease-1')).toMatchObject({ state: 'extending', tickets: [{ id: first.id }] })
    expect(inShort(desk.decide())).toEqual(['lease-1 granted 4'])
    back()
    expect(ids(desk)).toHaveLength(2)
    expect(ids(desk)).not.toContain(extension.id)
    // And it comes back with its lease, if that is sooner.
    desk.tell('manager', 'relinquish', 'lease-1', { reason: 'done' })
    back()
    expect(desk.row('lease-1')).toMatchObject({ state: 'closed', tickets: [] })
    expect(desk.notes.filter((note) => note.startsWith('message noted lease-1'))).toHaveLength(4)
  })

  test('is one, and not the lease: what is in use, or extended, is not given back so', () => {
    const { desk, first, extension, back } = extended(4)
    back(first.id)
    back(extension.id, 'other')
    desk.tell('manager', 'return-extension', 'lease-9', { ticketId: extension.id })
    expect(ids(desk)).toEqual([first.id, extension.id])
    desk.extend('lease-1', { units: 4 })
    back()
    expect(ids(desk)).toEqual([first.id, extension.id])
    desk.decide()
    back()
    expect(ids(desk)).toHaveLength(3)
    expect([...desk.rows.all('returned')]).toEqual([])
    expect(desk.notes.filter((note) => note.startsWith('message refused'))).toHaveLength(5)
  })

  test('stays where it is when the message that it answers comes again, as after a restore, and is told again', () => {
    const desk = new BrokerDesk({ sites: ['site'], peers: ['manager'] })
    desk.offer(6)
    const first = desk.granted('lease-1', { units: 4 })
    desk.extend('lease-1', { units: 4 })
    const asked = desk.lastHeard!
    const [granted] = ticketsIn(desk.decide())
    const again = ticketsIn(desk.hearAgain(asked))
    expect(again).toEqual([granted])
    expect(again[0]?.chain).toHaveLength(1)
    expect(desk.row('lease-1')).toMatchObject({
      state: 'granted',
      tickets: [first.id, granted!.id].map(withId),
    })
    expect([...desk.rows.all('returned')]).toEqual([])
    // Asked anew, by another message, it was not used.
    desk.extend('lease-1', { predecessor: first.id, units: 4 })
    expect(ids(desk)).toEqual([first.id])
  })

  test('stays where it is once it has begun, also for who asks anew from the ticket before it', () => {
    const { desk, first, extension, back } = extended(4)
    desk.now = extension.term.start
    back()
    desk.extend('lease-1', { predecessor: first.id, units: 4 })
    expect(ids(desk)).toEqual([first.id, extension.id])
    expect([...desk.rows.all('returned')]).toEqual([])
  })

  test('takes what was promised back of it with it, and no more', () => {
    const { desk, first, extension, back } = extended(4)
    const by = extension.term.start + 10 * MINUTE
    desk.tell('site', 'recall-units', 'offer-t', {
      recallId: 'recall-1',
      type: 't',
      units: 5,
      by,
      reason: 'x',
    })
    desk.tell('manager', 'recall-plan', 'lease-1', { recallId: 'recall-1', units: 3, by, reason: 'so' })
    back()
    desk.ask('lease-2', { units: 2, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-2 granted 2'])
    // Beyond the old end only what the site wants back is missing.
    for (const [leaseId, units] of [
      ['lease-3', 2],
      ['lease-4', 1],
    ] as const)
      desk.ask(leaseId, { units, start: by, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-3 refused', 'lease-4 granted 1'])
    desk.ask('lease-5', { units: 6, start: first.term.end, durationMs: MINUTE })
    expect(inShort(desk.decide())).toEqual(['lease-5 granted 6'])
  })

  test('comes back where a restored broker knows no ticket before it: it is left to the end of the lease', () => {
    const { desk, extension, back } = extended(4)
    const row = desk.row('lease-1')
    const alone: TicketRow = { ...row, tickets: [extension] }
    desk.rows.set('ticket', 'lease-1', alone)
    back()
    expect(ids(desk)).toEqual([extension.id])
  })

  describe('to a broker that was restored and is still told what there is', () => {
    const restored = { kind: 'restored', restored: { reason: 'an older copy was put back', seenSeq: 9 } }

    /** The copy knows the lease without the extension, or not at all. */
    function forgetful(knows = true) {
      const lease = extended(4)
      const { desk, first, extension } = lease
      const row = knows ? { ...desk.row('lease-1'), tickets: [first] } : undefined
      desk.rows.set('ticket', 'lease-1', row)
      const asked = desk.give(restored as never)
      /** What holder or site show of the lease. */
      const tells = (from: string, next: Ticket | null): Said[] => {
        const { subject } = asked.find(({ to, kind }) => to === from && kind === 'holdings-query')!
        const shown = { leaseId: 'lease-1', state: 'held', closed: false, ticket: first, next }
        const holdings = [{ ...shown, properties: {}, units: [] }]
        return desk.tell(from, 'holdings', subject, { page: 0, pages: 1, holdings })
      }
      return { ...lease, tells, shown: () => [tells('manager', null), tells('site', extension)] }
    }

    test.each([
      ['the lease without it', true],
      ['nothing of the lease', false],
    ])('is not taken up again when it is shown to one that knows %s', (_, knows) => {
      const { desk, first, extension, back, shown } = forgetful(knows)
      expect(back()).toEqual([])
      expect(desk.notes.at(-1)).toContain('which is not known yet: it is not taken up when it is shown')
      shown()
      expect(ids(desk)).toEqual([first.id])
      const { start, end } = extension.term
      desk.ask('lease-2', { units: 6, start, durationMs: HOUR })
      expect(inShort(desk.due('round', 'round'))).toEqual(['lease-2 granted 6'])
      // Its site has it, and hears who has given it back.
      const [told] = desk.due('telling', 'site')
      const proof = { from: 'manager', kind: 'return-extension', subject: 'lease-1', signature: 'signed' }
      expect(told!.body).toMatchObject({ tickets: [{ ticketId: extension.id, until: end, proof }] })
      expect(desk.rows.get('returned', extension.id)).toMatchObject({ site: 'site', due: end })
    })

    test('is given back by its holder only, who is heard also where another has said so before', () => {
      for (const knows of [true, false]) {
        const { desk, first, extension, back, shown } = forgetful(knows)
        back(extension.id, 'other')
        shown()
        expect(ids(desk)).toEqual([first.id, extension.id])
      }
      const { desk, first, back, shown } = forgetful(false)
      desk.tell('other', 'relinquish', 'lease-1', { reason: 'never mine' })
      back()
      shown()
      expect(ids(desk)).toEqual([first.id])
    })

    test('is one that was still to begin, and not the lease: those are taken up all the same', () => {
      for (const at of ['first', 'begun'] as const) {
        const { desk, first, extension, back, shown } = forgetful(false)
        if (at === 'begun') desk.now = extension.term.start
        back(at === 'begun' ? extension.id : first.id)
        shown()
        expect(desk.row('lease-1').tickets.map(({ id }) => id)).toContain(extension.id)
        if (at === 'first') expect(ids(desk)).toEqual([first.id, extension.id])
        expect([...desk.rows.all('telling')]).toEqual([])
      }
    })

    test('is kept for so long as it may be shown, and of one holder there are so many', () => {
      const { desk, extension, back } = forgetful()
      back()
      const { due } = desk.rows.get('returned', extension.id)!
      expect(due).toBeGreaterThanOrEqual(desk.rows.get('recovery', 'recovery')!.due!)
      expect(due).toBeGreaterThanOrEqual(extension.term.start)
      for (let i = 0; i < RETURNED_OF_HOLDER_MAX; i++)
        desk.rows.set('returned', `ticket-${i}`, { id: `ticket-${i}`, holder: 'manager' } as never)
      back('ticket-more')
      expect(desk.rows.get('returned', 'ticket-more')).toBeUndefined()
      expect(desk.notes.at(-1)).toMatch(/^message refused lease-1: .* too many that are not known here were$/)
    })
  })

  test('has a body of nothing but the ticket', () => {
    const { desk, extension } = extended(4)
    const body: Body<'return-extension'> & { reason: string } = { ticketId: extension.id, reason: 'no' }
    desk.tell('manager', 'return-extension', 'lease-1', body)
    expect(ids(desk)).toHaveLength(2)
  })
})
