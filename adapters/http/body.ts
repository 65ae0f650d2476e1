/** No call or message is deeper, its body included. */
export const DEPTH_MAX = 40
/** No call or message has more fields. */
export const FIELDS_MAX = 64

/**
 * Whether JSON text goes deeper than anything that is said here, found without making values of it: a million
 * brackets take a second to become lists, and then longer to be looked through.
 */
export function isTooDeep(text: string): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) inString = false
    } else if (code === QUOTE) inString = true
    else if (code === BRACE || code === BRACKET) {
      if (++depth > DEPTH_MAX) return true
    } else if (code === BRACE_END || code === BRACKET_END) depth--
  }
  return false
}

const [QUOTE, BACKSLASH, BRACE, BRACE_END, BRACKET, BRACKET_END] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d]

/** Whether it is an object of so many fields that telling which are wrong would take long. */
export function isTooWide(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  let fields = 0
  for (const _ in value) if (++fields > FIELDS_MAX) return true
  return false
}
