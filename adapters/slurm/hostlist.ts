import { SubletError } from '../../actors/runtime/errors.ts'

/** More names than any cluster has; a broken list must not fill the memory. */
const NAMES_MAX = 100_000

/** Splits at commas that are not inside brackets. */
function parts(text: string): readonly string[] {
  return text.split(/,(?![^[]*\])/).filter((part) => part !== '')
}

/** `3`, `08-11`: with the zeros of the first number kept. */
function numbers(range: string): readonly string[] {
  const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
  const count = Number(to) - Number(from) + 1
  if (from === '' || count < 1 || count > NAMES_MAX)
    throw new SubletError('middleware-garbage', `Slurm printed the host range “${range}”`)
  return Array.from({ length: count }, (_, at) => String(Number(from) + at).padStart(from.length, '0'))
}

/** Names of nodes as Slurm abbreviates them: `n[1-3,07],gpu2,r[1-2]c[1-4]`. */
export function expandHosts(text: string): readonly string[] {
  const names = parts(text).flatMap((part) => {
    let found = ['']
    for (const [, plain = '', ranges] of part.matchAll(/([^[]*)(?:\[([^\]]*)\])?/g)) {
      const ends = ranges === undefined ? [''] : ranges.split(',').flatMap(numbers)
      if (found.length * ends.length > NAMES_MAX)
        throw new SubletError('middleware-garbage', `Slurm printed a list of more than ${NAMES_MAX} hosts`)
      found = found.flatMap((head) => ends.map((end) => head + plain + end))
    }
    return found
  })
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
