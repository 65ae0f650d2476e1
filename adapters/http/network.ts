import { type Clock, deadline, type Millis } from '../../actors/runtime/clock.ts'
import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { ActorName, Identity, KeyDoubt, Trust } from '../../actors/runtime/identity.ts'
import { type IdSource, idSource } from '../../actors/runtime/ids.ts'
import { type Log, SparingLog } from '../../actors/runtime/log.ts'
import type { Random } from '../../actors/runtime/random.ts'
import { InProcessNetwork, type Receiver } from '../../actors/runtime/transport.ts'
import type { Network, PeerAnswer, PeerSight, PeerWay } from '../transport.ts'
import { Bag } from './bag.ts'
import { CallGuard } from './call-guard.ts'
import {
  type Acks,
  type Hello,
  type HelloAnswer,
  helloAnswerSchema,
  POLL_MS_MAX,
  type Poll,
  sealAnswer,
  sealCall,
  signedAnswer,
} from './calls.ts'
import { HttpClient } from './client.ts'
import { Poller } from './poller.ts'
import { type HttpServer, httpServer, type Listen } from './server.ts'
import type { ClientTls } from './tls.ts'

export interface HttpNetworkConfig {
  /** Absent: nobody can call; what peers have for us is fetched from them. */
  readonly listen?: Listen | undefined
  readonly dial?: ClientTls | undefined
  readonly skewMsMax: Millis
  /** Told to whoever asks; the highest that both speak is used. */
  readonly protocols: readonly number[]
}

export interface HttpNetworkParts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly trust: Trust
  /** Of the actors of this process. */
  readonly identity: (name: ActorName) => Identity
}

/** The postman's tries are shorter; this ends what was forgotten. */
const SEND_MS_MAX: Millis = 30_000

/**
 * Messages over HTTP, for all actors of a process.
 *
 *              ┌─ to an actor here ──▶ its receiver, as in one process
 *   envelope ──┼─ to a peer with a url ──▶ client ──▶ POST /v2/messages there
 *              └─ to a peer that polls ──▶ bag ◀── POST /v2/poll, /v2/acks by that peer
 *
 *   server ──▶ receivers of actors here             poller: for each peer from which messages are fetched
 */
export class HttpNetwork implements Network {
  readonly #config: HttpNetworkConfig
  readonly #parts: HttpNetworkParts
  readonly #inside = new InProcessNetwork()
  readonly #receivers = new Map<ActorName, Receiver>()
  readonly #client: HttpClient
  readonly #guard: CallGuard
  readonly #ids: IdSource
  /** By peer and actor here. */
  readonly #bags = new Map<string, Bag>()
  readonly #pollers = new Map<string, Poller>()
  readonly #closing = new AbortController()
  #ways = new Map<ActorName, PeerWay>()
  #server: HttpServer | undefined
  #isOpen = false

