import type { Instant, Millis } from './clock.ts'
import type { LedgerNote } from './commit.ts'
import type { ActorName } from './identity.ts'
import type { IdKind, IdSource } from './ids.ts'
import type { PeerRow } from './peers.ts'
import { cut } from './plain.ts'
import type { RowSet } from './row-set.ts'
import { type Glimpse, textIn } from './row-table.ts'
import type { Row, Tables } from './rows.ts'
import type { Change, Index, View } from './views.ts'

/** A message to be sent once the commit is durable. */
export interface Outgoing {
  readonly to: ActorName
  readonly kind: string
  readonly subject: string
  readonly body: unknown
  /** Repeated until acknowledged or until then. */
  readonly until: Instant
  /** Goes out before older messages on the same subject: only for close and recall. */
  readonly overtakes?: boolean
  /** Tells the whole state of its subject: an older one that says the same kind of thing need not go out any more. */
  readonly whole?: boolean
}

/** Something to be done in the world once the commit is durable. One per key at a time. */
export interface Intended {
  /** What is worked on, such as a unit; a new effect on the same key ends the one before. */
  readonly key: string
  readonly verb: string
  readonly args: unknown
  readonly timeoutMs: Millis
}

/** Of the subject nothing more is said from then on: with that peer, or with anybody if the name is empty. */
export interface Retirement {
  readonly subject: string
  readonly peer: ActorName
  readonly at: Instant
}

/** Characters of the reason in one line of the ledger. */
export const LINE_CHARS_MAX = 2_000

type Undo = () => void

/**
 * What one batch wants to change, on top of the rows of the last commit. Nothing of it is true until it
 * is committed; a thrown error takes back what its input did (`mark` and `rollback`).
 */
export class Draft<T extends Tables> {
  readonly self: ActorName
  readonly now: Instant
  readonly outgoing: Outgoing[] = []
  /** Of them, those that a later one of the same batch makes needless. */
  readonly superseded = new Set<Outgoing>()
  readonly intended = new Map<string, Intended | undefined>()
  readonly notes: LedgerNote[] = []
  /** By peer and subject; the empty name for all peers. */
  readonly retired = new Map<string, Retirement>()
  /** So many messages were refused as they stand. */
  turnedDown = 0
  /** Messages of ours that are acknowledged or otherwise dealt with, and leave the outbox. */
  readonly outDone = new Set<string>()
  readonly changed = new Map<string, Map<string, Row | undefined>>()
  readonly #base: RowSet
  readonly #ids: IdSource
  readonly #peers: ReadonlyMap<ActorName, PeerRow>
  readonly #undo: Undo[] = []
  /** The last message of each peer, kind and subject that told the whole state. */
  readonly #whole = new Map<string, Outgoing>()

  /** `peers` are those of whom something new is known, written in the same commit. */
  constructor(base: RowSet, self: ActorName, now: Instant, ids: IdSource, peers: readonly PeerRow[] = []) {
    this.#base = base
    this.self = self
    this.now = now
    this.#ids = ids
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
  }

