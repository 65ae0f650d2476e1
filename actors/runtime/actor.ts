import type { Cancel, Clock, Instant, Millis } from './clock.ts'
import { type CommitLog, chain, type LedgerEntry, type LedgerHead, type LedgerNote } from './commit.ts'
import { Draft, type Outgoing, type PeerRow } from './draft.ts'
import { DueQueue } from './due-queue.ts'
import { type EffectRow, EffectRunner, type Perform } from './effects.ts'
import { type Ack, type Envelope, envelopeSchema, mistrust, seal, sealAck } from './envelope.ts'
import { inOneLine, SubletError } from './errors.ts'
import type { ActorName, Identity, Trust } from './identity.ts'
import { type IdSource, idSource } from './ids.ts'
import type { Input, Mind } from './mind.ts'
import { type OutRow, type PeerView, Postman } from './postman.ts'
import type { Random } from './random.ts'
import { decodeRow, encodeRow, type Row, RowSet, type StoredRow, type Tables } from './rows.ts'
import { steadyClock } from './steady.ts'
import type { Receiver, Transport } from './transport.ts'

/** Constant message plus fields, as pino takes them. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface ActorParts<T extends Tables> {
  readonly mind: Mind<T>
  readonly store: CommitLog
  readonly clock: Clock
  readonly identity: Identity
  readonly trust: Trust
  readonly transport: Transport
  readonly perform: Perform
  readonly random: Random
  readonly log: Log
  /** The most a peer's clock may be off while its offset is unknown; also the largest believed step of ours. */
  readonly skewMsMax: Millis
  /** Told after each commit. */
  readonly onCommitted?: (entries: readonly LedgerEntry[]) => void
  /** Told once, when the actor has stopped because it could not go on. */
  readonly onFailed: (error: unknown) => void
}

/** Numbers of one subject with one peer, in both directions. Kept until no message about it can be good. */
interface LinkRow extends Row {
  readonly out: number
  readonly in: number
  readonly inHash: string
}

interface MetaRow extends Row {
  readonly epoch: number
  readonly attempt: number
  readonly outSeq: number
}

type Settle = { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void }

interface Mail {
  readonly input: Input
  readonly settle?: Settle
  /** The second try, alone. */
  readonly again?: boolean
}

/** Stands for a link whose subject is retired and past every deadline. */
const FORGOTTEN: LinkRow = { id: '', out: 0, in: 0, inHash: '' }

const BATCH_MAX = 256
const MAILBOX_MAX = 20_000
const FLUSH_MS = 1_000
const OFFSET_CHANGE_MS = 20
const SET_ASIDE_DUE_MS = 60_000

/**
 * One actor: a mailbox, a mind and a store.
 *
 *   messages, due rows, outcomes, commands ──▶ mailbox ──batch──▶ mind ──draft──▶ ONE commit
 *                                                                                   │ durable
 *                      acknowledgements, replies, outbox, effects ◀─────────────────┘
 *
 * The rows in memory are those of the last commit. A commit that fails stops the actor: what it had in
 * mind never happened, and the next life starts from the store.
 */
export class Actor<T extends Tables> implements Receiver {
  readonly name: ActorName
  readonly #parts: ActorParts<T>
  readonly #clock: Clock
  readonly #ids: IdSource
  readonly #rows = new RowSet()
  readonly #due = new DueQueue()
  readonly #postman: Postman
  readonly #effects: EffectRunner
  readonly #mailbox: Mail[] = []
  readonly #delivered = new Set<string>()
  readonly #measured = new Map<ActorName, PeerRow>()
  readonly #heldBack = new Map<string, Instant>()
  /** Messages that are in the mailbox or in a batch under way: a double must not overtake its own commit. */
  readonly #inHand = new Map<string, Promise<Ack>>()
  #head: LedgerHead = { seq: 0, hash: '' }
  #state: 'new' | 'running' | 'stopped' = 'new'
  #committing = false
  #scheduled = false
  #alarm: Cancel | undefined
  #idle: Promise<void> = Promise.resolve()

