import { describe, expect, test } from 'vitest'
import type { LeaseRow, UnitRow } from '../../actors/authority/rows.ts'
import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import type { Body } from '../../actors/leases/messages.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import type { PeerRow } from '../../actors/runtime/peers.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { MINUTE, NOW, Stage, siteConfig, specOf, wellBehaved } from './authority-stage.ts'

const END = NOW + 10 * MINUTE

function extend(stage: Stage, change: Partial<Ticket>, victims: readonly string[] = []): void {
  const { ticket } = stage.row(change.leaseId ?? 'lease-1')
  const next = stage.ticket({
    ...{ leaseId: ticket.leaseId, predecessor: ticket.id, units: ticket.units },
    ...{ term: { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }, ...change },
  })
  stage.tell('extend-lease', ticket.leaseId, { ticket: next, victims: [...victims] })
  stage.settle()
}

/** What the next list says: everything but these runs. */
function sweepWithout(stage: Stage, dead: readonly string[]): void {
  stage.now += 1
  if (!stage.under.has('site')) stage.command('machine ended', {})
  const found = stage
    .units()
    .filter(({ id, state }) => state !== 'ended' && !dead.includes(id))
    .map(({ id, leaseId, name }) => ({ unitId: id, leaseId, name, running: true }))
  // What is under way since an earlier instant says nothing of what came up after it.
  const effect = { ...stage.under.get('site')!, args: { startedAt: stage.now } }
  stage.under.delete('site')
  const outcome = { kind: 'done' as const, value: found }
  stage.give({ kind: 'effect', key: 'site', verb: 'list', args: effect.args, attempt: 1, outcome })
  stage.settle()
}

describe('a lease that grows', () => {
  test('has no more units than its ticket at every instant, and the new ones at the boundary', () => {
    const stage = new Stage()
    stage.lease({ units: 2 })
    extend(stage, { units: 5 })
    expect(stage.row().next?.units).toBe(5)
    stage.now = END - 1
    stage.settle()
    expect(stage.live()).toHaveLength(2)
    stage.now = END
    stage.settle()
    expect(stage.live()).toHaveLength(5)
    expect(stage.row()).toMatchObject({ state: 'active', ticket: { units: 5 } })
    expect(stage.notes.map(({ kind }) => kind)).toContain('lease grows')
  })

  test('is served after what shrinks and before what begins', () => {
    const stage = new Stage()
    stage.lease({ units: 2 })
    const shrinking = stage.lease({ leaseId: 'lease-2', units: 4 })
    extend(stage, { units: 4 })
    extend(stage, { leaseId: 'lease-2', units: 1 }, shrinking.units.slice(0, 3))
    const begins = stage.ticket({ leaseId: 'lease-3', units: 1, term: { start: END, end: END + MINUTE } })
    stage.tell('redeem', 'lease-3', { ticket: begins, properties: {} })
    // One of the machines that has to go does not let go at first.
    stage.world = (effect) =>
      effect.verb === 'teardown' && specOf(effect).unitId === shrinking.units[0]
        ? undefined
        : wellBehaved(effect)
    stage.now = END
    stage.settle()
    expect([stage.live('lease-1').length, stage.live('lease-2').length]).toEqual([4, 1])
    expect(stage.row('lease-3')).toMatchObject({ state: 'pending', short: 1 })
    stage.world = wellBehaved
    stage.settle()
    expect(stage.live('lease-3')).toHaveLength(1)
    expect(stage.row('lease-1').growing).toBeUndefined()
  })

  test('gets room that comes free later before a lease that has waited longer for its first unit', () => {
    const stage = new Stage()
    stage.lease({ units: 2 })
    const other = stage.lease({ leaseId: 'lease-2', units: 4, term: { start: NOW, end: NOW + 20 * MINUTE } })
    extend(stage, { units: 4, id: 'ticket-more' })
    // The broker promised too much: it is refused nothing, and waits.
    expect(stage.notes.map(({ kind }) => kind)).toContain('claim overdrawn')
    expect(other.units).toHaveLength(4)
    const grows: LeaseRow = {
      ...stage.row(),
      ticket: { ...stage.row().ticket, units: 4 },
      growing: true,
      due: NOW,
    }
    stage.rows.set('lease', 'lease-1', grows)
    stage.settle()
    expect(stage.row()).toMatchObject({ short: 2, state: 'active' })
    const waits = stage.ticket({ leaseId: 'lease-3', units: 1, proof: undefined } as never)
    stage.rows.set('lease', 'lease-3', {
      ...{ ...stage.row(), id: 'lease-3', state: 'pending', units: [], growing: undefined, short: undefined },
      ...{ ticket: { ...waits, issuedAt: 0 }, due: stage.now },
    } as LeaseRow)
    stage.settle()
    expect(stage.row('lease-3').short).toBe(1)
    stage.tell('vacate', 'lease-2', { units: [other.units[0]!], reason: 'idle' })
    stage.settle()
    expect([stage.live('lease-1').length, stage.live('lease-3').length]).toEqual([3, 0])
    stage.tell('vacate', 'lease-2', { units: other.units.slice(1, 3), reason: 'idle' })
    stage.settle()
    expect([stage.live('lease-1').length, stage.live('lease-3').length]).toEqual([4, 1])
  })

  test('goes on with what it has when nothing more comes up', () => {
    const stage = new Stage()
    stage.lease({ units: 2 })
    extend(stage, { units: 3 })
    stage.world = (effect) =>
      effect.verb === 'setup'
        ? { kind: 'failed', code: 'machine-setup', reason: 'no boot' }
        : wellBehaved(effect)
    stage.now = END
    stage.pass(20_000)
    expect(stage.row()).toMatchObject({ state: 'active', incomplete: true, failures: 3 })
    expect(stage.live()).toHaveLength(2)
    expect(stage.notes.filter(({ kind }) => kind === 'lease incomplete')).toHaveLength(1)
  })

  test('does not grow beyond what the site has', () => {
    const stage = new Stage()
    stage.lease({ units: 2 })
    extend(stage, { units: 7 }, [])
    expect(stage.lastUpdate().extensionRefused).toMatch(/only 6 of vm.small/)
  })
})

