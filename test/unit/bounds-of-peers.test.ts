import { describe, expect, test } from 'vitest'
import { TYPES_OF_SITE_MAX } from '../../actors/broker/delegations.ts'
import { RECALLS_OF_LEASE_MAX } from '../../actors/broker/passed-on.ts'
import { QUERIES_NOTED_MAX } from '../../actors/broker/queries.ts'
import { RECALL_KEPT_MS, RECALLS_OF_SITE_MAX } from '../../actors/broker/recalls.ts'
import type { RecoveryRow } from '../../actors/broker/rows.ts'
import { type Body, HOLDINGS_PAGES_MAX, readBody } from '../../actors/leases/messages.ts'
import { shownOrder } from '../../actors/leases/recall-order.ts'
import { downgrade } from '../../actors/leases/versions.ts'
import { CLAIMANT_MS } from '../../actors/leases/witnesses.ts'
import { seal } from '../../actors/runtime/envelope.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import { Holder } from '../simulation/holder.ts'
import { questionTo, restored } from '../simulation/holder-store.ts'
import { cheapIdentity } from '../simulation/identities.ts'
import { Stage as Site } from './authority-stage.ts'
import { BrokerDesk, HOUR, inShort, MINUTE, NOW } from './broker-desk.ts'

const older = { reason: 'an older copy was put back', seenSeq: 9 }
const recall = (desk: BrokerDesk, recallId: string, change: object = {}, site = 'site') =>
  desk.tell(site, 'recall-units', 'offer-t', {
    ...{ recallId, type: 't', units: 1, by: NOW + MINUTE, reason: 'mine' },
    ...change,
  })

describe('a broker whose site lies', () => {
  test('keeps no more recalls than may be, refuses others with a code, and none for ever', () => {
    const desk = new BrokerDesk({ sites: ['site', 'other-site'] })
    desk.offer(4)
    for (let i = 0; i < RECALLS_OF_SITE_MAX + 50; i++) recall(desk, `recall-${i}`, { type: `t-${i % 7}` })
    expect([...desk.rows.all('recall')]).toHaveLength(RECALLS_OF_SITE_MAX)
    expect(desk.notes.at(-1)).toMatch(/^message refused recall-1049: .*\(too-many-recalls\)$/)
    // Another site has as many of its own.
    recall(desk, 'recall-other', {}, 'other-site')
    expect(desk.rows.get('recall', 'recall-other')).toBeDefined()
    const { due } = desk.rows.get('recall', 'recall-0')!
    expect(due).toBe(NOW + MINUTE + RECALL_KEPT_MS)
    desk.now = due!
    desk.due('recall', 'recall-0')
    expect(desk.rows.get('recall', 'recall-0')).toBeUndefined()
    // So are those of earlier programs, which had no end.
    const { due: _, ...old } = desk.rows.get('recall', 'recall-1')!
    desk.rows.set('recall', 'recall-1', old)
    desk.give({ kind: 'started', epoch: 2 })
    expect(desk.rows.get('recall', 'recall-1')).toMatchObject({ due: NOW + MINUTE + RECALL_KEPT_MS })
    recall(desk, 'recall-again')
    expect(desk.rows.get('recall', 'recall-again')).toBeDefined()
  })

  test('passes so many recalls of one lease on in an hour, asks others then, and says so where there are none', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    desk.offer(4)
    for (const id of ['lease-1', 'lease-2']) desk.granted(id, { units: 2, durationMs: 10 * HOUR })
    const asked: string[] = []
    let counted = 0
    let number = 0
    const recalls = () => {
      const recallId = `r-${++number}`
      const body = { recallId, type: 't', units: 2, by: desk.now + 30 * MINUTE, reason: 'mine' }
      const sealed = { protocol: 1, id: `m-${number}`, number, bodyHash: '', signature: 'signed' }
      const said = { from: 'site', to: 'broker', kind: 'recall-units', subject: 'offer-t', body }
      const envelope = { ...sealed, ...said, sentAt: desk.now, until: body.by }
      const draft = desk.draft({ kind: 'message', envelope })
      counted += draft.turnedDown
      for (const { kind, subject } of draft.outgoing) {
        if (kind !== 'recall') continue
        asked.push(subject)
        desk.tell('manager', 'recall-plan', subject, { recallId, units: 0, by: body.by, reason: 'advice' })
      }
      // It has them back, it says, and offers as much as before.
      desk.offer(4, { settledRecalls: [recallId] })
    }
    for (let i = 0; i < 2 * RECALLS_OF_LEASE_MAX + 10; i++) recalls()
    const times = (leaseId: string) => asked.filter((one) => one === leaseId).length
    expect([times('lease-1'), times('lease-2')]).toEqual([RECALLS_OF_LEASE_MAX, RECALLS_OF_LEASE_MAX])
    expect(asked.indexOf('lease-1')).toBe(RECALLS_OF_LEASE_MAX)
    expect(counted).toBe(2 * RECALLS_OF_LEASE_MAX + 10)
    const refused = desk.notes.filter((note) => note.startsWith('recall delayed'))
    expect(refused).toHaveLength(10)
    expect(refused[0]).toMatch(
      /^recall delayed r-121: lease-2, lease-1 asked later: .*\(recalled-too-often\)$/,
    )
    desk.now += HOUR
    recalls()
    expect(asked).toHaveLength(2 * RECALLS_OF_LEASE_MAX + 1)
  })

  test('keeps no more types than may be, and refuses others with a code', () => {
    const desk = new BrokerDesk({ sites: ['site'] })
    for (let i = 0; i < TYPES_OF_SITE_MAX + 5; i++) desk.offer(0, { type: `t-${i}` })
    expect([...desk.rows.all('delegation')]).toHaveLength(TYPES_OF_SITE_MAX)
    expect(desk.notes.at(-1)).toMatch(/^offer refused .*\(too-many-types\)$/)
  })
})

