import { readdirSync, readFileSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { systemClock as clock } from '../../../actors/runtime/clock.ts'
import { CONNECTIONS_MAX } from '../../../adapters/http/server.ts'
import type { StatusReport } from '../../../deploy/reports/status.ts'
import type { Puppet } from './puppet.ts'
import { standing } from './standing.ts'
import { World } from './world.ts'

/** Callers without a key, very many of them, while a guest wants a lease. */
const world = new World({ live: ['broker', 'site'], played: { anna: 'manager' }, units: 4 })
let anna: Puppet
standing(world, () => {
  anna = world.puppets.anna!
})

const LIVE = ['broker', 'site'] as const
const HEAD = 'POST /v2/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
const MIB = 1024 * 1024
let count = 0

/** From the wish to the active lease, in ms. */
async function lease(): Promise<number> {
  const begun = clock.monotonic()
  const id = `lease-${++count}`
  const ask = { type: 'vm.small', units: 1, durationMs: 300_000, start: clock.now(), properties: {} }
  await anna.says('broker', 'ticket', id, ask)
  const { body } = await anna.hears('ticket-update', id, ({ outcome }) => outcome === 'granted')
  await anna.says('site', 'redeem', id, { ticket: body.ticket!, properties: {} })
  await anna.hears('lease-update', id, ({ state }) => state === 'active')
  const tookMs = clock.monotonic() - begun
  await anna.says('site', 'close', id, { reason: 'done' })
  await anna.hears('lease-update', id, ({ state }) => state === 'closed')
  await anna.says('broker', 'relinquish', id, { reason: 'done' })
  return tookMs
}

const pidOf = async (place: 'broker' | 'site'): Promise<number> =>
  ((await world.processes[place]!.client.get('/status')) as StatusReport).pid
const memoryMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})
function opens(place: 'broker' | 'site', ...parts: readonly (string | Buffer)[]): Socket {
  const socket = connect(world.ports[place]!, '127.0.0.1')
  socket.on('error', () => undefined).resume()
  for (const part of parts) socket.write(part)
  sockets.push(socket)
  return socket
}

test('two thousand connections that say nothing, half or little keep no lease waiting, and few of them are kept', async () => {
  const pids = { broker: await pidOf('broker'), site: await pidOf('site') }
  const before = { broker: memoryMiB(pids.broker), site: memoryMiB(pids.site) }
  const alone = await lease()
  const slow: Socket[] = []
  for (let i = 0; i < 1_000; i++)
    for (const place of LIVE) {
      if (i % 3 === 0) opens(place)
      if (i % 3 === 1) opens(place, `${HEAD}content-length: 1000\r\n\r\n{`)
      if (i % 3 === 2) slow.push(opens(place, HEAD))
    }
  const trickle = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write('a: b\r\n')
  }, 200)
  try {
    const took = [await lease(), await lease(), await lease()]
    expect([alone, Math.max(...took) < 8_000], `${alone} alone, ${took}`).toEqual([alone, true])
    for (const place of LIVE) {
      expect(descriptors(pids[place])).toBeLessThan(CONNECTIONS_MAX + 100)
      expect(memoryMiB(pids[place]) - before[place]).toBeLessThan(150)
    }
  } finally {
    clearInterval(trickle)
  }
}, 180_000)

test('bodies of megabytes that never end take a bounded room, and keep no lease waiting', async () => {
  const pid = await pidOf('broker')
  const before = memoryMiB(pid)
  const part = Buffer.alloc(2 * MIB, 'x')
  for (let i = 0; i < 200; i++) opens('broker', `${HEAD}content-length: ${3 * MIB}\r\n\r\n`, part)
  const took = await lease()
  const grown = memoryMiB(pid) - before
  expect([took < 10_000, grown < 600], `${took} ms, ${grown} MiB`).toEqual([true, true])
}, 180_000)

test('what is refused of strangers fills no log', async () => {
  const log = join(world.dir, 'broker', 'sublet.log')
  const before = statSync(log).size
  const body = JSON.stringify({ to: 'broker', id: 'x' })
  const one = `${HEAD}content-length: ${body.length}\r\n\r\n${body}`
  let answers = 0
  for (let i = 0; i < 4; i++)
    opens('broker', one.repeat(1_000)).on('data', (text) => {
      answers += String(text).split('HTTP/1.1 400').length - 1
    })
  await world.until(
    'all are answered',
    () => answers,
    (some) => some >= 3_900,
  )
  const grown = statSync(log).size - before
  expect(grown).toBeLessThan(100_000)
  expect(readFileSync(log, 'utf8')).toContain('request of a peer refused')
}, 180_000)
