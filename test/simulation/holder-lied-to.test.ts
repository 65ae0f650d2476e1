import { describe, expect, test } from 'vitest'
import { seal } from '../../actors/runtime/envelope.ts'
import { requestProof } from '../../actors/runtime/proof.ts'
import { DOUBTED_MIN, UNITS_KEPT_MAX } from '../../actors/service-manager/surplus.ts'
import { MINUTE, NOW } from './desk.ts'
import { conditions, Holder, kindsOf, LEAVE_BUDGET_MS, SKEW_MS_MAX } from './holder.ts'
import { cheapIdentity } from './identities.ts'

describe('a holder whose broker lies', () => {
  test.each([
    [
      'for longer than was asked for',
      { term: { start: NOW, end: NOW + 11 * MINUTE } },
      /660000 ms, and 600000 ms/,
    ],
    [
      'that begins later than it may',
      { term: { start: NOW + 2 * SKEW_MS_MAX + 1, end: NOW + 9 * MINUTE } },
      /after the latest start asked for/,
    ],
    ['at a site that nobody knows', { site: 'nowhere' }, /no peer of that name is known here/],
  ])('gives a ticket %s back at once, and says why', (_, change, sentence) => {
    const holder = new Holder()
    const leaseId = holder.ask()
    const draft = holder.grant(leaseId, change)
    expect(kindsOf(draft)).toEqual(['relinquish'])
    expect(draft.outgoing[0]?.body).toMatchObject({ reason: expect.stringMatching(sentence) })
  })

  test('takes a ticket that begins as late as it said it may, or is shorter', () => {
    const holder = new Holder()
    const later = holder.ask({ startBy: NOW + 5 * MINUTE })
    const term = { start: NOW + 5 * MINUTE, end: NOW + 15 * MINUTE }
    expect(kindsOf(holder.grant(later, { term }))).toEqual(['redeem'])
    const shorter = holder.ask()
    expect(kindsOf(holder.grant(shorter, { term: { start: NOW, end: NOW + MINUTE } }))).toEqual(['redeem'])
  })

  test('uses no extension that is longer than it asked for', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    holder.wish([{ kind: 'extend', leaseId, durationMs: MINUTE, victims: [], reason: 'more' }])
    const { end } = holder.lease(leaseId).term!
    const granted = holder.grant(leaseId, { term: { start: end, end: end + 2 * MINUTE } })
    // Its site never hears of it.
    expect(granted.outgoing).toMatchObject([{ to: 'broker', kind: 'return-extension' }])
    expect(holder.shown(leaseId)?.extendRefused?.reason).toMatch(/120000 ms, and 60000 ms were asked for/)
  })

  test('lets nothing go for a recall that binds nobody by the terms of the lease', () => {
    const holder = new Holder()
    const leaseId = holder.ask()
    holder.grant(leaseId, { conditions: { ...conditions, recallable: false } })
    holder.update(leaseId)
    for (const unitId of holder.lease(leaseId).units) holder.done(unitId, 'join')
    const recall = { recallId: 'r1', units: 2, by: NOW + MINUTE, binding: true, reason: 'mine' }
    const draft = holder.desk.tell('broker', 'recall', leaseId, recall)
    expect(draft.outgoing.map(({ body }) => (body as { units: number }).units)).toEqual([0])
    expect(holder.lease(leaseId).recall).toBeUndefined()
  })
})

