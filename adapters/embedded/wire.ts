import { chmodSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { type Clock, deadline, type Millis } from '../../actors/runtime/clock.ts'
import { ERRORS, type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { removeStaleSocket } from '../stale-socket.ts'
import { asFields, type Fields, text } from './fields.ts'

/**
 * What the embedded daemons speak: one JSON value a line over a unix socket.
 *
 *   caller ──▶ { id, ask, with }          listener ──▶ { id, answer } or { id, error: { code, sentence } }
 *   caller ──▶ { drop: id }               listener ──▶ { event, with }
 *
 * Only callers ask. `drop` gives up one ask; closing the connection gives up all of them.
 */

/** Linux keeps 108 bytes for the path of a unix socket, one of them for the final zero. */
const PATH_BYTES_MAX = 107
const ASK_BYTES_MAX = 512 * 1024
const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const ASKS_OPEN_MAX = 256
/** What a caller that does not read may leave lying here before it is cut off. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024

/** Somebody connected to a listener. */
export interface Caller {
  /** Unique for the life of the listener. */
  readonly number: number
  /** Aborted when the connection has ended. */
  readonly gone: AbortSignal
  tell(event: string, body: Fields): void
  hangUp(): void
}

export interface Listener {
  /** Hangs up on everybody and removes the socket. */
  close(): Promise<void>
}

export interface Channel {
  ask(
    what: string,
    body: Fields,
    options: { readonly timeoutMs: Millis; readonly signal?: AbortSignal | undefined },
  ): Promise<unknown>
  /** Aborted when the connection has ended, whoever ended it. */
  readonly gone: AbortSignal
  hangUp(): void
}

export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes > PATH_BYTES_MAX)
    throw new SubletError(
      'config-invalid',
      `The socket path ${path} has ${bytes} bytes, and the system allows ${PATH_BYTES_MAX}.`,
      { cure: 'Choose a folder with a shorter path.' },
    )
}

