import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import got, { type Got, RequestError } from 'got'
import type { Millis } from '../../actors/runtime/clock.ts'
import { ERRORS, type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import { errorSchema } from './calls.ts'
import type { ClientTls } from './tls.ts'

/** Of one peer; a poll holds one of them while it waits. */
const SOCKETS_MAX = 96
const SOCKETS_IDLE_MAX = 48
const LOOKUP_MS_MAX: Millis = 3_000
const CONNECT_MS_MAX: Millis = 3_000
/** An answer is an acknowledgement or an error: a peer that says more is not listened to. */
export const ANSWER_BYTES_MAX = 64 * 1024

export interface PostOptions {
  readonly signal: AbortSignal
  /** For all of it. */
  readonly timeoutMs: Millis
  readonly bytesMax?: number
}

/**
 * Posts JSON to peers and reads JSON. Keeps connections. A connection that the other side closed while we
 * wrote is tried once more, with a body of its own; everything else is told, and whoever asked repeats it.
 */
export class HttpClient {
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent }
  readonly #got: Got

  constructor(tls: ClientTls) {
    const options = { keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: SOCKETS_IDLE_MAX }
    this.#agents = { http: new HttpAgent(options), https: new HttpsAgent(options) }
    this.#got = got.extend({
      agent: this.#agents,
      https: { ...tls, rejectUnauthorized: true, minVersion: 'TLSv1.2' },
      method: 'POST',
      retry: { limit: 0 },
      followRedirect: false,
      decompress: false,
      throwHttpErrors: false,
      responseType: 'text',
      headers: { 'user-agent': 'sublet' },
    })
  }

  async post(base: string, path: string, body: () => object, options: PostOptions): Promise<unknown> {
    try {
      return await this.#once(base, path, body(), options)
    } catch (error) {
      if (!(error instanceof RequestError) || !['ECONNRESET', 'EPIPE'].includes(error.code))
        throw told(base, error)
    }
    try {
      return await this.#once(base, path, body(), options)
    } catch (error) {
      throw told(base, error)
    }
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  async #once(base: string, path: string, body: object, options: PostOptions): Promise<unknown> {
    const { signal, timeoutMs, bytesMax = ANSWER_BYTES_MAX } = options
    signal.throwIfAborted()
    const enough = new AbortController()
    const asked = this.#got(new URL(path, base), {
      json: body,
      signal: AbortSignal.any([signal, enough.signal]),
      timeout: {
        lookup: LOOKUP_MS_MAX,
        connect: CONNECT_MS_MAX,
        secureConnect: CONNECT_MS_MAX,
        request: timeoutMs,
      },
    })
    asked.on('downloadProgress', ({ transferred }) => {
      if (transferred > bytesMax) enough.abort(new Error(`the answer is longer than ${bytesMax} bytes`))
    })
    try {
      const { statusCode, body: text } = await asked
      if (statusCode === 200) return JSON.parse(text)
      throw refusal(base, statusCode, text)
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (enough.signal.aborted) throw enough.signal.reason
      throw error
    }
  }
}

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)

/** What the peer's endpoint says; its words are shown, so they are cut. */
function refusal(base: string, status: number, text: string): SubletError {
  let said: { readonly code: string; readonly sentence: string; readonly cure: string } | undefined
  try {
    said = errorSchema.parse(JSON.parse(text)).error
  } catch {
    // Not one of ours: a proxy, or something else that listens there.
  }
  if (said === undefined)
    return new SubletError('peer-silent', `${base} answered with HTTP status ${status}`, {
      cure: 'It seems to be no Sublet that listens there, or a proxy before it; correct the url of the peer.',
    })
  const sentence = said.sentence
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 300)
    .toWellFormed()
  const code = isCode(said.code) ? said.code : 'peer-silent'
  return new SubletError(code, `${base} answered ${status}: ${sentence}`, {
    cure: code === 'message-misaddressed' ? MISADDRESSED : ERRORS[code][1],
  })
}

function told(base: string, error: unknown): unknown {
  if (error instanceof SyntaxError)
    return new SubletError('peer-silent', `${base} answered with something that is not JSON`)
  if (!(error instanceof RequestError)) return error
  const why = error.code === 'ETIMEDOUT' ? 'no answer in time' : error.message || error.code
  return new SubletError('peer-silent', `${base} cannot be reached: ${why}`, {
    cure: cureOf(base, error.code) ?? ERRORS['peer-silent'][1],
  })
}

const MISADDRESSED =
  'Another Sublet answers at that url, or it has none of that name: correct the url of the peer, or its name.'

/** Whoever hears TLS where he expects HTTP, or the other way round, says nothing, or nothing that is understood. */
const cureOf = (base: string, code: string): string | undefined => {
  if (code === 'ECONNRESET' && base.startsWith('http:'))
    return 'Something listens there, and closes the connection: does it want https? Then correct the url of the peer.'
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return 'Something listens there that speaks no TLS: is it http? Then correct the url of the peer, or its listen.tls.'
  return CURES[code]
}

const CERTIFICATE =
  'Check listen.tls of the peer and dial.caFile here: who signed the certificate, for which name, until when.'
const CURES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Start the peer, or correct its url.',
  ENOTFOUND: 'Correct the host in the peer’s url, or the name server.',
  CERT_HAS_EXPIRED: 'Renew the certificate of the peer.',
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  ERR_TLS_CERT_ALTNAME_INVALID: CERTIFICATE,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    'The peer asks for a certificate: set dial.certFile and dial.keyFile.',
}
