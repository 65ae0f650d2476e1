import { Parser } from 'xml2js'
import { SubletError } from '../../actors/runtime/errors.ts'
import { unreadWarning } from '../batch/unread.ts'

/**
 * XML as GridEngine prints it, piece by piece: a list of ten thousand jobs is ten megabytes, which xml2js
 * needs a second for. The text is cut at its records; each is parsed by itself, a few at a time, and other
 * work has its turn in between. A record that is no XML (GridEngine has printed names and arguments
 * unescaped) is a warning; a text that does not end as it should was cut off, and nothing of it counts.
 */

/** An element as xml2js makes it: attributes under `$`, text under `_`, children by name. */
export interface Element {
  readonly attributes: Readonly<Record<string, string>>
  readonly text: string
  all(name: string): readonly Element[]
  /** The text of the first child of this name; empty if there is none. */
  get(name: string): string
}

/** What was read, and a sentence for each record that could not be. */
export interface Records<R> {
  readonly records: readonly R[]
  readonly warnings: readonly string[]
  /** Their names, as far as they can be told, else empty ones. */
  readonly unread?: readonly string[]
}

export interface Pieces {
  /** The command, for messages. */
  readonly source: string
  /** The outermost element, whose end must be there. */
  readonly root: string
  /** The elements that are records; they are not nested. */
  readonly piece: string
  /** Children that nobody reads, and that may be other at each look. */
  readonly unread?: RegExp
}

/**
 * What was read before, by its text: xml2js takes a quarter of a millisecond for a record, and of ten
 * thousand that wait few have changed since the last look. Holds what the last reading has used.
 */
export interface Memory<R> {
  last: ReadonlyMap<string, R>
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

export function elementOf(value: unknown): Element {
  const fields = isObject(value) ? value : {}
  const text = typeof value === 'string' ? value : typeof fields._ === 'string' ? fields._ : ''
  const attributes: Record<string, string> = {}
  if (isObject(fields.$))
    for (const [name, given] of Object.entries(fields.$)) attributes[name] = String(given)
  const all = (name: string): readonly Element[] => {
    const children = Object.hasOwn(fields, name) && name !== '$' ? fields[name] : undefined
    return Array.isArray(children) ? children.map(elementOf) : []
  }
  return { attributes, text, all, get: (name) => all(name)[0]?.text ?? '' }
}

/** What XML 1.0 has no place for, and an ampersand that begins nothing. */
const NOT_XML = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu
const BARE_AMPERSAND = /&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)/g

export function parseElement(text: string): Element {
  const parser = new Parser({ explicitRoot: false, async: false })
  let read: unknown
  let failed: Error | null = null
  const mended = text.replace(NOT_XML, '\uFFFD').replace(BARE_AMPERSAND, '&amp;')
  parser.parseString(mended, (error, result: unknown) => {
    failed = error
    read = result
  })
  if (failed !== null) throw garbage('it is not XML', failed)
  return elementOf(read)
}

const garbage = (what: string, cause?: unknown): SubletError =>
  new SubletError('middleware-garbage', what, cause === undefined ? {} : { cause })

/** Throws if the text does not end as it should. */
function whole(printed: string, source: string, root: string): void {
  const tail = printed.slice(-200).trimEnd()
  if (printed.includes(`<${root}`) && (tail.endsWith(`</${root}>`) || tail.endsWith('/>'))) return
  throw garbage(
    printed.trim() === ''
      ? `${source} printed nothing`
      : `${source} printed ${printed.length} characters that do not end with </${root}>, but with “${tail.slice(-40)}”`,
  )
}

/** The records, as text, found one by one. */
export function* cut(printed: string, { source, root, piece }: Pieces): Generator<string> {
  whole(printed, source, root)
  const begin = `<${piece}`
  const end = `</${piece}>`
  for (let from = nextOf(printed, begin, 0); from >= 0; ) {
    // A record reaches at most to the next one, so that one without an end spoils no other.
    const next = nextOf(printed, begin, from + begin.length)
    const upTo = printed.lastIndexOf(end, next < 0 ? printed.length : next)
    yield printed.slice(from, upTo > from ? upTo + end.length : next < 0 ? printed.length : next)
    from = next
  }
}

/** Records that have the name of other elements: each from where `begin` fits to the end of its `element`. */
export function cutAt(
  printed: string,
  begin: RegExp,
  { source, root, end }: { readonly source: string; readonly root: string; readonly end: string },
): readonly string[] {
  whole(printed, source, root)
  const starts = [...printed.matchAll(begin)].map(({ index }) => index)
  const last = printed.indexOf(end, starts.at(-1) ?? 0)
  return starts.map((from, at) => {
    const piece = printed.slice(from, starts[at + 1] ?? (last < 0 ? printed.length : last))
    return piece.slice(0, piece.lastIndexOf('</element>') + '</element>'.length)
  })
}

/** Where an element of this very name begins. */
function nextOf(printed: string, begin: string, from: number): number {
  for (let at = printed.indexOf(begin, from); at >= 0; at = printed.indexOf(begin, at + 1))
    if (/[\s>/]/.test(printed[at + begin.length] ?? '')) return at
  return -1
}

/** Some milliseconds for xml2js. */
const CHARS_AT_ONCE = 12_000

const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const readPieces = async <R>(
  printed: string,
  pieces: Pieces,
  make: (element: Element) => R,
  signal?: AbortSignal,
  memory?: Memory<R>,
): Promise<Records<R>> =>
  readEach(pieces.source, spared(printed, pieces), (text) => make(parseElement(text)), signal, memory)

function* spared(printed: string, pieces: Pieces): Generator<string> {
  const { unread } = pieces
  for (const text of cut(printed, pieces)) yield unread === undefined ? text : text.replace(unread, '')
}

export async function readEach<R>(
  source: string,
  texts: Iterable<string>,
  make: (text: string) => R,
  signal?: AbortSignal,
  memory?: Memory<R>,
): Promise<Records<R>> {
  const records: R[] = []
  const warnings: string[] = []
  const used = new Map<string, R>()
  const unread: string[] = []
  let at = -1
  /** Characters since others had their turn; a record that is remembered counts little. */
  let work = 0
  for (const text of texts) {
    at += 1
    if (work >= CHARS_AT_ONCE) {
      await othersTurn()
      signal?.throwIfAborted()
      work = 0
    }
    try {
      const known = memory?.last.get(text)
      work += known === undefined ? text.length : text.length / 20
      const record = known ?? make(text)
      records.push(record)
      used.set(text, record)
    } catch (error) {
      unread.push(/^<host name='([^']*)'/.exec(text)?.[1] ?? '')
      warnings.push(unreadWarning(source, at + 1, text, error))
    }
  }
  if (memory !== undefined) memory.last = used
  // A form that fits no record at all is another version's, not a broken record.
  if (records.length === 0 && warnings.length > 1)
    throw garbage(`${source} printed ${warnings.length} records, none readable. ${warnings[0]}`)
  return { records, warnings, unread }
}
