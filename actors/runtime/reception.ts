import type { Clock, Millis } from './clock.ts'
import { HELLO } from './courier.ts'
import {
  type Ack,
  type Doubt,
  type Envelope,
  envelopeSchema,
  mistrustBody,
  mistrustHead,
  type Place,
  sealAck,
} from './envelope.ts'
import { ComeAgain, type ErrorCode, inOneLine, SubletError } from './errors.ts'
import type { Identity, Trust } from './identity.ts'
import type { Verdict } from './links.ts'
import { type Log, SparingLog } from './log.ts'
import { period } from './sentence.ts'

export interface ReceptionParts {
  readonly identity: Identity
  readonly trust: Trust
  readonly clock: Clock
  readonly skewMsMax: Millis
  readonly log: Log
  readonly protocols: readonly number[]
  /** A message is believed, whatever comes of it. */
  readonly heard: (envelope: Envelope) => void
  /** Our generation, and the highest place that was seen of the peer; undefined before rows are read. */
  readonly placeFor: (peer: string) => Place | undefined
  /** How long a peer has to wait that says too much; undefined if this message may come. */
  readonly pause: (from: string) => Millis | undefined
  /** Why this message cannot be taken now; undefined if there is room. */
  readonly busy: (envelope: Envelope) => string | undefined
  /** What was made of it before; undefined if it has to be read. */
  readonly known: (envelope: Envelope) => Verdict | undefined
  /** Resolves once the message is durable; rejects if it never will be. */
  readonly take: (envelope: Envelope) => Promise<Verdict>
}

const REASON_CHARS_MAX = 500
/** Messages that were refused for their number, which is written down once each. */
const CONFLICTS_MAX = 1_000

/**
 * Where messages come in.
 *
 *   message ──not of the form──────────────▶ refused
 *           ──its head is not believed─────▶ refused, and noted in the log, without a look at the body
 *           ──its body is not the signed one▶ the same
 *           ──hello─────────────────────────▶ received: what was seen of its sender is in the answer
 *           ──its number is known──────────▶ the same answer again
 *           ──the same is in hand──────────▶ waits for the answer to that one
 *           ──no room, or not running──────▶ busy: its sender comes again
 *           ──the mind cannot take it now───▶ the same
 *           ──its sender says too much──────▶ busy: he is told when to come again
 *           ──read and durable─────────────▶ received, noted or refused, by its number
 *
 * Each way ends in an acknowledgement that is signed. Only what is read counts as said by its sender: all else can be
 * said again by somebody who has seen it once, and has no key.
 */
export class Reception {
  readonly #parts: ReceptionParts
  /** Tells of what was refused. */
  readonly #refused: SparingLog
  /** Messages in the mailbox or in a batch under way: a double must not overtake the commit of the first. */
  readonly #inHand = new Map<string, Promise<Ack>>()
  readonly #conflicts = new Map<string, Verdict>()

  constructor(parts: ReceptionParts) {
    this.#parts = parts
    this.#refused = new SparingLog(parts.log, parts.clock)
  }

  /** `isNew` is called for what only its sender can have said: it was read here, and never before. */
  async receive(message: unknown, isNew: () => void = () => undefined): Promise<Ack> {
    const read = this.#read(message)
    if ('refusal' in read) return read.refusal
    const { envelope } = read
    const doubt = mistrustBody(envelope)
    if (doubt !== undefined) return this.#refuse(envelope, doubt)
    const { heard, placeFor } = this.#parts
    const { from, subject, number, bodyHash, kind, protocol } = envelope
    heard(envelope)
    if (kind === HELLO && protocol > 1)
      return placeFor(from) === undefined
        ? this.#ack(envelope, 'busy', '', 'not all rows are read yet')
        : this.#ack(envelope, 'received', '', '')
    const key = `${from} ${subject} ${number} ${bodyHash} ${kind}`
    const known = this.#parts.known(envelope) ?? this.#conflicts.get(key)
    if (known !== undefined) return this.#ack(envelope, known.outcome, known.code, known.reason)
    const inHand = this.#inHand.get(key)
    if (inHand !== undefined) {
      const { outcome, code, reason } = await inHand
      return this.#ack(envelope, outcome, code, reason)
    }
    const busy = this.#parts.busy(envelope)
    if (busy !== undefined) return this.#ack(envelope, 'busy', '', busy)
    const pauseMs = this.#parts.pause(from)
    if (pauseMs !== undefined)
      return this.#ack(
        envelope,
        'busy',
        'too-fast' satisfies ErrorCode,
        `${from} says too much; it is to come again in ${period(pauseMs)}`,
        pauseMs,
      )
    const answer = this.#take(envelope, key, isNew)
    this.#inHand.set(key, answer)
    return answer.finally(() => this.#inHand.delete(key))
  }

