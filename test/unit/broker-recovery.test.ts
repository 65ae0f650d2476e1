import { describe, expect, test } from 'vitest'
import type { RecoveryRow } from '../../actors/broker/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { cheapKey } from '../simulation/identities.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW, type Said, ticketsIn } from './broker-desk.ts'

type Copy = ReadonlyMap<string, ReturnType<BrokerDesk['rows']['all']>>

const ROWS = ['delegation', 'ticket', 'claim', 'round', 'recall', 'group']
const copyOf = (broker: BrokerDesk): Copy =>
  new Map(ROWS.map((table) => [table, [...broker.rows.all(table)]]))

/** A broker, and a copy of what it knew before the last leases, unless another is given. */
function desk(peers: readonly string[] = ['manager']): { broker: BrokerDesk; copy: (of?: Copy) => void } {
  const broker = new BrokerDesk({ sites: ['site'], peers })
  broker.offer(6)
  const saved = copyOf(broker)
  return {
    broker,
    copy(of = saved) {
      for (const table of ROWS) {
        for (const { id } of [...broker.rows.all(table)]) broker.rows.set(table, id, undefined)
        for (const row of of.get(table) ?? []) broker.rows.set(table, row.id, row)
      }
    },
  }
}

const restored = {
  kind: 'restored',
  restored: { reason: 'an older copy was put back', seenSeq: 9 },
} as unknown as Parameters<BrokerDesk['give']>[0]

const holding = (leaseId: string, ticket: Ticket | null, next: Ticket | null = null) => ({
  ...{ leaseId, state: 'held', closed: false, ticket, next, properties: {}, units: [] },
})

function tells(
  broker: BrokerDesk,
  asked: readonly Said[],
  from: string,
  holdings: readonly object[],
): Said[] {
  const query = asked.find(({ to, kind }) => to === from && kind === 'holdings-query')
  return broker.tell(from, 'holdings', query!.subject, { page: 0, pages: 1, holdings })
}

const questionsIn = (said: readonly Said[]): string[] =>
  said
    .filter(({ kind }) => kind === 'holdings-query')
    .map(({ to }) => to)
    .sort()

/** The tickets of which its site is to hear that they were given back, and that are kept as such. */
function toldReturned(broker: BrokerDesk): string[] {
  const [{ body }] = broker.due('telling', 'site') as [Said]
  const told = (body as Body<'tickets-returned'>).tickets.map(({ ticketId }) => ticketId)
  expect([...broker.rows.all('returned')].map(({ id }) => id).sort()).toEqual([...new Set(told)].sort())
  return [...new Set(told)]
}