  constructor(parts: ActorParts<T>) {
    this.name = parts.identity.name
    this.#parts = parts
    this.#clock = steadyClock(parts.clock, parts.skewMsMax, (step) => {
      parts.log.warn({ actor: this.name, ...step }, 'the wall clock jumped and is not believed')
      this.#put({ input: { kind: 'clock-step', ...step } })
    })
    this.#ids = idSource(parts.random.child('ids'))
    this.#postman = new Postman(this.#clock, parts.transport, parts.trust, parts.random.child('postman'), {
      delivered: (row) => {
        this.#delivered.add(row.id)
        if (this.#delivered.size === 1) this.#clock.after(FLUSH_MS, () => this.#wake())
      },
      failed: (row, code, reason) => {
        this.#delivered.add(row.id)
        this.#put({ input: { kind: 'undelivered', envelope: row.envelope, code, reason } })
      },
      measured: (peer, offsetMs, errorMs) => this.#measure(peer, offsetMs, errorMs),
    })
    this.#effects = new EffectRunner(this.#clock, parts.perform, (row, outcome) => {
      const { id: key, verb, args, attempt } = row
      this.#put({ input: { kind: 'effect', key, verb, args, attempt, outcome } })
    })
  }

  /** Reads all rows, opens a new epoch, and takes up what the last life left: outbox, effects, due rows. */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error(`actor ${this.name} was started twice`)
    const { rows, head } = await this.#parts.store.open()
    this.#head = head
    for (const stored of rows) this.#adopt(stored.table, stored.id, decodeRow(stored))
    const left = this.#meta()
    const out = this.#all<OutRow>('$out').sort((a, b) => a.seq - b.seq)
    this.#state = 'running'
    await this.#ask({ kind: 'started', epoch: left.epoch + 1 })
    for (const row of out) this.#postman.post(row)
    // What the mind began or replaced on being started runs already.
    for (const row of this.#all<EffectRow>('$effect'))
      if (row.attempt <= left.attempt) this.#effects.start(row)
  }

  /** Stops taking mail, ends effects under way (they are taken up in the next life) and closes the store. */
  async stop(): Promise<void> {
    if (this.#state === 'stopped') return
    this.#halt(new SubletError('not-running', `actor ${this.name} is stopping`))
    await this.#effects.stop()
    await this.#idle
    await this.#parts.store.close()
  }

  /** Resolves with the acknowledgement once the message is durable here, or with the reason why not. */
  async receive(message: Envelope): Promise<Ack> {
    const parsed = envelopeSchema.safeParse(message)
    if (!parsed.success) {
      const from = typeof message?.from === 'string' ? message.from.slice(0, 80) : ''
      const id = typeof message?.id === 'string' ? message.id.slice(0, 80) : ''
      return this.#ack(
        { id, from },
        'refused',
        'message-malformed',
        'the envelope has not the form of a message',
      )
    }
    const envelope = parsed.data
    if (this.#state !== 'running') return this.#ack(envelope, 'busy', '', `${this.name} is not running`)
    const reason = mistrust(envelope, this.name, this.#parts.trust, this.#clock.now(), this.#parts.skewMsMax)
    if (reason !== undefined) {
      this.#parts.log.warn(
        { actor: this.name, from: envelope.from, id: envelope.id, ...reason },
        'message refused',
      )
      return this.#ack(envelope, 'refused', reason.code, reason.reason)
    }
    if (this.#mailbox.length >= MAILBOX_MAX) return this.#ack(envelope, 'busy', '', 'the mailbox is full')
    const key = `${envelope.from} ${envelope.subject} ${envelope.number} ${envelope.bodyHash} ${envelope.kind}`
    const inHand = this.#inHand.get(key)
    if (inHand !== undefined) return this.#answerDouble(inHand, envelope)
    const answer = this.#take(envelope)
    this.#inHand.set(key, answer)
    return answer.finally(() => this.#inHand.delete(key))
  }

  /** Does a command of this machine and resolves with its reply once it is durable. */
  command(name: string, args: unknown): Promise<unknown> {
    return this.#ask({ kind: 'command', name, args })
  }

  /** Rows of the last commit, for queries. Not to be changed. */
  rows<K extends keyof T & string>(table: K): T[K][] {
    return this.#all<T[K]>(table)
  }

  peers(): PeerView[] {
    return this.#postman.peers()
  }

  get head(): LedgerHead {
    return this.#head
  }

  get running(): boolean {
    return this.#state === 'running'
  }

  async #answerDouble(inHand: Promise<Ack>, envelope: Envelope): Promise<Ack> {
    const { outcome, code, reason } = await inHand
    return this.#ack(envelope, outcome, code, reason)
  }

  async #take(envelope: Envelope): Promise<Ack> {
    try {
      const verdict = (await this.#ask({ kind: 'message', envelope })) as Numbered
      return this.#ack(envelope, verdict.outcome, verdict.code, verdict.reason)
    } catch (error) {
      const code = error instanceof SubletError ? error.code : 'message-set-aside'
      if (code === 'not-running') return this.#ack(envelope, 'busy', '', inOneLine(error))
      return this.#ack(envelope, 'refused', code, inOneLine(error))
    }
  }

  #ack(message: { id: string; from: string }, outcome: Ack['outcome'], code: string, reason: string): Ack {
    const { id, from: to } = message
    const ack = {
      id,
      to,
      from: this.name,
      outcome,
      code,
      reason: reason.slice(0, 500),
      at: this.#clock.now(),
    }
    return sealAck(ack, this.#parts.identity)
  }

  #ask(input: Input): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#state !== 'running')
        return reject(new SubletError('not-running', `actor ${this.name} is not running`))
      this.#put({ input, settle: { resolve, reject } })
    })
  }

  #put(mail: Mail): void {
    if (this.#state !== 'running') return
    this.#mailbox.push(mail)
    this.#wake()
  }

  /** Runs a batch soon: everything that arrives in this turn of the event loop shares its commit. */
  #wake(): void {
    if (this.#scheduled || this.#committing || this.#state !== 'running') return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#idle = this.#turn()
    })
  }

  async #turn(): Promise<void> {
    if (this.#committing || this.#state !== 'running') return
    const now = this.#clock.now()
    const mails = this.#collect(now)
    if (mails.length === 0 && this.#delivered.size === 0) return this.#setAlarm(now)
    const draft = new Draft<T>(this.#rows, this.name, now, this.#ids)
    const links = new Map<string, LinkRow>()
    const after = mails.map((mail) => this.#think(mail, draft, links))
    this.#committing = true
    try {
      const batch = this.#compose(draft, links, now)
      if (batch.rows.length > 0 || batch.entries.length > 0)
        await this.#parts.store.commit({ rows: batch.rows, ledger: batch.entries })
      if (this.#state !== 'running') return
      for (const change of batch.changes) this.#adopt(change.table, change.id, change.row)
      this.#head = batch.head
      this.#committing = false
      for (const settle of after) settle()
      for (const row of batch.out) this.#postman.post(row)
      for (const [key, row] of batch.effects)
        row === undefined ? this.#effects.end(key) : this.#effects.start(row)
      for (const entry of batch.entries)
        this.#parts.log.info(
          { actor: this.name, seq: entry.seq, subject: entry.subject, reason: entry.reason },
          entry.kind,
        )
      if (batch.entries.length > 0) this.#parts.onCommitted?.(batch.entries)
      if (this.#mailbox.length > 0) this.#wake()
      this.#setAlarm(now)
    } catch (error) {
      this.#fail(error, mails)
    }
  }

  /** Mail in order of arrival, then rows that are due; a second try goes alone. */
  #collect(now: Instant): Mail[] {
    if (this.#mailbox[0]?.again) return this.#mailbox.splice(0, 1)
    const nextAgain = this.#mailbox.findIndex((mail) => mail.again)
    const count = Math.min(BATCH_MAX, nextAgain < 0 ? this.#mailbox.length : nextAgain)
    const mails = this.#mailbox.splice(0, count)
    for (const { table, id } of this.#due.take(now, BATCH_MAX, (table, id) => this.#dueOf(table, id)))
      mails.push({ input: { kind: 'due', table, row: this.#rows.get(table, id)! } })
    return mails
  }

  /** Lets the mind read one piece of mail; returns what is to be told after the commit. */
  #think(mail: Mail, draft: Draft<T>, links: Map<string, LinkRow>): () => void {
    const { input, settle } = mail
    const mark = draft.mark()
    try {
      if (input.kind === 'message') {
        const verdict = this.#number(input.envelope, links)
        if (verdict.fresh) {
          this.#parts.mind.handle(input, draft)
          links.set(verdict.fresh.id, verdict.fresh)
        } else if (verdict.code !== '')
          draft.note('message refused', input.envelope.subject, verdict.reason, {
            from: input.envelope.from,
            code: verdict.code,
          })
        return () => settle?.resolve(verdict)
      }
      if (input.kind === 'due' && input.table === '$link') {
        links.set(input.row.id, FORGOTTEN)
        return () => undefined
      }
      if (input.kind === 'effect') {
        if (
          draft.intended.has(input.key) ||
          this.#row<EffectRow>('$effect', input.key)?.attempt !== input.attempt
        ) {
          this.#parts.log.info(
            { actor: this.name, key: input.key, verb: input.verb },
            'outcome of an old attempt noted',
          )
          return () => undefined
        }
        draft.endEffect(input.key)
      }
      if (input.kind === 'started')
        draft.put('$meta', { ...this.#meta(), epoch: input.epoch } as MetaRow & T['$meta'])
      const value = this.#parts.mind.handle(this.#freshDue(input, draft), draft)
      return () => settle?.resolve(value)
    } catch (error) {
      draft.rollback(mark)
      return this.#stumble(mail, error, draft)
    }
  }

  /** A row that is due may have been changed by earlier mail of the same batch. */
  #freshDue(input: Input, draft: Draft<T>): Input {
    if (input.kind !== 'due') return input
    const row = draft.get(input.table, input.row.id)
    return row === undefined ? input : { ...input, row }
  }

  #stumble(mail: Mail, error: unknown, draft: Draft<T>): () => void {
    const { input, settle } = mail
    if (error instanceof SubletError && input.kind === 'command') return () => settle?.reject(error)
    if (!mail.again) {
      this.#parts.log.warn(
        { actor: this.name, input: input.kind, reason: inOneLine(error) },
        'input failed; trying it alone',
      )
      return () => {
        this.#mailbox.unshift({ ...mail, again: true })
        this.#wake()
      }
    }
    const subject =
      input.kind === 'message' ? input.envelope.subject : input.kind === 'due' ? input.row.id : input.kind
    draft.note('input set aside', subject, `${inOneLine(error)}; it failed twice and is not tried again`, {
      input,
    })
    this.#parts.log.error({ actor: this.name, input, err: error }, 'input set aside')
    if (input.kind === 'effect') draft.endEffect(input.key)
    if (input.kind === 'due') {
      this.#heldBack.set(`${input.table}\n${input.row.id}`, draft.now + SET_ASIDE_DUE_MS)
      this.#due.push(draft.now + SET_ASIDE_DUE_MS, input.table, input.row.id)
    }
    const refusal = new SubletError('message-set-aside', `the input made ${this.name} fail twice`, {
      cause: error,
    })
    return () => settle?.reject(refusal)
  }

  /** Checks a message's number against the last one of its subject and sender. */
  #number(envelope: Envelope, links: Map<string, LinkRow>): Numbered {
    const id = `${envelope.from} ${envelope.subject}`
    const link = this.#link(id, links)
    const hash = `${envelope.kind} ${envelope.bodyHash}`
    if (envelope.number > link.in)
      return {
        outcome: 'received',
        code: '',
        reason: '',
        fresh: { ...link, in: envelope.number, inHash: hash, due: undefined },
      }
    if (envelope.number < link.in) return { outcome: 'noted', code: '', reason: 'an older message, noted' }
    if (hash === link.inHash) return { outcome: 'received', code: '', reason: 'received before' }
    const reason = `number ${envelope.number} was used before for another message`
    return { outcome: 'refused', code: 'message-conflict', reason }
  }

  /** Turns the draft into one commit: rows, outbox, marks, effects and ledger. */
  #compose(draft: Draft<T>, links: Map<string, LinkRow>, now: Instant): Batch {
    const changes: Change[] = []
    for (const [table, rows] of draft.changed) for (const [id, row] of rows) changes.push({ table, id, row })
    let meta =
      draft.get('$meta', 'meta') === undefined ? this.#meta() : (draft.get('$meta', 'meta') as Row as MetaRow)
    const metaBefore = meta
    const out: OutRow[] = []
    for (const message of draft.outgoing) {
      const sealed = this.#seal(message, draft.now, links)
      meta = { ...meta, outSeq: meta.outSeq + 1 }
      out.push({ id: sealed.id, envelope: sealed, overtakes: message.overtakes ?? false, seq: meta.outSeq })
    }
    const effects = new Map<string, EffectRow | undefined>()
    for (const [key, intended] of draft.intended) {
      if (intended === undefined) {
        effects.set(key, undefined)
        if (this.#row('$effect', key) !== undefined)
          changes.push({ table: '$effect', id: key, row: undefined })
        continue
      }
      meta = { ...meta, attempt: meta.attempt + 1 }
      const { verb, args, timeoutMs } = intended
      const row: EffectRow = { id: key, verb, args, timeoutMs, attempt: meta.attempt }
      effects.set(key, row)
      changes.push({ table: '$effect', id: key, row })
    }
    for (const [subject, at] of draft.retired) this.#retire(subject, at, links)
    for (const [id, link] of links)
      changes.push({ table: '$link', id, row: link === FORGOTTEN ? undefined : link })
    for (const row of out) changes.push({ table: '$out', id: row.id, row })
    for (const id of this.#delivered)
      if (this.#row('$out', id)) changes.push({ table: '$out', id, row: undefined })
    this.#delivered.clear()
    for (const peer of this.#measured.values()) changes.push({ table: '$peer', id: peer.id, row: peer })
    this.#measured.clear()
    if (meta !== metaBefore) changes.push({ table: '$meta', id: 'meta', row: meta })
    return { changes, out, effects, ...this.#write(changes, draft.notes, now) }
  }

  #write(changes: readonly Change[], notes: readonly LedgerNote[], now: Instant): Written {
    const rows = changes.map(({ table, id, row }) => encodeRow(table, id, row))
    const entries: LedgerEntry[] = []
    let head = this.#head
    for (const note of notes) {
      const entry = chain(note, now, this.name, head)
      entries.push(entry)
      head = { seq: entry.seq, hash: entry.hash }
    }
    return { rows, entries, head }
  }

  #seal(message: Outgoing, now: Instant, links: Map<string, LinkRow>): Envelope {
    const id = `${message.to} ${message.subject}`
    const link = this.#link(id, links)
    const number = link.out + 1
    links.set(id, { ...link, out: number, due: undefined })
    const { to, kind, subject, until } = message
    // The body is what JSON makes of it, here as after a restart.
    const body: unknown = JSON.parse(JSON.stringify(message.body ?? null))
    const unsigned = {
      id: this.#ids.next('message'),
      from: this.name,
      to,
      kind,
      subject,
      number,
      body,
      sentAt: now,
      until,
    }
    return seal(unsigned, this.#parts.identity)
  }

  #retire(subject: string, at: Instant, links: Map<string, LinkRow>): void {
    for (const row of this.#all<LinkRow>('$link'))
      if (row.id.endsWith(` ${subject}`) && !links.has(row.id)) links.set(row.id, row)
    for (const [id, link] of links)
      if (id.endsWith(` ${subject}`) && link !== FORGOTTEN) links.set(id, { ...link, due: at })
  }

  #link(id: string, links: ReadonlyMap<string, LinkRow>): LinkRow {
    const link = links.get(id) ?? this.#row<LinkRow>('$link', id)
    return link === undefined || link === FORGOTTEN ? { id, out: 0, in: 0, inHash: '' } : link
  }

  #measure(peer: ActorName, offsetMs: Millis, errorMs: Millis): void {
    const known = this.#measured.get(peer) ?? this.#row<PeerRow>('$peer', peer)
    const same =
      known &&
      Math.abs(known.offsetMs - offsetMs) <= OFFSET_CHANGE_MS &&
      known.errorMs <= errorMs + OFFSET_CHANGE_MS
    if (!same) this.#measured.set(peer, { id: peer, offsetMs, errorMs, measuredAt: this.#clock.now() })
  }

  #adopt(table: string, id: string, row: Row | undefined): void {
    this.#rows.set(table, id, row)
    this.#heldBack.delete(`${table}\n${id}`)
    if (row?.due !== undefined) this.#due.push(row.due, table, id)
  }

  #dueOf(table: string, id: string): Instant | undefined {
    const due = this.#rows.get(table, id)?.due
    return due === undefined ? undefined : (this.#heldBack.get(`${table}\n${id}`) ?? due)
  }

  #setAlarm(now: Instant): void {
    this.#alarm?.()
    this.#alarm = undefined
    const next = this.#due.peek((table, id) => this.#dueOf(table, id))
    if (next === undefined || this.#state !== 'running') return
    this.#alarm = this.#clock.after(Math.max(0, next.at - now), () => this.#wake())
  }

  #fail(error: unknown, mails: readonly Mail[]): void {
    this.#parts.log.error({ actor: this.name, err: error }, 'the commit failed; the actor stops')
    const gone = new SubletError('not-running', `actor ${this.name} has stopped`, { cause: error })
    for (const mail of mails) mail.settle?.reject(gone)
    this.#halt(gone)
    void this.#effects.stop().then(() => this.#parts.onFailed(error))
  }

  #halt(reason: SubletError): void {
    this.#state = 'stopped'
    this.#alarm?.()
    this.#postman.stop()
    for (const mail of this.#mailbox.splice(0)) mail.settle?.reject(reason)
  }

  #meta(): MetaRow {
    return this.#row<MetaRow>('$meta', 'meta') ?? { id: 'meta', epoch: 0, attempt: 0, outSeq: 0 }
  }

  #row<R extends Row>(table: string, id: string): R | undefined {
    return this.#rows.get(table, id) as R | undefined
  }

  #all<R extends Row>(table: string): R[] {
    return [...this.#rows.all(table)] as R[]
  }
}

interface Change {
  readonly table: string
  readonly id: string
  readonly row: Row | undefined
}

interface Written {
  readonly rows: readonly StoredRow[]
  readonly entries: readonly LedgerEntry[]
  readonly head: LedgerHead
}

interface Batch extends Written {
  readonly changes: readonly Change[]
  readonly out: readonly OutRow[]
  readonly effects: ReadonlyMap<string, EffectRow | undefined>
}

interface Numbered {
  readonly outcome: 'received' | 'noted' | 'refused'
  readonly code: string
  readonly reason: string
  /** The link with this message counted; undefined if it is not new. */
  readonly fresh?: LinkRow
}
