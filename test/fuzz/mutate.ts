import type { Random } from '../../actors/runtime/random.ts'

type Path = readonly string[]

/** All places of a JSON value where something can be changed: leaves, and what holds them. */
function places(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at]
  return [
    ...(at.length > 0 ? [at] : []),
    ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...at, key])),
  ]
}

function at(value: unknown, [key, ...rest]: Path): unknown {
  return key === undefined ? value : at((value as Record<string, unknown>)[key], rest)
}

/** The same value, but for one place; `undefined` takes the place away. */
function put(value: unknown, [key, ...rest]: Path, to: unknown): unknown {
  if (key === undefined) return to
  const changed = put((value as Record<string, unknown>)[key], rest, to)
  if (Array.isArray(value))
    return changed === undefined ? value.toSpliced(Number(key), 1) : value.with(Number(key), changed)
  const others = Object.fromEntries(Object.entries(value as object).filter(([name]) => name !== key))
  return changed === undefined ? others : { ...others, [key]: changed }
}

const ABSURD: readonly unknown[] = [
  ...[null, true, -1, 0, 1, 1.5, 1e300, Number.MAX_SAFE_INTEGER, 253_370_764_800_000],
  ...['', ' ', 'constructor', '__proto__', '\ud800', 'x'.repeat(5_000), 'lease-000000000000'],
  ...[[], {}, [null], { toString: 'x' }],
]

/** One bit of one character is another one. */
function flipBit(text: string, random: Random): string {
  if (text === '') return 'x'
  const i = random.int(text.length)
  return `${text.slice(0, i)}${String.fromCharCode(text.charCodeAt(i) ^ (1 << random.int(7)))}${text.slice(i + 1)}`
}

function changed(value: unknown, random: Random): unknown {
  const kind = random.next()
  if (typeof value === 'string' && kind < 0.5) return flipBit(value, random)
  if (typeof value === 'number' && kind < 0.5)
    return value + (random.next() < 0.5 ? -1 : 1) * 2 ** random.int(40)
  if (typeof value === 'boolean' && kind < 0.5) return !value
  if (Array.isArray(value) && kind < 0.3) return [...value, ...value]
  if (typeof value === 'object' && value !== null && kind < 0.3) return { ...value, more: 1 }
  return ABSURD[random.int(ABSURD.length)]
}

/**
 * A JSON value with one to three things changed, at any place below `under`: a bit, a number, a whole part taken
 * away, doubled, or put where another one was.
 */
export function mutate<T>(value: T, random: Random, under: Path = []): T {
  let mutant: unknown = value
  for (let left = 1 + random.int(3); left > 0; left--) {
    const inside = at(mutant, under)
    const all = places(inside)
    const place = [...under, ...(all[random.int(all.length)] ?? [])]
    const kind = random.next()
    if (kind < 0.15) mutant = put(mutant, place, undefined)
    else if (kind < 0.3) {
      const other = all[random.int(all.length)] ?? []
      mutant = put(mutant, place, structuredClone(at(inside, other)))
    } else mutant = put(mutant, place, changed(at(mutant, place), random))
    if (typeof at(mutant, under) !== 'object' || at(mutant, under) === null) break
  }
  return mutant as T
}
