import { type Cancel, type Clock, type Instant, type Millis, within } from './clock.ts'
import { type Ack, type Envelope, isAckOf } from './envelope.ts'
import { inOneLine } from './errors.ts'
import type { ActorName, Trust } from './identity.ts'
import type { Random } from './random.ts'
import type { Row } from './rows.ts'
import type { Transport } from './transport.ts'

/** A message in the outbox: durable until it is acknowledged or given up. */
export interface OutRow extends Row {
  readonly envelope: Envelope
  readonly overtakes: boolean
  /** The order in which the outbox was filled. */
  readonly seq: number
}

/** How a peer looks from here. */
export interface PeerView {
  readonly peer: ActorName
  readonly waiting: number
  /** Since when nothing has come back; undefined while it answers. */
  readonly silentSince: Instant | undefined
  readonly lastError: string | undefined
}

export interface PostmanEvents {
  delivered(row: OutRow): void
  failed(row: OutRow, code: string, reason: string): void
  /** A measurement of the peer's clock: its clock minus ours, right within `errorMs`. */
  measured(peer: ActorName, offsetMs: Millis, errorMs: Millis): void
}

/** The messages to one peer on one subject, in the order in which they go out. */
interface Queue {
  readonly lane: Lane
  readonly subject: string
  readonly rows: OutRow[]
  busy: boolean
  /** Tries of the first message that failed. */
  attempt: number
  /** Until the next try. */
  retry: Cancel | undefined
  /** Until the first message expires, while all places of the lane are taken. */
  expiry: Cancel | undefined
}

/** Everything that goes to one peer. */
interface Lane {
  readonly peer: ActorName
  readonly queues: Map<string, Queue>
  /** Queues that could go on and wait for a place. */
  readonly ready: Set<Queue>
  underWay: number
  silent: { readonly since: Instant; readonly error: string } | undefined
}

export const TRY_MS_MAX: Millis = 10_000
export const BACKOFF_MS_FIRST: Millis = 100
export const BACKOFF_MS_MAX: Millis = 30_000
/** Messages under way to one peer. */
export const UNDER_WAY_MAX = 64
/** The same while nothing comes back from it. */
export const UNDER_WAY_SILENT_MAX = 8

/**
 * Repeats each message until its receiver says that it is durable there.
 *
 *   post ──▶ queue of its peer and subject ──first──▶ lane of the peer, 64 under way ──▶ transport
 *                       ▲                                         │
 *                       └──── back-off with jitter ◀── no answer, busy, not signed by the receiver
 *
 * In order within a queue, except those that overtake; subjects do not wait for each other. An answer
 * from a silent peer wakes all that wait for it.
 */
export class Postman {
  readonly #clock: Clock
  readonly #transport: Transport
  readonly #trust: Trust
  readonly #random: Random
  readonly #events: PostmanEvents
  readonly #lanes = new Map<ActorName, Lane>()
  /** Messages sent once already, perhaps by an earlier life: an answer to them may be an old one. */
  readonly #repeated = new WeakSet<OutRow>()
  readonly #stop = new AbortController()

  constructor(clock: Clock, transport: Transport, trust: Trust, random: Random, events: PostmanEvents) {
    this.#clock = clock
    this.#transport = transport
    this.#trust = trust
    this.#random = random
    this.#events = events
  }

  /** `repeated` says that an earlier life may have sent it. */
  post(row: OutRow, repeated = false): void {
    if (this.#stop.signal.aborted) return
    if (repeated) this.#repeated.add(row)
    const queue = this.#queueOf(row.envelope)
    if (row.overtakes) {
      const firstOrdinary = queue.rows.findIndex((waiting) => !waiting.overtakes)
      queue.rows.splice(firstOrdinary < 0 ? queue.rows.length : firstOrdinary, 0, row)
      this.#hurry(queue)
    } else queue.rows.push(row)
    this.#advance(queue)
  }

  peers(): PeerView[] {
    return [...this.#lanes.values()]
      .map(({ peer, queues, silent }) => ({
        peer,
        waiting: [...queues.values()].reduce((sum, { rows }) => sum + rows.length, 0),
        silentSince: silent?.since,
        lastError: silent?.error,
      }))
      .filter(({ waiting, silentSince }) => waiting > 0 || silentSince !== undefined)
      .sort((a, b) => (a.peer < b.peer ? -1 : 1))
  }

  stop(): void {
    this.#stop.abort(new Error('the actor stops'))
    for (const { queues } of this.#lanes.values())
      for (const queue of queues.values()) {
        queue.retry?.()
        queue.expiry?.()
      }
    this.#lanes.clear()
  }

  #queueOf({ to: peer, subject }: Envelope): Queue {
    const lane: Lane = this.#lanes.get(peer) ?? {
      ...{ peer, queues: new Map(), ready: new Set(), underWay: 0, silent: undefined },
    }
    this.#lanes.set(peer, lane)
    const queue: Queue = lane.queues.get(subject) ?? {
      ...{ lane, subject, rows: [], busy: false, attempt: 0, retry: undefined, expiry: undefined },
    }
    lane.queues.set(subject, queue)
    return queue
  }

  #hurry(queue: Queue): void {
    queue.retry?.()
    queue.retry = undefined
    queue.attempt = 0
  }

