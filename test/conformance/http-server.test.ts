import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { bodies } from '../../actors/leases/messages.ts'
import { systemClock } from '../../actors/runtime/clock.ts'
import { ed25519Identity, type Identity } from '../../actors/runtime/identity.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { SPARING_MAX } from '../../actors/runtime/log.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { BAG_MAX } from '../../adapters/http/bag.ts'
import { DEPTH_MAX } from '../../adapters/http/body.ts'
import { type CallKind, ENVELOPE_BYTES_MAX, ON_THE_WAY_MS_MAX, sealCall } from '../../adapters/http/calls.ts'
import { CONNECTIONS_MAX, openApi } from '../../adapters/http/server.ts'
import { eventually } from './eventually.ts'
import { type HttpSide, httpSide, keysOf } from './http-sides.ts'
import { ackOf, Listener, message, patience } from './transport.ts'

const keys = keysOf('right', 'left', 'stranger', 'left-new')
const { stranger: _, 'left-new': __, ...trusted } = keys
const MINUTE = 60_000
const ids = idSource(seededRandom('test'))
const identity = (name: string, key = name): Identity => ed25519Identity(name, keys[key]!.privateKey)

let side: HttpSide
let right: Listener
let url = ''
beforeEach(async () => {
  side = httpSide(keys, {}, [{ name: 'left', poll: true }], trusted)
  right = new Listener()
  side.network.attach('right', right)
  await side.network.open()
  url = side.network.url!
})
afterEach(() => side.network.close())

interface Answer {
  readonly status: number
  readonly body: { readonly error?: { code: string; sentence: string; cure: string } } & Record<
    string,
    unknown
  >
}

