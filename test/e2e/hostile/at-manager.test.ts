import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Body } from '../../../actors/leases/messages.ts'
import { issueTicket, type Ticket } from '../../../actors/leases/ticket.ts'
import type { LeaseRow, UnitRow } from '../../../actors/service-manager/rows.ts'
import type { Puppet } from './puppet.ts'
import { World } from './world.ts'

/** A broker and a site that lie, with keys that are trusted, against a service manager in a process of its own. */
const world = new World({
  live: ['manager'],
  played: { broker: 'broker', site: 'site', far: 'site' },
  units: 4,
})
let broker: Puppet
let site: Puppet
let far: Puppet
let failed = false
beforeAll(async () => {
  await world.open()
  ;({ broker, site, far } = world.puppets as Record<'broker' | 'site' | 'far', Puppet>)
}, 180_000)
afterEach(({ task }) => {
  failed ||= task.result?.state === 'fail'
})
afterAll(() => world.close(failed), 30_000)

const MINUTE = 60_000
const now = (): number => Math.floor(performance.timeOrigin + performance.now())
const seen = new Set<string>()

/** The next request that the manager makes. */
async function asked(): Promise<{ readonly leaseId: string; readonly body: Body<'ticket'> }> {
  const { subject, body } = await broker.hears('ticket', undefined, (_, { subject }) => !seen.has(subject))
  seen.add(subject)
  return { leaseId: subject, body }
}

function ticketFor(
  leaseId: string,
  { type, units, durationMs }: Body<'ticket'>,
  change: Partial<Ticket> = {},
) {
  const start = now() - 1_000
  const record = {
    ...{ id: `ticket-of-${leaseId}`, leaseId, holder: 'manager', site: 'site', type, units },
    ...{ term: { start, end: start + durationMs }, predecessor: null, issuedAt: start },
    conditions: { recallable: false, noticeMs: 0, graceMs: 1_000 },
  }
  return issueTicket({ ...record, ...change }, broker.identity)
}

const grant = (leaseId: string, ticket: Ticket | null) =>
  broker.says('manager', 'ticket-update', leaseId, {
    ...{ outcome: 'granted', ticket, reason: 'take it', earliest: null, unitsNow: 0 },
  })

const unit = (id: string, name: string, report: 'coming' | 'active' | 'ended' = 'active') => ({
  ...{ id, name, report, vector: { cpu: 2, memoryMiB: 1024 }, facts: { socket: '/nowhere' }, reason: '' },
})

const lease = (id: string): LeaseRow => world.rows('manager')[`lease ${id}`] as LeaseRow
const units = (): UnitRow[] =>
  Object.entries(world.rows('manager')).flatMap(([key, row]) =>
    key.startsWith('unit ') ? [row as UnitRow] : [],
  )

let held = ''
const update = (as: Puppet, change: Partial<Body<'lease-update'>>, leaseId = held, lies = {}) =>
  as.says(
    'manager',
    'lease-update',
    leaseId,
    {
      ...{ state: 'active', term: lease(leaseId).term!, ticketId: lease(leaseId).ticket!.id, units: [] },
      ...{ image: '', reason: '', extensionRefused: null, ...change },
    },
    lies,
  )

test('each ticket that is not what was asked for goes back at once, with the reason', async () => {
  await world.submit(60)
  const lies: readonly [Partial<Ticket> | null, RegExp][] = [
    [null, /there is none/],
    [{ units: 40 }, /it is for 40 units/],
    [{ type: 'vm.huge' }, /it is for vm\.huge/],
    [{ leaseId: 'lease-other' }, /it is for another lease/],
    [{ holder: 'somebody' }, /it was issued to somebody/],
    [{ site: 'nowhere' }, /no peer of that name is known here/],
    [{ predecessor: 'ticket-0' }, /it extends another one/],
    [{ term: { start: now(), end: now() + 1e10 } }, /ms were asked for/],
    [{ term: { start: now() + MINUTE, end: now() + 2 * MINUTE } }, /after the latest start asked for/],
  ]
  for (const [change, sentence] of lies) {
    const { leaseId, body } = await asked()
    await grant(leaseId, change === null ? null : ticketFor(leaseId, body, change))
    const { body: back } = await broker.hears('relinquish', leaseId)
    expect(back.reason).toMatch(sentence)
    await broker.says('manager', 'ticket-update', leaseId, {
      ...{ outcome: 'closed', ticket: null, reason: 'given back', earliest: null, unitsNow: 0 },
    })
  }
  expect(units()).toEqual([])
}, 180_000)