test('a broker shows holders what the site has signed of a recall, and when', () => {
  const desk = new BrokerDesk({ sites: ['site'] })
  desk.offer(4)
  desk.granted('lease-1')
  const sentAt = desk.now - MINUTE
  const body = { recallId: 'recall-1', type: 't', units: 3, by: desk.now + MINUTE, reason: 'mine' }
  const letter = {
    id: 'm-1',
    from: 'site',
    to: 'broker',
    kind: 'recall-units',
    subject: 'offer-t',
    number: 1,
  }
  const envelope = seal({ ...letter, body, sentAt, until: body.by }, cheapIdentity('site'), {
    generation: 0,
    seq: 1,
  })
  const [said] = desk.give({ kind: 'message', envelope })
  expect(said).toMatchObject({ to: 'manager', kind: 'recall', body: { units: 3, binding: true } })
  const read = readBody('recall', said!.body)
  expect(read.ok).toBe(true)
  const between = { type: 't', site: 'site', broker: 'broker' }
  const recall = said!.body as Body<'recall'>
  expect(shownOrder(recall, between, desk.trust)).toEqual({ at: sentAt, number: 1 })
  expect(shownOrder({ ...recall, by: recall.by - 1 }, between, desk.trust)).toBeUndefined()
  expect(shownOrder(recall, { ...between, site: 'other-site' }, desk.trust)).toBeUndefined()
  expect(downgrade('recall', recall, 1)).not.toHaveProperty('order')
})

describe('what is said without end', () => {
  test('to a broker as questions is one line in a minute beyond a few', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    const lines = () => desk.notes.filter((note) => note.startsWith('query answered'))
    for (let i = 0; i < 500; i++)
      expect(desk.tell('other', 'query', `query-${i}`, { about: 'types' })).toHaveLength(1)
    expect(lines()).toHaveLength(QUERIES_NOTED_MAX)
    desk.now += MINUTE
    desk.due('asker', 'other')
    expect(lines().at(-1)).toBe(
      `query answered other: other asked ${500 - QUERIES_NOTED_MAX} times more within a minute`,
    )
    expect([...desk.rows.all('asker')]).toEqual([])
  })

  test('to a broker as plans that nobody asked for is noted as such and changes nothing', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    desk.granted('lease-1')
    const before = JSON.stringify(desk.row('lease-1'))
    const plan = { recallId: 'recall-1', units: 0, by: NOW + MINUTE, reason: 'none' }
    desk.tell('manager', 'recall-plan', 'lease-1', plan)
    expect(desk.notes.at(-1)).toMatch(/^message noted lease-1: manager gives nothing back for recall-1/)
    expect(JSON.stringify(desk.row('lease-1'))).toBe(before)
    expect(inShort(desk.ask('lease-2'))).toEqual([])
  })

  test('to one that holds leases as recalls counts beyond a few of each lease as what is refused', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    const counted: number[] = []
    for (let i = 0; i < 100; i++) {
      const body = {
        recallId: `r-${i}`,
        units: 1,
        by: holder.desk.now + MINUTE,
        binding: false,
        reason: 'mine',
      }
      counted.push(holder.desk.tell('broker', 'recall', leaseId, body).turnedDown)
    }
    expect(counted.slice(0, 5)).toEqual(Array(5).fill(0))
    expect(counted.slice(20)).toEqual(Array(80).fill(1))
  })
})

