import type { Clock, Instant, Millis } from './clock.ts'
import type { Ack, Envelope } from './envelope.ts'
import type { ErrorCode } from './errors.ts'
import type { ActorName, PublicKey } from './identity.ts'
import { betterOffset } from './offset.ts'
import type { TooFast } from './rates.ts'
import type { RowSet } from './row-set.ts'
import type { Row } from './rows.ts'

/** What is known of another actor, over the lives of this one. */
export interface PeerRow extends Row {
  /** The peer's clock minus ours, right within `errorMs`; measured from signed acknowledgements. */
  readonly offsetMs?: Millis | undefined
  readonly errorMs?: Millis | undefined
  readonly measuredAt?: Instant | undefined
  /** The highest protocol that it is known to speak. */
  readonly protocol?: number | undefined
  /** With which it signed what was last believed; protocol 1 did not say. */
  readonly key?: PublicKey | undefined
  /** Higher each time it lost memory. */
  readonly generation?: number | undefined
  /** The highest `seq` of its messages whose numbers are forgotten here. */
  readonly seenSeq?: number | undefined
  /** It has not said yet whether it saw messages of ours above this one. */
  readonly ungreetedSeq?: number | undefined
}

/** A peer has seen messages of ours that are not remembered here. */
export interface Restored {
  /** A sentence: how it was noticed. */
  readonly reason: string
  /** The highest place that a peer remembers of us; 0 if none told. */
  readonly seenSeq: number
  /** The only one who says so: it may be mistaken, or lie. */
  readonly by?: ActorName | undefined
}

/** How a peer looks from here. */
export interface PeerView {
  readonly peer: ActorName
  readonly protocol: number | undefined
  readonly generation: number
  readonly offsetMs: Millis | undefined
  readonly errorMs: Millis | undefined
  /** In this life: the last believed message or acknowledgement. */
  readonly lastHeardAt: Instant | undefined
  /** Messages to it that are not acknowledged. */
  readonly waiting: number
  /** Since when nothing has come back; undefined while it answers. */
  readonly silentSince: Instant | undefined
  /** Why nothing came back. */
  readonly lastError: string | undefined
  /** Of the last message that was sent once only. */
  readonly roundTripMs: Millis | undefined
  /** Since when round trips take longer than `SLOW_MS`. */
  readonly slowSince: Instant | undefined
  /** Since when its clock is further off than is allowed. */
  readonly skewedSince: Instant | undefined
  /** When the last of its keys ends; undefined if one has no end. */
  readonly keyEndsAt: Instant | undefined
  /** When it put messages of ours off last, as more than we may say (`too-fast`), in this life; undefined if it never did. */
  readonly putOff: PutOff | undefined
  /** How often it was told to come more slowly, in this life; undefined if it never was. */
  readonly tooFast: TooFast | undefined
}

/** How a peer puts us off; what is not put off for a while begins anew. */
export interface PutOff {
  readonly since: Instant
  readonly lastAt: Instant
  readonly times: number
  readonly reason: string
}

const PUT_OFF_AGAIN_MS: Millis = 60_000

/** A round trip is slow from there on: a commit of the peer is in it. */
export const SLOW_MS: Millis = 2_000

/** What is known of a peer in this life alone. */
interface Sight {
  lastHeardAt?: Instant
  silent?: { readonly since: Instant; readonly error: string } | undefined
  roundTripMs?: Millis
  slowSince?: Instant | undefined
  skewedSince?: Instant | undefined
  putOff?: PutOff | undefined
}

/**
 * What is known of the other actors. Rows change here first and are written with the next commit: what is
 * lost with the power is learned again.
 *
 *   protocol     a message or acknowledgement in a higher one raises it; refused as malformed by one that
 *                speaks a lower one lowers it; a message of one of whom nothing is known sets it
 *   generation   the highest that was seen
 *   key          the one that it signed with last
 *   seenSeq      what the peer saw of us, above what we remember to have sent: we were restored
 */
