import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Body, HOLDINGS_MAX } from '../../actors/leases/messages.ts'
import { afterPage, type Heard, pageOf } from '../../actors/leases/pages.ts'
import { letterOf } from '../../actors/runtime/envelope.ts'
import { Holder, kindsOf } from '../simulation/holder.ts'
import { questionTo, restored } from '../simulation/holder-store.ts'
import { held, OldStage } from './authority-old-stage.ts'
import { Stage as Site, wellBehaved } from './authority-stage.ts'
import { BrokerDesk } from './broker-desk.ts'

type Query = Body<'holdings-query'>
type Holdings = Body<'holdings'>

const ids = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `lease-${String(i).padStart(3, '0')}`)

const holding = (leaseId: string, isOver: boolean) =>
  ({ leaseId, closed: isOver, ticket: isOver ? null : {} }) as Holdings['holdings'][number]

/** Whoever holds these; `over` has their tickets no more. `isOld` answers as programs did that know no `after`. */
class Peer {
  readonly held = new Set<string>()
  readonly over = new Set<string>()
  isOld = false

  constructor(held: readonly string[]) {
    this.held = new Set(held)
  }

  answers(query: Query): Holdings {
    const all = [...this.held, ...this.over]
    const { page } = query
    if (this.isOld)
      return {
        ...{ page, pages: Math.max(1, Math.ceil(all.length / HOLDINGS_MAX)) },
        holdings: all
          .sort()
          .slice(page * HOLDINGS_MAX, (page + 1) * HOLDINGS_MAX)
          .map((id) => holding(id, this.over.has(id))),
      }
    const isOver = (leaseId: string): boolean => this.over.has(leaseId)
    const placeOf = (leaseId: string) => ({ leaseId, isOver: isOver(leaseId) })
    return pageOf(all, placeOf, (id) => holding(id, isOver(id)), query)
  }
}

/** What is heard of a peer to whom something happens after the first page; `isOld` asks as programs did. */
function heardOf(peer: Peer, between: () => void = () => undefined, isOld = false) {
  const named: string[] = []
  let heard: Heard = {}
  let query: Query | undefined = { page: 0 }
  let last: Holdings | undefined
  while (query !== undefined) {
    last = peer.answers(query)
    named.push(...last.holdings.map(({ leaseId }) => leaseId))
    const { next, unsure } = afterPage(heard, last)
    if (query.page === 0) between()
    heard = { ...next, unsure }
    query = isOld && next !== undefined ? { page: next.page } : next
  }
  return { named, unsure: heard.unsure, last }
}

describe('what is held, page by page', () => {
  test('is named whole, also where one is forgotten or comes between two pages', () => {
    const all = ids(3 * HOLDINGS_MAX)
    const peer = new Peer(all)
    const { named, unsure } = heardOf(peer, () => {
      peer.held.delete(all[0]!)
      peer.held.delete(all[1]!)
      peer.held.add('a-new-one')
    })
    expect(named).toEqual(all)
    expect(unsure).toBe(false)
  })

  test('begins with what is not over, and names what ends meanwhile all the same', () => {
    const all = ids(2 * HOLDINGS_MAX)
    const peer = new Peer(all.slice(1))
    peer.over.add(all[0]!)
    const ends = all.at(-1)!
    const { named, unsure } = heardOf(peer, () => {
      peer.held.delete(ends)
      peer.over.add(ends)
    })
    expect(named.slice(-2)).toEqual([all[0], ends])
    expect(named.toSorted()).toEqual(all)
    expect(unsure).toBe(false)
  })

  test('may be more than what somebody names who counts his pages, if there are several', () => {
    const peer = new Peer(ids(HOLDINGS_MAX + 1))
    peer.isOld = true
    const { named, unsure } = heardOf(peer, () => peer.held.delete('lease-000'))
    expect(named).not.toContain(ids(HOLDINGS_MAX + 1).at(-1))
    expect(unsure).toBe(true)
    const few = new Peer(ids(HOLDINGS_MAX))
    few.isOld = true
    expect(heardOf(few)).toMatchObject({ named: ids(HOLDINGS_MAX), unsure: false })
  })

  test('is told by number to whoever asks so, who is told, too, that one may be missing', () => {
    const peer = new Peer(ids(HOLDINGS_MAX + 1))
    for (const isForgotten of [false, true]) {
      const { last } = heardOf(peer, () => isForgotten && peer.held.delete('lease-000'), true)
      expect(last).toMatchObject({ page: 1, unsure: true })
    }
    // In words that he knows: of a single page nothing is said that was not said before.
    expect(Object.keys(new Peer([]).answers({ page: 0 })).toSorted()).toEqual(['holdings', 'page', 'pages'])
  })
})

