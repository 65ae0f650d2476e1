import { Parser } from 'xml2js'
import { garbage } from '../pbs/records.ts'

/** What is in an element: words, or other elements, more than one of them as a list. */
export type Element = string | { readonly [name: string]: Element | readonly Element[] }

/** What a user fills with words of his own, and nobody here reads. It may be megabytes. */
const UNREAD = ['Variable_List', 'submit_args']

/** What Torque itself writes, and nobody here reads: half of a record, and xml2js is slow. */
const DULL =
  /<(Checkpoint|Error_Path|Output_Path|Join_Path|Keep_Files|Mail_Points|Priority|server|egroup|hashname|queue_rank|queue_type|fault_tolerant|job_radix|submit_host|init_work_dir|request_version|substate|cput|energy_used|etime)>[^<]*<\/\1>/g

/**
 * `qstat -x` and `pbsnodes -x`, cut into their records without reading them; nothing at all is a list of none,
 * as 4.2 prints it. A list that has no end was cut off on the way, and half a list is worse than none.
 */
export function* pieces(printed: string, name: 'Job' | 'Node'): Generator<string> {
  const text = printed.trim()
  if (text === '') return
  if (!text.endsWith('</Data>') && !text.endsWith('<Data/>'))
    throw garbage(
      text.includes('<Data>')
        ? `the list of ${name}s has no end: it was cut off after ${text.length} characters`
        : `it is no XML: “${text.slice(0, 60)}”`,
    )
  const open = `<${name}>`
  for (let at = text.indexOf(open); at >= 0; ) {
    const next = text.indexOf(open, at + open.length)
    yield readable(text.slice(at, next < 0 ? text.lastIndexOf('</Data>') : next))
    at = next
  }
}

function readable(piece: string): string {
  let kept = piece
  for (const name of UNREAD) {
    const from = kept.indexOf(`<${name}>`)
    // From the last end: what a user wrote may look like one.
    const to = kept.lastIndexOf(`</${name}>`)
    if (from >= 0 && to > from) kept = kept.slice(0, from) + kept.slice(to + name.length + 3)
  }
  return kept.replaceAll(DULL, '')
}

/** One record. xml2js reads it at once, and calls back before it returns. */
export function readPiece(piece: string): Element {
  let read: Element | undefined
  let failed: unknown
  new Parser({ explicitRoot: false, explicitArray: false, trim: true }).parseString(
    piece,
    (error: Error | null, result: Element) => {
      failed ??= error ?? undefined
      read = result
    },
  )
  if (failed !== undefined)
    throw garbage(failed instanceof Error ? (failed.message.split('\n')[0] ?? '') : 'it is no XML', failed)
  if (read === undefined) throw garbage('it is empty')
  return read
}

export const inside = (from: Element | undefined, name: string): Element | undefined => {
  if (from === undefined || typeof from === 'string' || !Object.hasOwn(from, name)) return undefined
  const found = from[name]
  return Array.isArray(found) ? (found[0] as Element) : (found as Element)
}

/** The words of an element; empty if it is not there. */
export const words = (from: Element | undefined, name: string): string => {
  const found = inside(from, name)
  return typeof found === 'string' ? found.trim() : ''
}

export const wordsOf = (from: Element | undefined): Readonly<Record<string, string>> =>
  from === undefined || typeof from === 'string'
    ? {}
    : Object.fromEntries(Object.keys(from).map((name) => [name, words(from, name)]))
