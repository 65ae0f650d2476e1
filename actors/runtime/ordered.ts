/**
 * Values as nearly all are that are signed, hashed and sent: JSON without anything odd in it. The others take the
 * slower way of whoever asks here.
 *
 *   odd: a number that is none, a function, a symbol, an object that is not plain or has a `toJSON`; deeper than
 *        anything we say; a key that an object would put elsewhere (`10`) or take for its prototype
 */

/** The value is odd. */
export const ODD = Symbol('odd')

const DEPTH_MAX = 40

/** The same value with the keys of each object in order; itself if they are. */
export function inOrder(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return isPlainLeaf(value) ? value : ODD
  if (depth > DEPTH_MAX) return ODD
  if (Array.isArray(value)) return inOrderEach(value, depth)
  if (!isPlainObject(value)) return ODD
  const keys = Object.keys(value)
  let same = true
  for (let i = 0; i < keys.length; i++) {
    if (isOddKey(keys[i]!)) return ODD
    if (i > 0 && keys[i - 1]! > keys[i]!) same = false
  }
  if (!same) sort(keys)
  const copy: Record<string, unknown> = {}
  for (const key of keys) {
    const before = value[key]
    const after = typeof before === 'string' ? before : inOrder(before, depth + 1)
    if (after === ODD) return ODD
    if (after !== before) same = false
    copy[key] = after
  }
  return same ? value : copy
}

function inOrderEach(values: readonly unknown[], depth: number): unknown {
  let copy: unknown[] | undefined
  for (let i = 0; i < values.length; i++) {
    const before = values[i]
    const after = typeof before === 'string' ? before : inOrder(before, depth + 1)
    if (after === ODD) return ODD
    if (after === before) continue
    copy ??= values.slice()
    copy[i] = after
  }
  return copy ?? values
}

/** What JSON makes of the value, in new objects and arrays. */
export function copyOf(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return value.toWellFormed()
  if (value === 0) return 0
  if (typeof value !== 'object' || value === null) return isPlainLeaf(value) ? value : ODD
  if (depth > DEPTH_MAX) return ODD
  if (Array.isArray(value)) {
    const copy: unknown[] = []
    for (let i = 0; i < value.length; i++) {
      const inner = copyOf(value[i], depth + 1)
      if (inner === ODD) return ODD
      copy.push(inner === undefined ? null : inner)
    }
    return copy
  }
  if (!isPlainObject(value)) return ODD
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    if (key === '__proto__') return ODD
    const inner = copyOf(value[key], depth + 1)
    if (inner === ODD) return ODD
    if (inner !== undefined) copy[key] = inner
  }
  return copy
}

const isPlainLeaf = (value: unknown): boolean =>
  typeof value === 'string' ||
  typeof value === 'boolean' ||
  value === null ||
  value === undefined ||
  (typeof value === 'number' && Number.isFinite(value))

function isPlainObject(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** An object keeps keys that are whole numbers before all others, whatever the order they came in. */
const isOddKey = (key: string): boolean => {
  const first = key.charCodeAt(0)
  return (first >= 48 && first <= 57) || key === '__proto__'
}

/** By their UTF-16 code units. Objects have few keys, in nearly the right order: for those nothing is faster. */
function sort(keys: string[]): void {
  if (keys.length > 30) return void keys.sort()
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i]!
    let at = i
    for (; at > 0 && keys[at - 1]! > key; at--) keys[at] = keys[at - 1]!
    keys[at] = key
  }
}
