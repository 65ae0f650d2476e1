import type { Instant } from './clock.ts'
import type { LedgerHead, LedgerNote } from './commit.ts'
import { type Composition, compose, generationAfter, metaOf } from './composition.ts'
import { Draft, LINE_CHARS_MAX } from './draft.ts'
import type { DueRows } from './due-rows.ts'
import type { EffectRow } from './effects.ts'
import { ComeAgain, inOneLine, SubletError } from './errors.ts'
import type { ActorName, Identity } from './identity.ts'
import type { IdSource } from './ids.ts'
import type { LinkDraft, Links, Verdict } from './links.ts'
import type { Log } from './log.ts'
import type { Mail } from './mailbox.ts'
import type { Input, Mind } from './mind.ts'
import type { PeerRow, Restored } from './peers.ts'
import { cut, excerpt } from './plain.ts'
import type { RowSet } from './row-set.ts'
import type { Row, Tables } from './rows.ts'

/** What is to be told once the batch is durable. */
export type Afterwards = () => void

export interface Reading {
  readonly composition: Composition
  readonly afterwards: readonly Afterwards[]
}

export interface ReaderParts<T extends Tables> {
  readonly mind: Mind<T>
  readonly identity: Identity
  readonly ids: IdSource
  readonly log: Log
  /** As of the last commit. */
  readonly rows: RowSet
  readonly links: Links
  readonly due: DueRows
  /** Something of this peer was refused as it stands. */
  readonly turnedDown: (peer: ActorName) => void
  /** Puts the mail back, to be read alone. */
  readonly tryAgain: (mail: Mail) => void
}

/** What goes into the commit besides what comes of the mails. */
export interface Besides {
  readonly delivered: readonly string[]
  readonly peers: readonly PeerRow[]
  readonly head: LedgerHead
  /** What the actor itself has to write down. */
  readonly notes: readonly LedgerNote[]
}

/** What a batch comes to, while it is read. */
interface Pages<T extends Tables> {
  readonly draft: Draft<T>
  readonly links: LinkDraft
  epoch: number | undefined
  generation: number | undefined
}

const EXCERPT_CHARS_MAX = 4_000
/** What minds call that which changes nothing. */
const NOTED = 'message noted'
/** Rows that a batch makes due at once and that are read with it; none in a full batch, for others wait before them. */
const SOON_MAX = 256

/**
 * Reads a batch of mails into one commit.
 *
 *   mail ──numbers, attempts, due rows checked──▶ mind ──▶ draft ──▶ composition
 *                                                  ▲         └── rows due at once ──┐
 *                                                  └─────────────── once ───────────┘
 *                                                  │ it throws: what the mail did is taken back
 *                                                  ├──`ComeAgain`───▶ of a message: busy
 *                                                  ├──first time──▶ read again, alone
 *                                                  └──second──────▶ set aside, with its reason; if it is a due row, the
 *                                                                   mind is told, and may put it away
 *
 * What a mind wrote may turn out to be nothing that can be kept (a figure that is none): then no mail
 * of the batch has happened, and each is read alone. The first of a life is read again at once, without what came with it or is
 * due at once: whatever that was made of, the actor starts.
 */
export class Reader<T extends Tables> {
  readonly #parts: ReaderParts<T>
  readonly #name: string

  constructor(parts: ReaderParts<T>) {
    this.#parts = parts
    this.#name = parts.identity.name
  }

