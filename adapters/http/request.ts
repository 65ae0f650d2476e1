import { type Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { type Clock, deadline, type Millis } from '../../actors/runtime/clock.ts'

export interface RequestParts {
  readonly clock: Clock
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent }
  /** For the name, the connection and its certificate together. */
  readonly connectMsMax: Millis
}

export interface RequestLimits {
  readonly signal: AbortSignal
  /** For all of it. */
  readonly timeoutMs: Millis
  /** Of the answer. */
  readonly bytesMax: number
}

export interface Answer {
  readonly status: number
  readonly text: string
}

/** The connection failed, in words of the system, or was too slow. */
export class Broken extends Error {
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message || code, { cause })
    this.code = code
  }
}

const late = (message: string): Broken => new Broken('ETIMEDOUT', message)

const broken = (error: NodeJS.ErrnoException): Broken => new Broken(error.code ?? '', error.message, error)

/**
 * One POST of JSON on a connection that is kept. Rejects with the reason as soon as the signal aborts, a limit is
 * reached or the connection breaks; nothing of it goes on then.
 */
export function request(
  url: URL,
  body: object,
  { clock, agents, connectMsMax }: RequestParts,
  { signal, timeoutMs, bytesMax }: RequestLimits,
): Promise<Answer> {
  const text = JSON.stringify(body)
  const isSecure = url.protocol === 'https:'
  const limit = deadline(clock, timeoutMs, () => late('no answer in time'), signal)
  return new Promise<Answer>((resolve, reject) => {
    const asked = (isSecure ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: isSecure ? agents.https : agents.http,
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        'user-agent': 'sublet',
      },
    })
    const fail = (error: unknown): void => {
      reject(error)
      asked.destroy()
    }
    limit.signal.addEventListener('abort', () => fail(limit.signal.reason), { once: true })
    asked.once('socket', (socket) => {
      if (!socket.connecting) return
      const cancel = clock.after(connectMsMax, () => fail(late('no connection in time')))
      socket.once(isSecure ? 'secureConnect' : 'connect', cancel)
      socket.once('close', cancel)
    })
    asked.on('error', (error) => fail(broken(error)))
    asked.once('response', (answer) => read(answer, bytesMax, resolve, fail))
    asked.end(text)
  }).finally(limit.done)
}

function read(
  answer: IncomingMessage,
  bytesMax: number,
  done: (answer: Answer) => void,
  fail: (error: unknown) => void,
): void {
  const chunks: Buffer[] = []
  let bytes = 0
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    chunks.push(chunk)
    if (bytes > bytesMax) fail(new Error(`the answer is longer than ${bytesMax} bytes`))
  })
  answer.once('end', () => done({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
  answer.on('error', (error) => fail(broken(error)))
}
