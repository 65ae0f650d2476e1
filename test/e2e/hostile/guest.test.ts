import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Body } from '../../../actors/leases/messages.ts'
import type { Ticket } from '../../../actors/leases/ticket.ts'
import type { Envelope } from '../../../actors/runtime/envelope.ts'
import type { Puppet } from './puppet.ts'
import { standing } from './standing.ts'
import { World } from './world.ts'

/** A guest that lies, with a key that is trusted, among three honest processes. */
const world = new World({
  live: ['broker', 'site', 'manager'],
  played: { mallory: 'manager', anna: 'manager' },
  units: 4,
})
let mallory: Puppet
let anna: Puppet
standing(world, () => {
  mallory = world.puppets.mallory!
  anna = world.puppets.anna!
})

const MINUTE = 60_000
const now = (): number => Math.floor(performance.timeOrigin + performance.now())
const both = (): string => JSON.stringify([world.rows('site'), world.rows('broker')])

async function ticketFor(puppet: Puppet, leaseId: string, durationMs = 5 * MINUTE): Promise<Ticket> {
  const ask = { type: 'vm.small', units: 1, durationMs, start: now(), properties: {} }
  await puppet.says('broker', 'ticket', leaseId, ask)
  const { body } = await puppet.hears('ticket-update', leaseId, ({ outcome }) => outcome === 'granted')
  return body.ticket!
}

const closed = async (puppet: Puppet, leaseId: string): Promise<Body<'lease-update'>> =>
  (await puppet.hears('lease-update', leaseId, ({ state }) => state === 'closed')).body

test('what is another’s is refused by name, told, and written down, and nothing changes', async () => {
  const annas = await ticketFor(anna, 'lease-anna')
  const before = both()
  await mallory.says('site', 'redeem', 'lease-anna', { ticket: annas, properties: {} })
  expect((await closed(mallory, 'lease-anna')).reason).toMatch(/issued to anna, not to mallory/)
  await mallory.says('site', 'redeem', 'lease-mallory', { ticket: annas, properties: {} })
  expect((await closed(mallory, 'lease-mallory')).reason).toMatch(/the ticket is for lease-anna/)
  expect(both()).toBe(before)

  await mallory.says('broker', 'extend-ticket', 'lease-anna', {
    ...{ predecessor: annas.id, units: 1, durationMs: MINUTE },
  })
  const refused = await mallory.hears('ticket-update', 'lease-anna')
  expect(refused.body).toMatchObject({
    outcome: 'extension-refused',
    reason: 'no ticket of mallory is known under lease-anna',
  })
  await mallory.says('broker', 'relinquish', 'lease-anna', { reason: 'mine' })
  await mallory.hears('ticket-update', 'lease-anna', ({ reason }) => reason.includes('not held by mallory'))
  await mallory.says('broker', 'ticket', 'lease-anna', {
    ...{ type: 'vm.small', units: 1, durationMs: MINUTE, start: 0, properties: {} },
  })
  await mallory.hears(
    'ticket-update',
    'lease-anna',
    ({ reason }) => reason === 'the lease id lease-anna is in use',
  )
  expect(both()).toBe(before)
  const notes = (await world.ledger('broker', 'lease-anna')).filter(({ kind }) => kind.includes('refused'))
  expect(notes.map(({ kind }) => kind)).toEqual(['extension refused', 'message refused', 'refused'])

  await anna.says('site', 'redeem', 'lease-anna', { ticket: annas, properties: {} })
  await anna.hears('lease-update', 'lease-anna', ({ state }) => state === 'active')
})

test('one ticket is one lease, also after it was closed, and none after its end', async () => {
  const ticket = await ticketFor(mallory, 'lease-1')
  const again = { ticket, properties: {} }
  await mallory.says('site', 'redeem', 'lease-1', again)
  await mallory.hears('lease-update', 'lease-1', ({ state }) => state === 'active')
  await mallory.says('site', 'redeem', 'lease-2', again)
  expect((await closed(mallory, 'lease-2')).reason).toMatch(/the ticket is for lease-1/)
  await mallory.says('site', 'close', 'lease-1', { reason: 'done' })
  await closed(mallory, 'lease-1')
  const before = JSON.stringify(world.rows('site'))
  const heard = mallory.heard.length
  await mallory.says('site', 'redeem', 'lease-1', again)
  await world.until(
    'it is answered',
    () => mallory.heard.length,
    (count) => count > heard,
  )
  expect(mallory.heard.at(-1)?.body).toMatchObject({ state: 'closed' })
  expect(JSON.stringify(world.rows('site'))).toBe(before)

  const short = await ticketFor(mallory, 'lease-short', 1_000)
  await world.until('it is over', now, (at) => at > short.term.end)
  await mallory.says('site', 'redeem', 'lease-short', { ticket: short, properties: {} })
  expect((await closed(mallory, 'lease-short')).reason).toMatch(/its term has ended/)
})