describe('a broker whose store was put back from an older copy', () => {
  test('decides on no group before it has heard whose members were granted meanwhile', () => {
    const { broker, copy } = desk()
    const inGroup = {
      ...{ units: 2, durationMs: HOUR },
      properties: {
        ...{ 'group.id': 'g', 'group.size': '2' },
        ...{ deferrable: 'true', deadline: String(NOW + 10 * MINUTE) },
      },
    }
    const blocker = broker.granted('lease-0', { units: 4, durationMs: 5 * MINUTE })
    for (const id of ['lease-1', 'lease-2']) broker.ask(id, inGroup)
    broker.decide()
    const before = copyOf(broker)
    broker.now = blocker.term.end
    broker.tell('manager', 'relinquish', 'lease-0', { reason: 'done' })
    const tickets = ticketsIn(broker.due('round', 'round'))
    expect(tickets.map(({ leaseId }) => leaseId)).toEqual(['lease-1', 'lease-2'])
    copy(before)
    broker.now = NOW + 10 * MINUTE
    const asked = broker.give(restored)
    expect(broker.due('group', 'manager g')).toEqual([])
    tells(broker, asked, 'site', [])
    tells(
      broker,
      asked,
      'manager',
      tickets.map((ticket) => holding(ticket.leaseId, ticket)),
    )
    for (const id of ['lease-1', 'lease-2'])
      expect(broker.rows.get('ticket', id)).toMatchObject({ state: 'granted' })
    broker.now = broker.rows.get('group', 'manager g')!.due!
    expect(broker.due('group', 'manager g')).toEqual([])
    expect(broker.rows.get('group', 'manager g')).toMatchObject({ state: 'started' })
  })

  test('waits for those whom it asked in an earlier recovery in vain, and asks now', () => {
    const { broker } = desk()
    const [earlier] = broker.give(restored).filter(({ kind }) => kind === 'holdings-query')
    broker.give({ kind: 'started', epoch: 2, restored: { reason: 'once more', seenSeq: 0 } as never })
    const undelivered = (envelope: Said) =>
      broker.give({ kind: 'undelivered', envelope: envelope as never, code: 'peer-silent', reason: 'silent' })
    const peers = () => (broker.rows.get('recovery', 'recovery') as RecoveryRow).peers
    undelivered(earlier!)
    expect(peers()[earlier!.to]).toMatchObject({ state: 'asked' })
    undelivered({ ...earlier!, subject: peers()[earlier!.to]!.subject })
    expect(peers()[earlier!.to]).toMatchObject({ state: 'silent' })
  })

  test('keeps to a ticket that it signed with a key which has ended since', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    copy()
    broker.now += 10_000
    broker.trust.set('broker', [
      { key: cheapKey('broker'), notAfter: broker.now },
      { key: cheapKey('broker', 'new') },
    ])
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [holding('lease-1', ticket)])
    tells(broker, asked, 'site', [])
    expect(broker.row('lease-1').tickets.map(({ id }) => id)).toEqual([ticket.id])
  })

  test('still grants nothing after it, if there was a reason not to before', () => {
    const { broker } = desk()
    broker.ask('lease-1', { units: 3 })
    broker.give({ kind: 'command', name: 'pause', args: 'the disk is nearly full' })
    const asked = broker.give(restored)
    expect(inShort(broker.decide())).toEqual([])
    tells(broker, asked, 'manager', [])
    tells(broker, asked, 'site', [])
    expect(inShort(broker.decide())).toEqual([])
    expect(broker.row('lease-1').waitReason).toBe('the disk is nearly full')
  })

  test('grants nothing before it has heard what others hold, and nothing twice then', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    copy()
    const asked = broker.give(restored)
    expect(asked.map(({ to, kind }) => `${to} ${kind}`).sort()).toEqual([
      'manager holdings-query',
      'site holdings-query',
    ])
    broker.ask('lease-2', { units: 3 })
    broker.ask('lease-3', { units: 2 })
    expect(inShort(broker.decide())).toEqual([])
    tells(broker, asked, 'manager', [holding('lease-1', ticket)])
    tells(broker, asked, 'site', [])
    expect(inShort(broker.due('round', 'round'))).toEqual(['lease-2 refused', 'lease-3 granted 2'])
    expect(broker.row('lease-1')).toMatchObject({ state: 'granted', tickets: [{ id: ticket.id }] })
    expect(broker.row('lease-1').tickets[0]!.chain).toBeUndefined()
    broker.now = broker.row('lease-1').due!
    expect(inShort(broker.due('ticket', 'lease-1'))).toEqual(['lease-1 closed'])
  })

  test('asks also whom it has met, where everybody may hold something', () => {
    const broker = new BrokerDesk()
    broker.rows.set('$peer', 'other', { id: 'other' })
    expect(questionsIn(broker.give(restored))).toEqual(['other'])
  })

  test('waits neither for one who is no peer any more nor for an observer, and writes down whom it does not ask', () => {
    const { broker } = desk()
    const ticket = broker.granted('lease-1')
    for (const id of ['other', 'manager-gone']) broker.rows.set('$peer', id, { id })
    const asked = broker.give(restored)
    expect(questionsIn(asked)).toEqual(['manager', 'site'])
    expect(broker.notes).toContain(
      'holdings unknown manager-gone: it is no peer (any more); what the store says of it counts until its end',
    )
    expect(questionsIn(broker.tell('other', 'query', 'query-1', { about: 'types' }))).toEqual([])
    tells(broker, asked, 'manager', [holding('lease-1', ticket)])
    tells(broker, asked, 'site', [])
    expect(broker.notes.at(-1)).toContain('without the word of manager-gone; tickets are granted again')
  })

  test('keeps until its end what a holder has who is no peer any more, and asks him once he is one again', () => {
    const { broker } = desk()
    const { term } = broker.granted('lease-1')
    const keys = broker.trust.keysOf('manager')
    broker.trust.set('manager', [])
    const asked = broker.give(restored)
    expect(questionsIn(asked)).toEqual(['site'])
    broker.trust.set('manager', keys)
    const said = broker.tell('manager', 'query', 'query-1', { about: 'types' })
    expect(questionsIn(said)).toEqual(['manager'])
    broker.trust.set('manager', [])
    broker.give({ ...restored, kind: 'started', epoch: 3 } as typeof restored)
    const [row] = broker.rows.all('recovery')
    broker.due('recovery', row!.id)
    expect(broker.row('lease-1').due).toBe(term.end + 1_000)
  })

  test('takes back what its holder has given back before, and tells him so', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    copy()
    const asked = broker.give(restored)
    const returning = { ...holding('lease-1', ticket), state: 'ticket returning, lease closed' }
    expect(inShort(tells(broker, asked, 'manager', [returning]))).toEqual(['lease-1 closed'])
    tells(broker, asked, 'site', [{ ...holding('lease-1', ticket), state: 'closed', closed: true }])
    expect(broker.row('lease-1').state).toBe('closed')
    expect(toldReturned(broker)).toEqual([ticket.id])
  })

  test('frees at once what its holder says is over, and tells its site', () => {
    const { broker } = desk()
    const ticket = broker.granted('lease-1')
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [{ ...holding('lease-1', ticket), state: 'closed', closed: true }])
    expect(broker.row('lease-1')).toMatchObject({ state: 'closed', tickets: [] })
    expect(toldReturned(broker)).toEqual([ticket.id])
  })

  test('tells a site also of an extension that the copy does not have', () => {
    const { broker, copy } = desk()
    const first = broker.granted('lease-1')
    const rows = [...broker.rows.all('ticket')]
    broker.extend('lease-1')
    broker.decide()
    const next = broker.row('lease-1').tickets.at(-1)!
    copy()
    for (const row of rows) broker.rows.set('ticket', row.id, row)
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [{ ...holding('lease-1', null), state: 'closed', closed: true }])
    expect(toldReturned(broker)).toEqual([first.id])
    tells(broker, asked, 'site', [holding('lease-1', first, next)])
    expect(broker.row('lease-1')).toMatchObject({ state: 'closed', tickets: [] })
    const ids = [first, next].map(({ id }) => id)
    expect(toldReturned(broker).sort()).toEqual(ids.sort())
  })

  test('tells a site of the extension that it shows, where its holder has another one since', () => {
    const { broker, copy } = desk()
    const first = broker.granted('lease-1')
    broker.extend('lease-1')
    broker.decide()
    const unused = broker.row('lease-1').tickets.at(-1)!
    broker.extend('lease-1', { predecessor: first.id, units: 3 })
    broker.decide()
    const next = broker.row('lease-1').tickets.at(-1)!
    for (const table of ['telling', 'returned'])
      for (const { id } of [...broker.rows.all(table)]) broker.rows.set(table, id, undefined)
    copy()
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [holding('lease-1', first, next)])
    tells(broker, asked, 'site', [holding('lease-1', first, unused)])
    expect(broker.row('lease-1').tickets.map(({ id }) => id)).toEqual([first.id, next.id])
    expect(toldReturned(broker)).toEqual([unused.id])
  })

  test('tells holders who were restored, too, when it knows what sites hold, and sites at once', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    copy()
    const asked = broker.give(restored)
    const query = (from: string) => broker.tell(from, 'holdings-query', `of-${from}`, { page: 0 })
    expect(query('site').map(({ kind }) => kind)).toEqual(['holdings'])
    expect(query('manager')).toEqual([])
    tells(broker, asked, 'manager', [])
    expect(tells(broker, asked, 'site', [holding('lease-1', ticket)])).toEqual([])
    expect(broker.rows.get('recovery', 'recovery')).toBeUndefined()
    // Read in the next commit: one that cannot be answered undoes no recovery.
    const said = broker.due('waiting', 'manager')
    expect([...broker.rows.all('waiting')]).toEqual([])
    expect(said.find(({ kind, to }) => kind === 'holdings' && to === 'manager')?.body).toMatchObject({
      holdings: [{ leaseId: 'lease-1' }],
    })
  })

  test('lets a holder who had to wait do so once more, or sets his question aside, or forgets it for his next', () => {
    for (const what of ['put back', 'set aside', 'asks anew']) {
      const { broker } = desk()
      broker.granted('lease-1')
      const query = (subject: string) => broker.tell('manager', 'holdings-query', subject, { page: 0 })
      const asked = broker.give(restored)
      query('first')
      tells(broker, asked, 'manager', [])
      tells(broker, asked, 'site', [])
      const row = broker.rows.get('waiting', 'manager')!
      if (what === 'set aside') broker.give({ kind: 'set-aside', table: 'waiting', row })
      if (what === 'asks anew') expect(query('second')).toMatchObject([{ subject: 'second' }])
      if (what === 'put back') {
        broker.give(restored)
        expect(broker.due('waiting', 'manager')).toEqual([])
        expect(broker.rows.get('recovery', 'recovery')).toMatchObject({
          waiting: { manager: { subject: 'first', page: 0 } },
        })
      }
      expect([...broker.rows.all('waiting')]).toEqual([])
    }
  })

  test('frees nothing because a holder does not name it who was restored, too', () => {
    const { broker } = desk()
    const ticket = broker.granted('lease-1')
    const asked = broker.give(restored)
    const query = asked.find(({ to }) => to === 'manager')!
    broker.tell('manager', 'holdings', query.subject, { page: 0, pages: 1, unsure: true, holdings: [] })
    tells(broker, asked, 'site', [])
    expect(broker.rows.get('recovery', 'recovery')).toBeUndefined()
    expect(broker.row('lease-1').due).toBeGreaterThanOrEqual(ticket.term.end)
  })

  test('learns from its holder, and not from the site, for which guest a lease is, and how urgent', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    const other = broker.granted('lease-2', { units: 2 })
    copy()
    const asked = broker.give(restored)
    const says = (guest: string) => ({ properties: { guest, priority: `as ${guest} says` } })
    tells(broker, asked, 'site', [
      { ...holding('lease-1', ticket), ...says('lab') },
      { ...holding('lease-2', other), ...says('lab') },
    ])
    expect(broker.row('lease-1').guest).toBeUndefined()
    tells(broker, asked, 'manager', [{ ...holding('lease-1', ticket), ...says('batch') }])
    expect(broker.row('lease-1')).toMatchObject({ guest: 'batch', priority: 'as batch says' })
    expect(broker.row('lease-2').guest).toBeUndefined()
    expect(broker.row('lease-2').priority).toBeUndefined()
  })

  test('believes its own signature only, and only of the holder and the site', () => {
    const peers = ['manager']
    const { broker, copy } = desk(peers)
    const ticket = broker.granted('lease-1')
    copy()
    const asked = broker.give(restored)
    peers.push('other')
    const more = broker.tell('other', 'query', 'query-1', { about: 'types' })
    tells(broker, more, 'other', [holding('lease-1', ticket)])
    tells(broker, asked, 'manager', [holding('lease-1', { ...ticket, units: 5 }), holding('lease-9', ticket)])
    tells(broker, asked, 'site', [])
    expect(broker.row('lease-1')).toBeUndefined()
    expect(broker.notes.filter((note) => note.startsWith('ticket not adopted'))).toHaveLength(3)
  })

  test('frees what neither the holder nor the site knows, a quarantine later, and tells the site', () => {
    const { broker } = desk()
    const { id } = broker.granted('lease-1')
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [])
    tells(broker, asked, 'site', [])
    expect(broker.row('lease-1').due).toBe(broker.now + 1_000)
    broker.now += 1_000
    broker.due('ticket', 'lease-1')
    expect(broker.row('lease-1').state).toBe('closed')
    expect(broker.notes.at(-1)).toContain('neither its holder nor its site knows it')
    // Should either of them find it after all, nothing is held on it.
    expect(toldReturned(broker)).toEqual([id])
  })

  test('waits no longer than it is told to, and takes what the store says for true of those who are silent', () => {
    const { broker } = desk()
    broker.granted('lease-1')
    const asked = broker.give(restored)
    tells(broker, asked, 'site', [])
    broker.now = broker.rows.get('recovery', 'recovery')!.due!
    broker.due('recovery', 'recovery')
    expect(broker.notes.at(-1)).toContain('without the word of manager')
    expect(broker.row('lease-1')).toMatchObject({ state: 'granted', due: NOW + 50 + HOUR + 1_000 })
    broker.ask('lease-2', { units: 3, durationMs: 60_000 })
    expect(inShort(broker.decide())).toEqual(['lease-2 refused'])
  })

  test('ends no lease whose extension it has forgotten', () => {
    const { broker, copy } = desk()
    const first = broker.granted('lease-1')
    broker.extend('lease-1')
    broker.decide()
    const next = broker.row('lease-1').tickets.at(-1)!
    copy()
    broker.now = first.term.end
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [])
    tells(broker, asked, 'site', [holding('lease-1', first, next)])
    expect(broker.row('lease-1')).toMatchObject({ tickets: [{ id: next.id }], due: next.term.end + 1_000 })
  })

  test('takes nothing from its holder because another one gives it back', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    copy()
    const asked = broker.give(restored)
    broker.tell('other', 'relinquish', 'lease-1', { reason: 'mine' })
    tells(broker, asked, 'manager', [holding('lease-1', ticket)])
    tells(broker, asked, 'site', [holding('lease-1', ticket)])
    expect(broker.row('lease-1')).toMatchObject({
      state: 'granted',
      holder: 'manager',
      tickets: [{ id: ticket.id }],
    })
  })

  test('does not take for held what is given back meanwhile', () => {
    const { broker, copy } = desk()
    const ticket = broker.granted('lease-1')
    copy()
    const asked = broker.give(restored)
    broker.tell('manager', 'relinquish', 'lease-1', { reason: 'done' })
    tells(broker, asked, 'manager', [])
    tells(broker, asked, 'site', [holding('lease-1', ticket)])
    expect(broker.row('lease-1')).toMatchObject({ state: 'closed', tickets: [] })
    // It goes on there, and its units are given to somebody else now.
    expect(toldReturned(broker)).toEqual([ticket.id])
    expect(broker.granted('lease-2', { units: 6 }).units).toBe(6)
  })
})

