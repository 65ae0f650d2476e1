/** No call or message is deeper, its body included. */
export const DEPTH_MAX = 40
/** No call or message has more fields. */
export const FIELDS_MAX = 64

/** What JSON text shows before values are made of it. */
export interface Outline {
  /** Why it is not to be read at all. */
  readonly flaw?: string
  /** The same text with nothing as its `body`. */
  readonly head: string
}

/**
 * Looks over JSON text once, without making values of it: a million brackets take a second to become lists, and then
 * longer to be looked through, and a hundred thousand fields no less. The text may be none: then its head is none, either.
 */
export function outlineOf(text: string): Outline {
  const kept: string[] = []
  let keptTo = 0
  let depth = 0
  let fields = 1
  let inBody = false
  /** The last text of the outer object before a colon. */
  let key = ''
  const endBody = (at: number): void => {
    if (inBody) keptTo = at
    inBody = false
    key = ''
  }
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      const end = endOfText(text, i)
      if (depth === 1 && !inBody) key = end - i > BODY.length ? '' : text.slice(i, end + 1)
      i = end
    } else if (code === BRACE || code === BRACKET) {
      if (++depth > DEPTH_MAX) return { flaw: 'the body is too deep', head: '' }
    } else if (code === BRACE_END || code === BRACKET_END) {
      if (--depth === 0) endBody(i)
    } else if (depth !== 1) continue
    else if (code === COMMA) {
      endBody(i)
      if (++fields > FIELDS_MAX) return { flaw: 'the body has too many fields', head: '' }
    } else if (code === COLON && key === BODY && !inBody) {
      kept.push(text.slice(keptTo, i + 1), 'null')
      inBody = true
    }
  }
  kept.push(text.slice(keptTo))
  return { head: kept.join('') }
}

const BODY = '"body"'
const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a]
const [BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x7b, 0x7d, 0x5b, 0x5d]

/** Where the quotation mark is that ends what begins with the one at `from`. */
function endOfText(text: string, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === BACKSLASH) i++
    else if (code === QUOTE) return i
  }
  return text.length
}
