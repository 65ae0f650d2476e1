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

/** `3`, `08-11`: with the zeros of the first number kept. */
function numbers(range: string): readonly string[] {
  const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
  const count = Number(to) - Number(from) + 1
  if (from === '' || from.length > DIGITS_MAX || count < 1 || count > NAMES_MAX)
    throw new SubletError('middleware-garbage', `Slurm printed the host range “${range.slice(0, 80)}”`)
  return Array.from({ length: count }, (_, at) => String(Number(from) + at).padStart(from.length, '0'))
}

const PIECES = /([^[]*)(?:\[([^[\]]*)\])?/g

/** Names of nodes as Slurm abbreviates them: `n[1-3,07],gpu2,r[1-2]c[1-4]`. */
export function expandHosts(text: string): readonly string[] {
  const names: string[] = []
  const refuseMore = (count: number): void => {
    if (names.length + count > NAMES_MAX)
      throw new SubletError('middleware-garbage', `Slurm printed a list of more than ${NAMES_MAX} hosts`)
  }
  for (const part of parts(text)) {
    let found = ['']
    for (const [, plain = '', ranges] of part.matchAll(PIECES)) {
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

/** An expression that the names of a list are like and no others: `n[8-11]` is `n([89]|1[01])`. */
export const hostPattern = (text: string): string =>
  parts(text)
    .map((part) =>
      [...part.matchAll(PIECES)]
        .map(([, plain = '', ranges]) => {
          const ends = ranges === undefined ? [''] : [...new Set(ranges.split(',').flatMap(numbersLike))]
          return plain.replaceAll('.', '[.]') + (ends.length === 1 ? ends[0] : `(${ends.join('|')})`)
        })
        .join(''),
    )
    .join('|')

function numbersLike(range: string): readonly string[] {
  const all = numbers(range)
  const [first, last] = [all[0] ?? '', all.at(-1) ?? '']
  // Of each number of digits the first and the last.
  return Array.from({ length: last.length - first.length + 1 }, (_, more) => {
    const digits = first.length + more
    const least = more === 0 ? first : `1${'0'.repeat(digits - 1)}`
    return digitsLike(least, digits === last.length ? last : '9'.repeat(digits))
  }).flat()
}

/** Both of as many digits; choices that are like what lies between, both included. */
function digitsLike(least: string, most: string): readonly string[] {
  if (least === '') return ['']
  const [low, high] = [Number(least[0]), Number(most[0])]
  const [lowRest, highRest] = [least.slice(1), most.slice(1)]
  const any = '[0-9]'.repeat(lowRest.length)
  if (low === high) return digitsLike(lowRest, highRest).map((rest) => `${low}${rest}`)
  const isWholeLow = /^0*$/.test(lowRest)
  const isWholeHigh = /^9*$/.test(highRest)
  const [from, to] = [isWholeLow ? low : low + 1, isWholeHigh ? high : high - 1]
  return [
    ...(isWholeLow ? [] : digitsLike(lowRest, '9'.repeat(lowRest.length)).map((rest) => `${low}${rest}`)),
    ...(from > to ? [] : [digitOf(from, to) + any]),
    ...(isWholeHigh ? [] : digitsLike('0'.repeat(highRest.length), highRest).map((rest) => `${high}${rest}`)),
  ]
}

function digitOf(from: number, to: number): string {
  if (from === to) return `${from}`
  if (from === 0 && to === 9) return '[0-9]'
  return `[${Array.from({ length: to - from + 1 }, (_, at) => from + at).join('')}]`
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
