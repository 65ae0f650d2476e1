import { BODY_CHARS_MAX } from './envelope.ts'
import { cut, flawOf, plainCopy } from './plain.ts'

/**
 * One law for who writes a line of the ledger and for who verifies it:
 *
 *   written    lawful        what verification would refuse is mended, or said instead of what was meant
 *   verified   flawOfLine    nothing else is accepted
 *
 * A line that is written and cannot be verified would disprove all that follows it, for ever.
 */

/** No line is longer: a batch of messages is not, nor is what is said of it. */
const CHARS_MAX = 64 * BODY_CHARS_MAX
/** ... as text, in which a character may be written as six. */
export const LINE_LENGTH_MAX = 6 * CHARS_MAX
/** Of a kind, a subject and a reason; people read them. */
const WORDS_MAX = 2_000
/** Levels of the data; the line is one more. */
const DEPTH_MAX = 31

export interface Words {
  readonly kind: string
  readonly subject: string
  readonly reason: string
  readonly data: unknown
}

/** Why this cannot be a line. Whole numbers that are not exact are: earlier programs wrote such. */
export const flawOfLine = (line: unknown): string | undefined => flawOf(line, CHARS_MAX, 'any integer')

/** The same words as they may stand in a ledger. Throws for a figure that is none. */
export function lawful({ kind, subject, reason, data }: Words): Words {
  const words = { kind: short(kind), subject: short(subject), reason: short(reason) }
  const copy = plainCopy(data)
  // In a list, for it is one level deeper in its line.
  if (flawOf([copy], CHARS_MAX / 2) === undefined) return { ...words, data: copy }
  const mended = mend(copy, 0)
  const flaw = flawOf([mended], CHARS_MAX / 2)
  return { ...words, data: flaw === undefined ? mended : { leftOut: `what was said here: ${flaw}` } }
}

const short = (text: string): string => cut(text.toWellFormed(), WORDS_MAX)

function mend(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value === 'number')
    return Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, value))
  if (typeof value !== 'object' || value === null) return value
  if (depth >= DEPTH_MAX) return 'deeper than a line may be'
  if (Array.isArray(value)) return value.map((inner) => mend(inner, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [nameOf(key), mend(inner, depth + 1)]),
  )
}

/** Code that assigns would take it for the prototype. */
const nameOf = (key: string): string => (key === '__proto__' ? '(__proto__)' : key.toWellFormed())
