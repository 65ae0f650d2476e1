import { Alarm } from './alarm.ts'
import type { Cancel, Clock, Instant, Millis } from './clock.ts'
import type { CommitLog, LedgerEntry, LedgerHead, LedgerNote } from './commit.ts'
import { type Composition, metaOf } from './composition.ts'
import { Courier, type Downgrade, type OutRow, outRowOf } from './courier.ts'
import { DueRows } from './due-rows.ts'
import { type EffectRow, EffectRunner, type Perform } from './effects.ts'
import { type Ack, type Envelope, type Place, PROTOCOLS } from './envelope.ts'
import { SubletError } from './errors.ts'
import type { ActorName, Identity, Trust } from './identity.ts'
import { idSource } from './ids.ts'
import { endOfKeys, KeyWatch } from './key-ends.ts'
import { type LinkBounds, Links, type Verdict } from './links.ts'
import { type Log, unfailing } from './log.ts'
import { type Mail, Mailbox } from './mailbox.ts'
import { HELLO_MS, Memory } from './memory.ts'
import type { Input, Mind } from './mind.ts'
import { type PeerRow, Peers, type PeerView } from './peers.ts'
import { Postman } from './postman.ts'
import { punctual } from './punctual.ts'
import type { Random } from './random.ts'
import { type Rate, Rates } from './rates.ts'
import { Reader, type Reading } from './reader.ts'
import { Reception } from './reception.ts'
import { Refusals } from './refusals.ts'
import { type RowsPart, rowsIn } from './row-parts.ts'
import { RowSet } from './row-set.ts'
import { decodeRow, type Row, type Tables } from './rows.ts'
import { type ClockMark, type ClockStep, steadyClock } from './steady.ts'
import type { Receiver, Transport } from './transport.ts'

export type { Log } from './log.ts'

export interface ActorParts<T extends Tables> {
  readonly mind: Mind<T>
  readonly store: CommitLog
  readonly clock: Clock
  /** What the hour was before this life; unless given, the wall clock is believed as it is now. */
  readonly clockMark?: ClockMark | undefined
  readonly identity: Identity
  readonly trust: Trust
  readonly transport: Transport
  readonly perform: Perform
  readonly random: Random
  readonly log: Log
  /** The most a peer's clock may be off while its offset is unknown; also the largest believed step of ours. */
  readonly skewMsMax: Millis
  /** How much each peer may say; no bound unless given. */
  readonly rate?: Rate | undefined
  /** Of how many subjects each peer may speak at a time; as `links.ts` says unless given. */
  readonly linkBounds?: LinkBounds
  /** The protocols that are spoken; all there are unless given. */
  readonly protocols?: readonly number[]
  /** What a body is in an older protocol; the same unless given. */
  readonly downgrade?: Downgrade
  /** How long a start waits for peers to say what they have seen of this actor. */
  readonly helloMs?: Millis
  /** Told after each commit that wrote to the ledger. */
  readonly onCommitted?: (entries: readonly LedgerEntry[]) => void
  /** Told once, when the actor has stopped because it could not go on. */
  readonly onFailed: (error: unknown) => void
}

/** Inputs of one commit, and as many due rows. */
export const BATCH_MAX = 256
/**
 * How long an acknowledged message may stay in the outbox when nothing else is to be committed. Whoever dies in
 * between says it once more, and is answered by its number.
 */
export const FLUSH_MS: Millis = 1_000

/**
 * One actor: a mailbox, a mind and a store.
 *
 *   messages, due rows, outcomes, commands ──▶ mailbox ──batch──▶ mind ──draft──▶ ONE commit
 *                                                ▲                  │               │ durable
 *                                                └─again, alone─ it throws          │
 *                      acknowledgements, replies, outbox, effects ◀─────────────────┘
 *
 *   new ──start──▶ greeting ──peers said what they saw of it──▶ running ──stop, or it cannot go on──▶ stopped
 *
 * The rows in memory are those of the last commit. A commit that fails stops the actor: what it had in
 * mind never happened, and the next life starts from the store.
 */
