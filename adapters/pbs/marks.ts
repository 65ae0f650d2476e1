import type { NodeMark } from '../batch-system.ts'
import type { PlacedMark } from './records.ts'

/**
 * Whose node it is, as one word:
 *
 *   sublet_<leaseId>_<unitId>_<address>     a property of a Torque node; a host resource of OpenPBS, without `sublet_`
 *   sublet_kept_kept_<address>              the last record of the list, of no lease any more
 *
 * The address is that of the moment when the record was made: the server keeps it, and a machine that comes
 * under the same name with another one is refused, so the record is then made anew.
 */
const WORD = /^([A-Za-z0-9.-]+)_([A-Za-z0-9.-]+)_([A-Za-z0-9.-]*)$/
const ID = /^[A-Za-z0-9.-]+$/

/** IPv6 has colons, which neither takes. */
export const placeOf = (address: string): string => address.replaceAll(/[^A-Za-z0-9.-]/g, '-')

export function markWord({ leaseId, unitId }: NodeMark, address: string): string {
  for (const id of [leaseId, unitId])
    if (!ID.test(id)) throw new Error(`an id in a PBS mark has letters, digits, dots and dashes: “${id}”`)
  return `${leaseId}_${unitId}_${placeOf(address)}`
}

export function readMarkWord(word: string): PlacedMark | undefined {
  const [, leaseId, unitId, address = ''] = WORD.exec(word) ?? []
  return leaseId === undefined || unitId === undefined ? undefined : { leaseId, unitId, address }
}

export const sameMark = (a: NodeMark | undefined, b: NodeMark): boolean =>
  a !== undefined && a.leaseId === b.leaseId && a.unitId === b.unitId

/** No lease has such an id: the mark of a record that is kept for the list's sake. */
export const KEPT: NodeMark = { leaseId: 'kept', unitId: 'kept' }

/** The longest note that Torque keeps is 255 characters. */
const NOTE_CHARS_MAX = 250
const REASON_CHARS_MAX = 100

/**
 * Our note on a node, which says that its being offline is ours: `sublet: lease ends`. There is one note on
 * a node; what somebody else had written there is carried along and put back when we let the node in again:
 * `sublet: lease ends [was: needs a new fan]`.
 */
export function ourNote(tag: string, reason: string, before: string): string {
  const theirs = noteBefore(tag, before)
  const words = reason.replaceAll(/["'\\<>&\p{Cc}]+/gu, ' ').slice(0, REASON_CHARS_MAX)
  const tail = theirs === '' ? '' : ` [was: ${theirs}]`
  return `${`${tag}: ${words}`.slice(0, Math.max(tag.length + 1, NOTE_CHARS_MAX - tail.length))}${tail}`
}

export const isOurNote = (tag: string, note: string): boolean => note.startsWith(`${tag}:`)

/** What was there before ours; the note itself if it is not ours. */
export const noteBefore = (tag: string, note: string): string =>
  isOurNote(tag, note) ? (/ \[was: (.*)\]/.exec(note)?.[1] ?? '') : note
