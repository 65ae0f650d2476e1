import { type Clock, type Instant, type Millis, sleep, within } from '../../actors/runtime/clock.ts'
import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import type { Identity } from '../../actors/runtime/identity.ts'
import type { IdSource } from '../../actors/runtime/ids.ts'
import type { Log } from '../../actors/runtime/log.ts'
import type { Random } from '../../actors/runtime/random.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Receiver } from '../../actors/runtime/transport.ts'
import {
  ENVELOPE_BYTES_MAX,
  FETCH_BYTES_MAX,
  FETCH_MAX,
  fetchedSchema,
  POLL_MS_MAX,
  sealCall,
} from './calls.ts'
import type { HttpClient } from './client.ts'

export interface PollerParts {
  readonly client: HttpClient
  readonly clock: Clock
  readonly random: Random
  readonly ids: IdSource
  readonly identity: Identity
  readonly receiver: Receiver
  readonly log: Pick<Log, 'warn' | 'error'>
}

const BACKOFF_MS_FIRST: Millis = 100
const BACKOFF_MS_MAX: Millis = 15_000
/** A peer that answers at once with nothing is not asked more often. */
const EMPTY_MS_MIN: Millis = 500
/** Beyond the wait that is asked for. */
const POLL_MARGIN_MS: Millis = 10_000
const ACKS_MS_MAX: Millis = 8_000
/** Messages that were fetched and are not yet acknowledged; beyond it nothing more is fetched. */
export const FETCHED_MAX = 4 * FETCH_MAX

/**
 * Fetches from one peer what is for one actor of this process.
 *
 *   poll ──envelopes──▶ receiver ──ack──▶ ready ──▶ acks, in one call what is ready
 *    ▲ │                                                │
 *    │ └── the next poll does not wait for it           └── not taken: the peer's sender repeats the message
 *    └──── back-off with jitter ◀── no answer
 */
export class Poller {
  readonly peer: string
  readonly #url: string
  readonly #parts: PollerParts
  readonly #stop = new AbortController()
  readonly #ready: Ack[] = []
  readonly #ended: Promise<unknown>
  #inHand = 0
  #wake: () => void = () => undefined
  #flushing = false
  silentSince: Instant | undefined
  lastError: string | undefined

  constructor(peer: string, url: string, parts: PollerParts) {
    this.peer = peer
    this.#url = url
    this.#parts = parts
    this.#ended = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the network is closed'))
    this.#wake()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#parts
    const { signal } = this.#stop
    for (let failures = 0; !signal.aborted; ) {
      const begunAt = clock.now()
      const begun = clock.monotonic()
      try {
        const envelopes = await this.#poll()
        failures = 0
        this.silentSince = undefined
        this.lastError = undefined
        for (const envelope of envelopes) this.#deliver(envelope)
        const tookMs = clock.monotonic() - begun
        if (envelopes.length === 0 && tookMs < EMPTY_MS_MIN) await sleep(clock, EMPTY_MS_MIN - tookMs, signal)
        while (this.#inHand >= FETCHED_MAX && !signal.aborted)
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
      } catch (error) {
        if (signal.aborted) return
        this.silentSince ??= begunAt
        this.lastError = inOneLine(error)
        const ceilingMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** Math.min(failures++, 20))
        const delayMs = Math.ceil(ceilingMs / 2 + (ceilingMs / 2) * random.next())
        await sleep(clock, delayMs, signal).catch(() => undefined)
      }
    }
  }

  async #poll(): Promise<readonly unknown[]> {
    const { client, clock, identity, ids } = this.#parts
    const seal = (): object =>
      sealCall('poll', { waitMs: POLL_MS_MAX }, this.peer, { identity, ids, now: clock.now() })
    const answer = await client.post(this.#url, '/v2/poll', seal, {
      signal: this.#stop.signal,
      timeoutMs: POLL_MS_MAX + POLL_MARGIN_MS,
      bytesMax: FETCH_BYTES_MAX + ENVELOPE_BYTES_MAX + FETCH_MAX + 100,
    })
    return fetchedSchema.parse(answer).envelopes
  }

  /** Whoever carried it here: the receiver believes only the signature, and answers only to whom it is from. */
  #deliver(envelope: unknown): void {
    const { receiver, log, identity } = this.#parts
    this.#inHand++
    // Within a promise from the start: what is thrown at once must not count as a poll that failed.
    Promise.resolve()
      .then(() => receiver.receive(envelope as Envelope))
      .then((ack) => {
        this.#ready.push(ack)
        this.#flush()
      })
      // Not acknowledged: its sender comes again until its deadline, and this is told each time.
      .catch((error: unknown) => {
        const reason = inOneLine(error)
        log.error({ actor: identity.name, peer: this.peer, reason }, 'a fetched message could not be taken')
      })
      .finally(() => {
        this.#inHand--
        this.#wake()
      })
  }

  #flush(): void {
    if (this.#flushing || this.#ready.length === 0 || this.#stop.signal.aborted) return
    this.#flushing = true
    setImmediate(() => {
      this.#post(this.#ready.splice(0, FETCH_MAX))
        // Not told: the sender will repeat its messages, and be answered the same.
        .catch((error: unknown) => {
          this.lastError = inOneLine(error)
        })
        .finally(() => {
          this.#flushing = false
          this.#flush()
        })
    })
  }

  async #post(acks: readonly Ack[]): Promise<void> {
    const { client, clock, identity, ids } = this.#parts
    const seal = (): object => sealCall('acks', { acks }, this.peer, { identity, ids, now: clock.now() })
    const late = (): Error => new Error(`acknowledgements were not taken within ${period(ACKS_MS_MAX)}`)
    await within(
      clock,
      ACKS_MS_MAX,
      late,
      (signal) => client.post(this.#url, '/v2/acks', seal, { signal, timeoutMs: ACKS_MS_MAX }),
      this.#stop.signal,
    )
  }
}