  read(mails: readonly Mail[], now: Instant, besides: Besides): Reading {
    const { identity, ids, rows, links } = this.#parts
    const begin = (): Pages<T> => {
      const draft = new Draft<T>(rows, identity.name, now, ids, besides.peers)
      for (const id of besides.delivered) draft.endMessage(id)
      for (const { kind, subject, reason, data } of besides.notes) draft.note(kind, subject, reason, data)
      return { draft, links: links.begin(), epoch: undefined, generation: undefined }
    }
    const pages = begin()
    const afterwards = mails.map((mail) => this.#think(mail, pages))
    if (mails[0]?.again !== true && mails.length < SOON_MAX) afterwards.push(...this.#thinkSoon(mails, pages))
    try {
      return { composition: compose({ ...pages, ...besides, identity, ids, rows }), afterwards }
    } catch (error) {
      const blank = begin()
      const readAgain = mails.map((mail) =>
        isVital(mail.input) ? this.#think(mail, blank) : this.#stumble(mail, error, blank),
      )
      return {
        composition: compose({ ...blank, ...besides, identity, ids, rows }),
        afterwards: readAgain,
      }
    }
  }

  /** Lets the mind read one piece of mail; what it did is taken back if it throws. */
  #think(mail: Mail, pages: Pages<T>): Afterwards {
    const { input, settle } = mail
    const { draft, links } = pages
    const mark = draft.mark()
    try {
      switch (input.kind) {
        case 'message': {
          const verdict = this.#hear(input, draft, links)
          return () => settle?.resolve(verdict)
        }
        case 'due':
          return this.#thinkDue(input, draft, links)
        case 'effect':
          if (this.#isOld(input, draft)) return () => undefined
          draft.endEffect(input.key)
          break
        case 'undelivered':
          draft.endMessage(input.envelope.id)
          break
        case 'started':
          pages.epoch = input.epoch
          if (input.restored !== undefined) this.#beginGeneration(input.restored, pages)
          break
        case 'restored':
          this.#beginGeneration(input.restored, pages)
      }
      const value = this.#parts.mind.handle(input, draft)
      return () => settle?.resolve(value)
    } catch (error) {
      draft.rollback(mark)
      return this.#stumble(mail, error, pages)
    }
  }

  /**
   * What the batch itself made due at once goes into the same commit, once each. If the mind throws at it, it stays due,
   * and comes with the next batch like all that are due.
   */
  #thinkSoon(mails: readonly Mail[], { draft }: Pages<T>): Afterwards[] {
    const keyOf = (table: string, id: string): string => `${table}\n${id}`
    const given = new Set(
      mails.map(({ input }) => (input.kind === 'due' ? keyOf(input.table, input.row.id) : undefined)),
    )
    const soon: { readonly table: string; readonly row: Row }[] = []
    for (const [table, rows] of draft.changed)
      for (const row of rows.values())
        if (soon.length < SOON_MAX && isDue(row, draft.now) && !given.has(keyOf(table, row.id)))
          soon.push({ table, row })
    return soon.map(({ table, row: { id } }) => {
      const row = draft.get(table, id)
      if (!isDue(row, draft.now)) return () => this.#parts.due.settle(table, id)
      const mark = draft.mark()
      try {
        this.#parts.mind.handle({ kind: 'due', table, row }, draft)
      } catch {
        draft.rollback(mark)
        return () => undefined
      }
      return this.#afterDue(table, id, draft)
    })
  }

  #beginGeneration({ reason, seenSeq }: Restored, pages: Pages<T>): void {
    const { draft } = pages
    const generation = generationAfter(metaOf(this.#parts.rows), seenSeq, draft.now)
    pages.generation = generation
    draft.note('store restored', draft.self, `${reason}; generation ${generation} begins`, { generation })
  }

  #hear(input: Input & { kind: 'message' }, draft: Draft<T>, links: LinkDraft): Verdict {
    const { envelope } = input
    const verdict = links.verdict(envelope)
    const before = draft.turnedDown
    if (verdict.fresh) {
      const lines = draft.notes.length
      this.#parts.mind.handle(input, draft)
      links.heard(envelope, false)
      // What changes nothing is written down all the same: so it costs as much room as what is refused.
      if (draft.turnedDown === before && draft.notes.slice(lines).some(({ kind }) => kind === NOTED))
        draft.turnDown()
    } else if (verdict.code === 'message-conflict') {
      draft.turnDown()
      draft.note('message refused', envelope.subject, verdict.reason, {
        from: envelope.from,
        code: verdict.code,
      })
    }
    if (draft.turnedDown > before) this.#parts.turnedDown(envelope.from)
    return verdict
  }

  /** A row that is due may have been moved or removed by earlier mail of the same batch. */
  #thinkDue(
    { kind, table, row: { id } }: Input & { kind: 'due' },
    draft: Draft<T>,
    links: LinkDraft,
  ): Afterwards {
    if (table === '$link') {
      links.forget(id, draft.now)
      return () => undefined
    }
    const row = draft.get(table, id)
    if (!isDue(row, draft.now)) return () => this.#parts.due.settle(table, id)
    this.#parts.mind.handle({ kind, table, row }, draft)
    return this.#afterDue(table, id, draft)
  }

