import { createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { InProcessNetwork } from '../../actors/runtime/transport.ts'
import { httpSide, keysOf } from './http-sides.ts'
import { ackOf, Listener, message, patience, type TransportStage, transportLaw } from './transport.ts'

transportLaw('in one process', async () => {
  const network = new InProcessNetwork()
  return { left: network, right: network, end: async () => undefined }
})

/** Both listen, and call each other. */
transportLaw('over HTTP', async () => {
  const keys = keysOf('left', 'right')
  const [left, right] = [httpSide(keys), httpSide(keys)]
  await Promise.all([left.network.open(), right.network.open()])
  left.network.setPeers([{ name: 'right', url: right.network.url, poll: false }])
  right.network.setPeers([{ name: 'left', url: left.network.url, poll: false }])
  return stageOf(left, right)
})

/** Nobody can call `left`. */
transportLaw('over HTTP, the sender outbound only', async () => {
  const keys = keysOf('left', 'right')
  const [left, right] = [httpSide(keys, { listen: undefined }), httpSide(keys)]
  right.network.setPeers([{ name: 'left', poll: true }])
  await right.network.open()
  left.network.setPeers([{ name: 'right', url: right.network.url, poll: true }])
  return stageOf(left, right, 'left')
})

/** Nobody can call `right`. */
transportLaw('over HTTP, the receiver outbound only', async () => {
  const keys = keysOf('left', 'right')
  const [left, right] = [httpSide(keys), httpSide(keys, { listen: undefined })]
  left.network.setPeers([{ name: 'right', poll: true }])
  await left.network.open()
  right.network.setPeers([{ name: 'left', url: left.network.url, poll: true }])
  return stageOf(left, right, 'right')
})

/** A side that fetches begins when its actor is there. */
function stageOf(
  left: ReturnType<typeof httpSide>,
  right: ReturnType<typeof httpSide>,
  later?: 'left' | 'right',
): TransportStage {
  const opened: Promise<void>[] = []
  const side = (which: 'left' | 'right') => {
    const { network } = which === 'left' ? left : right
    return {
      send: network.send.bind(network),
      attach(name: string, receiver: Listener) {
        network.attach(name, receiver)
        if (later === which) opened.push(network.open())
      },
    }
  }
  return {
    left: side('left'),
    right: side('right'),
    killRight: () => right.network.close(),
    async end() {
      await Promise.all(opened)
      await Promise.all([left.network.close(), right.network.close()])
    },
  }
}

// ── what only a wire can do ────────────────────────────────────────────────────────────────────────

/** Something that listens and is no Sublet. */
async function listening(server: Server): Promise<{ url: string; close: () => Promise<void> }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** A peer that answers each connection with these bytes, one after the other, and closes; '' just closes. */
async function scripted(...answers: readonly string[]) {
  let taken = 0
  const requests: string[] = []
  const place = await listening(
    createServer((socket) => {
      let text = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        text += chunk
        if (!text.includes('\r\n\r\n') || !text.endsWith('}')) return
        requests.push(text)
        const answer = answers[Math.min(taken++, answers.length - 1)] ?? ''
        if (answer === '') socket.resetAndDestroy()
        else socket.end(answer)
      })
    }),
  )
  return { ...place, requests }
}

const http = (body: string, status = '200 OK', more = ''): string =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${more}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`

async function sendTo(url: string, ms = 5_000): Promise<unknown> {
  const { network } = httpSide(keysOf('left'), { listen: undefined }, [{ name: 'right', url, poll: false }])
  try {
    return await network.send(message('left', 'right', 'message-1'), patience(ms))
  } finally {
    await network.close()
  }
}

const good = JSON.stringify(ackOf(message('left', 'right', 'message-1')))

test('a connection that breaks before the answer is tried once more, and no third time', async () => {
  const once = await scripted('', http(good))
  const ever = await scripted('')
  try {
    expect(await sendTo(once.url)).toEqual(JSON.parse(good))
    await expect(sendTo(ever.url)).rejects.toMatchObject({ code: 'peer-silent' })
    expect([once.requests.length, ever.requests.length]).toEqual([2, 2])
  } finally {
    await Promise.all([once.close(), ever.close()])
  }
})

test.each([
  ['garbage', http('<html>'), /not JSON/],
  ['an error without words of ours', http('oops', '502 Bad Gateway'), /HTTP status 502/],
  ['a redirect', http('', '302 Found', 'location: http://127.0.0.1:1/\r\n'), /HTTP status 302/],
  ['more than an acknowledgement can be', http(`"${'x'.repeat(200_000)}"`), /longer than/],
  ['half an answer', 'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"a":', /reached|aborted/],
  [
    'a refusal of its own',
    http(
      JSON.stringify({
        error: { code: 'message-unknown-peer', sentence: 'who\u001b[31m are you?', cure: '' },
      }),
      '403 Forbidden',
    ),
    /answered 403: who \[31m are you/,
  ],
])('%s is no acknowledgement', async (_, answer, why) => {
  const peer = await scripted(answer)
  try {
    await expect(sendTo(peer.url)).rejects.toThrow(why)
  } finally {
    await peer.close()
  }
})

test('a peer that takes the message and says nothing is waited for only as long as the signal says', async () => {
  const peer = await listening(createServer((socket) => socket.on('error', () => undefined).resume()))
  try {
    await expect(sendTo(peer.url, 300)).rejects.toThrow(/timeout|aborted/i)
  } finally {
    await peer.close()
  }
})

test('a port on which nobody listens is told with its cure', async () => {
  const gone = await listening(createServer())
  await gone.close()
  await expect(sendTo(gone.url)).rejects.toMatchObject({
    code: 'peer-silent',
    message: expect.stringContaining('cannot be reached'),
    cure: 'Start the peer, or correct its url.',
  })
})

test('a port at which another Sublet listens, or something else, is told with its cure', async () => {
  const other = httpSide(keysOf('other'))
  other.network.attach('other', new Listener())
  await other.network.open()
  try {
    await expect(sendTo(other.network.url ?? '')).rejects.toMatchObject({
      ...{
        code: 'message-misaddressed',
        message: expect.stringContaining('answered 404: no actor of that name'),
      },
      cure: expect.stringContaining('Another Sublet answers at that url'),
    })
  } finally {
    await other.network.close()
  }
  const peer = await scripted(http('what is that?', '404 Not Found'))
  try {
    await expect(sendTo(peer.url)).rejects.toMatchObject({
      ...{ code: 'peer-silent', cure: expect.stringContaining('no Sublet that listens there') },
    })
  } finally {
    await peer.close()
  }
})
