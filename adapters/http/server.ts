import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import swagger from '@fastify/swagger'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault,
} from 'fastify'
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Clock } from '../../actors/runtime/clock.ts'
import { ackSchema, type Envelope, envelopeSchema } from '../../actors/runtime/envelope.ts'
import { ERRORS, type ErrorCode, inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { type Log, SparingLog } from '../../actors/runtime/log.ts'
import type { Receiver } from '../../actors/runtime/transport.ts'
import { outlineOf } from './body.ts'
import {
  type Acks,
  acceptedSchema,
  acksSchema,
  ENVELOPE_BYTES_MAX,
  errorSchema,
  fetchedSchema,
  type Hello,
  type HelloAnswer,
  helloAnswerSchema,
  helloSchema,
  type Poll,
  pollSchema,
} from './calls.ts'
import { Connections } from './connections.ts'
import { documentOf } from './openapi.ts'
import { Requests } from './requests.ts'
import type { ServerTls } from './tls.ts'

/** Where a process listens for its peers. */
export interface Listen {
  /** 127.0.0.1 unless told otherwise. */
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly tls?: ServerTls | undefined
}

/** What the routes are answered with. Each may throw a `SubletError`, which is told to the caller. */
export interface Desk {
  receiverOf(name: string): Receiver | undefined
  /** Messages as JSON; soon after `gone` is aborted, none. `believed` is called before it waits. */
  poll(call: Poll, gone: AbortSignal, believed: () => void): Promise<readonly string[]>
  acks(call: Acks): number
  hello(call: Hello): HelloAnswer
}

export interface HttpServer {
  /** `https://127.0.0.1:7711` */
  readonly url: string
  close(): Promise<void>
}

/** Connections that are open, the waiting polls among them; beyond it those of strangers are ended. */
export const CONNECTIONS_MAX = 512
/** Of one peer: it keeps fewer itself, and those of others must find room. */
export const CONNECTIONS_PEER_MAX = 128
/** Requests under way that are no polls, of each peer that was believed, and as many of all others. */
export const REQUESTS_MAX = 128
/** Of all peers together. */
export const REQUESTS_PEERS_MAX = 256
/** Of all others, those that are longer than any call, or may be. */
export const REQUESTS_LONG_MAX = 32
/** For the whole of a request to come in. */
export const REQUEST_MS_MAX = 10_000
/** For a connection on which nothing happens; a poll waits 25 s. */
const QUIET_MS_MAX = 60_000
const SMALL_BYTES_MAX = 16 * 1024
const ACKS_BYTES_MAX = 256 * 1024
const MESSAGES = '/v2/messages'

/** What the caller is told of an error: nothing of files, stacks or other peers. */
const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  'message-malformed': 400,
  'message-unknown-peer': 403,
  'message-unknown-key': 403,
  'message-key-expired': 403,
  'message-forged': 403,
  'message-expired': 403,
  'message-misaddressed': 404,
  overloaded: 503,
  'not-running': 503,
}

type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

export async function httpServer(listen: Listen, desk: Desk, log: Log, clock: Clock): Promise<HttpServer> {
  const { host, port, tls } = listen
  const app = build(desk, { refused: new SparingLog(log, clock), failed: new SparingLog(log, clock) }, tls)
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new SubletError('config-invalid', `${host}:${port} cannot be listened on (${why})`, {
      cause,
      cure: 'Choose another listen.port or listen.host, or end what uses it.',
    })
  }
  const { address, family, port: bound } = app.server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: () => app.close(),
  }
}

/** The description of the endpoint, made of the schemas that its requests are read with. */
export async function openApi(): Promise<object> {
  const nobody: Desk = {
    receiverOf: () => undefined,
    poll: () => Promise.resolve([]),
    acks: () => 0,
    hello: () => {
      throw new SubletError('not-running', 'nobody is here')
    },
  }
  const silent = (): void => undefined
  const app = build(nobody, { refused: { warn: silent }, failed: { error: silent } }, undefined)
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}

/** Who is told of what was refused and of what failed; strangers may bring about either. */
interface Logs {
  readonly refused: Pick<Log, 'warn'>
  readonly failed: Pick<Log, 'error'>
}