export class Actor<T extends Tables> implements Receiver {
  readonly name: ActorName
  readonly #parts: ActorParts<T>
  readonly #clock: Clock
  readonly #rows = new RowSet()
  readonly #links: Links
  readonly #due = new DueRows(this.#rows)
  readonly #peers: Peers
  readonly #keys: KeyWatch
  readonly #postman: Postman
  readonly #memory: Memory
  readonly #effects: EffectRunner
  readonly #mailbox = new Mailbox()
  readonly #refusals: Refusals
  readonly #rates: Rates | undefined
  readonly #reader: Reader<T>
  readonly #reception: Reception
  readonly #delivered = new Set<string>()
  readonly #alarm: Alarm
  readonly #store: CommitLog
  #head: LedgerHead = { seq: 0, hash: '' }
  #state: 'new' | 'greeting' | 'running' | 'stopped' = 'new'
  #begun = false
  /** Something has come since the last batch was taken. */
  #stirred = false
  #working = false
  #idle: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined
  #flush: Cancel | undefined
  /** A jump that was noticed before there was anybody to read of it. */
  #stepBefore: ClockStep | undefined

  constructor(given: ActorParts<T>) {
    const parts: ActorParts<T> = { ...given, log: unfailing(given.log) }
    this.name = parts.identity.name
    this.#parts = parts
    this.#links = new Links(this.#rows, parts.skewMsMax, parts.linkBounds)
    const onStep = (step: ClockStep): void => {
      parts.log.warn({ actor: this.name, ...step }, 'the wall clock jumped and is not believed')
      if (this.#isNew() || this.#state === 'greeting') this.#stepBefore = step
      else this.#put({ input: { kind: 'clock-step', ...step } })
    }
    this.#clock = steadyClock(parts.clock, parts.skewMsMax, onStep, parts.clockMark)
    this.#alarm = new Alarm(this.#clock, () => this.#wake())
    this.#store = punctual(parts.store, this.name, parts.clock)
    const { mind, identity, trust, skewMsMax, log, transport, protocols = PROTOCOLS } = parts
    const clock = this.#clock
    const ids = idSource(parts.random.child('ids'))
    const peers = new Peers(this.#rows, clock, skewMsMax, protocols)
    this.#peers = peers
    this.#refusals = new Refusals(clock)
    const tooFast = (peer: ActorName): void =>
      log.warn(
        { actor: this.name, peer, code: 'too-fast', ...parts.rate },
        'a peer says more than it may, and is put off',
      )
    this.#rates = parts.rate === undefined ? undefined : new Rates(parts.rate, clock, tooFast)
    this.#keys = new KeyWatch(identity.name, trust, log)
    this.#reader = new Reader<T>({
      ...{ mind, identity, log, ids, rows: this.#rows, links: this.#links, due: this.#due },
      turnedDown: (peer) => this.#refusals.add(peer),
      tryAgain: (mail) => this.#tryAgain(mail),
    })
    this.#reception = new Reception({
      ...{ identity, trust, skewMsMax, log, clock, protocols },
      heard: (envelope) => {
        peers.told(envelope)
        this.#postman.heardFrom(envelope.from)
      },
      placeFor: (peer) => this.#placeFor(peer),
      pause: (from) => this.#rates?.take(from),
      busy: (envelope) => this.#busyFor(envelope),
      known: (envelope) => (this.running ? this.#links.known(envelope) : undefined),
      take: (envelope) => this.#ask({ kind: 'message', envelope }) as Promise<Verdict>,
    })
    const downgrade = parts.downgrade ?? ((_kind, body) => body)
    const place = () => ({ generation: metaOf(this.#rows).generation, seq: metaOf(this.#rows).outSeq })
    const courier = new Courier({
      ...{ clock, transport, identity, trust, peers, protocols, downgrade, place },
      restored: (peer, restored) => this.#memory.notice(peer, restored),
      ids: idSource(parts.random.child('hello')),
    })
    this.#postman = new Postman({
      ...{ clock, courier, peers, random: parts.random.child('postman') },
      knows: (peer) => trust.knows(peer),
      greets: Math.max(...protocols) > 1,
      delivered: (row) => this.#delivery(row),
      // It leaves the outbox in the commit in which the mind is told.
      failed: (row, code, reason) =>
        this.#put({ input: { kind: 'undelivered', envelope: row.letter, code, reason } }),
      restored: (peer, restored) => this.#memory.notice(peer, restored),
    })
    this.#memory = new Memory({
      ...{ clock, peers, log, postman: this.#postman, helloMs: parts.helloMs ?? HELLO_MS },
      noticed: (restored) => this.#put({ input: { kind: 'restored', restored } }),
    })
    this.#effects = new EffectRunner(this.#clock, parts.perform, (row, outcome) => {
      const { id: key, verb, args, attempt } = row
      this.#put({ input: { kind: 'effect', key, verb, args, attempt, outcome } })
    })
  }

  /**
   * Reads all rows, asks the peers whether they remember more of it, opens a new epoch, and takes up what
   * the last life left: outbox, effects, due rows.
   */
  async start(): Promise<void> {
    if (this.#begun || !this.#isNew()) throw new Error(`actor ${this.name} was started twice`)
    this.#begun = true
    try {
      const { rows, head } = await this.#store.open((part) => this.#takeUp(part))
      this.#head = head
      for (const stored of rows) this.#adopt(stored.table, stored.id, decodeRow(stored, this.name))
      if (!this.#isNew()) throw new SubletError('not-running', `actor ${this.name} was stopped as it began`)
    } catch (error) {
      this.#state = 'stopped'
      await this.#close()
      throw error
    }
    const left = metaOf(this.#rows)
    this.#state = 'greeting'
    const out = this.#all<OutRow>('$out').map(outRowOf)
    await this.#memory.ask(this.#correspondents(out), left)
    if (this.#state !== 'greeting')
      throw new SubletError('not-running', `actor ${this.name} was stopped as it began`)
    this.#state = 'running'
    const started = this.#ask({ kind: 'started', epoch: left.epoch + 1, restored: this.#memory.lost })
    if (this.#stepBefore !== undefined) this.#put({ input: { kind: 'clock-step', ...this.#stepBefore } })
    // Before anything new is sent: on one subject, what is sent later has the higher number.
    for (const row of out.sort((a, b) => a.seq - b.seq)) this.#postman.post(row, true)
    await started
    // What the mind began or replaced on being started runs already.
    for (const row of this.#all<EffectRow>('$effect'))
      if (row.attempt <= left.attempt) this.#effects.start(row)
  }

  /**
   * Stops taking mail, ends effects under way (they are taken up in the next life), waits for the commit
   * under way and closes the store.
   */
  async stop(): Promise<void> {
    if (this.#state === 'running' || this.#state === 'greeting')
      this.#halt(new SubletError('not-running', `actor ${this.name} is stopping`))
    if (this.#state === 'new') this.#state = 'stopped'
    else await this.#close()
  }

  /** Why a message with this head is not taken, whatever its body is; undefined if the body counts. */
  refusal(head: unknown): Ack | undefined {
    return this.#reception.refusal(head)
  }

  /** Resolves with the acknowledgement once the message is durable here, or with the reason why not. */
  receive(message: Envelope, isNew?: () => void): Promise<Ack> {
    return this.#reception.receive(message, isNew)
  }

  /** Does a command of this machine and resolves with its reply once it is durable. */
  command(name: string, args: unknown): Promise<unknown> {
    const full = this.#mailbox.fullFor()
    if (full !== undefined)
      return Promise.reject(new SubletError('overloaded', `${this.name} does not take ${name}: ${full}`))
    return this.#ask({ kind: 'command', name, args })
  }

  /** Rows of the last commit, for queries. Not to be changed. */
  rows<K extends keyof T & string>(table: K): T[K][] {
    return this.#all<T[K]>(table)
  }

  peers(): PeerView[] {
    const { trust } = this.#parts
    return this.#peers.views(this.#postman.waiting(), (peer) => ({
      keyEndsAt: endOfKeys(trust.keysOf(peer)),
      tooFast: this.#rates?.tooFast(peer),
    }))
  }

  get head(): LedgerHead {
    return this.#head
  }

  get running(): boolean {
    return this.#state === 'running'
  }

  #isNew(): boolean {
    return this.#state === 'new'
  }

  // ── what comes in ────────────────────────────────────────────────────────────────────────────────

  #ask(input: Input): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#state !== 'running')
        return reject(new SubletError('not-running', `actor ${this.name} is not running`))
      this.#put({ input, settle: { resolve, reject } })
    })
  }

  #put(mail: Mail): void {
    if (this.#state !== 'running') return
    this.#mailbox.put(mail)
    this.#wake()
  }

  #delivery(row: OutRow): void {
    this.#delivered.add(row.id)
    this.#flush ??= this.#clock.after(FLUSH_MS, () => {
      this.#flush = undefined
      this.#wake()
    })
  }

  /** Why this message is not taken now; undefined if there is room. */
  #busyFor(envelope: Envelope): string | undefined {
    if (!this.running) return `${this.name} is not running`
    const { from } = envelope
    const full = this.#refusals.tooMany(from) ?? this.#mailbox.fullFor(from)
    return full ?? this.#links.full(envelope, this.#clock.now())
  }

  #placeFor(peer: ActorName): Place | undefined {
    if (this.#state === 'new') return undefined
    return { generation: metaOf(this.#rows).generation, seq: this.#links.seenSeq(peer) }
  }

  /** All of whom something is kept. */
  #met(): ActorName[] {
    return this.#all('$peer').map(({ id }) => id)
  }

  /** All with whom something was spoken, and who are still trusted. */
  #correspondents(out: readonly OutRow[]): ActorName[] {
    const known = [...this.#all('$peer').map(({ id }) => id), ...out.map(({ letter }) => letter.to)]
    return [...new Set([...known, ...this.#links.peers()])].filter((peer) => this.#parts.trust.knows(peer))
  }

  // ── batch after batch ────────────────────────────────────────────────────────────────────────────

  /** Runs a batch soon: everything that arrives in this turn of the event loop shares its commit. */
  #wake(): void {
    this.#stirred = true
    if (this.#working || this.#state !== 'running') return
    this.#working = true
    queueMicrotask(() => {
      this.#idle = this.#work()
    })
  }

  async #work(): Promise<void> {
    while (this.#state === 'running' && (this.#stirred || this.#mailbox.size > 0)) {
      this.#stirred = false
      await this.#batch()
    }
    this.#working = false
    this.#setAlarm()
  }

  async #batch(): Promise<void> {
    const now = this.#clock.now()
    const mails = this.#mailbox.take(BATCH_MAX)
    if (mails[0]?.again !== true)
      for (const { table, row } of this.#due.take(now, BATCH_MAX))
        mails.push({ input: { kind: 'due', table, row } })
    const notes = this.#keys.take(now, () => this.#met())
    if (mails.length === 0 && this.#delivered.size === 0 && notes.length === 0) return
    try {
      const { composition: batch, afterwards } = this.#read(mails, notes, now)
      if (batch.commit.rows.length > 0 || batch.entries.length > 0) await this.#store.commit(batch.commit)
      for (const { table, id, row } of batch.changes) this.#adopt(table, id, row)
      this.#peers.written()
      this.#head = batch.head
      if (batch.generation !== undefined) this.#memory.renew(batch.generation)
      for (const tell of afterwards) tell()
      if (this.running) this.#dispatch(batch)
    } catch (error) {
      this.#fail(error, mails)
    }
  }

  #read(mails: readonly Mail[], notes: readonly LedgerNote[], now: Instant): Reading {
    const besides = { delivered: [...this.#delivered], peers: this.#peers.changes(), head: this.#head, notes }
    const reading = this.#reader.read(mails, now, besides)
    this.#delivered.clear()
    this.#flush?.()
    this.#flush = undefined
    return reading
  }

  #dispatch(batch: Composition): void {
    for (const row of batch.out) this.#postman.post(row)
    for (const [key, row] of batch.effects)
      row === undefined ? this.#effects.end(key) : this.#effects.start(row)
    for (const { seq, subject, reason, kind } of batch.entries)
      this.#parts.log.info({ actor: this.name, seq, subject, reason }, kind)
    if (batch.entries.length > 0) this.#announce(batch.entries)
  }

  /** What others do with the news is their affair: it is durable already. */
  #announce(entries: readonly LedgerEntry[]): void {
    try {
      this.#parts.onCommitted?.(entries)
    } catch (error) {
      this.#parts.log.error({ actor: this.name, err: error }, 'one who listens to commits failed')
    }
  }

  #tryAgain(mail: Mail): void {
    if (this.running) this.#put({ ...mail, again: true })
    else mail.settle?.reject(new SubletError('not-running', `actor ${this.name} is stopping`))
  }

  // ── small things ─────────────────────────────────────────────────────────────────────────────────

  /** What the mind does not look at when it is started is not parsed before somebody asks for it. */
  #takeUp(part: RowsPart): void {
    const { table, ids, dues } = part
    if (table === '$peer' || this.#parts.mind.looksAtAll?.includes(table) === true) {
      for (const row of rowsIn(part)) this.#adopt(table, row.id, row)
      return
    }
    this.#rows.takeUp(part)
    for (let place = 0; place < ids.length; place++)
      if (!Number.isNaN(dues[place])) this.#due.schedule(table, ids[place]!, dues[place]!)
    if (table === '$link') this.#links.takeUp(part)
  }

  #adopt(table: string, id: string, row: Row | undefined): void {
    const had = table === '$link' && this.#rows.has(table, id)
    this.#rows.set(table, id, row)
    this.#due.adopt(table, id, row)
    if (table === '$link') this.#links.adopt(id, row, had)
    if (table === '$peer') this.#links.saw(id, (row as PeerRow | undefined)?.seenSeq ?? 0)
  }

  #setAlarm(): void {
    const now = this.#clock.now()
    const looks = this.#keys.next(now, () => this.#met()) ?? Infinity
    const next = Math.min(this.#due.next() ?? Infinity, looks)
    if (this.#state === 'running') this.#alarm.set(next)
  }

  /** The mails of the batch are settled as far as they were not. */
  #fail(error: unknown, mails: readonly Mail[]): void {
    const gone = new SubletError('not-running', `actor ${this.name} has stopped`, { cause: error })
    for (const mail of mails) mail.settle?.reject(gone)
    this.#parts.log.error({ actor: this.name, err: error }, 'the actor stops: it cannot go on')
    if (!this.running) return
    this.#halt(gone)
    void this.#close()
      .catch((closing: unknown) =>
        this.#parts.log.error({ actor: this.name, err: closing }, 'the store was not closed'),
      )
      .then(() => this.#parts.onFailed(error))
  }

  #halt(reason: SubletError): void {
    this.#state = 'stopped'
    this.#alarm.stop()
    this.#flush?.()
    this.#postman.stop()
    for (const mail of this.#mailbox.empty()) mail.settle?.reject(reason)
  }

  #close(): Promise<void> {
    this.#closed ??= this.#closeOnce()
    return this.#closed
  }

  async #closeOnce(): Promise<void> {
    const running = await this.#effects.stop()
    if (running.length > 0)
      this.#parts.log.error({ actor: this.name, keys: running }, 'effects did not end when told to')
    await this.#idle
    await this.#store.close()
  }

  #all<R extends Row>(table: string): R[] {
    return [...this.#rows.all(table)] as R[]
  }
}
