import type { Instant } from '../../actors/runtime/clock.ts'
import type { Commit, LedgerEntry } from '../../actors/runtime/commit.ts'
import type { OutRow } from '../../actors/runtime/courier.ts'
import type { Letter } from '../../actors/runtime/envelope.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { decodeRow, encodeRow, fitsChecksum, type Row, type StoredRow } from '../../actors/runtime/rows.ts'
import type { Store } from '../../adapters/store.ts'
import { partsOf } from './parts.ts'
import type { World } from './world.ts'

/** What happens to one commit: nothing, or the power goes before or after it is on disk. */
export type CommitFate = 'done' | 'crash before' | 'crash after'

/** One row of the mind that a commit changed. */
export interface Change {
  readonly table: string
  readonly id: string
  readonly before: Row | undefined
  readonly after: Row | undefined
}

/** What is done to a disk to see that it is found out; see plants.ts. */
export interface Spoils {
  /** What becomes of a commit on its way to the disk. */
  readonly commit?: ((commit: Commit) => Commit) | undefined
  /** Says that a commit is durable before it is. */
  readonly hasty?: boolean | undefined
}

/** A disk as it was at an instant. */
export interface Copy {
  readonly at: Instant
  readonly rows: ReadonlyMap<string, StoredRow>
  readonly ledger: readonly LedgerEntry[]
}

/** The disk of one actor; it outlives the actor's lives. A commit is there whole, or lost with the power. */
export class Disk {
  readonly rows = new Map<string, StoredRow>()
  readonly ledger: LedgerEntry[] = []
  /** Lines that were on it once, and went when it was set back. */
  readonly forgotten: LedgerEntry[] = []
  commits = 0
  /** Told what each commit changed, as soon as it is on disk. */
  onCommit: (changes: readonly Change[], entries: readonly LedgerEntry[]) => void = () => undefined
  /** Told what is said, as soon as that is on disk. */
  onSaid: ((letter: Letter) => void) | undefined
  /** Told on which subjects something was said and has arrived. */
  onArrived: (subjects: ReadonlySet<string>) => void = () => undefined
  /** Told what was in the tables before the disk was set back to a copy. */
  onSetBack: (before: Tables, copy: Copy) => void = () => undefined
  #tables = new Map<string, Table>()
  /** How many messages in the outbox are on each subject. */
  readonly #saying = new Map<string, number>()
  #open = false

  /** The rows of one of the mind's tables. */
  table<R extends Row>(name: string): Table<R> {
    const known = this.#tables.get(name) ?? new Table()
    this.#tables.set(name, known)
    return known as Table<R>
  }