  #afterDue(table: string, id: string, draft: Draft<T>): Afterwards {
    return isDue(draft.get(table, id), draft.now)
      ? () => this.#parts.due.stillDue(table, id, draft.now)
      : () => this.#parts.due.settle(table, id)
  }

  #isOld({ key, verb, attempt }: Input & { kind: 'effect' }, draft: Draft<T>): boolean {
    if (
      !draft.intended.has(key) &&
      (this.#parts.rows.get('$effect', key) as EffectRow | undefined)?.attempt === attempt
    )
      return false
    this.#parts.log.info({ actor: this.#name, key, verb }, 'outcome of an old attempt noted')
    return true
  }

  /** The first time it is tried again alone; the second time it is set aside. */
  #stumble(mail: Mail, error: unknown, { draft, links }: Pages<T>): Afterwards {
    const { input, settle } = mail
    if (isVital(input)) throw error
    if (error instanceof SubletError && input.kind === 'command') return () => settle?.reject(error)
    if (error instanceof ComeAgain && input.kind === 'message') return () => settle?.reject(error)
    if (mail.again !== true) {
      this.#parts.log.warn(
        { actor: this.#name, input: input.kind, reason: cut(inOneLine(error), LINE_CHARS_MAX) },
        'input failed; trying it alone',
      )
      return () => this.#parts.tryAgain(mail)
    }
    this.#parts.log.error({ actor: this.#name, input: input.kind, err: error }, 'input set aside')
    draft.note(
      'input set aside',
      subjectOf(input),
      `${inOneLine(error)}; it failed twice and is not tried again`,
      { input: input.kind, excerpt: excerpt(withoutProperties(input), EXCERPT_CHARS_MAX) },
    )
    const refusal = new SubletError('message-set-aside', `the input made ${this.#name} fail twice`, {
      cause: error,
    })
    if (input.kind === 'message') links.heard(input.envelope, true)
    if (input.kind === 'undelivered') draft.endMessage(input.envelope.id)
    if (input.kind === 'effect') draft.endEffect(input.key)
    if (input.kind === 'due') this.#putAway(input, draft)
    return () => {
      if (input.kind === 'due') this.#parts.due.setAside(input.table, input.row.id, draft.now)
      settle?.reject(refusal)
    }
  }

  /** Else it comes again after a while, for ever. */
  #putAway({ table, row: { id } }: Input & { kind: 'due' }, draft: Draft<T>): void {
    const row = draft.get(table, id)
    if (row === undefined) return
    const mark = draft.mark()
    try {
      this.#parts.mind.handle({ kind: 'set-aside', table, row }, draft)
    } catch {
      draft.rollback(mark)
    }
  }
}

/** Without having begun its epoch, or without knowing that it has forgotten, an actor cannot go on. */
const isVital = ({ kind }: Input): boolean => kind === 'started' || kind === 'restored'

const isDue = (row: Row | undefined, now: Instant): row is Row => row?.due !== undefined && row.due <= now

/** The ledger keeps for ever what is in it: property lists may hold what is nobody's business, so only their keys are. */
function withoutProperties(input: Input): unknown {
  const hide = (key: string, value: unknown): unknown =>
    (key === 'properties' || key === 'facts') && typeof value === 'object' && value !== null
      ? Object.keys(value)
      : value
  try {
    return JSON.parse(JSON.stringify(input, hide))
  } catch {
    return input.kind
  }
}

const subjectOf = (input: Input): string => {
  if (input.kind === 'message' || input.kind === 'undelivered') return input.envelope.subject
  if (input.kind === 'due') return input.row.id
  if (input.kind === 'effect') return input.key
  return input.kind
}
