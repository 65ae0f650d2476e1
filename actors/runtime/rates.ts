import type { Clock, Instant, Millis } from './clock.ts'
import type { ActorName } from './identity.ts'

/** How much each peer may say: so many messages at once, and so many more with each second. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** How often a peer was told to come more slowly, in this life. */
export interface TooFast {
  readonly times: number
  readonly lastAt: Instant
}

/** Nobody is asked to come again sooner: then there is room for what a second brings, and not for one message. */
export const RATE_PAUSE_MS_MIN: Millis = 1_000
/** Somebody who goes on sending too much is told of once in this time. */
const TOLD_MS: Millis = 60_000

/**
 * A bucket for each peer. Every message of his that is to be read takes a token out of it, for it costs a place on the
 * disk; a second brings some back. What is said again takes none: that can be somebody who only heard it once.
 *
 *   full ──message──▶ less ──message──▶ empty: told to come again, and when
 *    ▲                 │                  │
 *    └──── seconds ────┴───── seconds ────┘
 *
 * Nothing is lost by that: what was not taken its sender says again.
 */
export class Rates {
  readonly #rate: Rate
  readonly #clock: Pick<Clock, 'monotonic' | 'now'>
  readonly #tell: (peer: ActorName) => void
  readonly #buckets = new Map<ActorName, { readonly tokens: number; readonly at: number }>()
  readonly #tooFast = new Map<ActorName, TooFast>()

  /** `tell` hears of whoever begins to say too much. */
  constructor(rate: Rate, clock: Pick<Clock, 'monotonic' | 'now'>, tell: (peer: ActorName) => void) {
    this.#rate = rate
    this.#clock = clock
    this.#tell = tell
  }

  /** A message of this peer came. Undefined if it may be taken, else how long the peer has to wait. */
  take(peer: ActorName): Millis | undefined {
    const { perSecond, burst } = this.#rate
    const at = this.#clock.monotonic()
    const before = this.#buckets.get(peer) ?? { tokens: burst, at }
    const tokens = Math.min(burst, before.tokens + ((at - before.at) * perSecond) / 1_000)
    if (tokens >= 1) {
      this.#buckets.set(peer, { tokens: tokens - 1, at })
      return undefined
    }
    this.#buckets.set(peer, { tokens, at })
    this.#count(peer)
    return Math.max(RATE_PAUSE_MS_MIN, Math.ceil(((1 - tokens) * 1_000) / perSecond))
  }

  #count(peer: ActorName): void {
    const now = this.#clock.now()
    const { times, lastAt } = this.#tooFast.get(peer) ?? { times: 0, lastAt: Number.NEGATIVE_INFINITY }
    this.#tooFast.set(peer, { times: times + 1, lastAt: now })
    if (now - lastAt > TOLD_MS) this.#tell(peer)
  }

  tooFast(peer: ActorName): TooFast | undefined {
    return this.#tooFast.get(peer)
  }
}
