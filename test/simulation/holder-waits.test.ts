import { describe, expect, test } from 'vitest'
import type { PeerRow } from '../../actors/runtime/peers.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { MINUTE, NOW } from './desk.ts'
import { Holder, kindsOf, proved } from './holder.ts'

const release = (leaseId: string) => ({ kind: 'release', leaseId, reason: 'not needed' }) as const

describe('a lease that is redeemed after another', () => {
  test('keeps its ticket and claims until that one’s units have joined, and gets their facts', () => {
    const holder = new Holder()
    const first = holder.ask({ label: 'db' })
    const second = holder.ask({ after: { redeem: 'db' }, properties: { role: 'web' } })
    const ticket = proved(holder.ticketFor(second))
    expect(kindsOf(holder.answer(second, 'granted', { ticket }))).toEqual([])
    expect(holder.shown(second)).toMatchObject({
      state: 'ticketed',
      blockedOn: expect.stringContaining(first),
    })
    expect([...holder.desk.rows.all('chain')]).toEqual([{ id: second, chain: ticket.chain }])
    holder.grant(first)
    holder.update(first)
    const [a, b] = holder.lease(first).units
    expect(kindsOf(holder.done(a!, 'join'))).toEqual([])
    const draft = holder.done(b!, 'join')
    expect(draft.outgoing.map(({ kind, subject, body }) => [kind, subject, body])).toEqual([
      [
        'redeem',
        second,
        {
          ticket,
          properties: expect.objectContaining({
            role: 'web',
            'predecessor.db.address': `at ${a},at ${b}`,
          }),
        },
      ],
    ])
    expect([...holder.desk.rows.all('chain')]).toEqual([])
    expect(holder.shown(second)?.blockedOn).toBeUndefined()
  })

  test('is redeemed at once if that one joined before', () => {
    const holder = new Holder()
    holder.active({ label: 'db' })
    const second = holder.ask({ after: { redeem: 'db' } })
    expect(kindsOf(holder.grant(second))).toEqual(['redeem'])
    expect(holder.lease(second).properties).toHaveProperty(['predecessor.db.address'])
  })

  test('has nothing at its site until then, whatever that says; one that is over there is given back', () => {
    const holder = new Holder()
    holder.ask({ label: 'db' })
    const second = holder.ask({ after: { redeem: 'db' } })
    holder.grant(second)
    expect(holder.update(second).notes.map(({ kind }) => kind)).toEqual(['message noted'])
    expect(holder.lease(second)).toMatchObject({ leaseState: 'blocked', units: [] })
    expect(kindsOf(holder.update(second, { state: 'closed', reason: 'done' }, []))).toEqual(['relinquish'])
    expect(holder.lease(second)).toMatchObject({ leaseState: 'closed', ticketState: 'returning' })
  })

  test('is ticketed later than that one joins, and is redeemed then', () => {
    const holder = new Holder()
    const first = holder.ask({ label: 'db' })
    const second = holder.ask({ after: { redeem: 'db' } })
    holder.grant(first)
    holder.update(first)
    for (const id of holder.lease(first).units) holder.done(id, 'join')
    expect(kindsOf(holder.grant(second))).toEqual(['redeem'])
  })

  test('ends with one that ended before it joined, and its ticket goes back at once', () => {
    const holder = new Holder()
    const first = holder.ask({ label: 'db' })
    const second = holder.ask({ label: 'web', after: { redeem: 'db' } })
    const third = holder.ask({ after: { join: 'web' } })
    holder.grant(second)
    const draft = holder.answer(first, 'refused', { reason: 'nothing is free' })
    expect(draft.outgoing.map(({ kind, subject }) => [kind, subject])).toEqual([
      ['relinquish', second],
      ['relinquish', third],
    ])
    expect(holder.lease(second).closeReason).toContain('nothing is free')
    expect(holder.lease(third).closeReason).toContain('web')
  })

  test('goes on when that one ends after it joined', () => {
    const holder = new Holder()
    const first = holder.active({ label: 'db' })
    const second = holder.ask({ after: { redeem: 'db' } })
    holder.grant(second)
    holder.wish([release(first)])
    expect(holder.lease(second).leaseState).toBe('redeeming')
  })

  test('does not wait beyond its term', () => {
    const holder = new Holder()
    holder.ask({ label: 'db', startBy: NOW + 100 * MINUTE })
    const second = holder.ask({ after: { redeem: 'db' } })
    holder.grant(second)
    holder.desk.now = holder.lease(second).due!
    expect(kindsOf(holder.desk.due('lease', second))).toEqual(['relinquish'])
  })

  test.each([
    ['a label that nobody has', { after: { redeem: 'nobody' } }],
    ['one that is taken', { label: 'db' }],
  ])('is refused with %s', (_, change) => {
    const holder = new Holder()
    holder.active({ label: 'db' })
    expect(holder.ask(change)).toBe('none')
    holder.wish([])
    expect(holder.view?.refusals[0]?.reason).toMatch(/db|nobody/)
  })
})

