import type { Cancel, Clock, Instant, Millis } from './clock.ts'
import type { Courier, OutRow } from './courier.ts'
import type { Letter } from './envelope.ts'
import { type ErrorCode, inOneLine } from './errors.ts'
import type { ActorName } from './identity.ts'
import type { Peers, Restored } from './peers.ts'
import type { Random } from './random.ts'

export interface PostmanParts {
  readonly clock: Clock
  readonly random: Random
  readonly courier: Courier
  readonly peers: Peers
  /** Whether a peer of that name is trusted. */
  readonly knows: (peer: ActorName) => boolean
  /** Whether each peer is asked first what it has seen of us; not if no protocol has that. */
  readonly greets: boolean
  readonly delivered: (row: OutRow) => void
  readonly failed: (row: OutRow, code: string, reason: string) => void
  /** A peer has seen messages of ours that we do not remember. */
  readonly restored: (peer: ActorName, restored: Restored) => void
}

/** The messages to one peer on one subject, in the order in which they go out. */
interface Queue {
  readonly lane: Lane
  readonly subject: string
  readonly rows: OutRow[]
  /** The message that is under way. */
  busy: OutRow | undefined
  /** Tries of the first message that failed. */
  attempt: number
  /** Until the next try. */
  retry: Cancel | undefined
  /** Until the first message expires, while there is no place for it in the lane. */
  expiry: Cancel | undefined
}

/** Everything that goes to one peer. */
interface Lane {
  readonly peer: ActorName
  readonly queues: Map<string, Queue>
  /** Queues that could go on and wait for a place. */
  readonly ready: Set<Queue>
  underWay: number
  silent: boolean
  /** Until the peer wants to hear of us again. */
  rest: Cancel | undefined
  readonly greeting: Greeting
}

/** The first word of a life to a peer: until it is answered nothing else goes there. */
interface Greeting {
  done: boolean
  busy: boolean
  attempt: number
  retry: Cancel | undefined
  readonly waiting: (() => void)[]
}

export const TRY_MS_MAX: Millis = 10_000
/** How long the first try of a greeting waits; the next ones twice as long each, up to `TRY_MS_MAX`. */
export const GREETING_MS_FIRST: Millis = 1_000
export const BACKOFF_MS_FIRST: Millis = 100
export const BACKOFF_MS_MAX: Millis = 30_000
/** Nothing is kept back for longer because a peer asked for it: it may be mistaken, or lie. */
export const REST_MS_MAX: Millis = 60_000
/** Messages under way to one peer. */
export const UNDER_WAY_MAX = 64
/** The same while nothing comes back from it. */
export const UNDER_WAY_SILENT_MAX = 8

/**
 * Repeats each message until its receiver says that it is durable there.
 *
 *   post ──▶ queue of its peer and subject ──first──▶ lane of the peer, 64 under way ──▶ courier
 *                       ▲                                         │
 *                       └──── back-off with jitter ◀── no answer, busy, not signed by the receiver
 *
 *   lane:  new ──hello──▶ greeted: the peer said what it has seen of us, or that it does not speak of it
 *
 * In order within a queue, except those that overtake; one that tells the whole state of its subject takes the place of
 * older ones that have not gone out. Subjects do not wait for each other. A word from a
 * silent peer wakes all that wait for it. No lane is open before its greeting is answered: only so is what
 * a peer has seen of us not mixed with what is new.
 */
export class Postman {
  readonly #parts: PostmanParts
  readonly #lanes = new Map<ActorName, Lane>()
  readonly #stop = new AbortController()
  /** What the peer said last of a message that it did not take yet. */
  readonly #putOff = new WeakMap<OutRow, string>()

  constructor(parts: PostmanParts) {
    this.#parts = parts
  }

  /** Resolves when all of them have said what they saw of us, or at the end; they are asked until they do. */
  async greet(peers: Iterable<ActorName>): Promise<void> {
    await Promise.all(
      [...peers].map((peer) => {
        const lane = this.#laneOf(peer)
        if (lane.greeting.done) return undefined
        return new Promise<void>((resolve) => {
          lane.greeting.waiting.push(resolve)
          this.#greet(lane)
        })
      }),
    )
  }

  isGreeted(peer: ActorName): boolean {
    return this.#lanes.get(peer)?.greeting.done ?? false
  }