async function post(path: string, body: string | object, type = 'application/json'): Promise<Answer> {
  const answer = await fetch(new URL(path, url), {
    method: 'POST',
    headers: type === '' ? {} : { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal: patience(),
  })
  return { status: answer.status, body: (await answer.json()) as Answer['body'] }
}

function call(
  kind: CallKind,
  fields: object = {},
  options: { as?: Identity; to?: string; agoMs?: number } = {},
) {
  const { as = identity('left'), to = 'right', agoMs = 0 } = options
  return sealCall(kind, fields, to, { identity: as, ids, now: systemClock.now() - agoMs })
}

const envelopesOf = ({ body }: Answer): readonly { id: string }[] => body.envelopes as { id: string }[]

describe('what is not a message', () => {
  test.each([
    ['no JSON', '{"to":"right"', 'application/json', 400, 'message-malformed'],
    ['an empty body', '', 'application/json', 400, 'message-malformed'],
    ['a list', '[]', 'application/json', 400, 'message-malformed'],
    ['nothing', 'null', 'application/json', 400, 'message-malformed'],
    ['a number', '1', 'application/json', 400, 'message-malformed'],
    ['another type', 'to=right', 'application/x-www-form-urlencoded', 415, 'message-malformed'],
    ['plain text', '{}', 'text/plain', 400, 'message-malformed'],
    ['nobody’s message', '{"to":"right"}', 'application/json', 400, 'message-malformed'],
    [
      'a message of a name that is none',
      '{"to":"right","id":"x","from":"a b"}',
      'application/json',
      400,
      'message-malformed',
    ],
    [
      'an id of control characters',
      '{"to":"right","id":"\\u001b[2J","from":"left"}',
      'application/json',
      400,
      'message-malformed',
    ],
    [
      'a broken character',
      '{"to":"right","id":"\\ud800","from":"left"}',
      'application/json',
      400,
      'message-malformed',
    ],
    ['two receivers', '{"to":"left","to":"right"}', 'application/json', 400, 'message-malformed'],
    [
      'a million lists in one another',
      `{"to":"right","id":"x","from":"left","body":${'['.repeat(1e6)}${']'.repeat(1e6)}}`,
      'application/json',
      400,
      'message-malformed',
    ],
    [
      'a hundred thousand fields',
      `{"to":"right","id":"x","from":"left"${Array.from({ length: 1e5 }, (_, i) => `,"k${i}":1`).join('')}}`,
      'application/json',
      400,
      'message-malformed',
    ],
    ['a poisoned prototype', '{"__proto__":{"to":"right"}}', 'application/json', 400, 'message-malformed'],
  ])('%s is refused, and nobody hears it', async (_, body, type, status, code) => {
    const answer = await post('/v2/messages', body, type)
    expect([answer.status, answer.body.error?.code]).toEqual([status, code])
    expect(right.heard).toEqual([])
  })

  test('a body that is too long is refused before it is read', async () => {
    const answer = await post('/v2/messages', `{"to":"right","body":"${'x'.repeat(ENVELOPE_BYTES_MAX)}"}`)
    expect([answer.status, answer.body.error?.sentence]).toEqual([413, 'the request is too long'])
    expect(right.heard).toEqual([])
  })

  test('brackets within a text are no depth', async () => {
    const body = { to: 'right', id: 'x', from: 'left', body: `${'['.repeat(DEPTH_MAX + 1)}"{` }
    expect((await post('/v2/messages', body)).status).toBe(200)
  })

  test('what has too many fields is refused before it is read', async () => {
    const answer = await post('/v2/messages', `{${'"k":1,'.repeat(1_000)} and no JSON`)
    expect([answer.status, answer.body.error?.sentence]).toEqual([400, 'the body has too many fields'])
  })

  describe('of a long message', () => {
    const long = { ...message('left', 'right', 'message-long'), body: 'x'.repeat(100_000) }
    // So that it shows whether the body was read.
    const noJson = JSON.stringify(long).replace(/"(x{9,})"/, '$1')

    test('the body is not read if its head is not believed', async () => {
      const refusal = { ...ackOf(long), outcome: 'refused' } as const
      const judged: unknown[] = []
      right.refusal = (head) => {
        judged.push(head)
        return refusal
      }
      expect(await post('/v2/messages', noJson)).toEqual({ status: 200, body: refusal })
      expect([judged, right.heard]).toEqual([[{ ...long, body: null }], []])
    })

    test('the whole is read if its head is believed', async () => {
      right.refusal = () => undefined
      expect((await post('/v2/messages', long)).status).toBe(200)
      expect(right.heard).toEqual([long])
      expect((await post('/v2/messages', noJson)).status).toBe(400)
    })

    test('the body is not read if it is for nobody here, has not the form of a message, or the rest is long', async () => {
      const elsewhere = noJson.replace('"to":"right"', '"to":"nobody"')
      expect((await post('/v2/messages', elsewhere)).body.error?.code).toBe('message-misaddressed')
      const formless = noJson.replace('"id":', '"di":')
      expect((await post('/v2/messages', formless)).body.error?.code).toBe('message-malformed')
      const heavy = { ...long, body: 'x', id: 'x'.repeat(100_000) }
      expect((await post('/v2/messages', heavy)).body.error?.sentence).toMatch(/too long without its body/)
      expect(right.heard).toEqual([])
    })
  })

  test('something for an actor that is here, but not in the form of an envelope, is answered by the actor', async () => {
    const answer = await post('/v2/messages', { protocol: 99, to: 'right', id: 'x', from: 'left' })
    expect(answer.status).toBe(200)
    expect(right.heard).toEqual([{ protocol: 99, to: 'right', id: 'x', from: 'left' }])
  })

  test('an actor that is not here is told of without saying who is', async () => {
    const answer = await post('/v2/messages', message('left', 'nobody', 'message-1'))
    expect(answer).toEqual({
      status: 404,
      body: {
        error: {
          code: 'message-misaddressed',
          sentence: 'no actor of that name is here',
          cure: expect.any(String),
        },
      },
    })
  })

  test.each([
    ['GET', '/'],
    ['GET', '/v2/messages'],
    ['POST', '/v2/secret'],
    ['DELETE', '/v2/poll'],
  ])('%s %s says only that there is nothing', async (method, path) => {
    const answer = await fetch(new URL(path, url), { method, signal: patience() })
    expect(answer.status).toBe(404)
    expect(await answer.text()).not.toMatch(/right|fastify|node/i)
  })

  test('what fails inside is not told outside', async () => {
    right.answer = () => Promise.reject(new Error('/home/secret/path failed'))
    const answer = await post('/v2/messages', message('left', 'right', 'message-1'))
    expect(answer.status).toBe(500)
    expect(JSON.stringify(answer)).not.toMatch(/secret|stack/)
    expect(side.logged.join()).toContain('/home/secret/path failed')
  })

  test('what fails again and again is written down so often, and how often it was not', async () => {
    right.answer = () => Promise.reject(new Error('it failed'))
    for (let i = 0; i < SPARING_MAX + 20; i++)
      expect((await post('/v2/messages', message('left', 'right', `message-${i}`))).status).toBe(500)
    expect(side.logged).toHaveLength(SPARING_MAX)
  })

  test('half a request is not waited for without end, and the next one is answered', async () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(
      'POST /v2/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    )
    expect((await post('/v2/messages', message('left', 'right', 'message-1'))).status).toBe(200)
    socket.destroy()
  })
})

describe('more connections than there may be', () => {
  const idle = async (count: number): Promise<Socket[]> => {
    const sockets = Array.from({ length: count }, () => connect(Number(new URL(url).port), '127.0.0.1'))
    for (const socket of sockets) socket.on('error', () => undefined).resume()
    await Promise.all(
      sockets.map(
        (socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve)),
      ),
    )
    return sockets
  }

  test('end those of strangers: a peer still gets through, and one that polls goes on', async () => {
    const waits = post('/v2/poll', call('poll', { waitMs: 20_000 }))
    await eventually(async () => side.network.peers()[0]?.fetchedAt !== undefined, 5_000)
    const sockets = await idle(CONNECTIONS_MAX + 200)
    try {
      expect((await post('/v2/messages', message('left', 'right', 'message-1'))).status).toBe(200)
      const closed = (): number => sockets.filter(({ closed }) => closed).length
      await eventually(async () => closed() >= 200, 10_000)
      const sent = message('right', 'left', 'message-2')
      side.network.send(sent, patience()).catch(() => undefined)
      expect(envelopesOf(await waits)).toEqual([sent])
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })
})

describe('a poll', () => {
  const poll = (more: object = {}, options = {}): Promise<Answer> =>
    post('/v2/poll', call('poll', { waitMs: 0, ...more }, options))

  test('brings what waits, and its acknowledgement reaches the sender', async () => {
    const sent = message('right', 'left', 'message-1')
    const ack = side.network.send(sent, patience())
    expect(envelopesOf(await poll())).toEqual([sent])
    const answer = await post('/v2/acks', call('acks', { acks: [ackOf(sent)] }))
    expect(answer.body).toEqual({ accepted: 1 })
    expect(await ack).toEqual(ackOf(sent))
  })

  test('waits for what comes, and no longer than it asks for', async () => {
    const sent = message('right', 'left', 'message-1')
    const waits = poll({ waitMs: 20_000 })
    await eventually(async () => side.network.peers()[0]?.fetchedAt !== undefined, 5_000)
    side.network.send(sent, patience()).catch(() => undefined)
    expect(envelopesOf(await waits)).toEqual([sent])
    expect(envelopesOf(await poll({ waitMs: 1 }))).toEqual([])
  })

  test('of one that is gone takes nothing with it', async () => {
    const gone = new AbortController()
    const lost = fetch(new URL('/v2/poll', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call('poll', { waitMs: 20_000 })),
      signal: gone.signal,
    })
    lost.catch(() => undefined)
    await eventually(async () => side.network.peers()[0]?.fetchedAt !== undefined, 5_000)
    gone.abort()
    const sent = message('right', 'left', 'message-1')
    // It may be handed to the connection before its end is seen; the sender then repeats it.
    for (let tries = 0; tries < 5; tries++) {
      side.network.send(sent, patience(500)).catch(() => undefined)
      if (envelopesOf(await poll({ waitMs: 400 })).length > 0) return
    }
    throw new Error('the message was never fetched')
  })

  test('that is newer takes the place of one that waits', async () => {
    const older = poll({ waitMs: 20_000 })
    await eventually(async () => side.network.peers()[0]?.fetchedAt !== undefined, 5_000)
    const newer = poll({ waitMs: 20_000 })
    expect(envelopesOf(await older)).toEqual([])
    side.network.send(message('right', 'left', 'message-1'), patience(500)).catch(() => undefined)
    expect(envelopesOf(await newer).map(({ id }) => id)).toEqual(['message-1'])
  })

  test('finds nothing of which the sender has given up', async () => {
    const stop = new AbortController()
    const sent = side.network.send(message('right', 'left', 'message-1'), stop.signal)
    stop.abort(new Error('given up'))
    await expect(sent).rejects.toThrow('given up')
    expect(envelopesOf(await poll())).toEqual([])
    expect(side.network.peers()[0]?.waiting).toBe(0)
  })

  test('is refused for what waits beyond the bound', async () => {
    const all = Array.from({ length: BAG_MAX }, (_, i) =>
      side.network.send(message('right', 'left', `message-${i}`), patience(3_000)).catch(() => undefined),
    )
    await expect(side.network.send(message('right', 'left', 'one-more'), patience())).rejects.toThrow(
      /too much waits/,
    )
    await side.network.close()
    await Promise.all(all)
  })

  // Made when it is sent: a call is old within seconds.
  const forged = () => ({ ...call('poll', { waitMs: 0 }), nonce: 'nonce-other' })
  test.each([
    [
      'by a stranger',
      () => call('poll', { waitMs: 0 }, { as: identity('stranger') }),
      403,
      'message-unknown-peer',
    ],
    [
      'with a key that is not the peer’s',
      () => call('poll', { waitMs: 0 }, { as: identity('left', 'left-new') }),
      403,
      'message-unknown-key',
    ],
    ['altered on its way', forged, 403, 'message-forged'],
    ['signed as something else', () => call('hello', { waitMs: 0 }), 403, 'message-forged'],
    [
      'that is old',
      () => call('poll', { waitMs: 0 }, { agoMs: ON_THE_WAY_MS_MAX + 3_000 }),
      403,
      'message-expired',
    ],
    [
      'from the future',
      () => call('poll', { waitMs: 0 }, { agoMs: -ON_THE_WAY_MS_MAX - 3_000 }),
      403,
      'message-expired',
    ],
    [
      'of a time that no date can tell',
      () => call('poll', { waitMs: 0 }, { agoMs: -(Number.MAX_SAFE_INTEGER - systemClock.now()) + MINUTE }),
      400,
      'message-malformed',
    ],
    [
      'for somebody else',
      () => call('poll', { waitMs: 0 }, { to: 'elsewhere' }),
      404,
      'message-misaddressed',
    ],
    ['that would wait for ever', () => call('poll', { waitMs: 1e9 }), 400, 'message-malformed'],
  ])('%s is refused, and what waits stays', async (_, make, status, code) => {
    side.network.send(message('right', 'left', 'message-1'), patience()).catch(() => undefined)
    const answer = await post('/v2/poll', make())
    expect([answer.status, answer.body.error?.code]).toEqual([status, code])
    expect(side.network.peers()[0]?.waiting).toBe(1)
  })

  test('is good once', async () => {
    const once = call('poll', { waitMs: 0 })
    expect((await post('/v2/poll', once)).status).toBe(200)
    expect((await post('/v2/poll', once)).body.error?.sentence).toBe('the call was heard before')
  })

  test('of a key that is not trusted is remembered, so that it can be approved', async () => {
    await poll({}, { as: identity('stranger') })
    expect(side.trust.strangers()).toMatchObject([
      { name: 'stranger', key: identity('stranger').key, times: 1 },
    ])
  })
})