describe('a holder that is told at once to give units back, though its ticket promises a notice,', () => {
  const HOUR = 60 * MINUTE
  const noticed = (graceMs = conditions.graceMs): { holder: Holder; leaseId: string } => {
    const holder = new Holder()
    const leaseId = holder.ask({ durationMs: 10 * HOUR })
    holder.grant(leaseId, { conditions: { ...conditions, noticeMs: HOUR, graceMs } })
    holder.update(leaseId)
    for (const unitId of holder.lease(leaseId).units) holder.done(unitId, 'join')
    return { holder, leaseId }
  }
  const reason = 'mine'
  const recall = (by: number, order?: object) => ({
    ...{ recallId: 'r1', units: 2, by, binding: true, reason },
    ...(order && { order }),
  })
  /** What somebody signed for the site's order of so many units. */
  const orderOf = (by: number, sentAt: number, signer = 'site', again: { orderedAt?: number } = {}) => {
    const body = { recallId: 'r1', type: 't', units: 6, by, reason, ...again }
    const letter = {
      id: 'm-1',
      from: 'site',
      to: 'broker',
      kind: 'recall-units',
      subject: 'offer-t',
      number: 1,
    }
    const sealed = seal({ ...letter, body, sentAt, until: by }, cheapIdentity(signer), {
      generation: 0,
      seq: 1,
    })
    return { units: 6, reason, ...again, proof: requestProof(sealed) }
  }
  const planned = (draft: ReturnType<Holder['update']>): unknown[] =>
    draft.outgoing.filter(({ kind }) => kind === 'recall-plan').map(({ body }) => body)

  test.each([
    ['no order', () => undefined],
    ['an order that its broker signed itself', (now: number) => orderOf(now, now - HOUR, 'broker')],
    ['an order of other units', (now: number) => ({ ...orderOf(now, now - HOUR), units: 7 })],
  ])('leaves when the notice is over, where the broker shows %s', (_, shown) => {
    const { holder, leaseId } = noticed()
    const { now } = holder.desk
    const draft = holder.desk.tell('broker', 'recall', leaseId, recall(now, shown(now)))
    expect(planned(draft)).toMatchObject([{ units: 2, by: now + HOUR }])
    expect(holder.lease(leaseId)).toMatchObject({
      recall: { units: 2, by: now + HOUR },
      due: now + HOUR - LEAVE_BUDGET_MS - SKEW_MS_MAX,
    })
    holder.desk.now += HOUR / 2
    holder.desk.due('lease', leaseId)
    expect(holder.lease(leaseId).units.map((id) => holder.unit(id).state)).toEqual(['joined', 'joined'])
  })

  test('goes in time, however late it hears of it, where the site ordered it in time', () => {
    const { holder, leaseId } = noticed()
    const by = holder.desk.now + MINUTE
    const draft = holder.desk.tell('broker', 'recall', leaseId, recall(by, orderOf(by, by - HOUR)))
    expect(planned(draft)).toMatchObject([{ units: 2, by }])
    expect(holder.lease(leaseId).recall).toMatchObject({ by })
  })

  test('goes by when the site ordered it, where it was told again since, and believes nobody else of that', () => {
    const { holder, leaseId } = noticed()
    const { now } = holder.desk
    const by = now + MINUTE
    const orderedAt = by - HOUR
    const forged = { ...orderOf(by, now), orderedAt }
    const late = holder.desk.tell('broker', 'recall', leaseId, recall(by, forged))
    expect(planned(late)).toMatchObject([{ by: now + HOUR }])
    const other = noticed()
    const again = orderOf(by, now, 'site', { orderedAt })
    const draft = other.holder.desk.tell('broker', 'recall', other.leaseId, recall(by, again))
    expect(planned(draft)).toMatchObject([{ units: 2, by }])
    expect(other.holder.lease(other.leaseId).recall).toMatchObject({ by })
  })

  test('takes it for advice where the site itself ordered it so late', () => {
    const { holder, leaseId } = noticed()
    const by = holder.desk.now + MINUTE
    const draft = holder.desk.tell('broker', 'recall', leaseId, recall(by, orderOf(by, by - HOUR + 1)))
    expect(planned(draft)).toMatchObject([{ units: 0, by }])
    expect(holder.lease(leaseId).recall).toBeUndefined()
  })

  test('lets a word without an order take its time on the way', () => {
    const { holder, leaseId } = noticed()
    const by = holder.desk.now + HOUR - MINUTE
    const draft = holder.desk.tell('broker', 'recall', leaseId, recall(by))
    expect(planned(draft)).toMatchObject([{ units: 2, by }])
  })

  test('puts work back before its site cuts it off, which may hold to the time that it had named', () => {
    const { holder, leaseId } = noticed(2 * HOUR)
    const heard = holder.desk.now
    const by = heard + HOUR / 4
    holder.desk.tell('broker', 'recall', leaseId, recall(by))
    expect(holder.lease(leaseId).recall).toMatchObject({ by: heard + HOUR })
    // Another one, of which its site may think the same, takes nothing of that back.
    holder.desk.tell('broker', 'recall', leaseId, { ...recall(by + MINUTE), recallId: 'r2' })
    holder.desk.now = holder.lease(leaseId).due!
    holder.desk.due('lease', leaseId)
    const requeueFrom = by + 2 * HOUR - LEAVE_BUDGET_MS
    expect(holder.lease(leaseId).units.map((id) => holder.unit(id))).toMatchObject([
      { state: 'leaving', recalled: true, requeueFrom },
      { state: 'leaving', recalled: true, requeueFrom },
    ])
  })
})