describe('a unit that served and died', () => {
  test('is replaced within the term', () => {
    const stage = new Stage()
    const [dead] = stage.lease().units
    sweepWithout(stage, [dead!])
    expect(stage.live()).toHaveLength(2)
    expect(stage.live().map(({ id }) => id)).not.toContain(dead)
    expect(stage.row()).toMatchObject({ state: 'active', repairs: 1 })
  })

  test('is not replaced for the last minutes, nor where the site is told not to', () => {
    const late = new Stage()
    const first = late.lease()
    late.now = END - MINUTE + 1
    late.settle()
    sweepWithout(late, first.units.slice(0, 1))
    expect(late.live()).toHaveLength(1)
    const never = new Stage({ repair: false })
    sweepWithout(never, never.lease().units.slice(0, 1))
    expect(never.live()).toHaveLength(1)
  })

  test('is replaced more and more slowly, and not for ever', () => {
    const stage = new Stage({ failuresMax: 3 })
    stage.lease({ units: 1 })
    const waits: number[] = []
    for (let i = 0; i < 6; i++) {
      const [dead] = stage.live()
      if (dead === undefined) break
      const from = stage.now
      sweepWithout(stage, [dead.id])
      while (stage.live().length === 0 && stage.now < from + MINUTE) stage.pass(500)
      waits.push(stage.now - from)
    }
    expect(waits).toEqual([1, 501, 1_001, MINUTE + 1])
  })

  test('is said once to be out of its middleware, which is nothing to write down; said again it is noted', () => {
    const stage = new Stage({ repair: false })
    stage.settle()
    const { units } = stage.lease()
    const [dead] = units
    stage.rows.set('unit', dead!, {
      ...stage.rows.get('unit', dead!)!,
      state: 'ended',
      lost: 'died',
    } as never)
    const before = stage.notes.length
    const says = () => stage.tell('vacate', 'lease-1', { units: [dead!], reason: 'it was lost' })
    says()
    expect(stage.notes.slice(before)).toEqual([])
    expect(stage.rows.get('unit', dead!)).toMatchObject({ released: true })
    says()
    expect(stage.notes.slice(before).map(({ kind }) => kind)).toEqual(['message noted'])
  })

  test('is not replaced when its holder gave it up', () => {
    const stage = new Stage()
    stage.tell('vacate', 'lease-1', { units: stage.lease().units.slice(0, 1), reason: 'idle' })
    stage.settle()
    expect(stage.live()).toHaveLength(1)
  })
})

