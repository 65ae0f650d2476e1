import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { ed25519Identity } from '../../actors/runtime/identity.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { ENVELOPE_BYTES_MAX, sealCall } from '../../adapters/http/calls.ts'
import { HttpClient } from '../../adapters/http/client.ts'
import { CONNECTIONS_PEER_MAX, REQUESTS_LONG_MAX, REQUESTS_MAX } from '../../adapters/http/server.ts'
import { eventually } from './eventually.ts'
import { type HttpSide, httpSide, keysOf } from './http-sides.ts'
import { ackOf, Listener, message, patience } from './transport.ts'

/** Callers without a key who know HTTP too well, or too little. Peers are served all the while. */
const keys = keysOf('right', 'left', 'stranger')
const { stranger: _, ...trusted } = keys
const ids = idSource(seededRandom('hostile'))

let side: HttpSide
let right: Listener
const sockets: Socket[] = []
const peer = new HttpClient({})
beforeEach(async () => {
  side = httpSide(keys, {}, [{ name: 'left', poll: true }], trusted)
  right = new Listener()
  side.network.attach('right', right)
  await side.network.open()
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await side.network.close()
})

/** Bytes on a connection of their own, and what comes back until it ends or the answer is there. */
function raw(bytes: string): { readonly socket: Socket; readonly said: () => string } {
  const socket = connect(Number(new URL(side.network.url!).port), '127.0.0.1')
  let said = ''
  socket
    .on('error', () => undefined)
    .on('data', (part) => {
      said += part.toString('latin1')
    })
  socket.write(bytes, 'latin1')
  sockets.push(socket)
  return { socket, said: () => said }
}

const HEAD = 'POST /v2/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
let count = 0
const honest = async (): Promise<unknown> => {
  const sent = message('left', 'right', `message-honest-${++count}`)
  const options = { signal: patience(), timeoutMs: 5_000 }
  expect(await peer.post(side.network.url!, '/v2/messages', () => sent, options)).toEqual(
    ackOf(sent, `of ${sent.id}`),
  )
  return sent
}

const statusesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

describe('strangers who send half of a request each', () => {
  test('keep few long ones: the oldest of them are ended', async () => {
    const long = 'content-length: 300000\r\n\r\n{'
    const slow = Array.from({ length: REQUESTS_LONG_MAX + 10 }, () => raw(`${HEAD}${long}`))
    const ended = (): number => slow.filter(({ socket }) => socket.closed).length
    await eventually(async () => ended() >= 10, 5_000)
    await honest()
    expect(ended()).toBe(10)
  })

  test.each([
    ['in chunks, and may be long', `${HEAD}transfer-encoding: chunked\r\n\r\n`, 1],
    ['without a body, and is short', 'GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n', 0],
  ])('of which the oldest is ended, or none, when one more comes %s', async (_, bytes, gone) => {
    const long = 'content-length: 300000\r\n\r\n{'
    const slow = Array.from({ length: REQUESTS_LONG_MAX }, () => raw(`${HEAD}${long}`))
    const ended = (): number => slow.filter(({ socket }) => socket.closed).length
    await honest()
    const one = raw(bytes)
    await eventually(async () => ended() + statusesOf(one.said()).length > 0, 5_000)
    await honest()
    expect(ended()).toBe(gone)
  })

  test('do not use up the room of others: the oldest of them are ended, peers are answered', async () => {
    await honest()
    const slow = Array.from({ length: REQUESTS_MAX + 40 }, () => raw(`${HEAD}content-length: 1000\r\n\r\n{`))
    const ended = (): number => slow.filter(({ socket }) => socket.closed).length
    await eventually(async () => ended() >= 40, 5_000)
    await honest()
    // Also who has no connection yet, and whom nobody knows yet.
    const fresh = new HttpClient({})
    const sent = message('left', 'right', 'message-fresh')
    const options = { signal: patience(), timeoutMs: 5_000 }
    expect(await fresh.post(side.network.url!, '/v2/messages', () => sent, options)).toMatchObject({
      id: sent.id,
    })
    fresh.close()
    expect(right.heard).toHaveLength(3)
    expect(slow.flatMap(({ said }) => statusesOf(said()))).toEqual([])
  })
})

