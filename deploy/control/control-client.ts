import { Agent } from 'node:http'
import got, { type Got, HTTPError, RequestError } from 'got'
import type { z } from 'zod'
import { SubletError } from '../../actors/runtime/errors.ts'
import { challengeAnswer, errorAnswer, fromAnswer } from './control-protocol.ts'
import { doorstep } from './doorstep.ts'

/** Asks a running Sublet; see control.ts. */
export interface ControlClient {
  get(path: string, options?: AskOptions): Promise<unknown>
  post(path: string, body: unknown, options?: AskOptions): Promise<unknown>
}

interface AskOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

const ASK_MS = 15_000

export function controlClient(socket: string): ControlClient {
  const http = got.extend({
    enableUnixSockets: true,
    retry: { limit: 0 },
    throwHttpErrors: true,
    responseType: 'json',
  })
  const ask = async (
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    options: AskOptions,
  ): Promise<unknown> => {
    const common = { timeout: { request: options.timeoutMs ?? ASK_MS }, signal: options.signal }
    const step = said(socket, () => doorstep(socket))
    // Of this question only: another's path may have the same number.
    const agent = { http: new Agent({ keepAlive: true, maxSockets: 1 }) }
    try {
      const { token, folder } = await challenge(
        http.extend({ agent }),
        socket,
        step.socket,
        `${method} ${path}`,
      )
      // Made by us, so it is ours: that is the proof of who is asking.
      const remove = said(socket, () => step.prove(folder))
      try {
        const answer = await http(urlOf(step.socket, path), {
          method,
          agent,
          ...common,
          headers: { authorization: `Sublet ${token}` },
          ...(body === undefined ? {} : { json: body }),
        })
        return answer.body
      } catch (error) {
        throw domainError(error, socket)
      } finally {
        remove()
      }
    } finally {
      agent.http.destroy()
      step.close()
    }
  }
  return {
    get: (path, options = {}) => ask('GET', path, undefined, options),
    post: (path, body, options = {}) => ask('POST', path, body, options),
  }
}

/** What the system says of the socket, in words of ours. */
function said<T>(socket: string, look: () => T): T {
  try {
    return look()
  } catch (error) {
    throw ofSystem(error, socket) ?? error
  }
}

async function challenge(
  http: Got,
  socket: string,
  through: string,
  request: string,
): Promise<z.output<typeof challengeAnswer>> {
  try {
    const answer = await http.post(urlOf(through, '/challenge'), {
      json: { request },
      timeout: { request: ASK_MS },
    })
    return challengeAnswer.parse(answer.body)
  } catch (error) {
    throw domainError(error, socket)
  }
}

/** A colon would end the socket's path too early, a blank would not be a URL. */
const urlOf = (socket: string, path: string): string =>
  `unix:${socket.split('/').map(encodeURIComponent).join('/')}:${path}`

function domainError(error: unknown, socket: string): unknown {
  if (error instanceof HTTPError) {
    const answer = errorAnswer.safeParse(error.response.body)
    return answer.success ? fromAnswer(answer.data) : error
  }
  if (!(error instanceof RequestError)) return error
  const known = ofSystem(error, socket)
  if (known !== undefined) return known
  if (error.code === 'ETIMEDOUT')
    return new SubletError('not-running', `Sublet at ${socket} does not answer in time`, {
      cure: 'Look into its log; if the process hangs, end it and start it again: leases and jobs go on.',
    })
  return new SubletError('not-running', `the connection to ${socket} broke: ${error.message}`, {
    cause: error,
  })
}

/** What the system says of a socket or its folder. */
function ofSystem(error: unknown, socket: string): SubletError | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR')
    return new SubletError('not-running', `nobody answers at ${socket}`)
  if (code === 'EACCES')
    return new SubletError('not-permitted', `the socket ${socket} may not be used by this user`, {
      cause: error,
    })
}
