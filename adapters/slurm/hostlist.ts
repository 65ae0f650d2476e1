import { SubletError } from '../../actors/runtime/errors.ts'

/** More names than any cluster has; a broken list must not fill the memory. */
const NAMES_MAX = 100_000
/** Of one number in a name. */
const DIGITS_MAX = 15

/** Splits at commas that are not inside brackets, in one pass. */
function parts(text: string): readonly string[] {
  const found: string[] = []
  let from = 0
  let isInside = false
  for (let at = 0; at <= text.length; at++) {
    const sign = text[at]
    if (sign === '[') isInside = true
    else if (sign === ']') isInside = false
    if (at < text.length && (sign !== ',' || isInside)) continue
    if (at > from) found.push(text.slice(from, at))
    from = at + 1
  }
  return found
}

/** The names of a list, each with what its brackets stand for put as `number`. */
export const hostShapes = (
  text: string,
  plain: (piece: string) => string,
  number: string,
): readonly string[] =>
  parts(text).map((part) =>
    part
      .split(/\[[^[\]]*\]/)
      .map(plain)
      .join(number),
  )

/** `3`, `08-11`: with the zeros of the first number kept. */
function numbers(range: string): readonly string[] {
  const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
  const count = Number(to) - Number(from) + 1
  if (from === '' || from.length > DIGITS_MAX || count < 1 || count > NAMES_MAX)
    throw new SubletError('middleware-garbage', `Slurm printed the host range “${range.slice(0, 80)}”`)
  return Array.from({ length: count }, (_, at) => String(Number(from) + at).padStart(from.length, '0'))
}

/** Names of nodes as Slurm abbreviates them: `n[1-3,07],gpu2,r[1-2]c[1-4]`. */
export function expandHosts(text: string): readonly string[] {
  const names: string[] = []
  const refuseMore = (count: number): void => {
    if (names.length + count > NAMES_MAX)
      throw new SubletError('middleware-garbage', `Slurm printed a list of more than ${NAMES_MAX} hosts`)
  }
  for (const part of parts(text)) {
    let found = ['']
    for (const [, plain = '', ranges] of part.matchAll(/([^[]*)(?:\[([^[\]]*)\])?/g)) {
      const ends = ranges === undefined ? [''] : []
      for (const range of ranges?.split(',') ?? []) {
        for (const end of numbers(range)) ends.push(end)
        refuseMore(found.length * ends.length)
      }
      found = found.flatMap((head) => ends.map((end) => head + plain + end))
    }
    for (const name of found) names.push(name)
  }
  return names
}

/** How many tasks a text such as `1-4,9,20-40:5` names; 0 for none. */
export function countTasks(text: string): number {
  if (text === '') return 0
  let count = 0
  for (const part of text.split(',')) {
    const [, from, to, step] = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(part) ?? []
    if (from === undefined)
      throw new SubletError('middleware-garbage', `Slurm printed the array tasks “${text.slice(0, 80)}”`)
    const last = to === undefined ? Number(from) : Number(to)
    count += Math.max(0, Math.floor((last - Number(from)) / Math.max(1, Number(step ?? 1))) + 1)
  }
  return count
}
