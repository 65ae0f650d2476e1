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
  /** One JSON array of them all: a long text is copied in one piece, where many small ones would cost as much each. */
  readonly text: string
  /** Where each ends in the text; the next begins after the comma. */
  readonly ends: Uint32Array
}

/** Long enough to be worth a message, short enough that one thread takes them up while the other reads on. */
const PART_CHARS = 512 * 1024
const PART_ROWS = 4_096

/** Puts rows of one table together. */
class Gathered {
  readonly #table: string
  readonly #ids: string[] = []
  readonly #texts: string[] = []
  readonly #dues: number[] = []
  readonly #ends: number[] = []
  #chars = 1

  constructor(table: string) {
    this.#table = table
  }

  get isFull(): boolean {
    return this.#chars >= PART_CHARS || this.#ids.length >= PART_ROWS
  }

  add(id: string, json: string): void {
    this.#ids.push(id)
    this.#texts.push(json)
    this.#dues.push(dueIn(json) ?? Number.NaN)
    this.#chars += json.length
    this.#ends.push(this.#chars)
    this.#chars++
  }

  part(): RowsPart {
    const texts = this.#texts
    texts[0] = `[${texts[0]}`
    texts.push(`${texts.pop()}]`)
    return {
      table: this.#table,
      ids: this.#ids,
      dues: Float64Array.from(this.#dues),
      text: texts.join(','),
      ends: Uint32Array.from(this.#ends),
    }
  }
}

/** Rows in parts, in the order in which they come within their table. */
export function* partsOf(
  rows: Iterable<{ readonly table: string; readonly id: string; readonly json: string }>,
): Generator<RowsPart> {
  const gathered = new Map<string, Gathered>()
  for (const { table, id, json } of rows) {
    const known = gathered.get(table) ?? new Gathered(table)
    known.add(id, json)
    gathered.set(table, known)
    if (!known.isFull) continue
    gathered.delete(table)
    yield known.part()
  }
  for (const rest of gathered.values()) yield rest.part()
}

const textOf = ({ text, ends }: RowsPart, place: number): string =>
  text.slice(place === 0 ? 1 : ends[place - 1]! + 1, ends[place]!)

export const rowAt = (part: RowsPart, place: number): Row => JSON.parse(textOf(part, place)) as Row

export const rowsIn = ({ text }: RowsPart): Row[] => JSON.parse(text) as Row[]

/**
 * What a row has in a field if that is a text, mostly without parsing the row: what stands before anything nested is of
 * the row itself. A quote within a text is written `\"`, so that none looks like a key.
 */
export function textAt(part: RowsPart, place: number, field: string): string | undefined {
  const json = textOf(part, place)
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
