import type { Instant, Millis } from './clock.ts'
import type { LedgerNote } from './commit.ts'
import type { ActorName, Trust, TrustedKey } from './identity.ts'
import type { Log } from './log.ts'

/** A key that ends within so long, and that no other follows, is spoken of. */
export const KEY_ENDS_MS: Millis = 14 * 86_400_000
/** As often at most. */
export const KEY_LOOK_MS: Millis = 86_400_000

const KEYS_ASK_MS: Millis = 10_000

/** When the last of the keys ends; undefined if one has no end, or there is none. */
export function endOfKeys(keys: readonly TrustedKey[]): Instant | undefined {
  if (keys.length === 0 || keys.some(({ notAfter }) => notAfter === undefined)) return undefined
  return Math.max(...keys.map(({ notAfter = 0 }) => notAfter))
}

/**
 * Warns of own keys and those of peers before they end.
 *
 *   ──────────────┬──── once a day, and at each start ────┬─────────▶
 *       endsAt − 14 days                               endsAt: refused from then on, and spoken of all the same
 *
 * Who has forgotten a key finds it in the log and in the ledger, with what it means.
 */
export class KeyWatch {
  readonly #self: ActorName
  readonly #trust: Trust
  readonly #log: Log
  #nextAt: Instant | undefined
  #isEnding = false
  /** Keys are changed rarely: whether one has an end is asked as often. */
  #askAgainAt = -Infinity

  constructor(self: ActorName, trust: Trust, log: Log) {
    this.#self = self
    this.#trust = trust
    this.#log = log
  }

  /** What is to be written now, about this actor and the peers. */
  take(now: Instant, peers: () => readonly ActorName[]): readonly LedgerNote[] {
    if (this.#nextAt !== undefined && now < this.#nextAt) return []
    this.#nextAt = now + KEY_LOOK_MS
    return [this.#self, ...peers()].flatMap((name) => {
      const endsAt = endOfKeys(this.#trust.keysOf(name))
      if (endsAt === undefined || endsAt > now + KEY_ENDS_MS) return []
      this.#log.warn({ actor: this.#self, peer: name, endsAt: new Date(endsAt).toISOString() }, 'a key ends')
      return [
        { kind: 'key ends', subject: name, reason: this.#sentence(name, endsAt, now), data: { endsAt } },
      ]
    })
  }

  /** When the next look is due; undefined while no key that is known has an end. */
  next(now: Instant, peers: () => readonly ActorName[]): Instant | undefined {
    if (now >= this.#askAgainAt) {
      const ends = (name: ActorName): boolean => endOfKeys(this.#trust.keysOf(name)) !== undefined
      this.#isEnding = [this.#self, ...peers()].some(ends)
      this.#askAgainAt = now + KEYS_ASK_MS
    }
    return this.#isEnding ? this.#nextAt : undefined
  }

  #sentence(name: ActorName, endsAt: Instant, now: Instant): string {
    const what = `the last key of ${name} ${endsAt <= now ? 'ended' : 'ends'} at ${new Date(endsAt).toISOString()}`
    return name === this.#self
      ? `${what}: from then on peers refuse what we say`
      : `${what}: from then on what it says is refused, and its leases run to their end`
  }
}