export class Peers {
  readonly #rows: RowSet
  readonly #clock: Clock
  readonly #skewMsMax: Millis
  readonly #protocols: readonly number[]
  readonly #changed = new Map<ActorName, PeerRow>()
  /** In the commit under way. */
  #writing: ReadonlyMap<ActorName, PeerRow> = new Map()
  readonly #sights = new Map<ActorName, Sight>()
  /** How much was said by us when this life or, if that is later, this generation began. */
  #ownSeq = 0

  constructor(rows: RowSet, clock: Clock, skewMsMax: Millis, protocols: readonly number[]) {
    this.#rows = rows
    this.#clock = clock
    this.#skewMsMax = skewMsMax
    this.#protocols = protocols
  }

  get(peer: ActorName): PeerRow | undefined {
    const unwritten = this.#changed.get(peer) ?? this.#writing.get(peer)
    return unwritten ?? (this.#rows.get('$peer', peer) as PeerRow | undefined)
  }

  /** Rows for the commit that begins. */
  changes(): PeerRow[] {
    this.#writing = new Map(this.#changed)
    this.#changed.clear()
    return [...this.#writing.values()]
  }

  /** That commit is durable, and its rows are those of the last commit. */
  written(): void {
    this.#writing = new Map()
  }

  /** Of this life, or of a new generation: peers know nothing above `seq` unless we forgot it. */
  begin(seq: number): void {
    this.#ownSeq = seq
  }

  /** The protocol to talk to it in: the highest that both speak, or the highest of ours while nothing is known. */
  protocolFor(peer: ActorName): number {
    const known = this.get(peer)?.protocol ?? Number.POSITIVE_INFINITY
    const common = this.#protocols.filter((protocol) => protocol <= known)
    return common.length > 0 ? Math.max(...common) : Math.min(...this.#protocols)
  }

  /** A believed message came from it. */
  told({ from, protocol, generation, key }: Envelope): void {
    this.#sight(from).lastHeardAt = this.#clock.now()
    const known = this.get(from)
    this.#change(from, {
      key: key ?? known?.key,
      protocol: Math.max(known?.protocol ?? 0, protocol),
      generation: Math.max(known?.generation ?? 0, generation ?? 0),
    })
  }

  /** A believed acknowledgement came from it. Returns whether it had been silent. */
  answered({ from, generation, protocol, key, code, outcome, reason }: Ack): boolean {
    const sight = this.#sight(from)
    if (outcome === 'busy' && code === ('too-fast' satisfies ErrorCode)) this.#putOff(sight, reason)
    const wasSilent = sight.silent !== undefined
    sight.silent = undefined
    sight.lastHeardAt = this.#clock.now()
    const known = this.get(from)
    const lower = outcome === 'refused' && code === 'message-malformed'
    this.#change(from, {
      key: key ?? known?.key,
      protocol: lower ? protocol : Math.max(known?.protocol ?? 0, protocol),
      generation: Math.max(known?.generation ?? 0, generation ?? 0),
    })
    return wasSilent
  }

  /** Nothing came back on what was sent at `sentAt`. */
  unanswered(peer: ActorName, sentAt: Instant, error: string): void {
    const sight = this.#sight(peer)
    sight.silent = { since: sight.silent?.since ?? sentAt, error }
  }

  isSilent(peer: ActorName): boolean {
    return this.#sights.get(peer)?.silent !== undefined
  }

  /** The way there and back took this long, and the peer's clock said `at` at the end of the way there. */
  measured(peer: ActorName, roundTripMs: Millis, at: Instant): void {
    const now = this.#clock.now()
    const sight = this.#sight(peer)
    sight.roundTripMs = roundTripMs
    sight.slowSince = roundTripMs > SLOW_MS ? (sight.slowSince ?? now) : undefined
    const halfMs = roundTripMs / 2
    const reading = { offsetMs: Math.round(at - (now - halfMs)), errorMs: Math.ceil(halfMs) + 1 }
    const better = betterOffset(this.get(peer), reading, now)
    if (better !== undefined) this.#change(peer, better)
  }

  /**
   * It said what it has seen of us. Returns what shows that we lost memory: more than we remember to have
   * said when this life began, or the first one in which it did not answer.
   */
  greeted(peer: ActorName, seenSeq: number): Restored | undefined {
    const remembered = Math.max(0, this.get(peer)?.ungreetedSeq ?? this.#ownSeq)
    if (seenSeq <= remembered) {
      this.#change(peer, { ungreetedSeq: undefined })
      return undefined
    }
    const reason = `${peer} has seen message ${seenSeq} of ours, and we remember no more than ${remembered}`
    return { reason, seenSeq }
  }

  /** It did not say in time what it has seen of us: that is to be asked in later lives, too. */
  ungreeted(peer: ActorName): void {
    this.#change(peer, { ungreetedSeq: this.get(peer)?.ungreetedSeq ?? this.#ownSeq })
  }

  /** All that are known, by name. */
  views(
    waiting: ReadonlyMap<ActorName, number>,
    more: (peer: ActorName) => Pick<PeerView, 'keyEndsAt' | 'tooFast'>,
  ): PeerView[] {
    const names = new Set([...waiting.keys(), ...this.#sights.keys(), ...this.#changed.keys()])
    for (const { id } of this.#rows.all('$peer')) names.add(id)
    return [...names].sort().map((peer) => ({
      ...this.#view(peer, waiting.get(peer) ?? 0),
      ...more(peer),
    }))
  }

  #view(peer: ActorName, waiting: number): Omit<PeerView, 'keyEndsAt' | 'tooFast'> {
    const { protocol, generation = 0, offsetMs, errorMs } = this.get(peer) ?? {}
    const { lastHeardAt, silent, roundTripMs, slowSince, putOff } = this.#sights.get(peer) ?? {}
    return {
      ...{ peer, protocol, generation, offsetMs, errorMs, lastHeardAt, waiting },
      ...{ silentSince: silent?.since, lastError: silent?.error, roundTripMs, slowSince },
      ...{ skewedSince: this.#skewedSince(peer), putOff },
    }
  }

  /** Only what is certain: an offset that may be within the bound is not held against anybody. */
  #skewedSince(peer: ActorName): Instant | undefined {
    const { offsetMs, errorMs = 0, measuredAt } = this.get(peer) ?? {}
    const sight = this.#sights.get(peer)
    const off = offsetMs !== undefined && Math.abs(offsetMs) - errorMs > this.#skewMsMax
    if (!off) {
      if (sight !== undefined) sight.skewedSince = undefined
      return undefined
    }
    const since = sight?.skewedSince ?? measuredAt ?? this.#clock.now()
    this.#sight(peer).skewedSince = since
    return since
  }

  #putOff(sight: Sight, reason: string): void {
    const lastAt = this.#clock.now()
    const before = sight.putOff
    const isAnew = before === undefined || lastAt - before.lastAt > PUT_OFF_AGAIN_MS
    sight.putOff = isAnew
      ? { since: lastAt, lastAt, times: 1, reason }
      : { ...before, lastAt, times: before.times + 1, reason }
  }

  #sight(peer: ActorName): Sight {
    const known = this.#sights.get(peer)
    if (known !== undefined) return known
    const sight: Sight = {}
    this.#sights.set(peer, sight)
    return sight
  }

  #change(peer: ActorName, changes: Partial<PeerRow>): void {
    const known = this.get(peer) ?? { id: peer }
    const same = Object.entries(changes).every(([key, value]) => known[key as keyof PeerRow] === value)
    if (!same) this.#changed.set(peer, { ...known, ...changes })
  }
}
