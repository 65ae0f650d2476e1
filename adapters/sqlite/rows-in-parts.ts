import type { DatabaseSync } from 'node:sqlite'
import { BETWEEN_ROWS, partOf, type RowsPart } from '../../actors/runtime/row-parts.ts'
import { fitsChecksum, type Row } from '../../actors/runtime/rows.ts'
import { damaged } from './failures.ts'
import { fitsLayout3 } from './migrations/0004-checksums.ts'

/** Enough to be worth a message, and few enough that one thread takes them up while the other reads on. */
const PART_ROWS = 256
/** Of the first part of a table, whose rows may be long. */
const PART_ROWS_FIRST = 32
const PART_CHARS = 2 * 1024 * 1024

/** Checksums are written one after the other. */
type Fits = (table: string, id: string, json: string, checksum: string) => boolean
const fitsToday: Fits = (table, id, json, checksum) => fitsChecksum(table, id, json, Number(checksum))

/**
 * All rows of a database, table by table, each compared with its checksum. One that does not fit ends it: it is never
 * skipped. SQLite itself puts the rows of a part together: to fetch each alone would cost as much as to compare it.
 */
export function* rowsInParts(database: DatabaseSync, layout: number): Generator<RowsPart> {
  const fits = layout < 4 ? fitsLayout3 : fitsToday
  let left = Number(database.prepare('SELECT count(*) AS n FROM row').get()!.n)
  const next = database.prepare('SELECT min(tbl) AS tbl FROM row WHERE tbl > ?')
  let { tbl } = database.prepare('SELECT min(tbl) AS tbl FROM row').get()!
  for (; typeof tbl === 'string'; tbl = next.get(tbl)!.tbl)
    for (const part of pagesOf(database, tbl, fits)) {
      left -= part.ids.length
      yield part
    }
  // Where ids are not in order they are not all found by going from one to the next.
  if (left !== 0) throw damaged(`${left} rows are not in their place`)
}

function* pagesOf(database: DatabaseSync, table: string, fits: Fits): Generator<RowsPart> {
  let limit = PART_ROWS_FIRST
  const [first, following] = ['>=', '>'].map((beyond) => {
    const page = database.prepare(`
      SELECT json_group_array(id), group_concat(json, '${BETWEEN_ROWS}'), group_concat(checksum, ' '), max(id)
      FROM (SELECT id, json, checksum FROM row WHERE tbl = ? AND id ${beyond} ? ORDER BY id LIMIT ?)`)
    page.setReturnArrays(true)
    return (from: string) => page.get(table, from, limit) as unknown as (string | null)[]
  }) as [(from: string) => (string | null)[], (from: string) => (string | null)[]]
  for (let page = first(''); page[3] !== null; page = following(page[3]!)) {
    const ids = JSON.parse(page[0]!) as string[]
    const checksums = page[2]!.split(' ')
    yield partOf(table, ids, page[1]!, (place, json) => {
      const id = ids[place]!
      if (!fits(table, id, json, checksums[place]!))
        throw damaged(`row ${id} of table ${table} does not fit its checksum`)
      if (!namesItself(id, json)) throw damaged(`row ${id} of table ${table} calls itself otherwise`)
      if (place > 0 && !isBefore(ids[place - 1]!, id))
        throw damaged(`row ${id} of table ${table} is not in its place`)
    })
    const fitting = Math.floor((ids.length * PART_CHARS) / page[1]!.length)
    limit = Math.max(1, Math.min(PART_ROWS, 2 * limit, fitting))
  }
}

/** SQLite goes by UTF-8, which puts few and rare letters elsewhere. */
const isBefore = (a: string, b: string): boolean =>
  a < b || Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0

const ID = '{"id":"'

/** Nearly every row begins with its id, and nearly no id needs an escape in JSON. */
function namesItself(id: string, json: string): boolean {
  const end = ID.length + id.length
  if (json.startsWith(ID) && json[end] === '"' && json.startsWith(id, ID.length) && !id.includes('\\'))
    return true
  return (JSON.parse(json) as Row).id === id
}