const TWO = { holdingsMax: 2 }
const older = { reason: 'an older copy was put back', seenSeq: 9 }

/** The leases that are named page by page; something happens after the first page. */
function namedBy(answers: (query: Query) => Holdings, between: () => void): string[] {
  const named: string[] = []
  let heard: Heard = {}
  for (let query: Query | undefined = { page: 0 }; query !== undefined; ) {
    const body = answers(query)
    named.push(...body.holdings.map(({ leaseId }) => leaseId))
    if (query.page === 0) between()
    const { next, unsure } = afterPage(heard, body)
    heard = { ...next, unsure }
    query = next
  }
  expect(heard.unsure).toBe(false)
  return named
}

const holdingsIn = (said: readonly { kind: string; body: unknown }[]): Holdings =>
  said.findLast(({ kind }) => kind === 'holdings')!.body as Holdings

describe('whoever is asked what is held', () => {
  test('leaves as a holder none out when one is forgotten between two pages', () => {
    const holder = new Holder(TWO)
    const all = ids(5)
      .map(() => holder.active({ units: 1, unitsMin: 1 }))
      .toSorted()
    const answers = (query: Query) =>
      holdingsIn(holder.desk.tell('site', 'holdings-query', 'q', query).outgoing)
    const forget = () => holder.desk.rows.set('lease', all[0]!, undefined)
    expect(namedBy(answers, forget)).toEqual(all)
  })

  test('leaves as a site none out', () => {
    const site = new Site(TWO)
    const all = ids(5).map((leaseId) => site.lease({ leaseId, units: 1 }).id)
    const answers = (query: Query) => {
      site.tell('holdings-query', 'q', query)
      return holdingsIn(site.sent)
    }
    expect(namedBy(answers, () => site.rows.set('lease', all[0]!, undefined))).toEqual(all)
  })

  test('leaves as a broker none out when one is given back, and names that one as such', () => {
    const broker = new BrokerDesk(TWO)
    broker.offer(8)
    const all = ids(5)
    for (const id of all) broker.granted(id, { units: 1 })
    const answers = (query: Query) => holdingsIn(broker.tell('site', 'holdings-query', 'q', query))
    const giveBack = () => broker.tell('manager', 'relinquish', all[0]!, { reason: 'done' })
    expect(namedBy(answers, giveBack)).toEqual([...all, all[0]])
  })
})