  /** `repeated` says that an earlier life may have sent it. */
  post(row: OutRow, repeated = false): void {
    if (this.#stop.signal.aborted) return
    if (repeated) this.#parts.courier.repeated(row)
    const queue = this.#queueOf(row.letter)
    if (row.whole === true) this.#supersede(queue, row)
    if (row.overtakes) {
      const firstOrdinary = queue.rows.findIndex((waiting) => !waiting.overtakes)
      queue.rows.splice(firstOrdinary < 0 ? queue.rows.length : firstOrdinary, 0, row)
      this.#hurry(queue)
    } else queue.rows.push(row)
    this.#advance(queue)
  }

  /** What has not gone out and is told anew by this one leaves the outbox. */
  #supersede({ rows, busy }: Queue, { letter: { kind } }: OutRow): void {
    for (let i = rows.length - 1; i >= 0; i--) {
      const older = rows[i]!
      // What is under way is not always the first: something may have overtaken it.
      if (older === busy || older.whole !== true || older.letter.kind !== kind) continue
      rows.splice(i, 1)
      this.#parts.delivered(older)
    }
  }

  /** It lives: whatever waits for it goes out. */
  heardFrom(peer: ActorName): void {
    const lane = this.#lanes.get(peer)
    if (lane !== undefined) this.#heard(lane)
  }

