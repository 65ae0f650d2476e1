import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { ActorName, KeyDoubt, Trust } from '../../actors/runtime/identity.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { type Call, type CallKind, ON_THE_WAY_MS_MAX, signedCall } from './calls.ts'

/** Calls of one known caller whose nonces are remembered. */
export const NONCES_MAX = 20_000

export interface GuardParts {
  readonly clock: Clock
  readonly trust: Trust
  readonly skewMsMax: Millis
  readonly isHere: (name: ActorName) => boolean
}

/**
 * Who is calling?
 *
 *   for an actor that is here ──▶ fresh ──▶ signed by the key it shows ──▶ the name's key? ──▶ never heard before
 *                                                                               │ no: remembered
 *
 * Refusals say nothing that the caller does not know.
 */
export class CallGuard {
  readonly #parts: GuardParts
  /** By key: until when a nonce must be remembered, the oldest first. */
  readonly #heard = new Map<string, Map<string, Instant>>()

  constructor(parts: GuardParts) {
    this.#parts = parts
  }

  /** Why the key is not one of the caller's; undefined if it is. Throws for a call that is not to be believed at all. */
  doubt(kind: CallKind, call: Call): KeyDoubt | undefined {
    const { clock, trust, skewMsMax, isHere } = this.#parts
    const now = clock.now()
    if (!isHere(call.to)) throw new SubletError('message-misaddressed', 'no actor of that name is here')
    const freshMs = skewMsMax + ON_THE_WAY_MS_MAX
    if (Math.abs(now - call.at) > freshMs)
      throw new SubletError(
        'message-expired',
        `the call was signed at ${new Date(call.at).toISOString()}, and here it is ${new Date(now).toISOString()}: more than ${period(freshMs)} apart`,
        { cure: 'Set both clocks (NTP), or raise skewMax if the path is slow.' },
      )
    if (!trust.verifyBy(call.key, signedCall(kind, call), call.signature))
      throw new SubletError('message-forged', 'the signature was not made with the key that the call shows')
    const doubt = trust.doubtKey(call.from, call.key, now)
    // What a stranger says changes nothing, however often: he must not use up the place of those who are known.
    if (doubt === undefined) this.#hear(call, call.at + 2 * freshMs, now)
    else trust.remember(call.from, call.key, now)
    return doubt
  }

  /** The same, and only those whose key is trusted. */
  admit(kind: CallKind, call: Call): void {
    const doubt = this.doubt(kind, call)
    if (doubt === undefined) return
    const sentence: Readonly<Record<KeyDoubt, string>> = {
      'message-unknown-peer': 'the caller is not a known peer',
      'message-unknown-key': 'the key of the caller is not one that is trusted',
      'message-key-expired': 'the key of the caller is past its end',
    }
    throw new SubletError(doubt, sentence[doubt])
  }

  #hear({ key, nonce }: Call, until: Instant, now: Instant): void {
    const heard = this.#heard.get(key) ?? new Map<string, Instant>()
    this.#heard.set(key, heard)
    for (const [old, forgetAt] of heard) {
      if (forgetAt > now) break
      heard.delete(old)
    }
    if (heard.has(nonce)) throw new SubletError('message-expired', 'the call was heard before')
    // Of each caller: who calls without end must not keep the others from fetching what is theirs.
    if (heard.size >= NONCES_MAX)
      throw new SubletError('overloaded', 'too many calls came in too short a time')
    heard.set(nonce, until)
  }
}
