import { type Clock, type Millis, within } from './clock.ts'
import {
  type Ack,
  doubtAck,
  type Envelope,
  type Letter,
  letterOf,
  type Place,
  sealLetter,
} from './envelope.ts'
import type { ErrorCode } from './errors.ts'
import type { ActorName, Identity, Trust } from './identity.ts'
import type { IdSource } from './ids.ts'
import type { Peers, Restored } from './peers.ts'
import type { Row } from './rows.ts'
import { period } from './sentence.ts'
import type { Transport } from './transport.ts'

/** A message in the outbox: durable until it is acknowledged or given up. */
export interface OutRow extends Row {
  readonly letter: Letter
  readonly overtakes: boolean
  /** Absent in rows of earlier versions: those go out all the same. */
  readonly whole?: boolean | undefined
  /** The order in which the outbox was filled; counts all messages of the actor. */
  readonly seq: number
  /** In which it was numbered. */
  readonly generation: number
}

/** A row as it was kept before protocol 2: signed already. */
interface SealedRow extends Row {
  readonly envelope: Envelope
  readonly overtakes: boolean
  readonly seq: number
}

export function outRowOf(row: OutRow | SealedRow): OutRow {
  if ('letter' in row) return row
  const { envelope, id, overtakes, seq } = row
  const { protocol: _, signature: __, key: ___, generation: ____, seq: _____, ...letter } = envelope
  return { ...{ id, letter, overtakes, seq }, generation: 0 }
}

/** What a body is in an older protocol; undefined if there is no such kind in it. */
export type Downgrade = (kind: string, body: unknown, protocol: number) => unknown

/** What became of a message that was carried. */
export type Carried =
  | 'delivered'
  | { readonly later: string; readonly restMs?: Millis | undefined }
  | { readonly code: string; readonly reason: string }

export interface CourierParts {
  readonly clock: Clock
  readonly transport: Transport
  readonly identity: Identity
  readonly trust: Trust
  readonly ids: IdSource
  readonly peers: Peers
  readonly protocols: readonly number[]
  readonly downgrade: Downgrade
  /** Where we stand as of the last commit. */
  readonly place: () => Place
  /** A peer has seen messages of ours that we do not remember: somebody else speaks in our name. */
  readonly restored: (peer: ActorName, restored: Restored) => void
}

/** A word between the runtimes of two actors; their minds do not see it. */
export const HELLO = 'hello'
const HELLO_GOOD_MS: Millis = 60_000

/**
 * A place is the instant at which a generation began, and the messages since: as far beyond the present it may
 * be, for our clock may have been ahead when we said it.
 */
const SEEN_AHEAD_MS_MAX: Millis = 10 * 365 * 86_400_000

interface Sealed {
  readonly protocol: number
  readonly envelope: Envelope
}

/** A refusal for the key is no word on the message. */
const NOT_YET_TRUSTED: ReadonlySet<string> = new Set<ErrorCode>([
  'message-unknown-peer',
  'message-unknown-key',
  'message-key-expired',
])

/**
 * Carries one message once: signs it, hands it to the transport, reads what comes back.
 *
 *   row ──signed in the protocol of the peer──▶ transport ──▶ acknowledgement ──believed──▶ delivered
 *    ▲                                                              │   ├──────────────────▶ busy
 *    └── in the other protocol, at once ◀──refused as malformed, ───┘   └──────────────────▶ refused
 *                                          and it speaks another
 *
 * Refused for our key, it is tried again later, as with one that is busy.
 */
export class Courier {
  readonly #parts: CourierParts
  /** As long as protocol and key are the same, a message is signed once. */
  readonly #sealed = new WeakMap<OutRow, Sealed>()
  /** Messages sent once already, perhaps by an earlier life: an answer to them may be an old one. */
  readonly #repeated = new WeakSet<OutRow>()

  constructor(parts: CourierParts) {
    this.#parts = parts
  }

  /** An earlier life may have sent it. */
  repeated(row: OutRow): void {
    this.#repeated.add(row)
  }

