import type { Instant, Millis } from './clock.ts'
import type { Retirement } from './draft.ts'
import type { Envelope } from './envelope.ts'
import type { ActorName } from './identity.ts'
import type { RowsPart } from './row-parts.ts'
import type { RowSet } from './row-set.ts'
import type { Row } from './rows.ts'

/**
 * The numbers of a conversation: one link for each peer and subject.
 *
 *   a message comes with number n, the last one taken was m
 *
 *     n > m                     new: it is handed to the mind, and m becomes n
 *     n = m, the same message   the same answer again
 *     n = m, in another protocol  the same answer again if its id is the same: its body may be written otherwise there
 *     n = m, another message    refused: message-conflict
 *     n < m                     noted: it is late, or was overtaken
 *
 * Numbers go 1, 2, 3. In a later generation they go on above it, and so above all that were used in the
 * time that was forgotten: what is still under way from that time is late.
 *
 * A link is forgotten when no message about it can be good any more, so that none can be replayed:
 *
 *     only heard on ────────────────▶ when its last message has expired
 *     spoken on ──── retired(at) ───▶ at `at`, or when its last message has expired if that is later
 */
export interface LinkRow extends Row {
  readonly out: number
  readonly in: number
  readonly inHash: string
  /** The protocol of message `in`; 1 if it is not there. */
  readonly inProtocol?: number | undefined
  /** The id of message `in`; not kept in rows of earlier programs. */
  readonly inId?: string | undefined
  /** The place of message `in` in all that the peer said; not known before protocol 2. */
  readonly inSeq?: number | undefined
  /** The latest instant until which a message that was taken or sent is good. */
  readonly goodUntil?: Instant | undefined
  /** Nothing more is to be said on the subject from then on. */
  readonly retiredAt?: Instant | undefined
  /** Message `in` made the mind fail twice. */
  readonly setAside?: boolean | undefined
}

/** What is to be told to the sender of a message, and whether the mind has to see it. */
export interface Verdict {
  readonly fresh: boolean
  readonly outcome: 'received' | 'noted' | 'refused'
  readonly code: '' | 'message-conflict' | 'message-set-aside'
  readonly reason: string
}

/** Of how many subjects each peer may speak here at a time. */
export interface LinkBounds {
  readonly max: number
  /** Beyond it no new one is begun with a message that is good for longer than `LONG_MS`. */
  readonly longMax: number
}

/** What a peer says in an hour at the rate that is taken by default, and more than the leases of the largest. */
export const LINKS_MAX = 250_000
export const LINKS_LONG_MAX = 200_000
export const LONG_MS: Millis = 86_400_000

const FRESH: Verdict = { fresh: true, outcome: 'received', code: '', reason: '' }

/** What is said with whom, as of the last commit. The rows themselves are kept with the others. */
export class Links {
  readonly #rows: RowSet
  /** Of everybody who was ever spoken with in this life. */
  readonly #seenSeq = new Map<ActorName, number>()
  /** How many links there are with each. */
  readonly #counts = new Map<ActorName, number>()
  readonly #skewMsMax: Millis
  readonly #bounds: LinkBounds

  constructor(
    rows: RowSet,
    skewMsMax: Millis,
    bounds: LinkBounds = { max: LINKS_MAX, longMax: LINKS_LONG_MAX },
  ) {
    this.#rows = rows
    this.#skewMsMax = skewMsMax
    this.#bounds = bounds
  }

  /** The link is now what it is in the rows of the last commit; `had` says whether it was in those before. */
  adopt(id: string, row: Row | undefined, had: boolean): void {
    if (had !== (row !== undefined)) this.#count(peerOf(id), had ? -1 : 1)
    if (row !== undefined) this.saw(peerOf(id), (row as LinkRow).inSeq ?? 0)
  }

  /** Links of a store that is being opened. */
  takeUp(part: RowsPart): void {
    const seqs = inSeqsOf(part)
    for (const id of part.ids) {
      this.saw(peerOf(id), seqs.next().value ?? 0)
      this.#count(peerOf(id), 1)
    }
  }

  /**
   * Why the peer may begin no other subject now; undefined if it may, or if the message is on one that is begun. Each
   * is remembered as long as its messages are good: without a bound a peer could fill memory and disk with them. Those
   * that are good for years cannot take up all of it, so that room comes back within a day.
   */
  full({ from, subject, until }: Envelope, now: Instant): string | undefined {
    const count = this.#counts.get(from) ?? 0
    const isLong = until > now + LONG_MS
    const most = isLong ? this.#bounds.longMax : this.#bounds.max
    if (count < most || this.#rows.has('$link', linkOf(from, subject))) return undefined
    return `${from} speaks of ${count} subjects whose messages are still good; another one may begin when some are not any more`
  }

  #count(peer: ActorName, change: number): void {
    this.#counts.set(peer, (this.#counts.get(peer) ?? 0) + change)
  }

  /** The peer said something at this place. */
  saw(peer: ActorName, seq: number): void {
    const before = this.#seenSeq.get(peer)
    if (before === undefined || seq > before) this.#seenSeq.set(peer, seq)
  }

  /** The highest place of what the peer said, in all that it ever said. */
  seenSeq(peer: ActorName): number {
    return this.#seenSeq.get(peer) ?? 0
  }

  /** Those with whom something is or was spoken of. */
  peers(): Iterable<ActorName> {
    return this.#seenSeq.keys()
  }

  get(id: string): LinkRow | undefined {
    return this.#rows.get('$link', id) as LinkRow | undefined
  }

