import type { RowsPart } from './row-parts.ts'
import { type Glimpse, RowTable, textIn } from './row-table.ts'
import type { Row } from './rows.ts'
import type { View } from './views.ts'

/** Rows that changed are remembered so far back; who asks more rarely looks at all of them. */
const CHANGES_MAX = 20_000

/** What changed in a table since somebody first asked: `ids` begins with change number `first`. */
interface Journal {
  first: number
  ids: string[]
}

/** All rows of an actor in memory: the truth as of the last commit. */
export class RowSet {
  readonly #tables = new Map<string, RowTable>()
  readonly #indexes = new Map<string, Map<string, FieldIndex>>()
  readonly #journals = new Map<string, Journal>()
  readonly #views = new Map<string, Map<View<never, unknown>, unknown>>()

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id)
  }

  has(table: string, id: string): boolean {
    return this.#tables.get(table)?.has(id) ?? false
  }

  all(table: string): Iterable<Row> {
    return this.#tables.get(table)?.values() ?? []
  }

  /** Due and one field of every row of a table, for whoever looks for the few that matter among very many. */
  glimpses(table: string, field: string): Iterable<Glimpse> {
    return this.#tables.get(table)?.glimpses(field) ?? []
  }

  set(table: string, id: string, row: Row | undefined): void {
    const rows = this.#tableOf(table)
    const indexes = this.#indexes.get(table)
    if (indexes !== undefined) for (const index of indexes.values()) index.move(rows.get(id), row)
    const views = this.#views.get(table)
    const before = views === undefined ? undefined : rows.get(id)
    rows.set(id, row)
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

  /** Rows of a store that is being opened, before anybody has asked for any of their table. */
  takeUp(part: RowsPart): void {
    this.#tableOf(part.table).takeUp(part)
  }

  #tableOf(table: string): RowTable {
    const known = this.#tables.get(table)
    if (known !== undefined) return known
    const rows = new RowTable()
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
    const from = textIn(before, this.#field)
    const to = textIn(after, this.#field)
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
}
