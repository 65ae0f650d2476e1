import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Ticket } from '../../../actors/leases/ticket.ts'
import { systemClock as clock } from '../../../actors/runtime/clock.ts'
import { ed25519Identity, generateKeys } from '../../../actors/runtime/identity.ts'
import type { Puppet } from './puppet.ts'

import { standing } from './standing.ts'
import { type Place, World } from './world.ts'

/** Keys that end and follow each other while leases live and messages are under way. */
const CLI = fileURLToPath(new URL('../../../deploy/bin.js', import.meta.url))
const world = new World({ live: ['broker', 'site'], played: { anna: 'manager' }, units: 4 })
let anna: Puppet
standing(world, () => {
  anna = world.puppets.anna!
})

let count = 0

async function ticket(): Promise<Ticket> {
  const id = `lease-${++count}`
  const ask = { type: 'vm.small', units: 1, durationMs: 300_000, start: clock.now(), properties: {} }
  await anna.says('broker', 'ticket', id, ask)
  const { body } = await anna.hears('ticket-update', id, ({ outcome }) => outcome === 'granted')
  return body.ticket!
}

async function redeems(held: Ticket): Promise<string> {
  await anna.says('site', 'redeem', held.leaseId, { ticket: held, properties: {} })
  await anna.hears('lease-update', held.leaseId, ({ state }) => state === 'active')
  return held.leaseId
}

async function closes(id: string): Promise<void> {
  await anna.says('site', 'close', id, { reason: 'done' })
  await anna.hears('lease-update', id, ({ state }) => state === 'closed')
  await anna.says('broker', 'relinquish', id, { reason: 'done' })
}

/** Its other keys there are good for so long from then on. */
const trusts = (place: Place, peer: string, key: string, oldUntil: string) =>
  promisify(execFile)(process.execPath, [
    ...[CLI, 'peer', 'add', peer, '--key', key, '--old-until', oldUntil],
    ...['--config', world.configOf(place)],
  ])

const ask = (place: Place = 'broker') => anna.says(place, 'query', `query-${++count}`, { about: 'types' })

test('one key of a broker follows another while guests ask without a pause: no lease is lost, no ledger is in doubt', async () => {
  const next = generateKeys()
  const keyOf = (privateKey: string): string => ed25519Identity('broker', privateKey).key
  const [old, key] = [keyOf(world.keys.broker!.privateKey), keyOf(next.privateKey)]
  const keys = join(world.dir, 'broker', 'keys')
  const before = await redeems(await ticket())
  await trusts('site', 'broker', key, '1h')
  const times = { signFrom: clock.now() + 2_000, oldUntil: clock.now() + 4_000 }
  writeFileSync(join(keys, 'broker.next.key'), next.privateKey, { mode: 0o600 })
  writeFileSync(join(keys, 'broker.next.json'), JSON.stringify(times))
  await world.processes.broker!.client.post('/peers/reload', {})
  const signedBy = new Set<string | undefined>()
  while (clock.now() < times.oldUntil + 1_500) {
    signedBy.add((await ask()).key)
    await closes(await redeems(await ticket()))
  }
  expect([...signedBy]).toEqual([old, key])
  expect((await ask()).key).toBe(key)
  await closes(before)
  expect(await world.faults('broker')).toEqual([])
  expect(await world.faults('site')).toEqual([])
}, 180_000)

test('a holder whose key ends keeps its lease, is refused by a code of its own, and goes on with the next key', async () => {
  const first = anna.identity
  const next = ed25519Identity('anna', generateKeys().privateKey)
  const held = await redeems(await ticket())
  const unused = await ticket()
  await Promise.all((['broker', 'site'] as const).map((place) => trusts(place, 'anna', next.key, '4s')))
  expect((await ask()).outcome).toBe('received')
  for (const place of ['broker', 'site'] as const) {
    const refusal = await world.until(
      'the key has ended',
      () => ask(place),
      ({ outcome }) => outcome === 'refused',
    )
    expect(refusal.code).toBe('message-key-expired')
  }
  const close = await anna.says('site', 'close', held, { reason: 'done' })
  expect(close).toMatchObject({ outcome: 'refused', code: 'message-key-expired' })
  expect(world.rows('site')[`lease ${held}`]).toMatchObject({ state: 'active' })
  // What it asked for with the old key it cannot redeem with the new one, and is told so.
  anna.identity = next
  expect((await ask()).outcome).toBe('received')
  await anna.says('site', 'redeem', unused.leaseId, { ticket: unused, properties: {} })
  const { body } = await anna.hears('lease-update', unused.leaseId, ({ state }) => state !== 'pending')
  expect([body.state, body.reason]).toEqual(['closed', expect.stringMatching(/key/)])
  await closes(held)
  await closes(await redeems(await ticket()))
  expect(first.key).not.toBe(next.key)
  expect(await world.faults('site')).toEqual([])
}, 180_000)