  constructor(config: HttpNetworkConfig, parts: HttpNetworkParts) {
    this.#config = config
    this.#parts = parts
    this.#client = new HttpClient(config.dial ?? {})
    this.#ids = idSource(parts.random.child('calls'))
    this.#guard = new CallGuard({
      ...parts,
      skewMsMax: config.skewMsMax,
      isHere: (name) => this.#receivers.has(name),
    })
  }

  /** Where it listens; undefined if it does not. */
  get url(): string | undefined {
    return this.#server?.url
  }

  attach(name: ActorName, receiver: Receiver): void {
    this.#inside.attach(name, receiver)
    this.#receivers.set(name, receiver)
  }

  async open(): Promise<void> {
    const { listen } = this.#config
    if (listen !== undefined)
      this.#server = await httpServer(
        listen,
        {
          receiverOf: (name) => this.#receivers.get(name),
          poll: (call, gone, believed) => this.#onPoll(call, gone, believed),
          acks: (call) => this.#onAcks(call),
          hello: (call) => this.#onHello(call),
        },
        this.#parts.log,
        this.#parts.clock,
      )
    this.#isOpen = true
    await this.#reconcile()
  }

  async close(): Promise<void> {
    this.#isOpen = false
    this.#closing.abort(new SubletError('not-running', 'the network is closed'))
    await Promise.all([...this.#pollers.values()].map((poller) => poller.stop()))
    this.#pollers.clear()
    await this.#server?.close()
    this.#client.close()
  }

  setPeers(peers: readonly PeerWay[]): void {
    this.#ways = new Map(peers.map((way) => [way.name, way]))
    void this.#reconcile()
  }

  async send(envelope: Envelope, signal: AbortSignal): Promise<Ack> {
    const { from, to } = envelope
    if (this.#receivers.has(to)) return this.#inside.send(envelope, signal)
    const way = this.#ways.get(to)
    if (way === undefined) throw new SubletError('peer-unknown', `no way to ${to} is configured`)
    const both = AbortSignal.any([signal, this.#closing.signal])
    if (way.url === undefined) return this.#bag(to, from).send(envelope, both)
    const answer = await this.#client.post(way.url, '/v2/messages', () => envelope, {
      signal: both,
      timeoutMs: SEND_MS_MAX,
    })
    // Not judged here: whoever sent it looks at the signature.
    return answer as Ack
  }

  async hello(from: ActorName, to: ActorName, signal: AbortSignal): Promise<PeerAnswer> {
    const { clock, identity, trust } = this.#parts
    const url = this.#ways.get(to)?.url
    if (url === undefined) throw new SubletError('peer-silent', `${to} is not called from here: it polls`)
    const asked = clock.monotonic()
    const hello = sealCall('hello', {}, to, { identity: identity(from), ids: this.#ids, now: clock.now() })
    const answer = helloAnswerSchema.safeParse(
      await this.#client.post(url, '/v2/hello', () => hello, { signal, timeoutMs: SEND_MS_MAX }),
    )
    const tookMs = clock.monotonic() - asked
    const now = clock.now()
    if (!answer.success || !isAnswerTo(hello, answer.data, trust))
      throw new SubletError('message-forged', `the answer of ${url} is not signed by ${to}`)
    const { outcome, key, protocols, at } = answer.data
    const doubt = trust.doubtKey(to, key, now)
    if (doubt !== undefined) trust.remember(to, key, now)
    return {
      ...{ outcome, key, protocols },
      trusted: doubt === undefined,
      offsetMs: Math.round(at - (now - tookMs / 2)),
      errorMs: Math.ceil(tookMs / 2) + 1,
    }
  }

  peers(): readonly PeerSight[] {
    return [...this.#ways.values()].map(({ name, url, poll }) => {
      const bags = [...this.#bags].filter(([id]) => id.startsWith(`${name} `)).map(([, bag]) => bag)
      const pollers = [...this.#pollers].filter(([id]) => id.startsWith(`${name} `)).map(([, one]) => one)
      const silent = pollers.find(({ silentSince }) => silentSince !== undefined)
      const fetched = bags.flatMap(({ fetchedAt }) => fetchedAt ?? [])
      return {
        ...{ name, url, poll },
        fetchedAt: fetched.length === 0 ? undefined : Math.max(...fetched),
        silentSince: silent?.silentSince,
        lastError: silent?.lastError,
        waiting: bags.reduce((sum, bag) => sum + bag.waiting, 0),
      }
    })
  }

  // ── what peers ask ─────────────────────────────────────────────────────────────────────────────────

  async #onPoll(call: Poll, gone: AbortSignal, believed: () => void): Promise<readonly string[]> {
    const { clock } = this.#parts
    this.#guard.admit('poll', call)
    believed()
    const limit = deadline(clock, Math.min(call.waitMs, POLL_MS_MAX), () => new Error('nothing came'), gone)
    try {
      const ended = AbortSignal.any([limit.signal, this.#closing.signal])
      return await this.#bag(call.from, call.to).fetch(clock.now(), ended)
    } finally {
      limit.done()
    }
  }

  #onAcks(call: Acks): number {
    this.#guard.admit('acks', call)
    return this.#bag(call.from, call.to).settle(call.acks)
  }

  #onHello(call: Hello): HelloAnswer {
    const doubt = this.#guard.doubt('hello', call)
    return sealAnswer(
      {
        from: call.to,
        to: call.from,
        at: this.#parts.clock.now(),
        nonce: call.nonce,
        outcome: doubt === undefined ? 'known' : OUTCOMES[doubt],
        protocols: [...this.#config.protocols],
      },
      this.#parts.identity(call.to),
    )
  }

  // ── what waits, and what is fetched ────────────────────────────────────────────────────────────────

  /** Only for peers that are known: their number is that of the configuration. */
  #bag(peer: ActorName, here: ActorName): Bag {
    const id = `${peer} ${here}`
    const bag = this.#bags.get(id) ?? new Bag()
    this.#bags.set(id, bag)
    return bag
  }

  async #reconcile(): Promise<void> {
    const wanted = new Map<string, { peer: ActorName; here: ActorName; url: string }>()
    if (this.#isOpen)
      for (const { name, url, poll, notFor = [] } of this.#ways.values())
        if (poll && url !== undefined)
          for (const here of this.#receivers.keys())
            if (!notFor.includes(here)) wanted.set(`${name} ${here} ${url}`, { peer: name, here, url })
    for (const [id, { peer, here, url }] of wanted)
      if (!this.#pollers.has(id)) this.#pollers.set(id, this.#poller(peer, here, url))
    const gone = [...this.#pollers].filter(([id]) => !wanted.has(id))
    for (const [id] of gone) this.#pollers.delete(id)
    await Promise.all(gone.map(([, poller]) => poller.stop()))
  }

  #poller(peer: ActorName, here: ActorName, url: string): Poller {
    const { clock, random, identity, log } = this.#parts
    return new Poller(peer, url, {
      client: this.#client,
      ...{ clock, ids: this.#ids, identity: identity(here), receiver: this.#receivers.get(here)! },
      random: random.child(`poll ${peer} ${here}`),
      log: new SparingLog(log, clock),
    })
  }
}

const OUTCOMES: Readonly<Record<KeyDoubt, HelloAnswer['outcome']>> = {
  'message-unknown-peer': 'unknown-peer',
  'message-unknown-key': 'unknown-key',
  'message-key-expired': 'key-expired',
}

const isAnswerTo = (hello: Hello, answer: HelloAnswer, trust: Trust): boolean =>
  answer.nonce === hello.nonce &&
  answer.from === hello.to &&
  answer.to === hello.from &&
  trust.verifyBy(answer.key, signedAnswer(answer), answer.signature)