describe('a lease whose units join after another’s', () => {
  test('is redeemed at once, and its units wait', () => {
    const holder = new Holder()
    const first = holder.ask({ label: 'db' })
    const second = holder.ask({ after: { join: 'db' } })
    expect(kindsOf(holder.grant(second))).toEqual(['redeem'])
    holder.update(second)
    const states = () => holder.lease(second).units.map((id) => holder.unit(id).state)
    expect(states()).toEqual(['awaited', 'awaited'])
    holder.grant(first)
    holder.update(first)
    for (const id of holder.lease(first).units) holder.done(id, 'join')
    expect(states()).toEqual(['joining', 'joining'])
  })

  test('leaves with one that ended before it joined', () => {
    const holder = new Holder()
    const first = holder.ask({ label: 'db' })
    const second = holder.ask({ after: { join: 'db' } })
    holder.grant(second)
    holder.update(second)
    const draft = holder.wish([release(first)])
    expect(draft.outgoing.map(({ kind, subject }) => [kind, subject])).toEqual([
      ['relinquish', first],
      ['close', second],
    ])
  })
})

describe('a group', () => {
  const members = (holder: Holder, count = 2): string[] =>
    Array.from({ length: count }, () => holder.ask({ group: { id: 'pair', size: 2 } }))

  test('is redeemed when all its members are ticketed', () => {
    const holder = new Holder()
    const [a, b] = members(holder)
    expect(holder.lease(a!).properties).toMatchObject({ 'group.id': 'g/pair', 'group.size': '2' })
    expect(kindsOf(holder.grant(a!))).toEqual([])
    expect(holder.shown(a!)).toMatchObject({ state: 'ticketed', blockedOn: expect.stringContaining('pair') })
    const draft = holder.grant(b!)
    expect(draft.outgoing.map(({ kind, subject }) => [kind, subject]).sort()).toEqual(
      [
        ['redeem', a],
        ['redeem', b],
      ].sort(),
    )
    holder.wish([release(a!)])
    expect(holder.lease(b!).leaseState).toBe('redeeming')
  })

  test('goes back whole when one member comes to nothing', () => {
    const holder = new Holder()
    const [a, b] = members(holder)
    holder.grant(a!)
    const draft = holder.answer(b!, 'refused', { reason: 'nothing is free' })
    expect(draft.outgoing.map(({ kind, subject }) => [kind, subject])).toEqual([['relinquish', a]])
    expect(holder.lease(a!).closeReason).toContain('nothing is free')
  })

  test('goes back whole when its broker gave it different starts', () => {
    const holder = new Holder()
    const [a, b] = members(holder)
    holder.grant(a!)
    const draft = holder.grant(b!, { term: { start: NOW + 1, end: NOW + MINUTE } })
    expect(kindsOf(draft)).toEqual(['relinquish', 'relinquish'])
  })

  test('has no more members than it says, none of another size, and none that would do with fewer', () => {
    const holder = new Holder()
    members(holder)
    expect(members(holder, 1)).toEqual(['none'])
    expect(holder.ask({ group: { id: 'trio', size: 3 } })).not.toBe('none')
    expect(holder.ask({ group: { id: 'trio', size: 4 } })).toBe('none')
    expect(holder.ask({ group: { id: 'other', size: 2 }, unitsMin: 1 })).toBe('none')
  })

  test('is not asked of a broker that knows no groups', () => {
    const holder = new Holder()
    const peer: PeerRow & { protocol: number } = {
      id: 'broker',
      offsetMs: 0,
      errorMs: 0,
      measuredAt: NOW,
      protocol: 1,
    }
    holder.desk.rows.set('$peer', 'broker', peer as Row)
    expect(members(holder, 1)).toEqual(['none'])
  })
})