test('old numbers, other bodies, older generations and what is too late change nothing', async () => {
  const before = both()
  const body = { about: 'types' } as const
  expect((await mallory.says('broker', 'query', 'query-1', body, { number: 5 })).outcome).toBe('received')
  expect((await mallory.says('broker', 'query', 'query-1', body, { number: 4 })).outcome).toBe('noted')
  expect(
    await mallory.says('broker', 'query', 'query-1', { about: 'availability' }, { number: 5 }),
  ).toMatchObject({ outcome: 'refused', code: 'message-conflict' })
  const old = { number: 4, generation: 7, seq: 1 }
  expect((await mallory.says('broker', 'query', 'query-1', body, old)).outcome).toBe('noted')
  expect(await mallory.says('broker', 'query', 'query-2', body, { until: 1 })).toMatchObject({
    ...{ outcome: 'refused', code: 'message-expired' },
  })
  const ever = { until: now() + 30 * 365 * 24 * 60 * MINUTE }
  expect(await mallory.says('broker', 'query', 'query-2', body, ever)).toMatchObject({
    ...{ outcome: 'refused', code: 'message-malformed' },
  })
  const sealed = mallory.heard[0] as Envelope
  expect(await mallory.repeats({ ...sealed, to: 'broker' })).toMatchObject({ outcome: 'refused' })
  expect(both()).toBe(before)
})

test('two thousand requests are bounded and answered, and a job of an honest guest starts meanwhile', async () => {
  const job = await world.submit(1)
  const flood = Array.from({ length: 2_000 }, (_, i) =>
    i % 2 === 0
      ? mallory.utters('broker', 'ticket', `lease-flood-${i}`, { n: 'x'.repeat(1_000) })
      : mallory.says('site', 'close', `lease-flood-${i}`, { reason: 'none' }),
  )
  const acks = await Promise.all(flood)
  expect(new Set(acks.map(({ outcome }) => outcome)).has('received')).toBe(true)
  await world.until(
    'the job has run',
    () => world.jobState(job),
    (state) => state === 'ended',
  )
  for (const name of ['broker', 'site', 'manager'] as const) {
    expect([name, await world.faults(name)]).toEqual([name, []])
    const out = readFileSync(join(world.dir, `${name}.out`), 'utf8')
    expect(out).not.toMatch(/set aside|TypeError|unhandled/i)
  }
}, 180_000)

test('what property lists hold is in no ledger, log, export, story or sentence', async () => {
  const secret = 'hunter2-of-anna'
  const properties = { 'db.password': secret, 'ssh.key': `file:/secret/${secret}` }
  const id = 'lease-secret'
  const ask = { type: 'vm.small', units: 1, durationMs: 5 * MINUTE, start: now(), properties }
  await anna.says('broker', 'ticket', id, ask)
  const { body } = await anna.hears('ticket-update', id, ({ outcome }) => outcome === 'granted')
  await anna.says('site', 'redeem', id, { ticket: body.ticket!, properties })
  await anna.hears('lease-update', id, ({ state }) => state === 'active')
  await anna.says('site', 'modify-lease', id, { modificationId: 'm-1', properties: { token: secret } })
  await anna.hears('lease-update', id, ({ modified }) => modified?.modificationId === 'm-1')
  // Of a wrong form, for nobody, and where the request is refused.
  await anna.utters('broker', 'ticket', 'lease-wrong', {
    ...ask,
    units: secret,
    properties: { a: { b: secret } },
  })
  await anna.utters('site', 'modify-lease', 'lease-none', {
    modificationId: 'm-2',
    properties: { token: secret },
  })
  await anna.says('broker', 'ticket', id, ask)
  await anna.says('site', 'redeem', 'lease-other', { ticket: body.ticket!, properties })
  await closed(anna, 'lease-other')
  const keys = Object.values(world.keys).map(({ privateKey }) => privateKey.split('\n')[1]!)
  for (const name of ['broker', 'site', 'manager'] as const) {
    const story = await world.processes[name]!.client.get(`/explain/lease/${id}`).catch(String)
    const logs = ['.out', '/sublet.log'].map((end) => readFileSync(join(world.dir, `${name}${end}`), 'utf8'))
    const told = [JSON.stringify(await world.ledger(name)), JSON.stringify(story), ...logs].join('\n')
    for (const word of [secret, ...keys]) expect([name, told.includes(word)]).toEqual([name, false])
    expect(told.length).toBeGreaterThan(1_000)
  }
}, 180_000)