  get<K extends keyof T & string>(table: K, id: string): T[K] | undefined {
    const changes = this.changed.get(table)
    return (changes?.has(id) ? changes.get(id) : this.#base.get(table, id)) as T[K] | undefined
  }

  /** Every row of the table, in no particular order. */
  all<K extends keyof T & string>(table: K): T[K][] {
    const changes = this.changed.get(table)
    if (changes === undefined || changes.size === 0) return [...this.#base.all(table)] as T[K][]
    const rows: T[K][] = []
    for (const row of this.#base.all(table)) if (!changes.has(row.id)) rows.push(row as T[K])
    for (const row of changes.values()) if (row !== undefined) rows.push(row as T[K])
    return rows
  }

  /** The rows whose field says so, in no particular order, and without a look at the others. */
  where<K extends keyof T & string>(table: K, field: keyof T[K] & string, value: string): T[K][] {
    const found = this.#base.where(table, field, value) as T[K][]
    const changes = this.changed.get(table)
    if (changes === undefined || changes.size === 0) return found
    const rows = found.filter((row) => !changes.has(row.id))
    for (const row of changes.values() as Iterable<T[K] | undefined>)
      if (row !== undefined && row[field] === value) rows.push(row)
    return rows
  }

  /**
   * Due and one field of every row. Rows that nobody has looked at since the start are not parsed for it: whoever begins
   * finds those that have to be seen to, and the others cost nothing.
   */
  *glimpses<K extends keyof T & string>(table: K, field: keyof T[K] & string): Generator<Glimpse> {
    const changed = new Map(this.changed.get(table))
    for (const glimpse of this.#base.glimpses(table, field)) if (!changed.has(glimpse.id)) yield glimpse
    for (const row of changed.values())
      if (row !== undefined) yield { id: row.id, due: row.due, text: textIn(row, field) }
  }

  /** The rows as of the last commit, for caches that follow them; what this draft changes is in `changed`. */
  get committed(): RowSet {
    return this.#base
  }

  /** What follows from the rows of the last commit; what this batch changed comes on top. Not to be changed. */
  view<R extends Row, V>(view: View<R, V>): V {
    return this.#base.view(view)
  }

  /** What this batch changed in a table so far. */
  changes<K extends keyof T & string>(table: K): Change<T[K]>[] {
    return [...(this.changed.get(table) ?? [])].map(([id, after]) => ({
      before: this.#base.get(table, id) as T[K] | undefined,
      after: after as T[K] | undefined,
    }))
  }

  /** The rows that an index has under a key, in no particular order. */
  having<R extends Row>(index: Index<R>, key: string): R[] {
    const rows = [...(this.#base.view(index).get(key)?.values() ?? [])]
    const changes = this.changed.get(index.table)
    if (changes === undefined || changes.size === 0) return rows
    const changed = [...changes.values()].filter(
      (row): row is R => row !== undefined && index.keyOf(row as R) === key,
    )
    return [...rows.filter(({ id }) => !changes.has(id)), ...changed]
  }

  put<K extends keyof T & string>(table: K, row: T[K]): void {
    this.#set(table, row.id, row)
  }

  remove<K extends keyof T & string>(table: K, id: string): void {
    this.#set(table, id, undefined)
  }

  send(message: Outgoing): void {
    const { to, kind, subject, whole } = message
    const key = `${to} ${kind} ${subject}`
    const before = this.#whole.get(key)
    if (before !== undefined) this.superseded.add(before)
    if (whole === true) this.#whole.set(key, message)
    else this.#whole.delete(key)
    this.outgoing.push(message)
    this.#undo.push(() => {
      this.outgoing.pop()
      if (before !== undefined) this.superseded.delete(before)
      if (before === undefined) this.#whole.delete(key)
      else this.#whole.set(key, before)
    })
  }

  /** Ends whatever is under way on the key and does this instead. */
  effect(effect: Intended): void {
    this.#intend(effect.key, effect)
  }

  /** Ends whatever is under way on the key. */
  endEffect(key: string): void {
    this.#intend(key, undefined)
  }

  /** A line for the ledger. */
  note(kind: string, subject: string, why: string, data?: unknown): void {
    // A line is kept for ever: whatever somebody says, no sentence is longer.
    const reason = cut(why, LINE_CHARS_MAX)
    this.notes.push(data === undefined ? { kind, subject, reason } : { kind, subject, reason, data })
    this.#undo.push(() => this.notes.pop())
  }

  /**
   * The subject's numbers may be forgotten at `at`: no message about it can still be good then. With `peer` those of the
   * conversation with that peer alone: what one peer chooses to call a subject may be another's lease.
   */
  retire(subject: string, at: Instant, peer: ActorName = ''): void {
    const key = `${peer} ${subject}`
    const before = this.retired.get(key)
    this.retired.set(key, { subject, peer, at })
    this.#undo.push(() => (before === undefined ? this.retired.delete(key) : this.retired.set(key, before)))
  }

  /** What is being read is refused, without anything to be decided about it: its sender may say so many such things, and then waits. */
  turnDown(): void {
    this.turnedDown++
    this.#undo.push(() => {
      this.turnedDown--
    })
  }

  /** For the runtime: the message leaves the outbox in the same commit as what came of it. */
  endMessage(id: string): void {
    if (this.outDone.has(id)) return
    this.outDone.add(id)
    this.#undo.push(() => this.outDone.delete(id))
  }

  newId(kind: IdKind): string {
    return this.#ids.next(kind)
  }

  /** What is known of another actor: its clock, and the protocol that it speaks. */
  peer(name: ActorName): PeerRow | undefined {
    return this.#peers.get(name) ?? (this.#base.get('$peer', name) as PeerRow | undefined)
  }

  mark(): number {
    return this.#undo.length
  }

  rollback(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()!()
  }

  #set(table: string, id: string, row: Row | undefined): void {
    const changes = this.changed.get(table) ?? new Map<string, Row | undefined>()
    this.changed.set(table, changes)
    const had = changes.has(id)
    const before = changes.get(id)
    changes.set(id, row)
    this.#undo.push(() => (had ? changes.set(id, before) : changes.delete(id)))
  }

  #intend(key: string, effect: Intended | undefined): void {
    const had = this.intended.has(key)
    const before = this.intended.get(key)
    this.intended.set(key, effect)
    this.#undo.push(() => (had ? this.intended.set(key, before) : this.intended.delete(key)))
  }
}
