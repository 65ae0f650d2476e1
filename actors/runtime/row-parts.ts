import type { Instant } from './clock.ts'
import type { Row } from './rows.ts'

/**
 * Rows of one table on their way from whoever reads a store to whoever keeps them. Each was compared with its
 * checksum, and none was parsed: of very many rows few are looked at soon.
 */
export interface RowsPart {
  readonly table: string
  readonly ids: readonly string[]
  /** When each is due; NaN for one that does not say. */
  readonly dues: Float64Array
  /** All of them, as within an array: a long text is copied in one piece, where many small ones would cost as much each. */
  readonly text: string
  /** Where each ends in the text. */
  readonly ends: Uint32Array
}

/** What stands between two rows: in none of them is a line feed, for JSON writes it otherwise. */
export const BETWEEN_ROWS = ',\n'

/** Of rows whose texts stand one after the other. `check` is shown each before anything is read out of it. */
export function partOf(
  table: string,
  ids: readonly string[],
  text: string,
  check: (place: number, json: string) => void,
): RowsPart {
  const dues = new Float64Array(ids.length)
  const ends = new Uint32Array(ids.length)
  let begin = 0
  for (let place = 0; place < ids.length; place++) {
    const feed = text.indexOf('\n', begin)
    const end = feed === -1 ? text.length : feed + 1 - BETWEEN_ROWS.length
    const json = text.slice(begin, end)
    check(place, json)
    dues[place] = dueIn(json) ?? Number.NaN
    ends[place] = end
    begin = end + BETWEEN_ROWS.length
  }
  return { table, ids, dues, text, ends }
}

const jsonAt = ({ text, ends }: RowsPart, place: number): string =>
  text.slice(place === 0 ? 0 : ends[place - 1]! + BETWEEN_ROWS.length, ends[place]!)

export const rowAt = (part: RowsPart, place: number): Row => JSON.parse(jsonAt(part, place)) as Row

export const rowsIn = ({ text }: RowsPart): Row[] => JSON.parse(`[${text}]`) as Row[]

/**
 * What a row has in a field if that is a text, mostly without parsing the row: what stands before anything nested is of
 * the row itself. A quote within a text is written `\"`, so that none looks like a key.
 */
export function textAt(part: RowsPart, place: number, field: string): string | undefined {
  const json = jsonAt(part, place)
  const key = `"${field}":"`
  const at = json.indexOf(key)
  const value = at === -1 ? undefined : json.slice(at + key.length, json.indexOf('"', at + key.length))
  if (value !== undefined && !value.includes('\\') && isOutermost(json, at)) return value
  const found = (JSON.parse(json) as Readonly<Record<string, unknown>>)[field]
  return typeof found === 'string' ? found : undefined
}

/** A bracket in a text makes it no for nothing, and never yes. */
function isOutermost(json: string, at: number): boolean {
  for (const bracket of ['{', '[']) {
    const nested = json.indexOf(bracket, 1)
    if (nested !== -1 && nested < at) return false
  }
  return true
}

const DUE = '"due":'
const isDigit = (code: number): boolean => code >= 48 && code <= 57

/**
 * When a row is due, mostly without parsing it: what stands before the last brace is of the row itself, and a
 * text that nowhere has the word as a key has nothing to say.
 */
export function dueIn(json: string): Instant | undefined {
  let at = json.length - 2
  while (isDigit(json.charCodeAt(at))) at--
  if (at < json.length - 2 && json.startsWith(DUE, at - DUE.length + 1)) return Number(json.slice(at + 1, -1))
  return json.includes(DUE) ? (JSON.parse(json) as Row).due : undefined
}
