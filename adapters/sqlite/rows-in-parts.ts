import type { DatabaseSync } from 'node:sqlite'
import { partsOf, type RowsPart } from '../../actors/runtime/row-parts.ts'
import { fitsChecksum, type Row } from '../../actors/runtime/rows.ts'
import { damaged } from './failures.ts'
import { fitsLayout3 } from './migrations/0004-checksums.ts'

/**
 * All rows of a database in this layout, each compared with its checksum. One that does not fit ends it: it is never
 * skipped.
 */
export function* rowsInParts(database: DatabaseSync, layout: number): Generator<RowsPart> {
  yield* partsOf(checked(database, layout < 4 ? fitsLayout3 : fitsChecksum))
}

function* checked(database: DatabaseSync, fits: typeof fitsChecksum) {
  const all = database.prepare('SELECT tbl, id, json, checksum FROM row')
  all.setReturnArrays(true)
  for (const found of all.iterate() as Iterable<unknown>) {
    const [table, id, json, checksum] = found as [string, string, string, number]
    if (!fits(table, id, json, checksum))
      throw damaged(`row ${id} of table ${table} does not fit its checksum`)
    if (!namesItself(id, json)) throw damaged(`row ${id} of table ${table} calls itself otherwise`)
    yield { table, id, json }
  }
}

const ID = '{"id":"'

/** Nearly every row begins with its id, and nearly no id needs an escape in JSON. */
function namesItself(id: string, json: string): boolean {
  const end = ID.length + id.length
  if (json.startsWith(ID) && json[end] === '"' && json.startsWith(id, ID.length) && !id.includes('\\'))
    return true
  return (JSON.parse(json) as Row).id === id
}
