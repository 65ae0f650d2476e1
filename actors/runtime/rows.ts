import { digest } from './canonical.ts'
import type { Instant } from './clock.ts'
import { SubletError } from './errors.ts'
import type { View } from './views.ts'

/** One record of an actor's state. A row that has something to do at a time says so in `due`. */
export interface Row {
  readonly id: string
  /** The row is handed back to the mind at this instant. Part of the row, so no timer can be forgotten. */
  readonly due?: Instant | undefined
}

/** The tables of one mind: table name to the type of its rows. */
export type Tables = Record<string, Row>

/** As a store keeps it. `json` is undefined when the row is removed. */
export interface StoredRow {
  readonly table: string
  readonly id: string
  readonly json: string | undefined
  readonly checksum: string
}

/** A row that whoever read it has compared with its checksum. */
export interface CheckedRow {
  readonly table: string
  readonly id: string
  readonly row: Row
}

const checksumOf = (table: string, id: string, json: string): string =>
  digest(`${table}\n${id}\n${json}`).slice(0, 22)

export const fitsChecksum = (table: string, id: string, json: string, checksum: string): boolean =>
  checksumOf(table, id, json) === checksum

export function encodeRow(table: string, id: string, row: Row | undefined): StoredRow {
  if (row === undefined) return { table, id, json: undefined, checksum: '' }
  // A row under another id would be read back as corrupt, or take the place of its neighbour.
  if (row.id !== id) throw new Error(`row ${row.id} of table ${table} was to be kept as ${id}`)
  const json = JSON.stringify(row)
  return { table, id, json, checksum: checksumOf(table, id, json) }
}

/**
 * A row that does not fit its checksum stops the actor: skipped, its units would look free. `owner` says whose
 * database has to be restored.
 */
export function decodeRow(stored: StoredRow | CheckedRow, owner?: string): Row {
  if ('row' in stored) return stored.row
  const { table, id, json, checksum } = stored
  const it = `row ${id} of table ${table}${owner === undefined ? '' : ` in the database of ${owner}`}`
  if (json === undefined || !fitsChecksum(table, id, json, checksum))
    throw new SubletError('store-corrupt', `${it} does not fit its checksum`)
  const row = JSON.parse(json) as Row
  if (row.id !== id) throw new SubletError('store-corrupt', `${it} calls itself ${row.id}`)
  return row
}

/** Rows that changed are remembered so far back; who asks more rarely looks at all of them. */
const CHANGES_MAX = 20_000

/** What changed in a table since somebody first asked: `ids` begins with change number `first`. */
interface Journal {
  first: number
  ids: string[]
}

/** All rows of an actor in memory: the truth as of the last commit. */
export class RowSet {
  readonly #tables = new Map<string, Map<string, Row>>()
  readonly #indexes = new Map<string, Map<string, FieldIndex>>()
  readonly #journals = new Map<string, Journal>()
  readonly #views = new Map<string, Map<View<never, unknown>, unknown>>()

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id)
  }

  all(table: string): Iterable<Row> {
    return this.#tables.get(table)?.values() ?? []
  }

  set(table: string, id: string, row: Row | undefined): void {
    const rows = this.#tableOf(table)
    const indexes = this.#indexes.get(table)
    if (indexes !== undefined) for (const index of indexes.values()) index.move(rows.get(id), row)
    const views = this.#views.get(table)
    const before = views === undefined ? undefined : rows.get(id)
    if (row === undefined) rows.delete(id)
    else rows.set(id, row)
    if (views !== undefined)
      for (const [view, value] of views) {
        if (before !== undefined) view.remove(value, before as never)
        if (row !== undefined) view.add(value, row as never)
      }
    const journal = this.#journals.get(table)
    if (journal === undefined) return
    journal.ids.push(id)
    if (journal.ids.length < 2 * CHANGES_MAX) return
    journal.ids.splice(0, CHANGES_MAX)
    journal.first += CHANGES_MAX
  }

  #tableOf(table: string): Map<string, Row> {
    const known = this.#tables.get(table)
    if (known !== undefined) return known
    const rows = new Map<string, Row>()
    this.#tables.set(table, rows)
    return rows
  }

  /** Made on first use, and kept from then on. */
  view<R extends Row, V>(view: View<R, V>): V {
    const views = this.#views.get(view.table) ?? new Map<View<never, unknown>, unknown>()
    this.#views.set(view.table, views)
    const known = views.get(view as View<never, unknown>)
    if (known !== undefined) return known as V
    const value = view.begin()
    for (const row of this.all(view.table)) view.add(value, row as R)
    views.set(view as View<never, unknown>, value)
    return value
  }

  /** The rows whose field says so, without a look at the others. */
  where(table: string, field: string, value: string): Row[] {
    const indexes = this.#indexes.get(table) ?? new Map<string, FieldIndex>()
    this.#indexes.set(table, indexes)
    const index = indexes.get(field) ?? new FieldIndex(field, this.all(table))
    indexes.set(field, index)
    return index.ids(value).map((id) => this.get(table, id)!)
  }

  count(table: string): number {
    return this.#tables.get(table)?.size ?? 0
  }

  /**
   * Which rows changed after change number `since`, for caches that follow a table; undefined if that is not
   * known, and all have to be looked at. `number` is to be given the next time.
   */
  changes(table: string, since: number): { readonly number: number; readonly ids: Set<string> | undefined } {
    const known = this.#journals.get(table)
    const journal = known ?? { first: 0, ids: [] }
    this.#journals.set(table, journal)
    const number = journal.first + journal.ids.length
    const ids =
      known === undefined || since < journal.first ? undefined : journal.ids.slice(since - journal.first)
    return { number, ids: ids === undefined ? undefined : new Set(ids) }
  }
}

/** Which rows of a table say what in one field; rows without it, or with something else than a text, are not in it. */
class FieldIndex {
  readonly #field: string
  readonly #ids = new Map<string, Set<string>>()

  constructor(field: string, rows: Iterable<Row>) {
    this.#field = field
    for (const row of rows) this.move(undefined, row)
  }

  ids(value: string): readonly string[] {
    return [...(this.#ids.get(value) ?? [])]
  }

  move(before: Row | undefined, after: Row | undefined): void {
    const from = this.#valueOf(before)
    const to = this.#valueOf(after)
    if (from === to) return
    if (from !== undefined) {
      const ids = this.#ids.get(from)!
      ids.delete(before!.id)
      if (ids.size === 0) this.#ids.delete(from)
    }
    if (to !== undefined) {
      const ids = this.#ids.get(to) ?? new Set<string>()
      this.#ids.set(to, ids.add(after!.id))
    }
  }

  #valueOf(row: Row | undefined): string | undefined {
    const value = (row as Readonly<Record<string, unknown>> | undefined)?.[this.#field]
    return typeof value === 'string' ? value : undefined
  }
}