function build(desk: Desk, logs: Logs, tls: ServerTls | undefined): App {
  const app = fastify({
    ...(tls === undefined ? {} : { https: tls }),
    bodyLimit: SMALL_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    connectionTimeout: QUIET_MS_MAX,
    keepAliveTimeout: QUIET_MS_MAX,
    forceCloseConnections: true,
    logger: false,
    frameworkErrors: (_, __, reply) =>
      refuse(reply, 400, new SubletError('message-malformed', 'the address is not one')),
  }).withTypeProvider<ZodTypeProvider>() as unknown as App
  const connections = new Connections({ max: CONNECTIONS_MAX, peerMax: CONNECTIONS_PEER_MAX })
  app.server.on('connection', (socket: Socket) => connections.opened(socket))
  const bodies = new Bodies(app.getDefaultJsonParser('error', 'error'))
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) =>
    bodies.read(request, text as string, done),
  )
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, logs))
  app.setNotFoundHandler((_, reply) =>
    refuse(reply, 404, new SubletError('message-misaddressed', 'there is nothing at this address')),
  )
  const bounds = { max: REQUESTS_MAX, longMax: REQUESTS_LONG_MAX, peersMax: REQUESTS_PEERS_MAX }
  boundRequests(app, new Requests(bounds, (socket) => connections.peerOn(socket)))
  app.register(swagger, { openapi: documentOf(), transform: jsonSchemaTransform })
  app.register((inner, _, done) => {
    routes(inner as unknown as App, desk, connections, bodies)
    done()
  })
  return app
}

const refusals = { 400: errorSchema, 403: errorSchema, 404: errorSchema, 413: errorSchema, 503: errorSchema }

/** Of what is no message: whether an acknowledgement can name it. */
const answerable = z.object({ id: ackSchema.shape.id, from: ackSchema.shape.to })

function routes(app: App, desk: Desk, connections: Connections, bodies: Bodies): void {
  app.post(
    MESSAGES,
    {
      schema: { summary: 'Takes a message', body: envelopeSchema, response: { 200: ackSchema, ...refusals } },
      bodyLimit: ENVELOPE_BYTES_MAX,
      // What is not quite an envelope is answered for by the actor it is for: signed, and with what is spoken here.
      attachValidation: true,
    },
    async (request, reply) => {
      const to: unknown = (request.body as { to?: unknown } | null)?.to
      const receiver = typeof to === 'string' ? desk.receiverOf(to) : undefined
      const flawed = request.validationError !== undefined
      if (receiver !== undefined && (!flawed || answerable.safeParse(request.body).success)) {
        const refusal = bodies.isHead(request) ? receiver.refusal?.(request.body) : undefined
        if (refusal !== undefined) return reply.send(refusal)
        const message = (await bodies.whole(request)) as Envelope
        const { socket } = request.raw
        return reply.send(await receiver.receive(message, () => connections.believed(socket, message.from)))
      }
      if (flawed) throw new SubletError('message-malformed', 'the body has not the form of a message')
      throw new SubletError('message-misaddressed', 'no actor of that name is here')
    },
  )
  app.post(
    '/v2/poll',
    {
      schema: {
        summary: 'Fetches messages',
        body: pollSchema,
        response: { 200: fetchedSchema, ...refusals },
      },
    },
    async (request, reply) => {
      const gone = new AbortController()
      const { socket } = request.raw
      const onClose = (): void => gone.abort(new Error('the caller is gone'))
      reply.raw.once('close', onClose)
      const texts = await desk.poll(request.body, gone.signal, () =>
        connections.believed(socket, request.body.from),
      )
      reply.raw.removeListener('close', onClose)
      // As they were written once: they may be long.
      reply.serializer((text: unknown) => text as string)
      return reply.type('application/json; charset=utf-8').send(`{"envelopes":[${texts.join(',')}]}` as never)
    },
  )
  app.post(
    '/v2/acks',
    {
      schema: {
        summary: 'Takes acknowledgements of messages that were fetched',
        body: acksSchema,
        response: { 200: acceptedSchema, ...refusals },
      },
      bodyLimit: ACKS_BYTES_MAX,
    },
    async (request) => {
      const accepted = desk.acks(request.body)
      connections.believed(request.raw.socket, request.body.from)
      return { accepted }
    },
  )
  app.post(
    '/v2/hello',
    {
      schema: {
        summary: 'Says who is here, and whether the caller is known',
        body: helloSchema,
        response: { 200: helloAnswerSchema, ...refusals },
      },
    },
    async (request) => desk.hello(request.body),
  )
  app.get('/openapi.json', { schema: { hide: true } }, (_, reply) => {
    reply.serializer(JSON.stringify)
    return reply.type('application/json; charset=utf-8').send(app.swagger() as never)
  })
}