describe('an advance reservation', () => {
  const startAt = NOW + 30 * MINUTE

  test('is redeemed at once, and may be given back before it starts', () => {
    const holder = new Holder()
    const id = holder.ask({ startAt })
    expect(kindsOf(holder.grant(id))).toEqual(['redeem'])
    expect(holder.lease(id).term).toEqual({ start: startAt, end: startAt + 10 * MINUTE })
    holder.update(id, { state: 'pending' }, [])
    expect(holder.shown(id)?.state).toBe('ticketed')
    expect(kindsOf(holder.wish([release(id)]))).toEqual(['close'])
    expect(kindsOf(holder.update(id, { state: 'closed' }, []))).toEqual(['relinquish'])
  })

  test('is asked for from its start on, and does not begin before', () => {
    const holder = new Holder()
    const id = holder.ask({ startAt })
    expect(kindsOf(holder.grant(id, { term: { start: startAt - 1, end: startAt + MINUTE } }))).toEqual([
      'relinquish',
    ])
  })
})

describe('a modification', () => {
  const modify = (leaseId: string, properties: Record<string, string>) =>
    ({ kind: 'modify', leaseId, properties, reason: 'other limits' }) as const

  test('is told to the site, and is true when the site has said so', () => {
    const holder = new Holder()
    const id = holder.active({ properties: { shares: '1', colour: 'blue' } })
    const draft = holder.wish([modify(id, { shares: '2', colour: '' })])
    expect(draft.outgoing.map(({ kind, to }) => [kind, to])).toEqual([['modify-lease', 'site']])
    expect(holder.shown(id)?.modification?.state).toBe('asked')
    const { id: modificationId } = holder.lease(id).modification!
    holder.update(id, { modified: { modificationId, refused: null, failed: [] } })
    expect(holder.shown(id)?.modification?.state).toBe('done')
    expect(holder.lease(id).properties).toMatchObject({ shares: '2' })
    expect(holder.lease(id).properties).not.toHaveProperty('colour')
  })

  test.each([
    ['refused', { refused: 'not here', failed: [] }, 'refused', '1'],
    ['failed on some', { refused: null, failed: ['x'] }, 'failed', '2'],
  ])('that is %s ends nothing', (_, outcome, state, shares) => {
    const holder = new Holder()
    const id = holder.active({ properties: { shares: '1' } })
    holder.wish([modify(id, { shares: '2' })])
    const { id: modificationId } = holder.lease(id).modification!
    holder.update(id, { modified: { modificationId, ...outcome } })
    expect(holder.shown(id)).toMatchObject({ state: 'active', modification: { state } })
    expect(holder.lease(id).properties.shares).toBe(shares)
  })

  test('that nobody answers, or that the site cannot understand, ends nothing', () => {
    const holder = new Holder()
    const id = holder.active()
    const other = holder.active()
    const draft = holder.wish([modify(id, { shares: '2' }), modify(other, { shares: '2' })])
    const sent = draft.outgoing[1]!
    const envelope = {
      ...{ protocol: 1, id: 'm', number: 1, bodyHash: '', signature: '', from: 'manager', sentAt: NOW },
      ...sent,
    }
    holder.desk.give({ kind: 'undelivered', envelope, code: 'peer-too-old', reason: 'it knows no such kind' })
    expect(holder.shown(other)).toMatchObject({ state: 'active', modification: { state: 'refused' } })
    holder.desk.now = holder.lease(id).modification!.by
    holder.desk.rows.set('lease', id, {
      ...holder.lease(id),
      term: { start: NOW, end: NOW + 100 * MINUTE },
    } as never)
    holder.desk.due('lease', id)
    expect(holder.lease(id)).toMatchObject({ leaseState: 'active', modification: { state: 'unanswered' } })
  })

  test('waits for the one before', () => {
    const holder = new Holder()
    const id = holder.active()
    expect(kindsOf(holder.wish([modify(id, { a: '1' }), modify(id, { a: '2' })]))).toEqual(['modify-lease'])
  })
})