describe('hello', () => {
  const asked = async (from: string, key = from) => {
    const other = httpSide({ ...keys, [from]: keys[key]! }, { listen: undefined }, [
      { name: 'right', url, poll: false },
    ])
    try {
      return await other.network.hello(from, 'right', patience())
    } finally {
      await other.network.close()
    }
  }

  test('of a time that no date can tell is refused, and not told as what failed', async () => {
    const answer = await post('/v2/hello', { ...call('hello'), at: Number.MAX_SAFE_INTEGER })
    expect([answer.status, answer.body.error?.code]).toEqual([400, 'message-malformed'])
    expect(side.logged.join()).not.toContain('request of a peer failed')
  })

  test('says that one is known, and what the clock shows', async () => {
    const answer = await asked('left')
    expect(answer).toMatchObject({
      outcome: 'known',
      trusted: true,
      key: identity('right').key,
      protocols: [1, 2],
    })
    expect(Math.abs(answer.offsetMs)).toBeLessThanOrEqual(answer.errorMs)
  })

  test('says to a stranger, and to a strange key, that it is not known', async () => {
    expect(await asked('stranger')).toMatchObject({ outcome: 'unknown-peer' })
    expect(await asked('left', 'left-new')).toMatchObject({ outcome: 'unknown-key' })
    expect(side.trust.strangers().map(({ name }) => name)).toEqual(['stranger', 'left'])
  })
})