type Done = (error: Error | null, value?: unknown) => void

/**
 * What the texts of requests say. What would take long to read is refused before, and a long message is read only when
 * its head is believed:
 *
 *   text ──too deep, too wide──▶ refused
 *        ──short───────────────▶ its value
 *        ──a long message──────▶ its head, with nothing as the body ──believed──▶ the whole
 */
class Bodies {
  readonly #parse: (request: FastifyRequest, text: string, done: Done) => void
  /** The whole text, where only the head was read. */
  readonly #unread = new WeakMap<FastifyRequest, string>()

  constructor(parse: (request: FastifyRequest, text: string, done: Done) => void) {
    this.#parse = parse
  }

  read(request: FastifyRequest, text: string, done: Done): void {
    const { flaw, head } = outlineOf(text)
    if (flaw !== undefined) return done(new SubletError('message-malformed', flaw))
    if (request.routeOptions.url !== MESSAGES || text.length <= SMALL_BYTES_MAX)
      return this.#parse(request, text, done)
    if (head.length > SMALL_BYTES_MAX)
      return done(new SubletError('message-malformed', 'the message is too long without its body'))
    this.#unread.set(request, text)
    this.#parse(request, head, done)
  }

  isHead(request: FastifyRequest): boolean {
    return this.#unread.has(request)
  }

  whole(request: FastifyRequest): Promise<unknown> {
    const text = this.#unread.get(request)
    if (text === undefined) return Promise.resolve(request.body)
    return new Promise((resolve, reject) =>
      this.#parse(request, text, (error, value) => (error === null ? resolve(value) : reject(error))),
    )
  }
}

/** Counted before a body is read. Polls of peers wait long and carry little: their number is that of the peers. */
function boundRequests(app: App, requests: Requests): void {
  app.addHook('onRequest', async (request) => {
    if (request.url === '/v2/poll') return
    if (!requests.begin(request.raw, request.raw.socket, bytesOf(request) > ACKS_BYTES_MAX))
      throw new SubletError('overloaded', 'too many requests are under way here', {
        cure: 'Come again in a moment.',
      })
    request.raw.once('close', () => requests.end(request.raw))
  })
  app.addHook('onResponse', async (request) => requests.end(request.raw))
}

/** How long the body will be: of one in chunks nobody knows, and what says nothing has none. */
const bytesOf = ({ headers }: FastifyRequest): number =>
  headers['transfer-encoding'] === undefined
    ? Number(headers['content-length'] ?? 0)
    : Number.POSITIVE_INFINITY

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)

function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { refused, failed }: Logs,
): FastifyReply {
  const from = request.ip
  if (error instanceof SubletError && isCode(error.code)) {
    refused.warn({ from, path: request.routeOptions.url, code: error.code }, 'request of a peer refused')
    return refuse(reply, STATUS[error.code] ?? 500, error)
  }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (status >= 400 && status < 500) {
    refused.warn({ from, path: request.routeOptions.url, status }, 'request of a peer refused')
    return refuse(
      reply,
      status,
      new SubletError(
        'message-malformed',
        WORDS[status] ?? 'the request has not the form that is expected here',
      ),
    )
  }
  failed.error({ from, path: request.routeOptions.url, reason: inOneLine(error) }, 'request of a peer failed')
  return reply
    .code(500)
    .type('application/json')
    .serializer(JSON.stringify)
    .send({
      error: { code: 'unexpected', sentence: 'the request could not be answered', cure: 'Come again later.' },
    })
}

const WORDS: Readonly<Record<number, string>> = {
  408: 'the request took too long to come in',
  413: 'the request is too long',
  415: 'the request is not JSON: expected content-type application/json',
}

const refuse = (reply: FastifyReply, status: number, { code, message, cure }: SubletError): FastifyReply =>
  reply
    .code(status)
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send({ error: { code, sentence: message, cure } })
