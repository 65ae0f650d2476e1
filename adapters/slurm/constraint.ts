/**
 * What `--constraint` says of each node, as clauses that all have to hold; `a|b` is satisfied by either:
 *
 *   ssd&avx        ssd, avx              Slurm reads & and | from the left, as equals
 *   ssd|nvme       nvme|ssd
 *   (ssd&avx)|big  avx|big, big|ssd
 *   [r1|r2]        r1|r2                 Slurm wants one of them for all nodes of the job
 *   [r1*2&r2*4]    undefined             so many nodes of each: nothing that one node could be asked for
 *   a|b|…          undefined             of hundreds of names
 */
export function clausesOf(constraint: string): readonly string[] | undefined {
  if (constraint === '') return []
  if (constraint.length > CHARS_MAX) return undefined
  const words = constraint.match(/[&|,()[\]*]|[^&|,()[\]*\s]+/g) ?? []
  if (words.length > WORDS_MAX || words.some((word) => word === '*')) return undefined
  const read = expression(words, 0)
  if (read === undefined || read.next !== words.length) return undefined
  return [...new Set(read.clauses.map((clause) => [...clause].sort().join('|')))]
}

type Clauses = readonly ReadonlySet<string>[]

interface Read {
  readonly clauses: Clauses
  readonly next: number
}

/** More than people write; (a&b)|(c&d)|… of some length would fill the memory, and a|b|… takes time by its square. */
const CHARS_MAX = 8_000
const WORDS_MAX = 512
const CLAUSES_MAX = 100
const NAMES_MAX = 1_000

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']' }

function expression(words: readonly string[], at: number): Read | undefined {
  let left = operand(words, at)
  while (left !== undefined && /^[&,|]$/.test(words[left.next] ?? '')) {
    const isOr = words[left.next] === '|'
    const right = operand(words, left.next + 1)
    if (right === undefined) return undefined
    const clauses = isOr ? either(left.clauses, right.clauses) : [...left.clauses, ...right.clauses]
    if (clauses.length > CLAUSES_MAX || clauses.reduce((sum, { size }) => sum + size, 0) > NAMES_MAX)
      return undefined
    left = { clauses, next: right.next }
  }
  return left
}

function operand(words: readonly string[], at: number): Read | undefined {
  const word = words[at]
  if (word === undefined) return undefined
  const closing = CLOSING[word]
  if (closing === undefined)
    return /^[&|,)\]]$/.test(word) ? undefined : { clauses: [new Set([word])], next: at + 1 }
  const inner = expression(words, at + 1)
  return inner !== undefined && words[inner.next] === closing ? { ...inner, next: inner.next + 1 } : undefined
}

const either = (left: Clauses, right: Clauses): Clauses =>
  left.flatMap((a) => right.map((b) => new Set([...a, ...b])))