test('a ticket for nobody goes back; a second one, a refusal and a recall that was not agreed change nothing', async () => {
  const { leaseId, body } = await asked()
  held = leaseId
  await grant(held, ticketFor(held, body, { units: 1 }))
  await site.hears('redeem', held)
  await update(site, { units: [unit('unit-1', 'vm1', 'coming')] })
  await world.until(
    'it is active',
    () => lease(held).leaseState,
    (state) => state === 'active',
  )
  const before = JSON.stringify(lease(held))
  await grant('lease-nobody', ticketFor('lease-nobody', body))
  await broker.hears('relinquish', 'lease-nobody')
  await grant(held, ticketFor(held, body, { id: 'ticket-second', units: 1 }))
  await broker.says('manager', 'ticket-update', held, {
    ...{ outcome: 'refused', ticket: null, reason: 'no', earliest: null, unitsNow: 0 },
  })
  const recall = { recallId: 'recall-1', units: 1, by: now(), binding: true, reason: 'mine' }
  await broker.says('manager', 'recall', held, recall)
  expect((await broker.hears('recall-plan', held)).body).toMatchObject({ units: 0 })
  expect(JSON.stringify(lease(held))).toBe(before)
})

test('a site is believed of its own leases, in the order in which it speaks, and of each unit once', async () => {
  await update(site, { units: [unit('unit-1', 'vm1', 'coming')] }, held, { number: 7 })
  const before = JSON.stringify([lease(held), units()])
  await update(far, { state: 'closed', reason: 'over' })
  expect(await update(site, { state: 'closed', reason: 'over' }, held, { number: 7 })).toMatchObject({
    ...{ outcome: 'refused', code: 'message-conflict' },
  })
  expect(await update(site, { units: [unit('unit-1', 'vm1', 'ended')] }, held, { number: 1 })).toMatchObject({
    outcome: 'noted',
  })
  await world.until(
    'the other site is refused',
    () => world.notes('manager', 'message refused', held),
    (notes) => notes.includes('far is not the site of this lease'),
  )
  expect(JSON.stringify([lease(held), units()])).toBe(before)

  // A unit of another lease is not taken, whoever names it.
  for (let i = 0; i < 3; i++) await world.submit(60)
  const { leaseId, body } = await asked()
  await grant(leaseId, ticketFor(leaseId, body, { site: 'far', units: 1 }))
  await far.hears('redeem', leaseId)
  await update(far, { units: [unit('unit-1', 'vm1', 'ended')] }, leaseId)
  const notes = await world.until(
    'the unit is refused',
    () => world.notes('manager', 'message refused', leaseId),
    ({ length }) => length > 0,
  )
  expect(notes).toEqual([`unit-1 is a unit of ${held}`])
  expect(units()).toMatchObject([{ id: 'unit-1', leaseId: held, state: 'awaited' }])

  // Property lists that are too long do not come in; long ones do no harm.
  const facts = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`key-${i}`, 'x'.repeat(100)]))
  await update(site, { units: [{ ...unit('unit-1', 'vm1', 'coming'), facts }] }, held, { number: 8 })
  const long = { ...facts, long: 'x'.repeat(4_001) }
  await update(site, { units: [{ ...unit('unit-1', 'vm1'), facts: long }] }, held, { number: 9 })
  await world.until(
    'it is refused',
    () => world.notes('manager', 'message refused', held),
    (some) => some.some((note) => /facts\.long/.test(note)),
  )
  expect(units()).toMatchObject([{ id: 'unit-1', state: 'awaited' }])
})

test('a site that names more units than the ticket is for, or one twice, is told to the ledger, and none of them joins', async () => {
  const before = JSON.stringify([lease(held).units, units().map(({ id }) => id)])
  const many = Array.from({ length: 200 }, (_, i) => unit(`unit-more-${i}`, `more${i}`))
  const one = unit('unit-1', 'vm1', 'coming')
  await update(site, { units: [one, one, ...many] }, held, { number: 20 })
  const notes = await world.until(
    'they are refused',
    () => world.notes('manager', 'unit refused', held),
    ({ length }) => length > 200,
  )
  expect(notes[0]).toBe('the site says more than it may: unit-1 (vm1): it is named twice at once')
  expect(notes.at(-1)).toMatch(/unit-more-199 \(more199\): the ticket is for 1 unit, and there are as many/)
  expect(JSON.stringify([lease(held).units, units().map(({ id }) => id)])).toBe(before)
})

test('a site that says no more keeps no manager from beginning again with what it holds, and its ledger is proven', async () => {
  site.isMute = true
  far.isMute = true
  await world.processes.manager!.kill()
  await world.processes.manager!.up()
  expect(lease(held)).toMatchObject({ leaseState: 'active' })
  expect(await world.faults('manager')).toEqual([])
}, 180_000)