  /** Rejects if nothing believable comes back within `tryMs`. */
  async carry(row: OutRow, tryMs: Millis, signal: AbortSignal): Promise<Carried> {
    for (const _ of this.#parts.protocols) {
      const envelope = this.#seal(row)
      if (envelope === undefined) return this.#tooOld(row)
      const first = !this.#repeated.has(row)
      this.#repeated.add(row)
      const ack = await this.#send(envelope, tryMs, signal, first)
      this.#compare(ack)
      if (ack.outcome === 'busy') return { later: ack.reason, restMs: ack.retryAfterMs }
      if (ack.outcome !== 'refused') return 'delivered'
      if (!this.#speaksOther(ack, envelope)) return this.#refused(row, ack)
    }
    return {
      code: 'message-malformed',
      reason: `${row.letter.to} refuses every protocol that is spoken here`,
    }
  }

  /**
   * Asks the peer what it has seen of us; undefined if it speaks a protocol without that, or does not know
   * us. Rejects if nothing believable comes back within `tryMs`, or if it cannot say yet.
   */
  async hello(peer: ActorName, tryMs: Millis, signal: AbortSignal): Promise<number | undefined> {
    const { clock, identity, ids, protocols, place } = this.#parts
    const now = clock.now()
    const letter = letterOf({
      ...{ id: ids.next('message'), from: identity.name, to: peer, kind: HELLO, subject: HELLO, number: 1 },
      ...{ body: { protocols }, sentAt: now, until: now + HELLO_GOOD_MS },
    })
    const ack = await this.#send(sealLetter(letter, identity, place()), tryMs, signal, true)
    if (ack.outcome === 'busy') throw new Error(`it is busy: ${ack.reason}`)
    return ack.outcome === 'refused' ? undefined : ack.seenSeq
  }

  async #send(envelope: Envelope, tryMs: Millis, signal: AbortSignal, first: boolean): Promise<Ack> {
    const { clock, transport, trust, peers } = this.#parts
    const sentMonotonic = clock.monotonic()
    const late = (): Error => new Error(`no acknowledgement within ${period(tryMs)}`)
    const ack: unknown = await within(clock, tryMs, late, (stop) => transport.send(envelope, stop), signal)
    const doubt = doubtAck(ack, envelope, trust, clock.now())
    if (doubt !== undefined) throw new Error(doubt)
    const believed = ack as Ack
    this.#doubtPlace(believed)
    peers.answered(believed)
    // Only from the first sending: an answer to a repeated one may be that to an earlier one, kept back.
    if (first) peers.measured(believed.from, clock.monotonic() - sentMonotonic, believed.at)
    return believed
  }

  #seal(row: OutRow): Envelope | undefined {
    const { identity, peers, downgrade, protocols } = this.#parts
    const protocol = peers.protocolFor(row.letter.to)
    const known = this.#sealed.get(row)
    if (known?.protocol === protocol && (known.envelope.key ?? identity.key) === identity.key)
      return known.envelope
    let { letter } = row
    if (protocol < Math.max(...protocols, 2)) {
      const body = downgrade(letter.kind, letter.body, protocol)
      if (body === undefined) return undefined
      if (body !== letter.body) letter = letterOf({ ...letter, body })
    }
    const envelope = sealLetter(letter, identity, protocol < 2 ? undefined : row)
    this.#sealed.set(row, { protocol, envelope })
    return envelope
  }

  #compare({ from, seenSeq = 0 }: Ack): void {
    const { seq } = this.#parts.place()
    if (seenSeq <= seq) return
    const reason = `${from} has seen message ${seenSeq} of ours, and we said no more than ${seq}`
    this.#parts.restored(from, { reason, seenSeq })
  }

  /** What nobody can have said by now is a lie: believed, it would use up all numbers there are. */
  #doubtPlace({ from, seenSeq = 0 }: Ack): void {
    const most = Math.max(this.#parts.place().seq, this.#parts.clock.now() + SEEN_AHEAD_MS_MAX)
    if (seenSeq > most)
      throw new Error(`${from} says that it has seen message ${seenSeq} of ours, which there cannot be`)
  }

  #speaksOther({ code, protocol }: Ack, envelope: Envelope): boolean {
    return (
      code === ('message-malformed' satisfies ErrorCode) &&
      protocol !== envelope.protocol &&
      this.#parts.protocols.includes(protocol)
    )
  }

  /** What we forgot to have said under a number counts: a message of the time before is only noted. */
  #refused({ generation }: OutRow, { code, reason }: Ack): Carried {
    // Somebody has to make our key known there, or ours is the next one soon: until the deadline it is tried again.
    if (NOT_YET_TRUSTED.has(code)) return { later: reason }
    if (code === 'message-conflict' && generation < this.#parts.place().generation) return 'delivered'
    return { code, reason }
  }

  #tooOld({ letter: { to, kind } }: OutRow): Carried {
    const protocol = this.#parts.peers.protocolFor(to)
    return { code: 'peer-too-old', reason: `${to} speaks protocol ${protocol}, which knows no ${kind}` }
  }
}
