import { digest } from './canonical.ts'
import type { Instant } from './clock.ts'
import { SubletError } from './errors.ts'

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

const checksumOf = (table: string, id: string, json: string): string =>
  digest(`${table}\n${id}\n${json}`).slice(0, 22)

export function encodeRow(table: string, id: string, row: Row | undefined): StoredRow {
  if (row === undefined) return { table, id, json: undefined, checksum: '' }
  const json = JSON.stringify(row)
  return { table, id, json, checksum: checksumOf(table, id, json) }
}

/** A row that does not fit its checksum stops the actor: skipped, its units would look free. */
export function decodeRow(stored: StoredRow): Row {
  if (stored.json === undefined || checksumOf(stored.table, stored.id, stored.json) !== stored.checksum)
    throw new SubletError(
      'store-corrupt',
      `row ${stored.id} of table ${stored.table} does not fit its checksum`,
    )
  return JSON.parse(stored.json) as Row
}

/** All rows of an actor in memory: the truth as of the last commit. */
export class RowSet {
  readonly #tables = new Map<string, Map<string, Row>>()

  get(table: string, id: string): Row | undefined {
    return this.#tables.get(table)?.get(id)
  }

  all(table: string): Iterable<Row> {
    return this.#tables.get(table)?.values() ?? []
  }

  set(table: string, id: string, row: Row | undefined): void {
    const rows = this.#tables.get(table) ?? new Map<string, Row>()
    this.#tables.set(table, rows)
    if (row === undefined) rows.delete(id)
    else rows.set(id, row)
  }

  *tables(): Iterable<[string, ReadonlyMap<string, Row>]> {
    yield* this.#tables
  }
}
