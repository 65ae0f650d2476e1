import { mkdirSync, rmdirSync } from 'node:fs'
import got, { type Got, HTTPError, RequestError } from 'got'
import type { z } from 'zod'
import { SubletError } from '../../actors/runtime/errors.ts'
import { challengeAnswer, errorAnswer, fromAnswer } from './control-protocol.ts'

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
    const { token, folder } = await challenge(http, socket, `${method} ${path}`)
    // Made by us, so it is ours: that is the proof of who is asking.
    prove(folder)
    try {
      const answer = await http(urlOf(socket, path), {
        method,
        ...common,
        headers: { authorization: `Sublet ${token}` },
        ...(body === undefined ? {} : { json: body }),
      })
      return answer.body
    } catch (error) {
      throw domainError(error, socket)
    } finally {
      removeOwn(folder)
    }
  }
  return {
    get: (path, options = {}) => ask('GET', path, undefined, options),
    post: (path, body, options = {}) => ask('POST', path, body, options),
  }
}

async function challenge(
  http: Got,
  socket: string,
  request: string,
): Promise<z.output<typeof challengeAnswer>> {
  try {
    const answer = await http.post(urlOf(socket, '/challenge'), {
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
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR')
    return new SubletError('not-running', `nobody answers at ${socket}`)
  if (error.code === 'EACCES')
    return new SubletError('not-permitted', `the socket ${socket} may not be used by this user`, {
      cause: error,
    })
  if (error.code === 'ETIMEDOUT')
    return new SubletError('not-running', `Sublet at ${socket} does not answer in time`, {
      cure: 'Look into its log; if the process hangs, end it and start it again: leases and jobs go on.',
    })
  return new SubletError('not-running', `the connection to ${socket} broke: ${error.message}`, {
    cause: error,
  })
}

function prove(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (cause) {
    throw new SubletError('not-permitted', `this user cannot show who he is: ${folder} cannot be made`, {
      cause,
    })
  }
}

/** The server has removed it already, unless it could not be reached. */
function removeOwn(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