describe('a list of machines that comes late', () => {
  const list = (stage: Stage, startedAt: number, value: unknown[]): void => {
    stage.under.delete('site')
    const outcome = { kind: 'done' as const, value }
    stage.give({ kind: 'effect', key: 'site', verb: 'list', args: { startedAt }, attempt: 1, outcome })
  }
  const begin = (stage: Stage): number => {
    stage.now += MINUTE
    stage.command('machine ended', {})
    const { startedAt } = stage.under.get('site')!.args as { startedAt: number }
    stage.now += 100
    return startedAt
  }
  const held = (stage: Stage) => stage.units().filter(({ state, slot }) => state !== 'ended' && slot === 1)

  test('makes no orphan of a unit that has ended since it was begun, nor takes back its slot', () => {
    const stage = new Stage({ slots: 1 })
    list(stage, NOW, [])
    stage.lease({ units: 1 })
    const { id: unitId, leaseId, name, slot, host, vector } = stage.live()[0]!
    const begun = begin(stage)
    stage.tell('close', 'lease-1', { reason: 'enough' })
    stage.settle()
    stage.now += 100
    stage.lease({ leaseId: 'lease-2', units: 1 })
    list(stage, begun, [{ unitId, leaseId, name, slot, host, vector, running: true }])
    expect(held(stage).map((unit) => unit.leaseId)).toEqual(['lease-2'])
    expect(stage.notes.map(({ kind }) => kind)).not.toContain('orphan found')
  })

  test('finds an orphan once that has ended since, and then forgets it', () => {
    const stage = new Stage({ slots: 1 })
    const orphan = { unitId: 'unit-x', leaseId: 'lease-x', name: 'n1', slot: 1, host: 'a', running: false }
    list(stage, NOW, [{ ...orphan, vector: {} }])
    const begun = begin(stage)
    stage.settle()
    stage.lease({ units: 1 })
    list(stage, begun, [{ ...orphan, vector: {} }])
    expect(held(stage).map((unit) => unit.leaseId)).toEqual(['lease-1'])
    expect(stage.notes.filter(({ kind }) => kind === 'orphan found')).toHaveLength(1)
    expect(stage.units('lease-x')).toEqual([])
  })
})

test('a lease that comes to nothing cuts off no unit that is leaving within its grace', () => {
  const stage = new Stage({ failuresMax: 3 })
  stage.lease({ units: 3 })
  const [leaving, ...staying] = stage.row().units
  stage.world = (effect) => (effect.verb === 'teardown' ? undefined : wellBehaved(effect))
  const forceFrom = stage.now + 10_000
  const unit = stage.rows.get('unit', leaving!) as UnitRow
  stage.rows.set('unit', leaving!, {
    ...unit,
    state: 'teardown',
    forceFrom,
    past: true,
    due: undefined,
  } as UnitRow)
  const row: LeaseRow = { ...stage.row(), state: 'pending', failures: 3, unitsMin: 3, due: stage.now }
  stage.rows.set('lease', row.id, row)
  stage.settle()
  expect(stage.row()).toMatchObject({
    state: 'closing',
    closeReason: expect.stringContaining('only 2 of at least 3'),
  })
  expect((stage.rows.get('unit', leaving!) as UnitRow).forceFrom).toBe(forceFrom)
  expect(stage.live().map(({ id }) => id)).toEqual(staying)
})