test('whoever says again what a peer said once, on more connections than it may have, ends none of its own', async () => {
  const sent = JSON.stringify(await honest())
  const as = ed25519Identity('left', keys.left!.privateKey)
  const call = sealCall('poll', { waitMs: 25_000 }, 'right', { identity: as, ids, now: systemClock.now() })
  const text = JSON.stringify(call)
  const poll = raw(`${HEAD.replace('messages', 'poll')}content-length: ${text.length}\r\n\r\n${text}`)
  await honest()
  const said = Array.from({ length: CONNECTIONS_PEER_MAX + 10 }, () =>
    raw(`${HEAD}content-length: ${sent.length}\r\n\r\n${sent}`),
  )
  await eventually(async () => said.every((one) => statusesOf(one.said()).length === 1), 10_000)
  await honest()
  expect([poll, ...said].filter(({ socket }) => socket.closed)).toEqual([])
})

describe('what is no request, or none that is answered here', () => {
  const body = JSON.stringify({ to: 'right', id: 'x' })
  test.each([
    ['headers without end', `GET / HTTP/1.1\r\nhost: x\r\na: ${'x'.repeat(64 * 1024)}`, [431]],
    ['two lengths', `${HEAD}content-length: 5\r\ncontent-length: 6\r\n\r\n{}`, [400]],
    ['a length and chunks', `${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
    ['a length that is none', `${HEAD}content-length: -1\r\n\r\n`, [400]],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', [400]],
    ['a line feed in a header', `${HEAD}a: b\nc\r\n\r\n`, [400]],
    ['chunks that are none', `${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`, [400]],
    [
      'chunks that become too much',
      `${HEAD}transfer-encoding: chunked\r\n\r\n${`10000\r\n${'x'.repeat(0x10000)}\r\n`.repeat(Math.ceil(ENVELOPE_BYTES_MAX / 0x10000) + 1)}`,
      [413],
    ],
    [
      'another form',
      HEAD.replace('json', 'xml').concat(`content-length: ${body.length}\r\n\r\n${body}`),
      [415],
    ],
    ['what is packed', `${HEAD}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}`, [400]],
    [
      'an upgrade',
      'GET /v2/poll HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      [404],
    ],
    ['a method of its own', 'BREW /v2/poll HTTP/1.1\r\nhost: x\r\n\r\n', [400]],
    ['an address that is none', 'GET /%zz HTTP/1.1\r\nhost: x\r\n\r\n', [400]],
    ['the oldest HTTP', 'GET / HTTP/1.0\r\n\r\n', [404]],
  ])('%s is refused with its status, and no actor hears of it', async (_what, bytes, statuses) => {
    const { said } = raw(bytes)
    await eventually(async () => statusesOf(said()).length > 0, 8_000)
    expect(statusesOf(said())).toEqual(statuses)
    expect(said()).not.toMatch(/fastify|node_modules|\bat .*\.ts/i)
    await honest()
    expect(right.heard).toHaveLength(1)
  })

  test('of a thousand requests on one connection each is answered in its turn, and peers meanwhile', async () => {
    const one = `${HEAD}content-length: ${body.length}\r\n\r\n${body}`
    const { said } = raw(one.repeat(1_000))
    await honest()
    await eventually(async () => statusesOf(said()).length >= 1_000, 10_000)
    expect(new Set(statusesOf(said()))).toEqual(new Set([400]))
    expect(right.heard).toHaveLength(1)
  })

  test('polls of strangers wait for nothing, however many they are', async () => {
    const as = ed25519Identity('stranger', keys.stranger!.privateKey)
    const polls = Array.from({ length: 1_000 }, () =>
      JSON.stringify(
        sealCall('poll', { waitMs: 25_000 }, 'right', { identity: as, ids, now: systemClock.now() }),
      ),
    )
    const head = HEAD.replace('messages', 'poll')
    const { said } = raw(polls.map((text) => `${head}content-length: ${text.length}\r\n\r\n${text}`).join(''))
    await honest()
    await eventually(async () => statusesOf(said()).length >= 1_000, 10_000)
    expect(new Set(statusesOf(said()))).toEqual(new Set([403]))
  })
})
