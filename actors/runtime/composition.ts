import type { Instant } from './clock.ts'
import { type Commit, chain, type LedgerEntry, type LedgerHead } from './commit.ts'
import type { Draft, Outgoing, PeerRow } from './draft.ts'
import type { EffectRow } from './effects.ts'
import { type Envelope, seal } from './envelope.ts'
import type { Identity } from './identity.ts'
import type { IdSource } from './ids.ts'
import type { LinkDraft } from './links.ts'
import { plainCopy } from './plain.ts'
import type { OutRow } from './postman.ts'
import { encodeRow, type Row, type RowSet, type Tables } from './rows.ts'

/** There is one, `meta`: what grows over the lives of an actor. */
export interface MetaRow extends Row {
  readonly epoch: number
  readonly attempt: number
  readonly outSeq: number
}

export const metaOf = (rows: RowSet): MetaRow =>
  (rows.get('$meta', 'meta') as MetaRow | undefined) ?? { id: 'meta', epoch: 0, attempt: 0, outSeq: 0 }

export interface Change {
  readonly table: string
  readonly id: string
  readonly row: Row | undefined
}

/** One commit, and what is to be done once it is durable. */
export interface Composition {
  readonly commit: Commit
  readonly changes: readonly Change[]
  readonly entries: readonly LedgerEntry[]
  readonly head: LedgerHead
  readonly out: readonly OutRow[]
  /** By key; undefined ends what is under way on it. */
  readonly effects: ReadonlyMap<string, EffectRow | undefined>
}

/** What one batch came to. */
export interface Sources<T extends Tables> {
  readonly draft: Draft<T>
  readonly links: LinkDraft
  /** Messages that were acknowledged since the last commit. */
  readonly delivered: readonly string[]
  readonly peers: readonly PeerRow[]
  /** Undefined unless a life begins. */
  readonly epoch: number | undefined
  /** As of the last commit. */
  readonly rows: RowSet
  readonly head: LedgerHead
  readonly identity: Identity
  readonly ids: IdSource
}

/**
 * Turns a draft into one commit. It throws for what cannot be written down, and has then changed nothing.
 *
 *   draft.changed   ──▶ rows of the mind
 *   draft.outgoing  ──numbered, signed──▶ $out, $link      acknowledged ──▶ $out removed
 *   draft.intended  ──attempt──▶ $effect                    offsets ──▶ $peer
 *   draft.notes     ──chained──▶ ledger                     counters ──▶ $meta
 */
export function compose<T extends Tables>(sources: Sources<T>): Composition {
  const { draft, links, rows, head, epoch } = sources
  const before = metaOf(rows)
  const meta = { ...before, epoch: epoch ?? before.epoch }
  const changes: Change[] = []
  const change = (table: string, id: string, row: Row | undefined): void => {
    if (row !== undefined || rows.get(table, id) !== undefined) changes.push({ table, id, row })
  }

  for (const [table, drafted] of draft.changed) for (const [id, row] of drafted) change(table, id, row)
  const out: OutRow[] = []
  for (const message of draft.outgoing) {
    const envelope = sealed(message, draft.now, sources)
    out.push({ id: envelope.id, envelope, overtakes: message.overtakes ?? false, seq: ++meta.outSeq })
  }
  const effects = new Map<string, EffectRow | undefined>()
  for (const [key, intended] of draft.intended) {
    if (intended === undefined) effects.set(key, undefined)
    else {
      const { verb, args, timeoutMs } = intended
      effects.set(key, { id: key, verb, args, timeoutMs, attempt: ++meta.attempt })
    }
    change('$effect', key, effects.get(key))
  }
  for (const [subject, at] of draft.retired) links.retire(subject, at)
  for (const [id, link] of links.changes()) change('$link', id, link)
  for (const row of out) change('$out', row.id, row)
  for (const id of new Set([...sources.delivered, ...draft.outDone])) change('$out', id, undefined)
  for (const peer of sources.peers) change('$peer', peer.id, peer)
  if (meta.epoch !== before.epoch || meta.attempt !== before.attempt || meta.outSeq !== before.outSeq)
    change('$meta', 'meta', meta)

  const stored = changes.map(({ table, id, row }) => encodeRow(table, id, row))
  const { entries, head: after } = chained(draft, head)
  return { commit: { rows: stored, ledger: entries }, changes, entries, head: after, out, effects }
}

function sealed<T extends Tables>(message: Outgoing, now: Instant, sources: Sources<T>): Envelope {
  const { to, kind, subject, body, until } = message
  const { identity, ids, links } = sources
  const number = links.speak(to, subject, until)
  const id = ids.next('message')
  return seal({ id, from: identity.name, to, kind, subject, number, body, sentAt: now, until }, identity)
}

function chained<T extends Tables>(
  { notes, now, self }: Draft<T>,
  before: LedgerHead,
): { entries: LedgerEntry[]; head: LedgerHead } {
  const entries: LedgerEntry[] = []
  let head = before
  for (const { kind, subject, reason, data } of notes) {
    const words = { kind, subject: subject.toWellFormed(), reason: reason.toWellFormed() }
    const entry = chain(data === undefined ? words : { ...words, data: plainCopy(data) }, now, self, head)
    entries.push(entry)
    head = { seq: entry.seq, hash: entry.hash }
  }
  return { entries, head }
}