test('a ticket is good for one lease, also long after that is over', () => {
  const stage = new Stage({ termMsMax: 600 * MINUTE })
  const ticket = stage.ticket({ term: { start: NOW, end: NOW + 300 * MINUTE } })
  stage.tell('redeem', 'lease-1', { ticket, properties: {} })
  stage.settle()
  stage.tell('close', 'lease-1', { reason: 'it is done' })
  stage.settle()
  for (let hours = 1; hours < 5; hours++) {
    stage.now += 61 * MINUTE
    stage.settle()
  }
  stage.tell('redeem', 'lease-1', { ticket, properties: {} })
  expect(stage.lastUpdate()).toMatchObject({ state: 'closed', units: [] })
  expect(stage.live()).toEqual([])
  stage.now += 120 * MINUTE
  stage.settle()
  expect(stage.row()).toBeUndefined()
})

describe('a host that is to be worked on', () => {
  const maintain = (stage: Stage, by = NOW + 5 * MINUTE) =>
    stage.command('maintain', { host: 'a', by, reason: 'a new disk' })
  const hostsOf = (stage: Stage) => stage.live().map(({ host }) => host)

  test('gets no new units, its holders are told, and less is offered', () => {
    const stage = new Stage()
    stage.lease()
    const told = hostsOf(stage).filter((host) => host === 'a').length
    expect(maintain(stage)).toEqual({ units: told, withheld: 2 })
    const leaveBy = stage.lastUpdate().units.map((unit) => unit.leaveBy)
    expect(leaveBy.filter((by) => by === NOW + 5 * MINUTE)).toHaveLength(told)
    expect(stage.lastUpdate().units.find((unit) => unit.leaveBy != null)?.leaveOrderedAt).toBe(NOW)
    expect(stage.claim().units).toBe(4)
    stage.lease({ leaseId: 'lease-2', units: 2 })
    expect(stage.live('lease-2').map(({ host }) => host)).not.toContain('a')
  })

  test('keeps what it has no room for, whatever the owner lends again', () => {
    const stage = new Stage()
    stage.command('recall', { type: 'vm.small', units: 1, by: NOW, reason: 'ours' })
    stage.settle()
    maintain(stage)
    const lend = (units: number) => () =>
      stage.command('lend again', { type: 'vm.small', units, reason: 'x' })
    expect(lend(2)).toThrow('1 of vm.small are withheld since a recall')
    lend(1)()
    stage.command('maintained', { host: 'a' })
    expect(stage.claim().units).toBe(6)
  })

  test('is emptied when its time comes, and what was there is replaced elsewhere', () => {
    const stage = new Stage()
    stage.lease()
    const before = stage.live().find(({ host }) => host === 'a')
    expect(before).toBeDefined()
    maintain(stage)
    stage.now = NOW + 5 * MINUTE
    stage.settle()
    expect(stage.live()).toHaveLength(2)
    expect(hostsOf(stage)).not.toContain('a')
    expect(stage.command('maintained', { host: 'a' })).toEqual({ offered: 2 })
    expect(stage.claim().units).toBe(6)
  })

  test('keeps until the end of its term what may not be taken before', () => {
    const free = { ...siteConfig.conditions, recallable: false }
    const stage = new Stage({ conditions: free })
    stage.lease({ conditions: free })
    const there = stage.live().filter(({ host }) => host === 'a')
    maintain(stage)
    stage.now = NOW + 5 * MINUTE
    stage.settle()
    expect(stage.live().filter(({ host }) => host === 'a')).toHaveLength(there.length)
    extend(stage, { conditions: free })
    stage.now = END
    stage.settle()
    expect(stage.live()).toHaveLength(2)
    expect(hostsOf(stage)).not.toContain('a')
  })

  test.each([
    ['at the boundary', 0, 0, 'leaves'],
    ['after it, while the site was away', 1_000, 0, 'stays'],
    ['before it, and was ordered after it', -1_000, 1_000, 'stays'],
  ])('is left where an extension begins, as its holder reckons: wanted empty %s', (_, by, ordered, what) => {
    const free = { ...siteConfig.conditions, recallable: false }
    const stage = new Stage({ conditions: free })
    stage.lease({ conditions: free })
    const there = stage.live().filter(({ host }) => host === 'a').length
    extend(stage, { conditions: free })
    stage.now = ordered > 0 ? END + ordered : NOW
    maintain(stage, END + by)
    stage.now = END + 2_000
    stage.settle()
    expect(hostsOf(stage).filter((host) => host === 'a')).toHaveLength(what === 'stays' ? there : 0)
    expect(there).toBeGreaterThan(0)
  })

  test('is what a unit leaves for until that has ended, and so its holder is told, also who was restored', () => {
    const stage = new Stage()
    stage.lease()
    const there = stage.live().filter(({ host }) => host === 'a')
    maintain(stage)
    stage.world = (effect) =>
      effect.verb === 'teardown'
        ? { kind: 'done', value: { kind: 'busy', what: 'a job' } }
        : wellBehaved(effect)
    stage.now = NOW + 5 * MINUTE
    stage.settle()
    const wanted = { leaveBy: NOW + 5 * MINUTE, leaveOrderedAt: NOW }
    stage.tell('holdings-query', 'holdings-1', { page: 0 })
    const told = stage.sent.at(-1)?.body as Body<'holdings'>
    expect(there.length).toBeGreaterThan(0)
    for (const { id } of there) {
      expect(stage.lastUpdate().units.find((unit) => unit.id === id)).toMatchObject({
        report: 'suspect',
        ...wanted,
      })
      expect(told.holdings[0]?.units.find((unit) => unit.id === id)).toMatchObject(wanted)
    }
    stage.world = wellBehaved
    stage.pass(1_000)
    for (const { id } of there)
      expect(stage.lastUpdate().units.find((unit) => unit.id === id)?.leaveBy).toBeUndefined()
  })

  test('keeps what is held by somebody whose protocol has no word for it: it was never told', () => {
    const stage = new Stage()
    const peer: PeerRow & { protocol: number } = {
      ...{ id: 'manager', offsetMs: 0, errorMs: 0, measuredAt: NOW },
      protocol: 1,
    }
    stage.rows.set('$peer', 'manager', peer as Row)
    stage.lease()
    const there = stage.live().filter(({ host }) => host === 'a')
    maintain(stage)
    stage.now = NOW + 5 * MINUTE
    stage.settle()
    extend(stage, {})
    stage.now = END
    stage.settle()
    expect(there.length).toBeGreaterThan(0)
    expect(stage.live().filter(({ host }) => host === 'a')).toEqual(
      there.map(({ id }) => expect.objectContaining({ id })),
    )
  })

  test('leaves work there its grace from when it begins, should the site have been away', () => {
    const stage = new Stage()
    stage.lease()
    const there = stage.live().find(({ host }) => host === 'a')!
    maintain(stage)
    stage.world = (effect) =>
      effect.verb === 'teardown' && !(effect.args as UnitEffectArgs).force
        ? { kind: 'done', value: { kind: 'busy', what: 'a job' } }
        : wellBehaved(effect)
    stage.now = NOW + 7 * MINUTE
    stage.settle()
    expect(stage.rows.get('unit', there.id)).toMatchObject({
      state: 'teardown',
      forceFrom: NOW + 7 * MINUTE + siteConfig.conditions.graceMs,
    })
  })

  test('has to be known, and the time to come', () => {
    const stage = new Stage()
    expect(() => stage.command('maintain', { host: 'x', by: NOW, reason: '' })).toThrow(
      'no host x; it has a, b, c',
    )
    expect(() => maintain(stage, NOW - 2 * MINUTE)).toThrow('that is past')
    expect(() => maintain(stage, 1.5)).toThrow('that is no time')
    expect(() => stage.command('maintained', { host: 'a' })).toThrow('host a is in service')
    expect(() => stage.command('maintained', { host: 'x' })).toThrow('no host x; it has a, b, c')
  })

  test('is named where a lease waits for room', () => {
    const stage = new Stage()
    const ticket = stage.ticket({ units: 6 })
    maintain(stage)
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    expect(stage.row().waits).toMatch(
      /no slot, host or unit of the offer is free while work is to be done on a$/,
    )
  })

  test('that is ordered twice is told once; at another time it is another order', () => {
    const stage = new Stage()
    stage.lease()
    const first = maintain(stage)
    const told = () => [stage.sent.length, stage.notes.length]
    const before = told()
    stage.now += MINUTE
    expect(maintain(stage)).toEqual(first)
    expect(stage.command('maintain', { host: 'a', reason: 'a new disk' })).toEqual(first)
    expect(stage.command('maintain', { host: 'a' })).toEqual(first)
    expect(told()).toEqual(before)
    stage.now = NOW + 7 * MINUTE
    stage.settle()
    expect(maintain(stage)).toEqual({ units: 0, withheld: 2 })
    expect(maintain(stage, NOW + 9 * MINUTE)).toMatchObject({ withheld: 2 })
    expect(stage.notes.filter(({ kind }) => kind === 'host leaves service')).toHaveLength(2)
  })

  test('without a time is wanted empty once the notice of the terms is over', () => {
    const stage = new Stage()
    stage.lease()
    stage.command('maintain', { host: 'a', reason: 'a new disk' })
    const row = stage.rows.get('host', 'a')!
    expect(row).toMatchObject({ by: NOW + 1_000 + MINUTE, due: NOW + 1_000 + MINUTE })
    stage.now = row.due!
    stage.settle()
    expect(hostsOf(stage)).not.toContain('a')
  })

  test('gives notice anew when it is wanted earlier, and not when it is wanted later', () => {
    const noticed = { ...siteConfig.conditions, noticeMs: 2 * MINUTE }
    const stage = new Stage({ conditions: noticed })
    stage.lease({ conditions: noticed })
    const there = hostsOf(stage).filter((host) => host === 'a').length
    maintain(stage, NOW + 5 * MINUTE)
    stage.now = NOW + 3 * MINUTE
    maintain(stage, NOW + 4 * MINUTE)
    stage.now = NOW + 4 * MINUTE
    stage.settle()
    expect(hostsOf(stage).filter((host) => host === 'a')).toHaveLength(there)
    const other = new Stage({ conditions: noticed })
    other.lease({ conditions: noticed })
    maintain(other, NOW + 5 * MINUTE)
    other.now = NOW + 4 * MINUTE
    maintain(other, NOW + 5.5 * MINUTE)
    other.now = NOW + 5.5 * MINUTE
    other.settle()
    expect(hostsOf(other)).not.toContain('a')
  })
})