describe('whoever was restored and is told what is held in several pages', () => {
  const over = (leaseId: string) => ({
    ...{ leaseId, state: 'closed', closed: true, ticket: null, next: null, properties: {}, units: [] },
  })
  /** The first of two pages, and the last; of a program that leaves none out, or of an older one. */
  const first = (isOld: boolean): Holdings => ({
    ...{ page: 0, pages: 2, ...(isOld ? {} : { unsure: false }), holdings: [over('other')] },
  })
  const last = (isOld: boolean): Holdings => ({ ...first(isOld), page: 1, holdings: [] })
  const none: Holdings = { page: 0, pages: 1, holdings: [] }
  const question = (isOld: boolean): Query =>
    isOld ? { page: 1 } : { page: 1, after: { leaseId: 'other', isOver: true } }

  test('shuts as a site a lease that is not named by its holder only if he leaves none out', () => {
    for (const isOld of [false, true]) {
      const site = new Site({ peers: ['manager'] })
      site.lease()
      site.world = (effect) => (effect.verb === 'list' ? { kind: 'done', value: [] } : wellBehaved(effect))
      site.give({ kind: 'started', epoch: 2, restored: older } as never)
      const asked = (name: string) =>
        site.sent.filter(({ to, kind }) => to === name && kind === 'holdings-query')
      const says = (from: string, body: Holdings) =>
        site.tell('holdings', asked(from)[0]!.subject, body, from)
      says('broker', none)
      says('manager', first(isOld))
      expect(asked('manager').at(-1)!.body).toEqual(question(isOld))
      says('manager', last(isOld))
      site.settle()
      expect(site.rows.get('recovery', 'recovery')).toBeUndefined()
      expect(site.row().state).toBe(isOld ? 'active' : 'closed')
    }
  })

  test('takes as a broker a ticket for lost only if whoever holds it leaves none out', () => {
    for (const isOld of [false, true]) {
      const broker = new BrokerDesk({ sites: ['site'], peers: ['manager'] })
      broker.offer(4)
      const { term } = broker.granted('lease-1')
      const said = broker.give({ kind: 'restored', restored: older } as never)
      const says = (from: string, body: Holdings) =>
        broker.tell(from, 'holdings', said.find(({ to }) => to === from)!.subject, body)
      says('site', none)
      expect(says('manager', first(isOld))).toMatchObject([{ body: question(isOld) }])
      says('manager', last(isOld))
      expect([...broker.rows.all('recovery')]).toEqual([])
      expect(broker.row('lease-1').due).toBe((isOld ? term.end : broker.now) + 1_000)
    }
  })

  test('lets units leave as a manager that its site does not name only if it leaves none out', () => {
    for (const isOld of [false, true]) {
      const holder = new Holder()
      const id = holder.active()
      const { draft } = restored(holder, () => undefined)
      const says = (from: string, body: Holdings) =>
        holder.desk.tell(from, 'holdings', questionTo(draft, from), body)
      for (const broker of ['broker', 'broker-2']) says(broker, none)
      expect(says('site', first(isOld)).outgoing).toMatchObject([{ body: question(isOld) }])
      // It is asked once more how the lease stands.
      expect(kindsOf(says('site', last(isOld)))).toEqual(isOld ? ['redeem'] : [])
      expect(holder.lease(id).leaseState).toBe(isOld ? 'active' : 'leaving')
    }
  })
})