describe('a broker that is asked what it knows', () => {
  test('tells a site the tickets at it, and a holder all of its own, page by page', () => {
    const broker = new BrokerDesk()
    broker.offer(500)
    for (let i = 0; i < 150; i++) broker.ask(`lease-${i}`, { units: 1 })
    broker.decide()
    const told = (from: string, page: number): Body<'holdings'> =>
      broker.tell(from, 'holdings-query', 'holdings-1', { page })[0]!.body as Body<'holdings'>
    for (const from of ['site', 'manager']) {
      expect([told(from, 0).pages, told(from, 0).holdings.length, told(from, 1).holdings.length]).toEqual([
        2, 100, 50,
      ])
      expect(told(from, 0).holdings[0]!.ticket!.chain).toHaveLength(1)
    }
    expect(told('other', 0)).toMatchObject({ pages: 1, holdings: [] })
  })

  test('waits no longer because another sign of it comes, and asks anew when it starts on yet another copy', () => {
    const { broker, copy } = desk()
    copy()
    const asked = broker.give(restored)
    const [row] = broker.rows.all('recovery')
    broker.now += 1_000
    expect(broker.give(restored)).toEqual([])
    expect([...broker.rows.all('recovery')]).toEqual([row])
    const { restored: noticed } = restored as unknown as { restored: { reason: string; seenSeq: number } }
    const again = broker.give({ kind: 'started', epoch: 3, restored: noticed })
    const subjects = (said: readonly Said[]) =>
      said.filter(({ kind }) => kind === 'holdings-query').map(({ subject }) => subject)
    expect(subjects(again)).toHaveLength(subjects(asked).length)
    expect(subjects(again)).not.toEqual(subjects(asked))
  })

  test('keeps a ticket that was on its way when its holder was asked', () => {
    const { broker } = desk()
    const ticket = broker.granted('lease-1')
    const letter = { to: 'manager', kind: 'ticket-update', subject: 'lease-1' }
    const out = { id: 'message-1', letter, overtakes: false, seq: 1, generation: 0 }
    broker.rows.set('$out', out.id, out as never)
    const asked = broker.give(restored)
    tells(broker, asked, 'manager', [])
    tells(broker, asked, 'site', [])
    broker.now += 60_000
    expect(broker.row('lease-1').due).toBeGreaterThanOrEqual(ticket.term.end)
  })
})
