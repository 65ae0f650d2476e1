import { type Cancel, type Clock, deadline, type Instant, type Millis } from './clock.ts'
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

interface Queue {
  rows: OutRow[]
  busy: boolean
  attempt: number
  retry: Cancel | undefined
}

const TRY_MS_MAX = 10_000
const BACKOFF_MS_FIRST = 100
const BACKOFF_MS_MAX = 30_000

/**
 * Repeats each message until its receiver says that it is durable there.
 *
 * In order per peer and subject, except those that overtake; subjects do not wait for each other.
 * Exponential back-off with jitter; an answer from a peer wakes all that wait for it.
 */
export class Postman {
  readonly #clock: Clock
  readonly #transport: Transport
  readonly #trust: Trust
  readonly #random: Random
  readonly #events: PostmanEvents
  readonly #queues = new Map<string, Queue>()
  readonly #silent = new Map<ActorName, { since: Instant; error: string }>()
  readonly #stop = new AbortController()

  constructor(clock: Clock, transport: Transport, trust: Trust, random: Random, events: PostmanEvents) {
    this.#clock = clock
    this.#transport = transport
    this.#trust = trust
    this.#random = random
    this.#events = events
  }

  post(row: OutRow): void {
    const key = `${row.envelope.to} ${row.envelope.subject}`
    const queue = this.#queues.get(key) ?? { rows: [], busy: false, attempt: 0, retry: undefined }
    this.#queues.set(key, queue)
    if (row.overtakes) {
      const firstOrdinary = queue.rows.findIndex((waiting) => !waiting.overtakes)
      queue.rows.splice(queue.busy ? Math.max(1, firstOrdinary) : Math.max(0, firstOrdinary), 0, row)
      queue.retry?.()
      queue.retry = undefined
      queue.attempt = 0
    } else queue.rows.push(row)
    this.#advance(key, queue)
  }

  peers(): PeerView[] {
    const waiting = new Map<ActorName, number>()
    for (const queue of this.#queues.values())
      for (const row of queue.rows) waiting.set(row.envelope.to, (waiting.get(row.envelope.to) ?? 0) + 1)
    const names = new Set([...waiting.keys(), ...this.#silent.keys()])
    return [...names].sort().map((peer) => ({
      peer,
      waiting: waiting.get(peer) ?? 0,
      silentSince: this.#silent.get(peer)?.since,
      lastError: this.#silent.get(peer)?.error,
    }))
  }

  stop(): void {
    this.#stop.abort(new Error('the actor stops'))
    for (const queue of this.#queues.values()) queue.retry?.()
    this.#queues.clear()
  }

  #advance(key: string, queue: Queue): void {
    if (queue.busy || queue.retry !== undefined || this.#stop.signal.aborted) return
    const row = queue.rows[0]
    if (row === undefined) {
      this.#queues.delete(key)
      return
    }
    if (this.#clock.now() >= row.envelope.until) {
      queue.rows.shift()
      queue.attempt = 0
      this.#events.failed(
        row,
        'peer-silent',
        `${row.envelope.to} did not acknowledge ${row.envelope.kind} in time`,
      )
      return this.#advance(key, queue)
    }
    queue.busy = true
    void this.#try(row).then((settled) => {
      if (this.#stop.signal.aborted) return
      queue.busy = false
      if (settled) {
        queue.rows.splice(queue.rows.indexOf(row), 1)
        queue.attempt = 0
      } else {
        const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** queue.attempt)
        queue.attempt = Math.min(queue.attempt + 1, 20)
        const delayMs = Math.ceil(ceiling / 2 + (ceiling / 2) * this.#random.next())
        queue.retry = this.#clock.after(
          Math.min(delayMs, Math.max(1, row.envelope.until - this.#clock.now())),
          () => {
            queue.retry = undefined
            this.#advance(key, queue)
          },
        )
      }
      this.#advance(key, queue)
    })
  }

  /** True when nothing more is to be done about the message. */
  async #try(row: OutRow): Promise<boolean> {
    const { envelope } = row
    const sentAt = this.#clock.now()
    const late = (): Error => new Error(`no acknowledgement within ${TRY_MS_MAX} ms`)
    const limit = deadline(this.#clock, TRY_MS_MAX, late, this.#stop.signal)
    try {
      const ack = await Promise.race([this.#transport.send(envelope, limit.signal), aborted(limit.signal)])
      if (!isAckOf(ack, envelope, this.#trust))
        throw new Error('the acknowledgement is not signed by the receiver')
      this.#heard(envelope.to, ack, sentAt)
      return this.#settle(row, ack)
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        const silent = this.#silent.get(envelope.to)
        this.#silent.set(envelope.to, { since: silent?.since ?? sentAt, error: inOneLine(error) })
      }
      return false
    } finally {
      limit.done()
    }
  }

  #settle(row: OutRow, ack: Ack): boolean {
    if (ack.outcome === 'busy') return false
    if (ack.outcome === 'refused') this.#events.failed(row, ack.code, ack.reason)
    else this.#events.delivered(row)
    return true
  }

  #heard(peer: ActorName, ack: Ack, sentAt: Instant): void {
    const heardAt = this.#clock.now()
    this.#events.measured(
      peer,
      Math.round(ack.at - (sentAt + heardAt) / 2),
      Math.ceil((heardAt - sentAt) / 2) + 1,
    )
    if (!this.#silent.delete(peer)) return
    for (const [key, queue] of this.#queues) {
      if (queue.retry === undefined || !key.startsWith(`${peer} `)) continue
      queue.retry()
      queue.retry = undefined
      queue.attempt = 0
      this.#advance(key, queue)
    }
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