describe('a lease whose properties change', () => {
  const modify = (stage: Stage, properties: Record<string, string>, modificationId = 'change-1') => {
    stage.tell('modify-lease', 'lease-1', { modificationId, properties })
    stage.settle()
    return stage.lastUpdate().modified
  }
  const pushed: unknown[] = []
  const recording = (effect: Parameters<typeof wellBehaved>[0]) => {
    if (effect.verb === 'modify') pushed.push(specOf(effect).properties)
    return wellBehaved(effect)
  }

  test('has them on each unit, and its holder is told when they are there', () => {
    const stage = new Stage()
    stage.lease({}, { a: '1', b: '2' })
    stage.world = recording
    pushed.length = 0
    expect(modify(stage, { b: '', c: '3' })).toEqual({
      modificationId: 'change-1',
      refused: null,
      failed: [],
    })
    expect(pushed).toEqual([
      { a: '1', c: '3' },
      { a: '1', c: '3' },
    ])
    expect(stage.row()).toMatchObject({ state: 'active', properties: { a: '1', c: '3' } })
  })

  test('says which units did not take them, and goes on', () => {
    const stage = new Stage()
    const { units } = stage.lease()
    stage.world = (effect) =>
      effect.verb === 'modify' && specOf(effect).unitId === units[0]
        ? { kind: 'failed', code: 'machine-unreachable', reason: 'it hangs' }
        : wellBehaved(effect)
    stage.tell('modify-lease', 'lease-1', { modificationId: 'change-1', properties: { a: '2' } })
    stage.pass(5_000)
    expect(stage.lastUpdate().modified).toEqual({
      modificationId: 'change-1',
      refused: null,
      failed: [units[0]],
    })
    expect(stage.live().map(({ state }) => state)).toEqual(['active', 'active'])
    // A later change is tried anew, and supersedes it.
    stage.world = wellBehaved
    expect(modify(stage, { a: '3' }, 'change-2')).toEqual({
      modificationId: 'change-2',
      refused: null,
      failed: [],
    })
  })

  test('pushes the latest when one is changed while another is under way', () => {
    const stage = new Stage()
    stage.lease()
    stage.world = (effect) => (effect.verb === 'modify' ? undefined : wellBehaved(effect))
    modify(stage, { a: '1' })
    modify(stage, { a: '2' }, 'change-2')
    expect(stage.lastUpdate().modified).toBeUndefined()
    pushed.length = 0
    stage.world = recording
    stage.settle()
    expect(stage.lastUpdate().modified?.modificationId).toBe('change-2')
    expect(pushed.at(-1)).toEqual({ a: '2' })
  })

  test.each<[Record<string, string>, RegExp]>([
    [{ image: 'other' }, /image stays plain/],
    [{ elastic: 'perhaps' }, /elastic/],
  ])('is refused %o', (properties, why) => {
    const stage = new Stage()
    stage.lease({}, { a: '1' })
    expect(modify(stage, properties)?.refused).toMatch(why)
    expect(stage.row().properties).toEqual({ a: '1' })
    expect(stage.row().state).toBe('active')
  })
})

