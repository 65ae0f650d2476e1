import { crc32 } from 'node:zlib'
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
  readonly checksum: number
}

/** A row that whoever read it has compared with its checksum. */
export interface CheckedRow {
  readonly table: string
  readonly id: string
  readonly row: Row
}

/** Finds what a disk did. Nobody's hand is meant: whoever can write a row can write what fits it, too. */
const checksumOf = (table: string, id: string, json: string): number =>
  crc32(json, crc32(`${table}\n${id}\n`))

export const fitsChecksum = (table: string, id: string, json: string, checksum: number): boolean =>
  checksumOf(table, id, json) === checksum

export function encodeRow(table: string, id: string, row: Row | undefined): StoredRow {
  if (row === undefined) return { table, id, json: undefined, checksum: 0 }
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
