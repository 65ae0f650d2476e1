import type { Clock, Millis } from './clock.ts'
import type { ActorName } from './identity.ts'

/** Requests of one peer that may be refused at once; one more each `REFUSED_MS`. */
export const REFUSED_MAX = 1_000
export const REFUSED_MS: Millis = 1_000

/**
 * What was refused of each peer. A refusal is written down and answered, so it costs room on the disk, and who is trusted
 * could fill it: beyond the bound he is put off until time has passed. Nothing of his is lost by that.
 *
 *   refused ──▶ level + 1          each second ──▶ level − 1          level at the bound ──▶ busy
 */
export class Refusals {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #levels = new Map<ActorName, { readonly level: number; readonly at: number }>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** One more was refused. */
  add(peer: ActorName): void {
    this.#levels.set(peer, { level: this.#level(peer) + 1, at: this.#clock.monotonic() })
  }

  /** Why nothing of this peer is taken now; undefined if it may come. */
  tooMany(peer: ActorName): string | undefined {
    const level = this.#level(peer)
    if (level < REFUSED_MAX) {
      if (level === 0) this.#levels.delete(peer)
      return undefined
    }
    return `${REFUSED_MAX} requests of ${peer} were refused lately; one more is read each second`
  }

  #level(peer: ActorName): number {
    const { level, at } = this.#levels.get(peer) ?? { level: 0, at: 0 }
    return Math.max(0, level - (this.#clock.monotonic() - at) / REFUSED_MS)
  }
}