describe('a type that is taken back', () => {
  test('is not given away any more, and what was promised is kept', () => {
    const stage = new Stage()
    stage.lease()
    const late = stage.ticket({ leaseId: 'lease-2' })
    expect(stage.command('withdraw', { type: 'vm.small', reason: 'not ours' })).toEqual({ promised: 6 })
    expect(stage.sent.at(-1)?.body).toMatchObject({ units: 0 })
    stage.tell('redeem', 'lease-2', { ticket: late, properties: {} })
    stage.settle()
    expect([stage.live('lease-1').length, stage.live('lease-2').length]).toEqual([2, 2])
    stage.give({ kind: 'started', epoch: 2 })
    expect(stage.sent.filter(({ kind }) => kind === 'delegation').at(-1)?.body).toMatchObject({ units: 0 })
    stage.command('lend again', { type: 'vm.small', units: 0, reason: 'again' })
    expect(stage.claim().units).toBe(6)
  })

  test('is reclaimed: nothing is left when the time and the grace are over', () => {
    const stage = new Stage()
    stage.lease()
    const by = NOW + MINUTE
    expect(stage.command('reclaim', { type: 'vm.small', by, reason: 'ours' })).toMatchObject({ units: 6 })
    expect(stage.sent.find(({ kind }) => kind === 'recall-units')?.body).toMatchObject({ units: 6, by })
    for (const now of [by, by + siteConfig.conditions.graceMs]) {
      stage.now = now
      stage.settle()
    }
    expect(stage.live()).toEqual([])
  })
})