  #advance(queue: Queue): void {
    if (queue.busy || queue.retry !== undefined || this.#stop.signal.aborted) return
    const { lane, rows } = queue
    queue.expiry?.()
    queue.expiry = undefined
    for (let row = rows[0]; row !== undefined && this.#clock.now() >= row.envelope.until; row = rows[0]) {
      rows.shift()
      queue.attempt = 0
      const { to, kind } = row.envelope
      this.#events.failed(row, 'peer-silent', `${to} did not acknowledge ${kind} in time`)
    }
    const row = rows[0]
    if (row === undefined) {
      lane.ready.delete(queue)
      lane.queues.delete(queue.subject)
      return
    }
    if (lane.underWay >= (lane.silent === undefined ? UNDER_WAY_MAX : UNDER_WAY_SILENT_MAX)) {
      lane.ready.add(queue)
      queue.expiry = this.#clock.after(row.envelope.until - this.#clock.now(), () => this.#advance(queue))
      return
    }
    lane.ready.delete(queue)
    lane.underWay++
    queue.busy = true
    void this.#try(row, lane).then((settled) => this.#tried(queue, row, settled))
  }

  #tried(queue: Queue, row: OutRow, settled: boolean): void {
    if (this.#stop.signal.aborted) return
    const { lane, rows } = queue
    lane.underWay--
    queue.busy = false
    if (settled) {
      rows.splice(rows.indexOf(row), 1)
      queue.attempt = 0
    } else if (rows[0] === row) {
      queue.retry = this.#clock.after(this.#backoffMs(queue, row), () => {
        queue.retry = undefined
        this.#advance(queue)
      })
    }
    this.#advance(queue)
    for (const waiting of lane.ready) {
      if (lane.underWay >= UNDER_WAY_MAX) return
      this.#advance(waiting)
      if (lane.ready.has(waiting)) return
    }
  }

  #backoffMs(queue: Queue, { envelope }: OutRow): Millis {
    const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** queue.attempt)
    queue.attempt = Math.min(queue.attempt + 1, 20)
    const delayMs = Math.ceil(ceiling / 2 + (ceiling / 2) * this.#random.next())
    return Math.min(delayMs, Math.max(1, envelope.until - this.#clock.now()))
  }

  /** True when nothing more is to be done about the message. */
  async #try(row: OutRow, lane: Lane): Promise<boolean> {
    const { envelope } = row
    const sentAt = this.#clock.now()
    const sentMonotonic = this.#clock.monotonic()
    const first = !this.#repeated.has(row)
    this.#repeated.add(row)
    const tryMs = Math.min(TRY_MS_MAX, Math.max(1, envelope.until - sentAt))
    const late = (): Error => new Error(`no acknowledgement within ${tryMs} ms`)
    const send = (signal: AbortSignal): Promise<unknown> => this.#transport.send(envelope, signal)
    try {
      const ack = await within(this.#clock, tryMs, late, send, this.#stop.signal)
      if (!isAckOf(ack, envelope, this.#trust))
        throw new Error('the acknowledgement is not signed by the receiver')
      if (first) this.#measure(ack, this.#clock.monotonic() - sentMonotonic)
      this.#heard(lane)
      return this.#settle(row, ack)
    } catch (error) {
      if (!this.#stop.signal.aborted)
        lane.silent = { since: lane.silent?.since ?? sentAt, error: inOneLine(error) }
      return false
    }
  }

  #settle(row: OutRow, ack: Ack): boolean {
    if (ack.outcome === 'busy') return false
    if (ack.outcome === 'refused') this.#events.failed(row, ack.code, ack.reason)
    else this.#events.delivered(row)
    return true
  }

  /** Only from the first sending: an answer to a repeated one may be that to an earlier one, kept back. */
  #measure(ack: Ack, roundTripMs: Millis): void {
    const halfMs = roundTripMs / 2
    const offsetMs = Math.round(ack.at - (this.#clock.now() - halfMs))
    this.#events.measured(ack.from, offsetMs, Math.ceil(halfMs) + 1)
  }

  #heard(lane: Lane): void {
    if (lane.silent === undefined) return
    lane.silent = undefined
    for (const queue of [...lane.queues.values()]) {
      if (queue.retry === undefined) continue
      this.#hurry(queue)
      this.#advance(queue)
    }
  }
}
