/** Anything that is kept under its id. */
interface Kept {
  readonly id: string
}

/**
 * What follows from the rows of one table, such as an index or a sum. It is kept along with the rows of the last
 * commit, so that nobody has to go through all of them; what a batch changes on top is in `Draft.changes`.
 */
export interface View<R extends Kept, V> {
  readonly table: string
  /** Of no rows. */
  begin(): V
  add(view: V, row: R): void
  /** A row that was added is no more, or no more like this. */
  remove(view: V, row: R): void
}

/** A row as it was at the last commit, and as the batch has it now. */
export interface Change<R extends Kept> {
  readonly before: R | undefined
  readonly after: R | undefined
}

/** Rows by something else than their id. */
export interface Index<R extends Kept> extends View<R, Map<string, Map<string, R>>> {
  /** Undefined: it is not found here. */
  keyOf(row: R): string | undefined
}

export function indexOf<R extends Kept>(table: string, keyOf: (row: R) => string | undefined): Index<R> {
  return {
    table,
    keyOf,
    begin: () => new Map(),
    add(view, row) {
      const key = keyOf(row)
      if (key === undefined) return
      const rows = view.get(key) ?? new Map<string, R>()
      view.set(key, rows)
      rows.set(row.id, row)
    },
    remove(view, row) {
      const key = keyOf(row)
      if (key === undefined) return
      const rows = view.get(key)
      rows?.delete(row.id)
      if (rows?.size === 0) view.delete(key)
    },
  }
}