/** The document writes a constant as a choice of one. */
const oneOfOne = (_key: string, value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || !('const' in value)) return value
  const { const: only, ...rest } = value
  return { ...rest, enum: [only] }
}

describe('the description of the endpoint', () => {
  interface Document {
    readonly openapi: string
    readonly paths: Record<
      string,
      Record<
        string,
        { requestBody?: { content: Record<string, { schema: object }> }; responses: Record<string, object> }
      >
    >
    readonly components: { readonly schemas: Record<string, object> }
  }

  test('is served as it is made of the code', async () => {
    const answer = await fetch(new URL('/openapi.json', url), { signal: patience() })
    expect(answer.headers.get('content-type')).toMatch(/json/)
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(await openApi())))
  })

  test('has each address that is answered, and the body of each kind of message', async () => {
    const document = (await openApi()) as Document
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths).toSorted()).toEqual([
      '/v2/acks',
      '/v2/hello',
      '/v2/messages',
      '/v2/poll',
    ])
    const kinds = Object.keys(document.components.schemas).flatMap((name) =>
      name.startsWith('body-') ? name.slice(5) : [],
    )
    expect(kinds.toSorted()).toEqual(Object.keys(bodies).toSorted())
    for (const [kind, body] of Object.entries(bodies)) {
      const { $schema: _, ...schema } = z.toJSONSchema(body, { io: 'input', unrepresentable: 'any' })
      expect(document.components.schemas[`body-${kind}`], kind).toEqual(
        JSON.parse(JSON.stringify(schema), oneOfOne),
      )
    }
  })

  test('describes what is really taken and answered', async () => {
    const document = (await openApi()) as Document
    for (const [path, { post: route }] of Object.entries(document.paths)) {
      const schema = JSON.stringify(route?.requestBody?.content['application/json']?.schema)
      const bad = await post(path, {})
      expect(bad.status, path).toBe(400)
      expect(Object.keys(route?.responses ?? {}), path).toEqual(
        expect.arrayContaining(['200', '400', '403', '404']),
      )
      for (const field of ['from', 'to', 'signature']) expect(schema, path).toContain(`"${field}"`)
    }
  })
})
