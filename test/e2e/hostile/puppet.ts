import type { Body, MessageKind } from '../../../actors/leases/messages.ts'
import { systemClock as clock, sleep } from '../../../actors/runtime/clock.ts'
import { type Ack, type Envelope, type Letter, seal, sealAck } from '../../../actors/runtime/envelope.ts'
import { ed25519Identity, ed25519Trust, type Identity } from '../../../actors/runtime/identity.ts'
import { idSource } from '../../../actors/runtime/ids.ts'
import { systemRandom } from '../../../actors/runtime/random.ts'
import { HttpNetwork } from '../../../adapters/http/network.ts'
import type { PeerWay } from '../../../adapters/transport.ts'

const HEAR_MS = 20_000
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** What of a message may be a lie. */
type Lies = Partial<Pick<Letter, 'number' | 'sentAt' | 'until'>> & {
  readonly generation?: number
  readonly seq?: number
}

/**
 * An actor that the test plays: it has a key that the others trust, an address, and says whatever it is told to. What
 * comes it acknowledges and keeps, unless it is told to be mute.
 */
export class Puppet {
  readonly name: string
  /** What it signs with; another one when its key is changed. */
  identity: Identity
  readonly heard: Envelope[] = []
  /** Takes what comes and answers nothing. */
  isMute = false
  /** What it claims to have seen of others, beyond what it has. */
  seenMore = 0
  readonly #network: HttpNetwork
  readonly #numbers = new Map<string, number>()
  readonly #seen = new Map<string, number>()
  readonly #ids = idSource(systemRandom())
  #seq = 0

  constructor(name: string, privateKey: string, port: number, peers: readonly PeerWay[]) {
    this.name = name
    this.identity = ed25519Identity(name, privateKey)
    this.#network = new HttpNetwork(
      { skewMsMax: 2_000, protocols: [1, 2], listen: { host: '127.0.0.1', port } },
      {
        ...{ clock, random: systemRandom(), trust: ed25519Trust({}), log: silent },
        identity: () => this.identity,
      },
    )
    this.#network.setPeers(peers)
    this.#network.attach(name, { receive: (envelope) => this.#receive(envelope as Envelope) })
  }

  open(): Promise<void> {
    return this.#network.open()
  }

  close(): Promise<void> {
    return this.#network.close()
  }

  /** Says something of the protocol, or of the same form. */
  says<K extends MessageKind>(
    to: string,
    kind: K,
    subject: string,
    body: Body<K>,
    lies: Lies = {},
  ): Promise<Ack> {
    return this.utters(to, kind, subject, body, lies)
  }

  /** Says anything at all. */
  utters(to: string, kind: string, subject: string, body: unknown, lies: Lies = {}): Promise<Ack> {
    const key = `${to} ${subject}`
    const number = lies.number ?? (this.#numbers.get(key) ?? 0) + 1
    if (lies.number === undefined) this.#numbers.set(key, number)
    const { generation = 0, seq = ++this.#seq, number: _, ...head } = lies
    const sentAt = clock.now()
    const letter = { id: this.#ids.next('message'), from: this.name, to, kind, subject, body, number }
    const until = sentAt + 60_000
    const envelope = seal({ ...letter, sentAt, until, ...head }, this.identity, { generation, seq })
    return this.repeats(envelope)
  }

  /** Sends a message as it is. */
  repeats(envelope: Envelope): Promise<Ack> {
    return this.#network.send(envelope, AbortSignal.timeout(HEAR_MS))
  }

  /** The latest message of a kind on a subject, once there is one that holds. */
  async hears<K extends MessageKind>(
    kind: K,
    subject: string | undefined,
    holds: (body: Body<K>, envelope: Envelope) => boolean = () => true,
  ): Promise<{ readonly subject: string; readonly from: string; readonly body: Body<K> }> {
    const until = clock.monotonic() + HEAR_MS
    for (;;) {
      const found = this.heard.findLast(
        (one) =>
          one.kind === kind &&
          (subject === undefined || one.subject === subject) &&
          holds(one.body as Body<K>, one),
      )
      if (found !== undefined) return found as typeof found & { body: Body<K> }
      if (clock.monotonic() > until)
        throw new Error(
          `${this.name} heard no such ${kind}; it heard ${this.heard.map((one) => `${one.kind} ${one.subject} ${JSON.stringify(one.body).slice(0, 200)}`).join('\n')}`,
        )
      await sleep(clock, 20)
    }
  }

  #receive(envelope: Envelope): Promise<Ack> {
    const { id, from, to, kind, seq = 0 } = envelope
    if (this.isMute && kind !== 'hello') return new Promise(() => undefined)
    if (kind !== 'hello' && !this.heard.some((one) => one.id === id)) this.heard.push(envelope)
    this.#seen.set(from, Math.max(seq, this.#seen.get(from) ?? 0))
    const ack = {
      id,
      from: to,
      to: from,
      outcome: 'received',
      code: '',
      reason: '',
      at: clock.now(),
    } as const
    const seen = kind === 'hello' ? 0 : this.#seen.get(from)!
    return Promise.resolve(sealAck(ack, this.identity, { generation: 0, seq: seen + this.seenMore }))
  }
}
