import type { ActorName } from './identity.ts'
import type { Input } from './mind.ts'

/** One input, and who waits for what comes of it. */
export interface Mail {
  readonly input: Input
  readonly settle?: { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void }
  /** The second try, alone. */
  readonly again?: boolean
}

/** All that waits to be read. */
export const MAILBOX_MAX = 20_000
/** Of one peer: the others find room when one of them floods. */
export const MAILBOX_PEER_MAX = 2_000

/**
 *   messages, outcomes, commands ──▶ ordinary ──▶ a batch, in order of arrival
 *                  ▲                                │ an input fails
 *                  └ (never)              again ◀───┘
 *                                           └──▶ a batch of its own; every other one is ordinary
 */
export class Mailbox {
  #ordinary: Mail[] = []
  readonly #again: Mail[] = []
  readonly #messagesOf = new Map<ActorName, number>()
  #lastWasAgain = false

  get size(): number {
    return this.#ordinary.length + this.#again.length
  }

  /** Why nothing more is taken, from this peer or from outside at all; undefined if there is room. */
  fullFor(peer?: ActorName): string | undefined {
    if (this.size >= MAILBOX_MAX) return 'the mailbox is full'
    if (peer !== undefined && (this.#messagesOf.get(peer) ?? 0) >= MAILBOX_PEER_MAX)
      return `${MAILBOX_PEER_MAX} messages of ${peer} wait to be read`
    return undefined
  }

  put(mail: Mail): void {
    if (mail.again === true) this.#again.push(mail)
    else this.#ordinary.push(mail)
    this.#count(mail, 1)
  }

  /** The next batch; alone if it is a second try. Neither kind waits for all of the other. */
  take(max: number): Mail[] {
    const again = this.#again.length > 0 && (!this.#lastWasAgain || this.#ordinary.length === 0)
    this.#lastWasAgain = again
    const mails = again ? this.#again.splice(0, 1) : this.#ordinary.splice(0, max)
    for (const mail of mails) this.#count(mail, -1)
    return mails
  }

  empty(): Mail[] {
    this.#messagesOf.clear()
    return [...this.#again.splice(0), ...this.#ordinary.splice(0)]
  }

  #count({ input }: Mail, change: number): void {
    if (input.kind !== 'message') return
    const count = (this.#messagesOf.get(input.envelope.from) ?? 0) + change
    if (count > 0) this.#messagesOf.set(input.envelope.from, count)
    else this.#messagesOf.delete(input.envelope.from)
  }
}
