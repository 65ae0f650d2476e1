import { garbage } from '../pbs/records.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = Readonly<Record<string, Json>>

/** What a user fills with words of his own, and nobody here reads. */
const UNREAD = '\n\t\t\t"Variable_List":'

/**
 * `qstat -f -F json` and `pbsnodes -a -F json`, cut into their records: OpenPBS indents by tabs, so that a record
 * begins at `⇥⇥"id":⇥{` and ends before the next. What a user put into his environment can break the JSON of the
 * whole; so it breaks that of his own record only. A text that is indented in another way is read as a whole.
 */
export function* pieces(printed: string, section: 'Jobs' | 'nodes'): Generator<string> {
  const text = printed.trimEnd()
  if (!text.startsWith('{')) throw garbage(`it is no JSON: “${text.slice(0, 60)}”`)
  if (!text.endsWith('}'))
    throw garbage(`the JSON has no end: it was cut off after ${text.length} characters`)
  const at = text.indexOf(`\n\t"${section}":\t{`)
  if (at < 0) {
    yield* whole(text, section)
    return
  }
  if (!text.endsWith('\n}')) throw garbage('the JSON has no end: it was cut off after a record')
  const starts = [...text.slice(at).matchAll(/^\t\t"(?:[^"\\]|\\.)*":\t\{/gm)].map(({ index }) => at + index)
  for (const [i, from] of starts.entries()) {
    const piece = text.slice(from, starts[i + 1] ?? text.length)
    const end = piece.lastIndexOf('\n\t\t}')
    if (end < 0 && starts[i + 1] === undefined)
      throw garbage('the JSON has no end: its last record was cut off')
    yield end < 0 ? piece : piece.slice(0, end + '\n\t\t}'.length)
  }
}

function* whole(text: string, section: string): Generator<string> {
  const records = read(text)[section]
  if (records === undefined) return
  for (const [id, record] of Object.entries(objectOf(records)))
    yield JSON.stringify({ [id]: record }).slice(1, -1)
}

function read(text: string): JsonObject {
  try {
    return objectOf(JSON.parse(text) as Json)
  } catch (cause) {
    throw garbage(
      `it is no JSON: ${cause instanceof Error ? cause.message.slice(0, 80) : 'unreadable'}`,
      cause,
    )
  }
}

/** One record, with its id; what nobody reads is left out, where it ends as it should or else where it may. */
export function readPiece(piece: string): readonly [id: string, record: JsonObject] {
  const found = Object.entries(tolerant(piece))[0]
  if (found === undefined) throw garbage('it is empty')
  return [found[0], objectOf(found[1])]
}

function tolerant(piece: string): JsonObject {
  const from = piece.indexOf(UNREAD)
  if (from < 0) return read(`{${piece}}`)
  const without = (end: number): string => {
    const rest = piece.slice(end + '\n\t\t\t}'.length)
    const head = piece.slice(0, from)
    // Between what is before and what is after stands one comma, or none.
    return `{${rest.startsWith(',') ? head + rest.slice(1) : head.replace(/,$/, '') + rest}}`
  }
  try {
    return read(without(piece.indexOf('\n\t\t\t}', from)))
  } catch {
    return read(without(piece.lastIndexOf('\n\t\t\t}')))
  }
}

export const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}

/** Numbers come without quotes, also where a string is meant. */
export const wordOf = (record: JsonObject, key: string): string => {
  const value = Object.hasOwn(record, key) ? record[key] : undefined
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}
