import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { type Clock, type Millis, systemClock } from '../../actors/runtime/clock.ts'
import { ERRORS, type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'
import { errorSchema } from './calls.ts'
import { Broken, type RequestParts, request } from './request.ts'
import type { ClientTls } from './tls.ts'

/** Of one peer; a poll holds one of them while it waits. */
const SOCKETS_MAX = 96
const SOCKETS_IDLE_MAX = 48
const CONNECT_MS_MAX: Millis = 5_000
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
  readonly #parts: RequestParts

  constructor({ certificateAuthority: ca, certificate: cert, key }: ClientTls, clock: Clock = systemClock) {
    const kept = { keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: SOCKETS_IDLE_MAX }
    const tls = { ca, cert, key, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const
    const agents = { http: new HttpAgent(kept), https: new HttpsAgent({ ...kept, ...tls }) }
    this.#parts = { clock, agents, connectMsMax: CONNECT_MS_MAX }
  }

  async post(base: string, path: string, body: () => object, options: PostOptions): Promise<unknown> {
    try {
      return await this.#once(base, path, body(), options)
    } catch (error) {
      if (!(error instanceof Broken) || !CLOSED.has(error.code)) throw told(base, error)
    }
    try {
      return await this.#once(base, path, body(), options)
    } catch (error) {
      throw told(base, error)
    }
  }

  close(): void {
    this.#parts.agents.http.destroy()
    this.#parts.agents.https.destroy()
  }

  async #once(base: string, path: string, body: object, options: PostOptions): Promise<unknown> {
    const { signal, timeoutMs, bytesMax = ANSWER_BYTES_MAX } = options
    signal.throwIfAborted()
    const limits = { signal, timeoutMs, bytesMax }
    const { status, text } = await request(new URL(path, base), body, this.#parts, limits)
    if (status === 200) return JSON.parse(text)
    throw refusal(base, status, text)
  }
}

/** How it is called when the other side had closed the connection meanwhile. */
const CLOSED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)

/** What the peer's endpoint says; its words are shown, so they are cut. */
function refusal(base: string, status: number, text: string): SubletError {
  let said: { readonly code: string; readonly sentence: string; readonly cure: string } | undefined
  try {
    said = errorSchema.parse(JSON.parse(text)).error
  } catch {
    // Not one of ours: a proxy, or something else that listens there.
  }
  if (said === undefined) return new SubletError('peer-silent', `${base} answered with HTTP status ${status}`)
  const sentence = said.sentence
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 300)
    .toWellFormed()
  const code = isCode(said.code) ? said.code : 'peer-silent'
  return new SubletError(code, `${base} answered ${status}: ${sentence}`)
}

function told(base: string, error: unknown): unknown {
  if (error instanceof SyntaxError)
    return new SubletError('peer-silent', `${base} answered with something that is not JSON`)
  if (!(error instanceof Broken)) return error
  return new SubletError('peer-silent', `${base} cannot be reached: ${error.message}`, {
    cure: CURES[error.code] ?? ERRORS['peer-silent'][1],
  })
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