  /** Peers are few, and subjects are very many: an index of them would be larger than all else that is kept here. */
  of(subject: string): string[] {
    const ids: string[] = []
    for (const peer of this.#seenSeq.keys()) {
      const id = linkOf(peer, subject)
      if (this.#rows.has('$link', id)) ids.push(id)
    }
    return ids
  }

  /** What was made of a message whose number is durable here; a conflict has to be written down. */
  known(envelope: Envelope): Verdict | undefined {
    const verdict = this.begin().verdict(envelope)
    return verdict.fresh || verdict.code === 'message-conflict' ? undefined : verdict
  }

  /** What one batch says and hears, on top of the last commit. */
  begin(): LinkDraft {
    return new LinkDraft(this, this.#skewMsMax)
  }
}

export class LinkDraft {
  readonly #links: Links
  /** Two clocks may differ by this, each of them from the truth. */
  readonly #marginMs: Millis
  readonly #changed = new Map<string, LinkRow | undefined>()

  constructor(links: Links, skewMsMax: Millis) {
    this.#links = links
    this.#marginMs = 2 * skewMsMax
  }

  verdict(envelope: Envelope): Verdict {
    const link = this.#get(envelope.from, envelope.subject)
    if (envelope.number > link.in) return FRESH
    if (envelope.number < link.in)
      return { fresh: false, outcome: 'noted', code: '', reason: 'an older message, noted' }
    if (hashOf(envelope) !== link.inHash && !isRewritten(envelope, link)) {
      const reason = `number ${envelope.number} was used before for another message`
      return { fresh: false, outcome: 'refused', code: 'message-conflict', reason }
    }
    if (link.setAside !== true)
      return { fresh: false, outcome: 'received', code: '', reason: 'received before' }
    const reason = 'it failed twice before and was set aside'
    return { fresh: false, outcome: 'refused', code: 'message-set-aside', reason }
  }

  /** Counts a message that the mind has taken, or that is set aside for good. */
  heard(envelope: Envelope, setAside: boolean): void {
    const link = this.#get(envelope.from, envelope.subject)
    this.#put({
      ...link,
      in: envelope.number,
      inHash: hashOf(envelope),
      inProtocol: envelope.protocol > 1 ? envelope.protocol : undefined,
      inId: envelope.id,
      inSeq: envelope.seq,
      goodUntil: Math.max(link.goodUntil ?? 0, envelope.until),
      setAside: setAside ? true : undefined,
    })
  }

  /** The number of the next message on the subject. */
  speak(to: ActorName, subject: string, until: Instant, generation: number): number {
    const link = this.#get(to, subject)
    const number = Math.max(link.out, generation) + 1
    this.#put({ ...link, out: number, goodUntil: Math.max(link.goodUntil ?? 0, until) })
    return number
  }

  retire({ subject, peer, at }: Retirement): void {
    if (peer !== '') {
      const link = this.#at(`${peer} ${subject}`)
      if (link !== undefined) this.#put({ ...link, retiredAt: at })
      return
    }
    const ids = new Set(this.#links.of(subject))
    for (const [id, link] of this.#changed) if (link !== undefined && subjectOf(id) === subject) ids.add(id)
    for (const id of ids) {
      const link = this.#at(id)
      if (link !== undefined) this.#put({ ...link, retiredAt: at })
    }
  }

  /** Forgets the link if it is still due; something may have been said on it in the same batch. */
  forget(id: string, now: Instant): void {
    const due = this.#at(id)?.due
    if (due !== undefined && due <= now) this.#changed.set(id, undefined)
  }

  /** By peer: the highest place of what it said, where a link that knew of it is forgotten. */
  forgotten(): Map<ActorName, number> {
    const gone = [...this.#changed].filter(([, link]) => link === undefined).map(([id]) => peerOf(id))
    return new Map(gone.map((peer) => [peer, this.#links.seenSeq(peer)]))
  }

  changes(): Iterable<[string, LinkRow | undefined]> {
    return this.#changed
  }

  #get(peer: ActorName, subject: string): LinkRow {
    const id = linkOf(peer, subject)
    return this.#at(id) ?? { id, out: 0, in: 0, inHash: '' }
  }

  #at(id: string): LinkRow | undefined {
    return this.#changed.has(id) ? this.#changed.get(id) : this.#links.get(id)
  }

  #put(link: LinkRow): void {
    this.#changed.set(link.id, { ...link, due: this.#dueOf(link) })
  }

  #dueOf({ out, retiredAt, goodUntil = 0 }: LinkRow): Instant | undefined {
    if (retiredAt !== undefined) return Math.max(retiredAt, goodUntil) + this.#marginMs
    return out === 0 ? goodUntil + this.#marginMs : undefined
  }
}

const hashOf = ({ kind, bodyHash }: Envelope): string => `${kind} ${bodyHash}`

/** Said again after one of the two began to speak another protocol: it is sealed anew under the id that it had. */
const isRewritten = ({ id, protocol }: Envelope, { inProtocol = 1, inId = id }: LinkRow): boolean =>
  protocol !== inProtocol && id === inId

const linkOf = (peer: ActorName, subject: string): string => `${peer} ${subject}`
/** Names of actors have no spaces. */
const peerOf = (id: string): ActorName => id.slice(0, id.indexOf(' '))
const subjectOf = (id: string): string => id.slice(id.indexOf(' ') + 1)

const IN_SEQ = '"inSeq":'

/** What each says as `inSeq`, without parsing it: nothing is nested in a link, and a quote within a text is `\"`. */
function* inSeqsOf({ text, ends }: RowsPart): Generator<number> {
  let from = 0
  let at = -1
  for (const end of ends) {
    if (at < from) at = text.indexOf(IN_SEQ, from)
    if (at === -1) at = text.length
    yield at < end ? Number.parseInt(text.slice(at + IN_SEQ.length, end), 10) : 0
    from = end
  }
}
