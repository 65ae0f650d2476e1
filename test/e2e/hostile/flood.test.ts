import { readFileSync } from 'node:fs'
import { Agent, type ClientRequest, request } from 'node:http'
import { expect, test } from 'vitest'
import { systemClock as clock } from '../../../actors/runtime/clock.ts'
import { type Envelope, seal } from '../../../actors/runtime/envelope.ts'
import { CONNECTIONS_MAX, CONNECTIONS_PEER_MAX } from '../../../adapters/http/server.ts'
import type { StatusReport } from '../../../deploy/reports/status.ts'
import type { Puppet } from './puppet.ts'
import { standing } from './standing.ts'
import { World } from './world.ts'

/** A peer with a key that is trusted who says and opens without end, beside an honest one. */
const PER_SECOND = 20
const BURST = 300
const world = new World({
  live: ['broker', 'site'],
  played: { mallory: 'manager', anna: 'manager', bea: 'manager' },
  units: 4,
  common: { peerRate: { perSecond: PER_SECOND, burst: BURST } },
})
let mallory: Puppet
let anna: Puppet
let bea: Puppet
standing(world, () => {
  mallory = world.puppets.mallory!
  anna = world.puppets.anna!
  bea = world.puppets.bea!
})

const MINUTE = 60_000
let count = 0

/** From the wish to the lease that is closed again, in ms. */
async function leaseOf(guest: Puppet): Promise<number> {
  const begun = clock.monotonic()
  const id = `lease-${guest.name}-${++count}`
  const ask = { type: 'vm.small', units: 1, durationMs: 5 * MINUTE, start: clock.now(), properties: {} }
  await guest.says('broker', 'ticket', id, ask)
  const { body } = await guest.hears('ticket-update', id, ({ outcome }) => outcome === 'granted')
  await guest.says('site', 'redeem', id, { ticket: body.ticket!, properties: {} })
  await guest.hears('lease-update', id, ({ state }) => state === 'active')
  const tookMs = clock.monotonic() - begun
  await guest.says('site', 'close', id, { reason: 'done' })
  await guest.hears('lease-update', id, ({ state }) => state === 'closed')
  await guest.says('broker', 'relinquish', id, { reason: 'done' })
  return tookMs
}

const envelopeOf = (i: number): Envelope => {
  const at = clock.now()
  const letter = { id: `message-${i}-${at}`, from: 'mallory', to: 'broker', kind: 'query', number: 1 }
  const times = { sentAt: at, until: at + MINUTE }
  return seal(
    { ...letter, subject: `query-${i}-${at}`, body: { about: 'types' }, ...times },
    mallory.identity,
    {
      ...{ generation: 0, seq: 1_000_000 + i },
    },
  )
}

/** A request on a connection of its own, whose answer is waited for. */
function posts(envelope: Envelope, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify(envelope)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const options = { method: 'POST', agent, headers, timeout: 10_000 }
    request(new URL('/v2/messages', world.urlOf('broker')), options, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0))
    })
      .once('error', reject)
      .end(body)
  })
}

const memoryMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

test('a peer that keeps every connection there is does not keep out one that has none yet', async () => {
  const agents = Array.from({ length: CONNECTIONS_MAX + 100 }, () => new Agent({ keepAlive: true }))
  try {
    for (let i = 0; i < agents.length; i += 50) {
      const those = agents.slice(i, i + 50)
      await Promise.allSettled(those.map((agent, j) => posts(envelopeOf(i + j), agent)))
    }
    expect(await leaseOf(bea)).toBeLessThan(10_000)
  } finally {
    for (const agent of agents) agent.destroy()
  }
})

test('a peer that sends half of many requests leaves room for those of others', async () => {
  const agents = Array.from({ length: CONNECTIONS_PEER_MAX }, () => new Agent({ keepAlive: true }))
  const halves: ClientRequest[] = []
  try {
    await Promise.allSettled(agents.map((agent, i) => posts(envelopeOf(1_000 + i), agent)))
    for (const agent of agents) {
      const headers = { 'content-type': 'application/json', 'content-length': 1_000 }
      const half = request(new URL('/v2/messages', world.urlOf('broker')), { method: 'POST', agent, headers })
      half.on('error', () => undefined).write('{')
      halves.push(half)
    }
    expect(await leaseOf(anna)).toBeLessThan(10_000)
  } finally {
    for (const half of halves) half.destroy()
    for (const agent of agents) agent.destroy()
  }
})

test('a peer that asks without end is put off and told when to come, is seen in the status, and costs no more', async () => {
  const { client } = world.processes.broker!
  const { pid, actors: before } = (await client.get('/status')) as StatusReport
  const memoryBefore = memoryMiB(pid)
  const until = clock.monotonic() + 6_000
  const outcomes: Record<string, number> = {}
  let retryAfterMs: number | undefined
  const asks = async (lane: number): Promise<void> => {
    for (let i = 0; clock.monotonic() < until; i++) {
      const ack = await mallory.repeats(envelopeOf(10_000 + 10_000 * lane + i))
      const what = `${ack.outcome} ${ack.code}`.trim()
      outcomes[what] = (outcomes[what] ?? 0) + 1
      retryAfterMs ??= ack.retryAfterMs
    }
  }
  const flood = Promise.all(Array.from({ length: 64 }, (_, lane) => asks(lane)))
  const took: number[] = []
  while (clock.monotonic() < until) took.push(await leaseOf(anna))
  await flood
  const { actors: after, peers } = (await client.get('/status')) as StatusReport
  const { received = 0, 'busy too-fast': putOff = 0 } = outcomes
  expect(Object.keys(outcomes).toSorted()).toEqual(['busy too-fast', 'received'])
  expect(received).toBeLessThan(BURST + 15 * PER_SECOND)
  expect(retryAfterMs).toBeGreaterThanOrEqual(1_000)
  expect(Math.max(...took)).toBeLessThan(10_000)
  const seen = Object.fromEntries(peers.map(({ name, tooFast }) => [name, tooFast?.times]))
  expect(seen).toMatchObject({ mallory: expect.any(Number), anna: undefined, bea: undefined })
  expect(seen.mallory).toBeGreaterThanOrEqual(putOff)
  // A line for each question that was taken, and a few for each lease.
  expect(after[0]!.ledger - before[0]!.ledger).toBeLessThan(received + 10 * took.length + 20)
  expect(memoryMiB(pid) - memoryBefore).toBeLessThan(150)
})