describe('a unit whose host is to be worked on', () => {
  const by = NOW + 5 * MINUTE
  const wanted = (holder: Holder, id: string, leaveBy: number | null): object[] =>
    holder.lease(id).units.map((unitId, i) => holder.report(unitId, 'active', i === 0 ? { leaveBy } : {}))

  test('is shown to the controller, and leaves in time by itself', () => {
    const holder = new Holder()
    const id = holder.active()
    const [first, second] = holder.lease(id).units
    holder.update(id, {}, wanted(holder, id, by))
    expect(holder.shown(id)?.held.map(({ leaveBy }) => leaveBy)).toEqual([by, undefined])
    expect(holder.view?.leases[0]?.held.map(({ leaveBinding }) => leaveBinding)).toEqual([true, undefined])
    expect(holder.lease(id).due).toBe(by - 2_000 - 5_000)
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    expect([holder.unit(first!).state, holder.unit(second!).state]).toEqual(['leaving', 'joined'])
    expect(holder.lease(id).due).toBe(holder.lease(id).term!.end - 2_000 - 5_000)
  })

  test('stays until the term ends where the notice was too short to bind', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.update(id, {}, wanted(holder, id, NOW + 500))
    expect(holder.shown(id)?.held[0]).toMatchObject({ leaveBy: NOW + 500, leaveBinding: undefined })
    expect(holder.lease(id).leaveBy).toBeUndefined()
  })

  test('leaves where its lease goes on into another ticket, though nobody could have it back before', () => {
    const holder = new Holder()
    const free = { recallable: false, noticeMs: 1_000, graceMs: 0 }
    const id = holder.ask()
    holder.grant(id, { conditions: free })
    holder.update(id)
    const [first = '', second = ''] = holder.lease(id).units
    for (const unit of [first, second]) holder.done(unit, 'join')
    const update = (leaveBy: number | null, leaveOrderedAt = NOW): void => {
      const { next, ticket, term } = holder.lease(id)
      const last = next ?? ticket!
      const extended = { ticketId: last.id, term: { start: term!.start, end: last.term.end } }
      const units = [first, second].map((unit) =>
        holder.report(unit, 'active', unit === first && leaveBy !== null ? { leaveBy, leaveOrderedAt } : {}),
      )
      holder.update(id, extended, units)
    }
    update(NOW + 500)
    const boundary = holder.lease(id).term!.end
    holder.wish([
      { kind: 'extend', leaseId: id, durationMs: 9 * MINUTE, victims: [], reason: 'wanted', units: 2 },
    ])
    holder.grant(id, { conditions: free })
    expect(holder.lease(id).leaveBy).toBeUndefined()
    update(NOW + 500)
    expect(holder.lease(id)).toMatchObject({ leaveBy: boundary, due: boundary - 2_000 - 5_000 })
    update(null)
    expect(holder.lease(id).leaveBy).toBeUndefined()
    update(boundary + 1)
    expect(holder.lease(id).leaveBy).toBeUndefined()
    update(boundary)
    // Ordered anew after the boundary it stays; whoever was away at the boundary is late for what was ordered before.
    holder.desk.now = boundary + MINUTE
    update(boundary, boundary + 1)
    holder.desk.due('lease', id)
    expect(holder.unit(first).state).toBe('joined')
    update(boundary, boundary)
    holder.desk.due('lease', id)
    expect([first, second].map((unit) => holder.unit(unit).state)).toEqual(['leaving', 'joined'])
  })

  test('goes at the later time where its notice was given for an earlier one', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.update(id, {}, wanted(holder, id, by))
    holder.desk.now = by - 500
    holder.update(id, {}, wanted(holder, id, by + 400))
    expect(holder.lease(id).leaveBy).toBe(by + 400)
    holder.update(id, {}, wanted(holder, id, by + 200))
    expect(holder.lease(id).leaveBy).toBeUndefined()
  })

  test('goes where its notice was long enough when it was ordered, however late the holder hears of it', () => {
    const holder = new Holder()
    const id = holder.ask()
    holder.grant(id, { conditions: { recallable: true, noticeMs: 4 * MINUTE, graceMs: 60 * MINUTE } })
    holder.update(id)
    holder.desk.now = NOW + 2 * MINUTE
    const told = (leaveOrderedAt: number) =>
      holder.lease(id).units.map((unitId) => holder.report(unitId, 'active', { leaveBy: by, leaveOrderedAt }))
    holder.update(id, {}, told(NOW + 2 * MINUTE))
    expect(holder.lease(id).leaveBy).toBeUndefined()
    holder.update(id, {}, told(NOW))
    expect(holder.lease(id).leaveBy).toBe(by)
  })

  test('answers a recall, too, and no other one leaves for that', () => {
    const holder = new Holder()
    const id = holder.active()
    const [first = '', second = ''] = holder.lease(id).units
    const recall = { recallId: 'r', units: 1, by, binding: true, reason: 'ours' }
    holder.desk.tell('broker', 'recall', id, recall)
    holder.update(id, {}, [holder.report(first, 'active'), holder.report(second, 'active', { leaveBy: by })])
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    expect([first, second].map((unit) => holder.unit(unit).state)).toEqual(['joined', 'leaving'])
    const draft = holder.done(second, 'leave')
    expect(draft.outgoing.find(({ kind }) => kind === 'vacate')?.body).toMatchObject({
      units: [second],
      recalled: [second],
    })
    expect(holder.lease(id).recall).toBeUndefined()
  })

  test.each([
    ['before', -1, 0, 1],
    ['at', 0, 1, 0],
  ])('that is out %s the time of its host answers a later recall or not: others may have come for it', (_, at, left, told) => {
    const holder = new Holder()
    const id = holder.active()
    const [first = '', second = ''] = holder.lease(id).units
    const recall = { recallId: 'r', units: 1, by: by + 2 * MINUTE, binding: true, reason: 'ours' }
    holder.desk.tell('broker', 'recall', id, recall)
    holder.update(id, {}, [holder.report(first, 'active'), holder.report(second, 'active', { leaveBy: by })])
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    holder.desk.now = by + at
    const draft = holder.done(second, 'leave')
    const vacated = draft.outgoing.find(({ kind }) => kind === 'vacate')?.body as { recalled?: string[] }
    expect([holder.lease(id).recall?.units ?? 0, vacated.recalled?.length ?? 0]).toEqual([left, told])
  })

  test('is not said to be welcome to stay while it only lets its work end', () => {
    const holder = new Holder()
    const id = holder.active()
    const [first = ''] = holder.lease(id).units
    holder.update(id, {}, wanted(holder, id, by))
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    holder.done(first, 'leave', { kind: 'busy', jobs: ['7'] })
    const draft = holder.update(id, {}, wanted(holder, id, null))
    expect(draft.notes.map(({ kind }) => kind)).not.toContain('unit may stay')
    expect(holder.unit(first)).toMatchObject({ state: 'draining', mustLeave: true, leaveBy: undefined })
  })

  test('stays when the site takes it back', () => {
    const holder = new Holder()
    const id = holder.active()
    holder.update(id, {}, wanted(holder, id, by))
    holder.update(id, {}, wanted(holder, id, null))
    expect(holder.lease(id).leaveBy).toBeUndefined()
    expect(holder.shown(id)?.held[0]?.leaveBy).toBeUndefined()
  })
})