/** Only one listener may own the path: the caller holds a lock or knows otherwise that a socket there is stale. */
export async function listen(options: {
  readonly path: string
  readonly callersMax: number
  answer(what: string, body: Fields, caller: Caller, signal: AbortSignal): unknown
  /** A line that is no message, or a fault of ours; the caller was cut off or told. */
  onFault(fault: unknown): void
}): Promise<Listener> {
  checkSocketPath(options.path)
  if (!removeStaleSocket(options.path))
    throw new SubletError('config-invalid', `${options.path} is no socket, and is where one goes`, {
      cure: 'Move it away, or choose another folder.',
    })
  const sockets = new Set<Socket>()
  let numbers = 0

  const server = createServer((socket) => {
    sockets.add(socket)
    const gone = new AbortController()
    const open = new Map<number, AbortController>()
    const send = (message: Fields): void => {
      if (socket.destroyed) return
      socket.write(`${JSON.stringify(message)}\n`)
      if (socket.writableLength > UNREAD_BYTES_MAX) socket.destroy()
    }
    numbers += 1
    const caller: Caller = {
      number: numbers,
      gone: gone.signal,
      tell: (event, body) => send({ event, with: body }),
      hangUp: () => socket.destroy(),
    }
    const perform = async (id: number, what: string, body: Fields): Promise<void> => {
      const dropped = new AbortController()
      open.set(id, dropped)
      try {
        const answer = await options.answer(what, body, caller, dropped.signal)
        send({ id, answer: answer ?? null })
      } catch (error) {
        if (!(error instanceof SubletError)) options.onFault(error)
        send({ id, error: asWire(error) })
      } finally {
        open.delete(id)
      }
    }
    onLines(socket, ASK_BYTES_MAX, options.onFault, (message) => {
      if (typeof message.drop === 'number')
        return open.get(message.drop)?.abort(new Error('dropped by the caller'))
      const { id } = message
      if (typeof id !== 'number')
        throw new SubletError('message-malformed', 'An ask needs a number as its id.')
      if (open.size >= ASKS_OPEN_MAX)
        throw new SubletError('message-malformed', `A caller has more than ${ASKS_OPEN_MAX} asks open.`)
      void perform(id, text(message, 'ask'), asFields('with', message.with ?? {}))
    })
    socket.on('close', () => {
      sockets.delete(socket)
      gone.abort()
      for (const dropped of open.values()) dropped.abort(new Error('the caller hung up'))
    })
  })
  server.maxConnections = options.callersMax
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.path, resolve)
  })
  server.on('error', options.onFault)
  chmodSync(options.path, 0o600)
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** Connects; a failure is an error with the code given, for `who` is a machine to some and the middleware to others. */
export async function dial(
  path: string,
  options: {
    readonly clock: Clock
    readonly who: string
    readonly code: 'middleware-unreachable' | 'machine-unreachable'
    readonly timeoutMs: Millis
    readonly signal?: AbortSignal | undefined
    onEvent?(event: string, body: Fields): void
  },
): Promise<Channel> {
  checkSocketPath(path)
  const { clock, who, code } = options
  const unreachable = (why: string, cause?: unknown): SubletError =>
    new SubletError(code, `${who} ${why} (${path}).`, { cause })
  const limit = deadline(
    clock,
    options.timeoutMs,
    () => unreachable('does not take the call'),
    options.signal,
  )
  const socket = createConnection(path)
  try {
    await new Promise<void>((resolve, reject) => {
      if (limit.signal.aborted) reject(limit.signal.reason)
      limit.signal.addEventListener('abort', () => reject(limit.signal.reason), { once: true })
      socket.once('connect', resolve)
      socket.once('error', (cause) => reject(unreachable('does not answer', cause)))
    })
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    limit.done()
  }

  const gone = new AbortController()
  const open = new Map<number, { resolve(answer: unknown): void; reject(reason: unknown): void }>()
  let ids = 0
  let fault: unknown
  onLines(
    socket,
    ANSWER_BYTES_MAX,
    (error) => {
      fault = error
    },
    (message) => {
      if (typeof message.event === 'string')
        return options.onEvent?.(message.event, asFields('with', message.with ?? {}))
      const waiting = typeof message.id === 'number' ? open.get(message.id) : undefined
      // Without one, it is the late answer to an ask that was given up.
      if (message.error === undefined) waiting?.resolve(message.answer)
      else waiting?.reject(fromWire(asFields('error', message.error)))
    },
  )
  socket.on('close', () => {
    gone.abort(unreachable('hung up', fault))
    for (const waiting of open.values()) waiting.reject(unreachable('hung up', fault))
  })

  return {
    gone: gone.signal,
    hangUp: () => socket.destroy(),
    async ask(what, body, { timeoutMs, signal }) {
      if (signal?.aborted) throw signal.reason
      if (gone.signal.aborted) throw unreachable('hung up', fault)
      ids += 1
      const id = ids
      const asked = deadline(
        clock,
        timeoutMs,
        () => unreachable(`did not answer “${what}” within ${period(timeoutMs)}`),
        signal,
      )
      try {
        return await new Promise<unknown>((resolve, reject) => {
          open.set(id, { resolve, reject })
          asked.signal.addEventListener(
            'abort',
            () => {
              if (!socket.destroyed) socket.write(`{"drop":${id}}\n`)
              reject(asked.signal.reason)
            },
            { once: true },
          )
          socket.write(`${JSON.stringify({ id, ask: what, with: body })}\n`)
        })
      } finally {
        open.delete(id)
        asked.done()
      }
    },
  }
}

/** Nobody listens there any more, as opposed to somebody who does not answer. */
export const isNobodyThere = (error: unknown): boolean =>
  error instanceof SubletError &&
  error.cause instanceof Error &&
  'code' in error.cause &&
  (error.cause.code === 'ENOENT' || error.cause.code === 'ECONNREFUSED')

/** A line that cannot be read ends the connection: whatever follows it cannot be trusted either. */
function onLines(
  socket: Socket,
  bytesMax: number,
  onFault: (fault: unknown) => void,
  onMessage: (message: Fields) => void,
): void {
  let rest: string[] = []
  let restLength = 0
  socket.setEncoding('utf8')
  // 'close' follows an 'error' and is where the end is handled; the error says only why.
  socket.on('error', onFault)
  socket.on('data', (chunk: string) => {
    const lines = chunk.split('\n')
    const last = lines.pop() ?? ''
    try {
      for (const line of lines) {
        const whole = rest.length === 0 ? line : rest.join('') + line
        rest = []
        restLength = 0
        if (socket.destroyed) return
        onMessage(asFields('message', JSON.parse(whole)))
      }
      rest.push(last)
      restLength += last.length
      if (restLength > bytesMax)
        throw new SubletError('message-malformed', `A line has more than ${bytesMax} characters.`)
    } catch (error) {
      onFault(error)
      socket.destroy()
    }
  })
}

const asWire = (error: unknown): Fields =>
  error instanceof SubletError
    ? { code: error.code, sentence: error.message }
    : { code: null, sentence: error instanceof Error ? error.message : String(error) }

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERRORS, code)

function fromWire(error: Fields): Error {
  const sentence = text(error, 'sentence')
  return isCode(error.code)
    ? new SubletError(error.code, sentence)
    : new Error(`The daemon failed: ${sentence}`)
}