test('a holder whose site says that a lease goes on for longer than its ticket leaves by the end of the ticket', () => {
  const holder = new Holder()
  const leaseId = holder.active()
  holder.wish([{ kind: 'extend', leaseId, durationMs: MINUTE, victims: [], reason: 'more' }])
  holder.grant(leaseId)
  const { next } = holder.lease(leaseId)
  const term = { start: NOW, end: NOW + 1_000_000 * MINUTE }
  holder.update(leaseId, { ticketId: next!.id, term })
  expect(holder.lease(leaseId).term).toEqual({ start: NOW, end: next!.term.end })
})

describe('a holder whose site names units that it may not', () => {
  const refused = (draft: ReturnType<Holder['update']>): unknown[] =>
    draft.notes.flatMap(({ kind, data }) => (kind === 'unit refused' ? [data] : []))

  test('takes as many as its ticket is for, and says why it takes no more', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    const more = [
      ...holder.reports(leaseId),
      holder.report('unit-3', 'active'),
      holder.report('unit-4', 'coming'),
    ]
    expect(refused(holder.update(leaseId, {}, more))).toEqual([
      { unitId: 'unit-3', code: 'beyond-ticket' },
      { unitId: 'unit-4', code: 'beyond-ticket' },
    ])
    expect(holder.lease(leaseId).units).toHaveLength(2)
    expect(holder.unit('unit-3')).toBeUndefined()
  })

  test('takes one in the place of one that ended, is doubted or has left', () => {
    for (const report of ['ended', 'suspect']) {
      const holder = new Holder()
      const leaseId = holder.active()
      const [first, second] = holder.lease(leaseId).units as [string, string]
      const units = [
        holder.report(first, report),
        holder.report(second, 'active'),
        holder.report('unit-3', 'coming'),
      ]
      expect(refused(holder.update(leaseId, {}, units))).toEqual([])
      expect(holder.unit('unit-3')).toMatchObject({ state: 'awaited' })
    }
  })

  test('takes one that was doubted back while others do not stand in its place', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    const [first, second] = holder.lease(leaseId).units as [string, string]
    const says = (...reports: [string, string][]) =>
      refused(
        holder.update(
          leaseId,
          {},
          reports.map(([id, report]) => holder.report(id, report)),
        ),
      )
    expect(says([first, 'suspect'], [second, 'active'])).toEqual([])
    expect(says([first, 'active'], [second, 'suspect'])).toEqual([])
    expect(says([first, 'active'], [second, 'suspect'], ['unit-3', 'active'])).toEqual([])
    expect(says([first, 'active'], [second, 'active'], ['unit-3', 'active'])).toEqual([
      { unitId: second, code: 'beyond-ticket' },
    ])
    expect(holder.unit(second)).toMatchObject({ suspect: '' })
    expect(says([first, 'active'], [second, 'active'], ['unit-3', 'ended'])).toEqual([])
    expect(holder.unit(second)?.suspect).toBeUndefined()
  })

  test('takes no more that were doubted at first, and few of those', () => {
    const holder = new Holder()
    const leaseId = holder.ask()
    holder.grant(leaseId)
    const ids = Array.from({ length: 20 }, (_, i) => `unit-${i}`)
    const all = (report: string) =>
      holder.update(
        leaseId,
        {},
        ids.map((id) => holder.report(id, report)),
      )
    expect(refused(all('suspect'))).toHaveLength(20 - 2 - DOUBTED_MIN)
    expect(refused(all('active'))).toHaveLength(18)
    expect(ids.filter((id) => holder.unit(id)?.state === 'joining')).toEqual(['unit-0', 'unit-1'])
  })

  test('takes no others when it does not name those that serve, and not ever more for those that it doubts', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    expect(refused(holder.update(leaseId, {}, [holder.report('unit-3', 'active')]))).toHaveLength(1)
    for (let i = 0; i < 20; i += 2) {
      const before = holder.lease(leaseId).units.map((id) => holder.report(id, 'suspect'))
      const more = [holder.report(`more-${i}`, 'active'), holder.report(`more-${i + 1}`, 'active')]
      holder.update(leaseId, {}, [...before, ...more])
    }
    expect(holder.lease(leaseId).units).toHaveLength(2 + DOUBTED_MIN)
  })

  test('remembers no more that have ended than may be, whatever names they come under, and says so once at a time', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    const ended = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => holder.report(`gone-${from + i}`, 'ended'))
    const most = UNITS_KEPT_MAX + 2 * 2
    for (let i = 0; i < 3; i++)
      holder.update(leaseId, {}, [...holder.reports(leaseId), ...ended(1_000 * i, 1_000)])
    expect(holder.lease(leaseId).units).toHaveLength(most)
    expect([...holder.desk.rows.all('unit')]).toHaveLength(most)
    const last = holder.update(leaseId, {}, [...holder.reports(leaseId), ...ended(5_000, 1_000)])
    expect(refused(last)).toEqual([{ unitId: 'gone-5000', code: 'too-many-units' }])
    expect(holder.lease(leaseId).units).toHaveLength(most)
    // What serves goes on all the same.
    expect(holder.lease(leaseId)).toMatchObject({ leaseState: 'active' })
  })

  test('takes a unit once, and no second one of the same name', () => {
    const holder = new Holder()
    const leaseId = holder.ask()
    holder.grant(leaseId)
    const one = holder.report('unit-1', 'coming', { name: 'vm1' })
    const units = [one, one, holder.report('unit-2', 'active', { name: 'vm1' })]
    expect(refused(holder.update(leaseId, {}, units))).toEqual([
      { unitId: 'unit-1', code: 'unit-twice' },
      { unitId: 'unit-2', code: 'name-twice' },
    ])
    expect(holder.lease(leaseId).units).toEqual(['unit-1'])
    // Its machine gone, the name is free again.
    const later = [holder.report('unit-1', 'ended', { name: 'vm1' }), units[2]!]
    expect(refused(holder.update(leaseId, {}, later))).toEqual([])
    expect(holder.unit('unit-2')).toMatchObject({ name: 'vm1', state: 'joining' })
  })

  test('takes what an extension adds, once it was granted', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    holder.wish([{ kind: 'extend', leaseId, durationMs: MINUTE, units: 3, victims: [], reason: 'more' }])
    const units = [...holder.reports(leaseId), holder.report('unit-3', 'coming')]
    expect(refused(holder.update(leaseId, {}, units))).toHaveLength(1)
    holder.grant(leaseId, { units: 3 })
    expect(refused(holder.update(leaseId, {}, units))).toEqual([])
  })

  test('takes what an extension adds also where the site never said that it has it', () => {
    const holder = new Holder()
    const leaseId = holder.active()
    holder.wish([{ kind: 'extend', leaseId, durationMs: MINUTE, units: 3, victims: [], reason: 'more' }])
    const sent = holder.grant(leaseId, { units: 3 })
    const envelope = sent.outgoing.find(({ kind }) => kind === 'extend-lease')!
    holder.desk.give({ kind: 'undelivered', envelope, code: 'peer-silent', reason: 'no answer' } as never)
    expect(holder.lease(leaseId).next).toBeUndefined()
    const units = [...holder.reports(leaseId), holder.report('unit-3', 'coming')]
    expect(refused(holder.update(leaseId, {}, units))).toEqual([])
    const more = [...units, holder.report('unit-4', 'coming')]
    expect(refused(holder.update(leaseId, {}, more))).toHaveLength(1)
  })
})