describe('a recall', () => {
  const order = { type: 'vm.small', units: 1, reason: 'ours' }
  const { noticeMs } = siteConfig.conditions

  test.each([
    ['binds with the notice of the terms', { noticeMs: MINUTE, recallable: true }, 0, null],
    [
      'is said to be advice with less',
      { noticeMs: MINUTE, recallable: true },
      -1,
      /advice, .* a notice of 60 s/,
    ],
    [
      'is said to be advice where units are not to be recalled',
      { noticeMs, recallable: false },
      0,
      /do not let/,
    ],
  ])('%s', (_, terms, less, advice) => {
    const stage = new Stage({ conditions: { ...siteConfig.conditions, ...terms } })
    const answer = stage.command('recall', { ...order, by: NOW + terms.noticeMs + less })
    expect(answer).toMatchObject({ advice: advice === null ? null : expect.stringMatching(advice) })
  })
})

describe('a unit that works in its grace', () => {
  test('is taken when the grace of a recall is over, though its own is longer', () => {
    const stage = new Stage()
    const works: Stage['world'] = (effect) =>
      effect.verb === 'teardown' && !(effect.args as UnitEffectArgs).force
        ? { kind: 'done', value: { kind: 'busy', what: 'job 1' } }
        : wellBehaved(effect)
    stage.world = works
    const by = NOW + 2_000
    stage.lease({ units: 6, term: { start: NOW, end: by + 5_000 } })
    stage.command('recall', { type: 'vm.small', units: 6, by, reason: 'ours' })
    for (const now of [by, by + 5_000]) {
      stage.now = now
      stage.settle()
    }
    expect(stage.units().map(({ state }) => state)).toEqual(Array(6).fill('teardown'))
    stage.now = by + siteConfig.conditions.graceMs
    stage.settle()
    expect(stage.units().filter(({ state }) => state !== 'ended')).toEqual([])
  })

  test.each([
    'recalls units',
    'ends the lease',
  ])('keeps the grace of the ticket that it went under, though the next one has less, when its site %s', (why) => {
    const before = { ...siteConfig.conditions, graceMs: 4 * MINUTE }
    const stage = new Stage({ conditions: before })
    stage.world = (effect) =>
      effect.verb === 'teardown' && !(effect.args as UnitEffectArgs).force
        ? { kind: 'done', value: { kind: 'busy', what: 'job 1' } }
        : wellBehaved(effect)
    stage.lease({ conditions: before })
    const [dead] = stage.live()
    sweepWithout(stage, [dead!.id])
    Object.assign(stage.config, { conditions: siteConfig.conditions })
    stage.give({ kind: 'started', epoch: 2 })
    stage.settle()
    extend(stage, { term: { start: END, end: END + MINUTE } })
    if (why === 'recalls units')
      stage.command('recall', { type: 'vm.small', units: 6, by: END + 2_000, reason: 'ours' })
    const stateAt = (now: number): string | undefined => {
      stage.now = now
      stage.settle()
      return stage.units().find(({ id }) => id === dead!.id)?.state
    }
    for (const now of [END, END + 2_000, END + MINUTE, END + 2 * MINUTE])
      expect(stateAt(now)).toBe('teardown')
    expect([undefined, 'ended']).toContain(stateAt(END + 4 * MINUTE + 1_000))
  })

  test('has the whole grace of a recall whose time came while the site was away', () => {
    const stage = new Stage()
    const by = NOW + 2_000
    stage.lease({ units: 6, term: { start: NOW, end: by + 5 * MINUTE } })
    stage.command('recall', { type: 'vm.small', units: 6, by, reason: 'ours' })
    const { graceMs } = siteConfig.conditions
    stage.now = by + MINUTE
    stage.settle()
    stage.now = by + MINUTE + graceMs - 1
    stage.settle()
    expect(stage.live()).toHaveLength(6)
    stage.now = by + MINUTE + graceMs
    stage.settle()
    expect(stage.live()).toEqual([])
  })
})

describe('whoever asks a site', () => {
  const ask = (stage: Stage, query: Body<'query'>): Body<'query-answer'> => {
    stage.tell('query', 'query-1', query)
    return stage.sent.at(-1)!.body as Body<'query-answer'>
  }

  test('hears what is lent and what of it is free', () => {
    const stage = new Stage()
    stage.lease()
    const told = [{ site: 'duke', type: 'vm.small', units: 6, free: 4, until: null }]
    expect(ask(stage, { about: 'types' }).types).toMatchObject(told)
    expect(stage.command('query', { about: 'types' })).toMatchObject({ types: told })
  })

  test('hears when there would be room, and what is held until when', () => {
    const stage = new Stage()
    stage.lease({ units: 4 })
    const answer = ask(stage, { about: 'availability', type: 'vm.small', units: 5, durationMs: MINUTE })
    expect(answer).toMatchObject({ unitsNow: 2, earliest: END, refused: null })
    expect(answer.profile).toEqual([
      { from: NOW, free: 2 },
      { from: END, free: 6 },
    ])
    expect(ask(stage, { about: 'availability', type: 'vm.large' }).refused).toMatch(/no type vm.large/)
  })
})
