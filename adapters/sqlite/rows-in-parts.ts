import type { DatabaseSync } from 'node:sqlite'
import { fitsChecksum, type Row } from '../../actors/runtime/rows.ts'
import { damaged } from './failures.ts'

/**
 * Rows of one table on their way from the thread that reads them to the one that keeps them. Each was
 * compared with its checksum; `text` is a JSON array. One long text is copied in one piece, where many
 * small objects would be taken apart and built again one by one.
 */
export interface RowsPart {
  readonly table: string
  readonly text: string
}

/** Long enough to be worth a message, short enough that the other thread parses while this one reads. */
const PART_CHARS = 512 * 1024

/** All rows, each compared with its checksum. One that does not fit ends it: it is never skipped. */
export function* rowsInParts(database: DatabaseSync): Generator<RowsPart> {
  const all = database.prepare('SELECT tbl, id, json, checksum FROM row')
  all.setReturnArrays(true)
  let table = ''
  let texts: string[] = []
  let chars = 0
  for (const found of all.iterate() as Iterable<unknown>) {
    const [tbl, id, json, checksum] = found as [string, string, string, string]
    if (!fitsChecksum(tbl, id, json, checksum))
      throw damaged(`row ${id} of table ${tbl} does not fit its checksum`)
    if (!namesItself(id, json)) throw damaged(`row ${id} of table ${tbl} calls itself otherwise`)
    if (tbl !== table || chars >= PART_CHARS) {
      if (texts.length > 0) yield { table, text: `[${texts.join(',')}]` }
      table = tbl
      texts = []
      chars = 0
    }
    texts.push(json)
    chars += json.length
  }
  if (texts.length > 0) yield { table, text: `[${texts.join(',')}]` }
}

const ID = '{"id":"'

/** Nearly every row begins with its id, and nearly no id needs an escape in JSON. */
function namesItself(id: string, json: string): boolean {
  const end = ID.length + id.length
  if (json.startsWith(ID) && json[end] === '"' && json.startsWith(id, ID.length) && !id.includes('\\'))
    return true
  return (JSON.parse(json) as Row).id === id
}