describe('a unit that the site repairs', () => {
  test('joins the lease in the place of the one that died', () => {
    const holder = new Holder()
    const id = holder.active()
    const [first, second] = holder.lease(id).units
    holder.update(id, {}, [
      holder.report(first!, 'ended'),
      holder.report(second!, 'active'),
      holder.report('spare', 'active'),
    ])
    expect(holder.unit('spare').state).toBe('joining')
    holder.done('spare', 'join')
    expect(holder.shown(id)?.held.map(({ state }) => state)).toEqual(['lost', 'joined', 'joined'])
  })
})

describe('a question', () => {
  const answer = { types: [], earliest: NOW, unitsNow: 3, profile: [], refused: null }
  const ask = (holder: Holder): string => {
    const args = { about: 'availability', type: 't', units: 2, durationMs: MINUTE, withinMs: 5_000 }
    const draft = holder.desk.give({ kind: 'command', name: 'query', args })
    expect(draft.outgoing.map(({ kind, to }) => [kind, to])).toEqual([['query', 'broker']])
    return draft.outgoing[0]!.subject
  }
  const row = (holder: Holder, id: string): object | undefined => holder.desk.rows.get('query', id)

  test('is answered by whom it was put to, and by nobody else', () => {
    const holder = new Holder()
    const id = ask(holder)
    holder.desk.tell('site', 'query-answer', id, answer)
    expect(row(holder, id)).not.toHaveProperty('answer')
    holder.desk.tell('broker', 'query-answer', id, answer)
    expect(row(holder, id)).toMatchObject({ answer })
    holder.desk.now += MINUTE
    holder.desk.due('query', id)
    expect(row(holder, id)).toBeUndefined()
  })

  test('that nobody answers ends in time', () => {
    const holder = new Holder()
    const id = ask(holder)
    holder.desk.now += 5_000
    holder.desk.due('query', id)
    expect(row(holder, id)).toMatchObject({ failed: 'broker did not answer in time' })
    holder.desk.tell('broker', 'query-answer', id, answer)
    expect(row(holder, id)).not.toHaveProperty('answer')
  })

  test('is one of a hundred at most', () => {
    const holder = new Holder()
    for (let i = 0; i < 100; i++) ask(holder)
    expect(() => ask(holder)).toThrow('under way already')
  })
})

test('whoever was restored is told what is held that concerns it, and nothing else', () => {
  const holder = new Holder()
  const id = holder.active()
  holder.ask({}, 'h')
  const told = (to: string) =>
    (
      holder.desk.tell(to, 'holdings-query', 'holdings-1', { page: 0 }).outgoing[0]!.body as {
        holdings: object[]
      }
    ).holdings
  const [first, ...others] = told('site')
  expect(first).toMatchObject({ leaseId: id, closed: false, ticket: holder.lease(id).ticket })
  expect([others, told('broker').length, told('broker-2').length, told('stranger')]).toEqual([[], 1, 1, []])
})