  /** By peer: messages that are not acknowledged. */
  waiting(): ReadonlyMap<ActorName, number> {
    const count = ({ queues }: Lane): number =>
      [...queues.values()].reduce((sum, { rows }) => sum + rows.length, 0)
    return new Map([...this.#lanes].map(([peer, lane]) => [peer, count(lane)]))
  }

  stop(): void {
    this.#stop.abort(new Error('the actor stops'))
    for (const { queues, greeting, rest } of this.#lanes.values()) {
      rest?.()
      greeting.retry?.()
      for (const tell of greeting.waiting.splice(0)) tell()
      for (const queue of queues.values()) {
        queue.retry?.()
        queue.expiry?.()
      }
    }
    this.#lanes.clear()
  }

  #laneOf(peer: ActorName): Lane {
    const known = this.#lanes.get(peer)
    if (known !== undefined) return known
    const greeting = { done: !this.#parts.greets, busy: false, attempt: 0, retry: undefined, waiting: [] }
    const lane: Lane = {
      ...{ peer, queues: new Map(), ready: new Set<Queue>(), underWay: 0 },
      silent: false,
      rest: undefined,
      greeting,
    }
    this.#lanes.set(peer, lane)
    return lane
  }

  #queueOf({ to, subject }: Letter): Queue {
    const lane = this.#laneOf(to)
    const queue: Queue = lane.queues.get(subject) ?? {
      ...{ lane, subject, rows: [], busy: undefined, attempt: 0, retry: undefined, expiry: undefined },
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
    if (queue.busy !== undefined || queue.retry !== undefined || this.#stop.signal.aborted) return
    const { lane, rows } = queue
    queue.expiry?.()
    queue.expiry = undefined
    for (let row = rows[0]; row !== undefined && this.#now() >= row.letter.until; row = rows[0]) {
      rows.shift()
      queue.attempt = 0
      const { to, kind } = row.letter
      const why = this.#putOff.get(row) ?? ''
      const reason = `${to} did not acknowledge ${kind} in time${why === '' ? '' : `: ${why}`}`
      if (this.#parts.knows(to)) this.#parts.failed(row, 'peer-silent' satisfies ErrorCode, reason)
      else
        this.#parts.failed(row, 'peer-unknown' satisfies ErrorCode, `no peer ${to} is known here: ${reason}`)
    }
    const row = rows[0]
    if (row === undefined) {
      lane.ready.delete(queue)
      lane.queues.delete(queue.subject)
      return
    }
    if (lane.underWay >= placesOf(lane)) {
      lane.ready.add(queue)
      queue.expiry = this.#parts.clock.after(row.letter.until - this.#now(), () => this.#advance(queue))
      this.#greet(lane)
      return
    }
    lane.ready.delete(queue)
    lane.underWay++
    queue.busy = row
    void this.#try(row, lane).then((settled) => this.#tried(queue, row, settled))
  }

  #tried(queue: Queue, row: OutRow, settled: boolean): void {
    if (this.#stop.signal.aborted) return
    const { lane, rows } = queue
    lane.underWay--
    queue.busy = undefined
    if (settled) {
      rows.splice(rows.indexOf(row), 1)
      queue.attempt = 0
    } else if (rows[0] === row) {
      const delayMs = Math.min(this.#backoffMs(queue), Math.max(1, row.letter.until - this.#now()))
      queue.retry = this.#parts.clock.after(delayMs, () => {
        queue.retry = undefined
        this.#advance(queue)
      })
    }
    this.#advance(queue)
    this.#pump(lane)
  }

  #pump(lane: Lane): void {
    for (const waiting of lane.ready) {
      if (lane.underWay >= UNDER_WAY_MAX) return
      this.#advance(waiting)
      if (lane.ready.has(waiting)) return
    }
  }

  #backoffMs(of: { attempt: number }): Millis {
    const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** of.attempt)
    of.attempt = Math.min(of.attempt + 1, 20)
    return Math.ceil(ceiling / 2 + (ceiling / 2) * this.#parts.random.next())
  }

  /** True when nothing more is to be done about the message. */
  async #try(row: OutRow, lane: Lane): Promise<boolean> {
    const { courier, delivered, failed } = this.#parts
    const sentAt = this.#now()
    const tryMs = Math.min(TRY_MS_MAX, Math.max(1, row.letter.until - sentAt))
    try {
      const carried = await courier.carry(row, tryMs, this.#stop.signal)
      this.#heard(lane)
      if (carried !== 'delivered' && 'later' in carried) {
        this.#putOff.set(row, carried.later)
        if (carried.restMs !== undefined) this.#rest(lane, carried.restMs)
        return false
      }
      if (carried === 'delivered') delivered(row)
      else failed(row, carried.code, carried.reason)
      return true
    } catch (error) {
      this.#unheard(lane, sentAt, error)
      return false
    }
  }

  /** Nothing goes there before: each try would be one more message of which the peer has too many. */
  #rest(lane: Lane, restMs: Millis): void {
    lane.rest ??= this.#parts.clock.after(Math.min(REST_MS_MAX, Math.max(1, restMs)), () => {
      lane.rest = undefined
      this.#pump(lane)
    })
  }

  #greet(lane: Lane): void {
    const { greeting } = lane
    if (greeting.done || greeting.busy || greeting.retry !== undefined || this.#stop.signal.aborted) return
    greeting.busy = true
    void this.#hello(lane).then((done) => {
      greeting.busy = false
      if (this.#stop.signal.aborted) return
      if (done) return this.#greeted(lane)
      greeting.retry = this.#parts.clock.after(this.#backoffMs(greeting), () => {
        greeting.retry = undefined
        this.#greet(lane)
      })
    })
  }

  async #hello(lane: Lane): Promise<boolean> {
    const { courier, peers, restored } = this.#parts
    const sentAt = this.#now()
    const tryMs = Math.min(TRY_MS_MAX, GREETING_MS_FIRST * 2 ** lane.greeting.attempt)
    try {
      const seenSeq = await courier.hello(lane.peer, tryMs, this.#stop.signal)
      const lost = seenSeq === undefined ? undefined : peers.greeted(lane.peer, seenSeq)
      if (lost !== undefined) restored(lane.peer, lost)
      return true
    } catch (error) {
      this.#unheard(lane, sentAt, error)
      return false
    }
  }

  #greeted(lane: Lane): void {
    lane.greeting.done = true
    for (const tell of lane.greeting.waiting.splice(0)) tell()
    this.#heard(lane)
    this.#pump(lane)
  }

  #unheard(lane: Lane, sentAt: Instant, error: unknown): void {
    if (this.#stop.signal.aborted) return
    lane.silent = true
    this.#parts.peers.unanswered(lane.peer, sentAt, inOneLine(error))
  }

  #heard(lane: Lane): void {
    if (!lane.silent) return
    lane.silent = false
    if (lane.greeting.retry !== undefined) {
      lane.greeting.retry()
      Object.assign(lane.greeting, { retry: undefined, attempt: 0 })
      this.#greet(lane)
    }
    for (const queue of [...lane.queues.values()]) {
      if (queue.retry === undefined) continue
      this.#hurry(queue)
      this.#advance(queue)
    }
  }

  #now(): Instant {
    return this.#parts.clock.now()
  }
}

const placesOf = ({ greeting, silent, rest }: Lane): number => {
  if (!greeting.done || rest !== undefined) return 0
  return silent ? UNDER_WAY_SILENT_MAX : UNDER_WAY_MAX
}