  /** The refusal of a message that is not to be believed whatever its body is; undefined if the body counts. */
  refusal(head: unknown): Ack | undefined {
    const read = this.#read(head)
    return 'refusal' in read ? read.refusal : undefined
  }

  /** The message if its head is believed. */
  #read(message: unknown): { readonly envelope: Envelope } | { readonly refusal: Ack } {
    const parsed = envelopeSchema.safeParse(message)
    if (!parsed.success) {
      const { from, id, protocol } = (message ?? {}) as Partial<Record<'from' | 'id' | 'protocol', unknown>>
      const sender = {
        id: typeof id === 'string' ? id : '',
        from: typeof from === 'string' ? from : '',
        protocol,
      }
      const reason = 'the envelope has not the form of a message'
      return { refusal: this.#ack(sender, 'refused', 'message-malformed', reason) }
    }
    const envelope = parsed.data
    const { identity, trust, clock, skewMsMax, protocols } = this.#parts
    const self = { name: identity.name, protocols }
    const doubt = mistrustHead(envelope, self, trust, clock.now(), skewMsMax)
    return doubt === undefined ? { envelope } : { refusal: this.#refuse(envelope, doubt) }
  }

  #refuse(envelope: Envelope, doubt: Doubt): Ack {
    const { from, id } = envelope
    this.#refused.warn({ actor: this.#parts.identity.name, from, id, ...doubt }, 'message refused')
    return this.#ack(envelope, 'refused', doubt.code, doubt.reason)
  }

  async #take(envelope: Envelope, key: string, isNew: () => void): Promise<Ack> {
    try {
      const verdict = await this.#parts.take(envelope)
      if (verdict.fresh) isNew()
      if (verdict.code === 'message-conflict') this.#remember(key, verdict)
      return this.#ack(envelope, verdict.outcome, verdict.code, verdict.reason)
    } catch (error) {
      if (error instanceof ComeAgain) return this.#ack(envelope, 'busy', '', inOneLine(error))
      const code = error instanceof SubletError ? error.code : 'message-set-aside'
      if (code === 'not-running') return this.#ack(envelope, 'busy', '', inOneLine(error))
      return this.#ack(envelope, 'refused', code, inOneLine(error))
    }
  }

  #remember(key: string, conflict: Verdict): void {
    this.#conflicts.set(key, conflict)
    if (this.#conflicts.size > CONFLICTS_MAX) this.#conflicts.delete(this.#conflicts.keys().next().value!)
  }

  #ack(message: Answered, outcome: Ack['outcome'], code: string, reason: string, retryAfterMs?: Millis): Ack {
    const { identity, clock, placeFor } = this.#parts
    const text = (words: string, max: number): string => words.slice(0, max).toWellFormed()
    const ack = {
      id: text(message.id, 80),
      from: identity.name,
      to: text(message.from, 80),
      outcome,
      code,
      reason: text(reason, REASON_CHARS_MAX),
      at: clock.now(),
    }
    const place = this.#protocolFor(message) < 2 ? undefined : (placeFor(ack.to) ?? { generation: 0, seq: 0 })
    // The first protocol has no word for it.
    const later = place === undefined || retryAfterMs === undefined ? {} : { retryAfterMs }
    return sealAck({ ...ack, ...later }, identity, place)
  }

  /** That of the message if it is spoken here; if not, the nearest that is, so that its sender learns of it. */
  #protocolFor({ protocol }: Answered): number {
    const { protocols } = this.#parts
    const asked = typeof protocol === 'number' ? protocol : 1
    const upTo = protocols.filter((spoken) => spoken <= asked)
    return upTo.length > 0 ? Math.max(...upTo) : Math.min(...protocols)
  }
}

/** What is answered: perhaps no message at all. */
interface Answered {
  readonly id: string
  readonly from: string
  readonly protocol?: unknown
}