  /** The store of one life. `fate` decides on each commit; `crash` ends the life. */
  store(
    world: World,
    alive: () => boolean,
    fate: () => CommitFate,
    crash: () => void,
    syncMs: () => number,
    restart: (rows: readonly StoredRow[]) => readonly StoredRow[] = (rows) => rows,
    spoils: Spoils = {},
  ): Store {
    return {
      open: async (take) => {
        if (this.#open) throw new SubletError('store-locked', 'the simulated disk is in use')
        this.#open = true
        const last = this.ledger.at(-1)
        const head = { seq: last?.seq ?? 0, hash: last?.hash ?? '' }
        const rows = restart([...this.rows.values()])
        // As a real one hands them over; what is corrupt is left for the actor to find.
        if (take === undefined || !rows.every(isWell)) return { rows, head }
        for (const part of partsOf(rows)) take(part)
        return { rows: [], head }
      },
      commit: (given) =>
        new Promise((resolve) => {
          const commit = spoils.commit?.(given) ?? given
          if (spoils.hasty === true) resolve()
          world.after(syncMs(), () => {
            if (!alive()) return
            const what = fate()
            this.commits++
            if (what !== 'crash before') this.#apply(commit)
            if (what === 'done') resolve()
            else crash()
          })
        }),
      entries: async ({ afterSeq, limit, subject }) =>
        this.ledger
          .filter((entry) => entry.seq > afterSeq && (subject === undefined || entry.subject === subject))
          .slice(0, limit),
      close: async () => this.release(),
    }
  }

  /** Something is said on the subject that is not known to have arrived. */
  isSaying(subject: string): boolean {
    return (this.#saying.get(subject) ?? 0) > 0
  }

  /** The process that had it open is gone. */
  release(): void {
    this.#open = false
  }

  /** What is on it now; undefined while nobody has begun. */
  copy(at: Instant): Copy | undefined {
    if (!this.rows.has(META)) return undefined
    return { at, rows: new Map(this.rows), ledger: [...this.ledger] }
  }

  /** An older copy is put in the place of what is there, with the mark that `sublet restore` makes. */
  setBack(copy: Copy, now: Instant): void {
    const before = this.#tables
    this.rows.clear()
    this.#tables = new Map()
    this.#saying.clear()
    for (const row of copy.rows.values()) this.#put(row)
    const restored = { at: now, from: `the copy of ${new Date(copy.at).toISOString()}` }
    const meta: Row = { ...decodeRow(copy.rows.get(META)!), ...{ restored } }
    this.#put(encodeRow('$meta', 'meta', meta))
    const kept = copy.ledger.length
    // Another copy may have been put back since this one was made.
    const same = this.ledger[kept - 1]?.hash === copy.ledger[kept - 1]?.hash
    this.forgotten.push(...(same ? this.ledger.slice(kept) : this.ledger))
    this.ledger.splice(0, this.ledger.length, ...copy.ledger)
    this.onSetBack({ table: (name) => (before.get(name) ?? new Table()) as never }, copy)
  }

  #apply({ rows, ledger }: Commit): void {
    const changes: Change[] = []
    const arrived = new Set<string>()
    for (const row of rows) {
      if (this.onSaid !== undefined && row.table === '$out' && row.json !== undefined)
        this.onSaid((decodeRow(row) as OutRow).letter)
      const { change, said } = this.#put(row)
      if (change !== undefined) changes.push(change)
      if (said !== undefined) arrived.add(said)
    }
    for (const entry of ledger) this.ledger.push(entry)
    this.onCommit(changes, ledger)
    if (arrived.size > 0) this.onArrived(arrived)
  }

  /** Returns what changed of the mind, and the subject of a message that has arrived. */
  #put(row: StoredRow): { change?: Change; said?: string | undefined } {
    const { table, id, json } = row
    const key = `${table}\n${id}`
    const before = this.rows.get(key)?.json
    if (json === undefined) this.rows.delete(key)
    else this.rows.set(key, row)
    if (table === '$out') return { said: this.#say(subjectOf(before), subjectOf(json)) }
    // The runtime's own rows are looked at only by those who ask for one.
    return table.startsWith('$') ? {} : { change: this.#change(table, id, json) }
  }

  #say(before: string | undefined, after: string | undefined): string | undefined {
    if (before !== undefined) this.#saying.set(before, this.#saying.get(before)! - 1)
    if (after !== undefined) this.#saying.set(after, (this.#saying.get(after) ?? 0) + 1)
    return after === undefined ? before : undefined
  }

  #change(table: string, id: string, json: string | undefined): Change {
    const known = this.table(table)
    const before = known.page(id)
    return new PageChange(table, id, before, known.set(id, json))
  }
}

const META = '$meta\nmeta'

/** The tables of a mind, as they were. */
export interface Tables {
  table<R extends Row>(name: string): Table<R>
}

/** The rows of a table, each read when somebody asks for it: most are written many times for each look. */
export class Table<R extends Row = Row> {
  readonly #pages = new Map<string, Page>()

  get(id: string): R | undefined {
    return this.#pages.get(id)?.row as R | undefined
  }

  has(id: string): boolean {
    return this.#pages.has(id)
  }

  keys(): Iterable<string> {
    return this.#pages.keys()
  }

  values(): R[] {
    return [...this.#pages.values()].map(({ row }) => row as R)
  }

  page(id: string): Page | undefined {
    return this.#pages.get(id)
  }

  set(id: string, json: string | undefined): Page | undefined {
    const page = json === undefined ? undefined : new Page(json)
    if (page === undefined) this.#pages.delete(id)
    else this.#pages.set(id, page)
    return page
  }
}

class Page {
  readonly #json: string
  #row: Row | undefined

  constructor(json: string) {
    this.#json = json
  }

  get row(): Row {
    this.#row ??= JSON.parse(this.#json) as Row
    return this.#row
  }
}

/** Read when somebody asks. */
class PageChange implements Change {
  readonly table: string
  readonly id: string
  readonly #before: Page | undefined
  readonly #after: Page | undefined

  constructor(table: string, id: string, before: Page | undefined, after: Page | undefined) {
    this.table = table
    this.id = id
    this.#before = before
    this.#after = after
  }

  get before(): Row | undefined {
    return this.#before?.row
  }

  get after(): Row | undefined {
    return this.#after?.row
  }
}

const isWell = (row: StoredRow): row is StoredRow & { json: string } =>
  row.json !== undefined && fitsChecksum(row.table, row.id, row.json, row.checksum)

/** Of a message in the outbox, without reading all of it. */
const subjectOf = (json: string | undefined): string | undefined =>
  json === undefined ? undefined : /"subject":"([^"]*)"/.exec(json)?.[1]

/** The number that a link has as heard, without reading all of it. */
export const heardIn = (json: string): number => Number(/[{,]"in":(\d+)/.exec(json)?.[1] ?? 0)