describe('a page of leases that are long', () => {
  /** As it travels. */
  const travels = (body: unknown): void => {
    const said = { id: 'm', from: 'a', to: 'b', kind: 'holdings', subject: 'q', number: 1 }
    letterOf({ ...said, body, sentAt: 0, until: 1 } as never)
  }
  const data = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`data${i}`, 'x'.repeat(3_900)]))
  const unit = (i: number, facts: Record<string, string>) => ({
    ...{ id: `unit-${i}`, name: `vm${i}`, report: 'active', facts },
  })
  const units = Array.from({ length: 100 }, (_, i) => unit(i, { address: '10.0.0.1' }))

  for (const [what, change] of [
    ['properties', { properties: data, units: [] }],
    ['units', { properties: {}, units }],
  ] as const)
    test(`because of their ${what} ends before it is too long to travel, and none is left out`, () => {
      const all = ids(350)
      const named: string[] = []
      let heard: Heard = {}
      let query: Query | undefined = { page: 0 }
      for (let asked = 0; query !== undefined; asked++) {
        const tell = (id: string) => ({ ...holding(id, false), ...change }) as Holdings['holdings'][number]
        const body = pageOf(all, (leaseId) => ({ leaseId, isOver: false }), tell, query)
        travels(body)
        expect(body.holdings.length).toBeLessThan(HOLDINGS_MAX)
        named.push(...body.holdings.map(({ leaseId }) => leaseId))
        const { next, unsure } = afterPage(heard, body)
        heard = { ...next, unsure }
        query = next
        expect(asked).toBeLessThan(40)
      }
      expect(named).toEqual(all)
      expect(heard.unsure).toBe(false)
    })

  test('says to whoever asks by number that what did not fit may be missing', () => {
    const tell = (id: string) => ({ ...holding(id, false), properties: data, units: [] })
    const page = (query: Query) => pageOf(ids(40), (leaseId) => ({ leaseId, isOver: false }), tell, query)
    expect(page({ page: 0 })).toMatchObject({ pages: 2, unsure: false })
    expect(page({ page: 1 })).toMatchObject({ pages: 2, unsure: true, holdings: [] })
  })

  test('has even one whose units alone are too long, without what they look like', () => {
    const facts = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`fact${i}`, 'x'.repeat(200)]))
    const tell = (id: string) =>
      ({
        ...holding(id, false),
        units: Array.from({ length: 1_000 }, (_, i) => unit(i, facts)),
      }) as Holdings['holdings'][number]
    const body = pageOf(['lease-1'], (leaseId) => ({ leaseId, isOver: false }), tell, { page: 0 })
    travels(body)
    expect(body.holdings[0]!.units).toHaveLength(1_000)
    expect(body.holdings[0]!.units[0]!.facts).toEqual({})
    expect(Object.keys(body).toSorted()).toEqual(['holdings', 'page', 'pages'])
  })

  const long = { address: '10.0.0.9', about: 'x'.repeat(1_000) }
  const ended = Array.from({ length: 998 }, (_, i) => ({ ...unit(i, long), report: 'ended' as const }))

  test('says what those look like that are there, where there is room for them alone', () => {
    const there = unit(998, long)
    const tell = (id: string) =>
      ({ ...holding(id, false), units: [there, ...ended] }) as Holdings['holdings'][number]
    const [told] = pageOf(['lease-1'], (leaseId) => ({ leaseId, isOver: false }), tell, { page: 0 }).holdings
    expect(told!.units[0]!.facts).toEqual(long)
    expect(told!.units[1]!.facts).toEqual({})
  })

  test('takes from a restored site nothing that it knew of its machines', () => {
    const stage = new OldStage(['manager'])
    const ticket = stage.ticket({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    for (const one of stage.units())
      stage.rows.set('unit', one.id, { ...one, facts: { address: one.name } } as never)
    stage.copy()()
    stage.restored()
    // As `held` tells it: there was no room.
    stage.says('manager', [held(stage, ticket)])
    stage.says('broker', [])
    expect(stage.live().map(({ facts, name }) => facts.address === name)).toEqual([true, true])
  })

  test('takes from a holder nothing that he knew of his machines', () => {
    const holder = new Holder()
    const [first] = holder.lease(holder.active()).units
    const before = holder.unit(first!)
    holder.update(before.leaseId, {}, [holder.report(first!, 'active', { facts: {} })])
    expect(Object.keys(before.facts)).not.toEqual([])
    expect(holder.unit(first!).facts).toEqual(before.facts)
    // Where a machine is that has joined stands; anything else follows what its site says.
    const facts = { address: 'new', rack: 'b' }
    holder.update(before.leaseId, {}, [holder.report(first!, 'active', { facts })])
    expect(holder.unit(first!).facts).toEqual({ ...before.facts, rack: 'b' })
  })
})

test('a last page on which nothing is left makes nobody unsure', () => {
  const peer = new Peer(ids(HOLDINGS_MAX + 1))
  const { named, unsure, last } = heardOf(peer, () => peer.held.delete(ids(HOLDINGS_MAX + 1).at(-1)!))
  expect(last).toMatchObject({ page: 1, holdings: [] })
  expect(named).toEqual(ids(HOLDINGS_MAX))
  expect(unsure).toBe(false)
})

test('pages of any size, of any leases, have each of them once and in order', () => {
  const lease = fc.record({ leaseId: fc.string({ minLength: 1, maxLength: 4 }), isOver: fc.boolean() })
  const leases = fc.uniqueArray(lease, { selector: ({ leaseId }) => leaseId, maxLength: 120 })
  fc.assert(
    fc.property(leases, fc.integer({ min: 1, max: 4 }), (all, most) => {
      const told: (typeof all)[number][] = []
      for (let page = 0, after = undefined as Query['after']; ; page++) {
        const tell = ({ leaseId, isOver }: (typeof all)[number]) => ({
          ...holding(leaseId, isOver),
          units: [],
        })
        const { pages, holdings } = pageOf(all, (one) => one, tell, { page, after, most })
        const shown = holdings.map(({ leaseId, closed }) => ({ leaseId, isOver: closed }))
        told.push(...shown)
        expect(pages).toBe(Math.max(1, Math.ceil(all.length / most)))
        if (page + 1 === pages) break
        after = shown.at(-1)
      }
      const key = ({ leaseId, isOver }: (typeof all)[number]) => `${isOver ? 1 : 0} ${leaseId}`
      expect(told.map(key)).toEqual(all.map(key).sort())
    }),
  )
})
