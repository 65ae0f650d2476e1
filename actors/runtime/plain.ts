import { copyOf, ODD } from './ordered.ts'

/**
 * What may travel, be signed and be kept: values that JSON carries without changing them.
 *
 *   ours, going out      plainCopy   what JSON makes of it; throws for what JSON would quietly turn into null
 *   a stranger's, in     flawOf      says what is wrong with it; walks without recursion and stops early
 */

/** No message of the protocol is deeper than a handful. */
const DEPTH_MAX = 32

/** Throws for a figure that is none. Text that was cut in the middle of a character is mended. */
export function plainCopy(value: unknown): unknown {
  const copy = copyOf(value)
  return copy === ODD ? copyOfOdd(value) : (copy ?? null)
}

function copyOfOdd(value: unknown): unknown {
  const text = JSON.stringify(value ?? null, (key, inner: unknown) => {
    if (typeof inner === 'string') return inner.toWellFormed()
    if (typeof inner === 'number' && !Number.isFinite(inner))
      throw new Error(`“${key}” is ${inner}, which JSON cannot carry`)
    return inner
  })
  return JSON.parse(text)
}

/** Why a value is not plain, or longer than about `charsMax` characters of JSON; undefined if nothing is wrong. */
export function flawOf(
  value: unknown,
  charsMax: number,
  integers: 'exact' | 'any integer' = 'exact',
): string | undefined {
  const left: { value: unknown; depth: number }[] = [{ value, depth: 0 }]
  let chars = 0
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    if (at.depth > DEPTH_MAX) return `it is deeper than ${DEPTH_MAX} levels`
    const flaw = flawOfOne(at.value, integers)
    if (flaw !== undefined) return flaw
    chars += 2
    if (typeof at.value === 'string') chars += at.value.length
    else if (typeof at.value === 'object' && at.value !== null)
      for (const [key, inner] of Object.entries(at.value)) {
        // Taken for a name by code that assigns, it would change every object there is.
        if (key === '__proto__') return 'it has a key __proto__'
        if (!key.isWellFormed()) return 'it has a key that is cut in the middle of a character'
        if (!Array.isArray(at.value)) chars += key.length + 3
        if (chars + left.length > charsMax) break
        left.push({ value: inner, depth: at.depth + 1 })
      }
    if (chars + left.length > charsMax) return `it is longer than ${charsMax} characters`
  }
  return undefined
}

function flawOfOne(value: unknown, integers: 'exact' | 'any integer'): string | undefined {
  switch (typeof value) {
    case 'boolean':
      return undefined
    case 'string':
      return value.isWellFormed() ? undefined : 'it has text that is cut in the middle of a character'
    case 'number':
      if (!Number.isFinite(value) || Object.is(value, -0)) return `it has a number ${value}`
      return integers === 'exact' && Number.isInteger(value) && !Number.isSafeInteger(value)
        ? `it has an integer ${value}, which is not exact`
        : undefined
    case 'object': {
      if (value === null || Array.isArray(value)) return undefined
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype === Object.prototype || prototype === null) return undefined
      return 'it has an object that is not plain'
    }
    default:
      return `it has a value of type ${typeof value}`
  }
}

/** Anything at all as a short text for a person; never throws. */
export function excerpt(value: unknown, charsMax: number): string {
  let text: string
  try {
    text = JSON.stringify(value) ?? String(value)
  } catch (error) {
    text = `(${error instanceof Error ? error.message : 'not JSON'})`
  }
  return text.slice(0, charsMax).toWellFormed()
}

/** Of a sentence that may hold what others wrote, so much that its end shows that there was more. */
export const cut = (text: string, charsMax: number): string =>
  text.length <= charsMax ? text : `${text.slice(0, charsMax - 3).toWellFormed()}...`

/** What a record of a row or a message has under a name that others choose, be it that of what every object has. */
export const own = <V>(record: Readonly<Record<string, V>> | undefined, key: string): V | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

/** Only what was put there is found, also under the names of what every object has. */
export const byName = <V>(entries: Readonly<Record<string, V>>): Readonly<Record<string, V>> =>
  Object.assign(Object.create(null) as Record<string, V>, entries)
