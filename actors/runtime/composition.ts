import { checkpointNote, isCheckpointDue, type LastCheckpoint } from './checkpoint.ts'
import type { Instant, Millis } from './clock.ts'
import { type Commit, chain, type LedgerEntry, type LedgerHead, type LedgerNote } from './commit.ts'
import type { OutRow } from './courier.ts'
import type { Draft } from './draft.ts'
import type { EffectRow } from './effects.ts'
import { GOOD_MS_MAX, letterOf } from './envelope.ts'
import type { Identity } from './identity.ts'
import type { IdSource } from './ids.ts'
import type { LinkDraft } from './links.ts'
import type { PeerRow } from './peers.ts'
import type { RowSet } from './row-set.ts'
import { encodeRow, type Row, type Tables } from './rows.ts'

/** There is one, `meta`: what grows over the lives of an actor. */
export interface MetaRow extends Row {
  readonly epoch: number
  readonly attempt: number
  /** Messages that were composed, over all peers. */
  readonly outSeq: number
  /** Grows when memory was lost; an instant, so that it is above whatever was used in the time forgotten. */
  readonly generation: number
  /** Undefined before the first line of the ledger. */
  readonly checkpoint?: LastCheckpoint | undefined
  /** Set by who puts an older store in place; the next generation takes it away. */
  readonly restored?: { readonly at: Instant; readonly from: string } | undefined
}

const FIRST: MetaRow = { id: 'meta', epoch: 0, attempt: 0, outSeq: 0, generation: 0 }

/** Rows of earlier programs lack what grew later. */
export function metaOf(rows: RowSet): MetaRow {
  const kept = rows.get('$meta', 'meta') as Partial<MetaRow> | undefined
  return kept?.generation === undefined || kept.attempt === undefined || kept.outSeq === undefined
    ? { ...FIRST, ...kept }
    : (kept as MetaRow)
}

/**
 * The generation after one whose last message had the place `outSeq`, and peers have seen `seenSeq`: the present. Where
 * that is no more than what was used before (the clock was ahead then, or is behind now) it goes on above, by as much as
 * the day is old: set back once more to the same copy, before anybody could tell of it, a store would else begin the same
 * generation again, and say other things under its numbers.
 */
export function generationAfter({ generation, outSeq }: MetaRow, seenSeq: number, now: Instant): number {
  const above = Math.max(generation, outSeq, seenSeq) + 1
  return now > above ? now : above + (now % DAY_MS)
}

const DAY_MS: Millis = 86_400_000

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
  /** Undefined unless a new one begins. */
  readonly generation: number | undefined
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
  /** Undefined unless a new one begins, for memory was lost. */
  readonly generation: number | undefined
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
 *   draft.outgoing  ──numbered──▶ $out, $link              acknowledged ──▶ $out removed
 *   draft.intended  ──attempt──▶ $effect                    what is new of peers ──▶ $peer
 *   draft.notes     ──chained──▶ ledger                     counters ──▶ $meta
 */
export function compose<T extends Tables>(sources: Sources<T>): Composition {
  const { draft, links, rows } = sources
  const before = metaOf(rows)
  const meta = beginning(before, sources)
  const changes: Change[] = []
  const change = (table: string, id: string, row: Row | undefined): void => {
    if (!isSame(rows.get(table, id), row)) changes.push({ table, id, row })
  }

  for (const [table, drafted] of draft.changed) for (const [id, row] of drafted) change(table, id, row)
  const out: OutRow[] = []
  for (const message of draft.outgoing) {
    if (draft.superseded.has(message)) continue
    const { to, kind, subject, body, until, overtakes = false, whole = false } = message
    const { identity, ids } = sources
    const goodUntil = Math.min(until, draft.now + GOOD_MS_MAX)
    const number = links.speak(to, subject, goodUntil, meta.generation)
    const head = { id: ids.next('message'), from: identity.name, to, kind, subject, number }
    const letter = letterOf({ ...head, body, sentAt: draft.now, until: goodUntil })
    out.push({
      ...{ id: letter.id, letter, overtakes, whole, seq: ++meta.outSeq },
      generation: meta.generation,
    })
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
  for (const retirement of draft.retired.values()) links.retire(retirement)
  for (const [id, link] of links.changes()) change('$link', id, link)
  for (const row of out) change('$out', row.id, row)
  for (const id of new Set([...sources.delivered, ...draft.outDone])) change('$out', id, undefined)
  for (const peer of peersOf(sources)) change('$peer', peer.id, peer)
  const { entries, head: after } = chained(sources, meta)
  const grown = ['epoch', 'attempt', 'outSeq', 'checkpoint'] as const
  if (grown.some((counter) => meta[counter] !== before[counter])) change('$meta', 'meta', meta)

  const stored = changes.map(({ table, id, row }) => encodeRow(table, id, row))
  const commit = { rows: stored, ledger: entries }
  return { commit, changes, entries, head: after, out, effects, generation: sources.generation }
}

/** A row that says in each field what it said at the last commit need not be written again. */
function isSame(before: Row | undefined, after: Row | undefined): boolean {
  if (before === after) return true
  if (before === undefined || after === undefined) return false
  const was = before as unknown as Readonly<Record<string, unknown>>
  const is = after as unknown as Readonly<Record<string, unknown>>
  for (const key in is) if (is[key] !== was[key]) return false
  for (const key in was) if (is[key] !== was[key]) return false
  return true
}

type Growing = { -readonly [K in keyof MetaRow]: MetaRow[K] }

/** What grows, as it is when the batch begins. */
function beginning<T extends Tables>(before: MetaRow, { epoch, generation }: Sources<T>): Growing {
  const meta = { ...before, epoch: epoch ?? before.epoch }
  return generation === undefined ? meta : { ...meta, generation, outSeq: generation, restored: undefined }
}

/** Rows of peers that change: what was learned, and what is not to be forgotten with a link. */
function peersOf<T extends Tables>({ peers, links, rows, generation }: Sources<T>): Iterable<PeerRow> {
  const changed = new Map(peers.map((peer) => [peer.id, peer]))
  const get = (id: string): PeerRow =>
    changed.get(id) ?? (rows.get('$peer', id) as PeerRow | undefined) ?? { id }
  for (const [id, seenSeq] of links.forgotten())
    if (seenSeq > (get(id).seenSeq ?? 0)) changed.set(id, { ...get(id), seenSeq })
  // Whatever they saw of us before is below what we say from now on.
  if (generation !== undefined)
    for (const { id } of [...rows.all('$peer'), ...peers])
      if (get(id).ungreetedSeq !== undefined) changed.set(id, { ...get(id), ungreetedSeq: undefined })
  return changed.values()
}

/** The notes as lines, and a checkpoint after them when it is time for one. */
function chained<T extends Tables>(
  { draft: { notes, now, self }, head: before, identity }: Sources<T>,
  meta: Growing,
): { entries: LedgerEntry[]; head: LedgerHead } {
  const entries: LedgerEntry[] = []
  let head = before
  const append = (note: LedgerNote): void => {
    const entry = chain(note, now, self, head)
    entries.push(entry)
    head = { seq: entry.seq, hash: entry.hash }
  }
  for (const note of notes) append(note)
  if (entries.length === 0) return { entries, head }
  const { key } = identity
  meta.checkpoint ??= { seq: 0, at: now, key }
  if (isCheckpointDue(meta.checkpoint, head.seq, now, key)) {
    append(checkpointNote(head, identity))
    meta.checkpoint = { seq: head.seq, at: now, key }
  }
  return { entries, head }
}