/** A recall as an honest broker passes it on: with the order that the site has signed. */
function passedOn(number: number, now: number): Body<'recall'> {
  const order = { units: 1, reason: 'mine' }
  const body = { recallId: `r-${number}`, type: 't', by: now + MINUTE, ...order }
  const letter = { id: `m-${number}`, from: 'site', to: 'broker', kind: 'recall-units', subject: 'offer-t' }
  const said = { ...letter, number, body, sentAt: now, until: body.by }
  const envelope = seal(said, cheapIdentity('site'), { generation: 0, seq: number })
  const { recallId, by } = body
  return { recallId, by, ...order, binding: false, order: { ...order, proof: requestProof(envelope) } }
}

test('one that holds leases does not put a broker off for what it shows that the site has ordered, but for what it repeats', () => {
  const holder = new Holder()
  const leaseId = holder.active({ durationMs: 10 * HOUR })
  const { desk } = holder
  const lines: string[] = []
  const tells = (number: number): number => {
    const draft = desk.tell('broker', 'recall', leaseId, passedOn(number, desk.now))
    lines.push(...draft.notes.flatMap(({ kind, reason }) => (kind === 'recalled' ? reason : [])))
    expect(draft.outgoing.map(({ kind }) => kind)).toEqual(['recall-plan'])
    return draft.turnedDown
  }
  const numbers = Array.from({ length: 100 }, (_, i) => i + 1)
  expect(numbers.map(tells)).toEqual(Array(100).fill(0))
  expect(lines).toHaveLength(10)
  expect(numbers.map(tells)).toEqual(Array(100).fill(1))
  expect(lines).toHaveLength(10)
  // Nor is it shown without the order, nor with that for another time.
  const { order, ...bare } = passedOn(200, desk.now)
  expect(desk.tell('broker', 'recall', leaseId, bare).turnedDown).toBe(1)
  expect(desk.tell('broker', 'recall', leaseId, { ...bare, by: bare.by + 1, order }).turnedDown).toBe(1)
  // What takes units is written down, however late it comes.
  const written = desk.tell('broker', 'recall', leaseId, { ...bare, binding: true })
  expect(written.notes.map(({ kind }) => kind)).toContain('recalled')
  desk.now += HOUR
  const summed = desk.due('recalled', leaseId)
  expect(summed.notes.map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual([
    'recalled: 192 times more within an hour, and nothing left for it',
  ])
  expect(tells(300)).toBe(0)
  expect(lines).toHaveLength(11)
})

describe('an actor of which one peer alone says that it has forgotten something, and then says no more,', () => {
  const claimed = { ...older, by: 'liar' }
  const names = (rows: Readonly<Record<string, { readonly state: string; readonly peer?: string }>>) =>
    Object.entries(rows).map(([id, { peer = id, state }]) => `${peer} ${state}`)

  test('goes on as a broker after a minute, and says what to do', () => {
    const desk = new BrokerDesk({ sites: ['site', 'other-site'], peers: [] })
    desk.offer(4)
    const said = desk.give({ kind: 'restored', restored: { ...claimed, by: 'other-site' } } as never)
    const { subject } = said.find(({ to, kind }) => to === 'site' && kind === 'holdings-query')!
    desk.tell('site', 'holdings', subject, { page: 0, pages: 1, holdings: [] })
    const row = desk.rows.get('recovery', 'recovery')!
    expect(row.due).toBe(desk.now + CLAIMANT_MS)
    desk.now = row.due!
    desk.due('recovery', 'recovery')
    expect(desk.rows.get('recovery', 'recovery')).toBeUndefined()
    expect(desk.notes.at(-2)).toMatch(/^holdings unknown other-site: it alone says .*`sublet peer remove`/)
    expect(desk.notes.at(-1)).toMatch(/^recovered broker: without the word of other-site/)
  })

  test('waits as a broker for the others as ever, and for that one, too, if another says so besides', () => {
    const desk = new BrokerDesk({ sites: ['site', 'other-site'], peers: [], recoverMs: 10 * MINUTE })
    const give = (by: string) => desk.give({ kind: 'restored', restored: { ...older, by } } as never)
    const row = () => desk.rows.get('recovery', 'recovery') as unknown as RecoveryRow
    give('other-site')
    desk.now += CLAIMANT_MS
    desk.due('recovery', 'recovery')
    expect(names(row().peers)).toEqual(['site asked', 'other-site silent'])
    expect(row().due).toBe(NOW + 10 * MINUTE)
    desk.now = row().due!
    desk.due('recovery', 'recovery')
    expect(desk.rows.get('recovery', 'recovery')).toBeUndefined()

    give('other-site')
    give('site')
    expect([row().due, row().claimant]).toEqual([desk.now + 10 * MINUTE, undefined])
  })

  test('goes on as a manager after a minute', () => {
    const holder = new Holder({ recoverMs: 10 * MINUTE })
    const { desk } = holder
    const draft = desk.give({ kind: 'restored', restored: { ...claimed, by: 'broker-2' } })
    holder.desk.tell('broker', 'holdings', questionTo(draft, 'broker'), { page: 0, pages: 1, holdings: [] })
    expect(holder.ask()).toBe('none')
    desk.now += CLAIMANT_MS
    const last = desk.due('recovery', 'recovery')
    expect(last.notes.map(({ kind }) => kind)).toEqual(['holdings unknown', 'recovered'])
    expect(holder.ask()).not.toBe('none')
  })

  test('goes on as a site after a minute', () => {
    const site = new Site({ peers: ['manager'], recoverMs: 10 * MINUTE })
    const begun = { kind: 'started', epoch: 2, restored: { ...claimed, by: 'manager' } }
    site.give(begun as never)
    const { subject } = site.sent.find(({ to, kind }) => to === 'broker' && kind === 'holdings-query')!
    site.tell('holdings', subject, { page: 0, pages: 1, holdings: [] }, 'broker')
    expect(site.rows.get('recovery', 'recovery')).toMatchObject({
      phase: 'asking',
      due: site.now + CLAIMANT_MS,
    })
    site.pass(CLAIMANT_MS + 1_000, 1_000)
    expect(site.rows.get('recovery', 'recovery')).toMatchObject({
      ...{ phase: 'listing', asked: { manager: { state: 'silent' } } },
    })
  })
})

describe('an actor of which one peer alone says that it has forgotten something, and which that one tells page by page,', () => {
  const claimed = { ...older, by: 'manager' }
  const over = { state: 'closed', closed: true, ticket: null, next: null, properties: {}, units: [] }
  const page = (n: number, pages = 9): Body<'holdings'> => ({
    ...{ page: n, pages, unsure: false },
    holdings: [{ leaseId: `lease-${n}`, ...over }],
  })

  /** Each page comes when the minute is nearly over; the last word says whom was waited for in vain. */
  function tellsSlowly(
    actor: { at(now: number): void; tell(body: Body<'holdings'>): void },
    dueOf: () => number | undefined,
    until: number,
  ): void {
    let now = NOW
    for (let n = 0; n < 5; n++) {
      now += CLAIMANT_MS - 1_000
      actor.at(now)
      actor.tell(page(n))
      expect(dueOf()).toBe(now + CLAIMANT_MS)
    }
    // One that says nothing is waited for no longer, and nobody is longer than everybody.
    actor.tell({ ...page(5), holdings: [] })
    expect(dueOf()).toBe(now + CLAIMANT_MS)
    actor.at(until - 1_000)
    actor.tell(page(6))
    expect(dueOf()).toBe(until)
  }

  test('waits for it as a broker', () => {
    const desk = new BrokerDesk({ sites: ['site'], peers: ['manager'], recoverMs: 10 * MINUTE })
    const said = desk.give({ kind: 'restored', restored: claimed } as never)
    const { subject } = said.find(({ to }) => to === 'manager')!
    tellsSlowly(
      {
        at: (now) => (desk.now = now),
        tell: (body) => desk.tell('manager', 'holdings', subject, body),
      },
      () => desk.rows.get('recovery', 'recovery')?.due,
      NOW + 10 * MINUTE,
    )
    desk.tell('manager', 'holdings', subject, page(7, 8))
    const row = desk.rows.get('recovery', 'recovery') as unknown as RecoveryRow
    expect(row.peers.manager).toMatchObject({ state: 'answered', unsure: false })
  })

  test('waits for it as a manager', () => {
    const holder = new Holder({ recoverMs: 10 * MINUTE })
    const draft = holder.desk.give({ kind: 'restored', restored: { ...claimed, by: 'broker' } })
    const subject = questionTo(draft, 'broker')
    tellsSlowly(
      {
        at: (now) => (holder.desk.now = now),
        tell: (body) => holder.desk.tell('broker', 'holdings', subject, body),
      },
      () => holder.desk.rows.get('recovery', 'recovery')?.due,
      NOW + 10 * MINUTE,
    )
  })

  test('waits for it as a site, and lists the machines when it has told all', () => {
    const site = new Site({ peers: ['manager'], recoverMs: 10 * MINUTE })
    const begun = site.now
    site.give({ kind: 'started', epoch: 2, restored: claimed } as never)
    const { subject } = site.sent.find(({ to, kind }) => to === 'manager' && kind === 'holdings-query')!
    tellsSlowly(
      {
        at: (now) => (site.now = begun + now - NOW),
        tell: (body) => site.tell('holdings', subject, body, 'manager'),
      },
      () => site.rows.get('recovery', 'recovery')!.due! - begun + NOW,
      NOW + 10 * MINUTE,
    )
    site.tell('holdings', subject, page(7, 8), 'manager')
    expect(site.rows.get('recovery', 'recovery')).toMatchObject({
      asked: { manager: { state: 'answered', unsure: false } },
    })
  })
})

describe('whoever was restored', () => {
  const page = (n: number): Body<'holdings'> => ({ page: n, pages: 1_000_000, holdings: [] })

  test('listens as a broker to so many pages of one peer, and what else it holds is not known', () => {
    const desk = new BrokerDesk({ sites: ['site'], peers: [] })
    desk.offer(4)
    let said = desk.give({ kind: 'restored', restored: older } as never)
    const { subject } = said.find(({ kind }) => kind === 'holdings-query')!
    let pages = 0
    while (said.some(({ kind }) => kind === 'holdings-query') && pages < HOLDINGS_PAGES_MAX + 10)
      said = desk.tell('site', 'holdings', subject, page(pages++))
    expect(pages).toBe(HOLDINGS_PAGES_MAX)
    expect(desk.notes.at(-2)).toMatch(/^holdings refused site: .*\(too-many-holdings\)$/)
    expect(desk.notes.at(-1)).toMatch(/^recovered broker: all have answered; site may have forgotten, too/)
  })

  test('listens as a manager to so many, and to each page once', () => {
    const holder = new Holder()
    const { draft } = restored(holder, () => undefined)
    const subject = questionTo(draft, 'broker')
    const tells = (body: Body<'holdings'>) => holder.desk.tell('broker', 'holdings', subject, body)
    tells(page(0))
    expect(tells(page(0)).outgoing).toEqual([])
    let said = tells(page(1))
    let pages = 2
    while (said.outgoing.length > 0 && pages < HOLDINGS_PAGES_MAX + 10) said = tells(page(pages++))
    expect(pages).toBe(HOLDINGS_PAGES_MAX)
    expect(said.notes.map(({ kind, reason }) => `${kind}: ${reason}`).at(-1)).toMatch(
      /^holdings refused: .*\(too-many-holdings\)$/,
    )
  })

  test('listens as a site to so many, and ends nothing that was not named', () => {
    const site = new Site({ peers: ['manager'] })
    site.give({ kind: 'started', epoch: 2, restored: older } as never)
    const { subject } = site.sent.find(({ to, kind }) => to === 'manager' && kind === 'holdings-query')!
    let pages = 0
    const asked = () =>
      site.sent.filter(({ to, kind }) => to === 'manager' && kind === 'holdings-query').length
    while (asked() === pages + 1 && pages < HOLDINGS_PAGES_MAX + 10)
      site.tell('holdings', subject, page(pages++), 'manager')
    expect(pages).toBe(HOLDINGS_PAGES_MAX)
    const { asked: row } = site.rows.get('recovery', 'recovery') as unknown as {
      asked: Record<string, object>
    }
    expect(row.manager).toMatchObject({ state: 'answered', unsure: true })
  })
})
