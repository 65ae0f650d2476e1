/**
 * What an adapter runs, as a list that a person can read and a machine can hold it to:
 *
 *   adapters/x/privileges.ts ──▶ the wrapper that lets nothing else through (`sublet rights`)
 *                            └─▶ a test: the adapter under its law runs nothing that is not on it
 *
 * Reading takes no rights of its own; a line that changes says which verb of the contract needs it, and why.
 */
export interface Privileges {
  /** The settings that come with every command; a command may come with fewer. */
  readonly env: Readonly<Record<string, string>>
  readonly lines: readonly Line[]
}

export interface Line {
  readonly right: 'read' | 'change'
  /** The verb of the contract, such as `drain`. */
  readonly verb: 'check' | 'observe' | 'join' | 'expect' | 'drain' | 'resume' | 'remove' | 'requeue'
  /** The program and its arguments, each a word by itself. */
  readonly words: readonly [program: string, ...words: Word[]]
  /** As many more words as there are, each of them like this. */
  readonly rest?: Like
  /** Standard input is one of these texts, line by line; absent: there is none. */
  readonly inputs?: readonly (readonly Word[])[]
  readonly why: string
}

/** A word as it is, or what the whole of it has to be like. */
export type Word = string | Like

export interface Like {
  /** An extended regular expression of POSIX of which JavaScript thinks the same, save that it says `[:cntrl:]`. */
  readonly like: string
}

export const like = (pattern: string): Like => ({ like: pattern })

/** Text of a configuration, as an expression that is like nothing else. */
export const literally = (text: string): string => text.replaceAll(/[.[\\()*+?{|^$]/g, '\\$&')

/** Any host, for a look at it: no option, no path. */
export const HOST = '[A-Za-z0-9][A-Za-z0-9._-]*'
/** The same, or an address of either kind. */
export const HOST_OR_ADDRESS = '[A-Za-z0-9:][A-Za-z0-9.:_-]*'
/** An id of ours, such as that of a lease. */
export const ID = '[A-Za-z0-9.-]+'
export const NUMBER = '[0-9]+'
/** Words of a person, in one line. */
export const WORDS = '[^[:cntrl:]]*'

/** The machines of a site are named prefix + slot. */
export const namedBy = (prefix: string): string => `${literally(prefix)}${NUMBER}`

const patterns = new Map<string, RegExp>()

function isLike(word: string, wanted: Word): boolean {
  if (typeof wanted === 'string') return word === wanted
  const known = patterns.get(wanted.like)
  const pattern = known ?? new RegExp(`^(?:${wanted.like.replaceAll('[:cntrl:]', '\\x00-\\x1f\\x7f')})$`)
  if (known === undefined) patterns.set(wanted.like, pattern)
  return pattern.test(word)
}

const areLike = (words: readonly string[], wanted: readonly Word[]): boolean =>
  words.length === wanted.length && wanted.every((each, at) => isLike(words[at] ?? '', each))

/** The line that allows a command with this input; undefined if none does. */
export const lineFor = ({ lines }: Privileges, argv: readonly string[], input: string): Line | undefined =>
  lines.find(({ words, rest, inputs }) => {
    const more = argv.slice(words.length)
    if (!areLike(argv.slice(0, words.length), words)) return false
    if (rest === undefined ? more.length > 0 : !more.every((word) => isLike(word, rest))) return false
    if (inputs === undefined) return input === ''
    const told = input.replace(/\n$/, '').split('\n')
    return inputs.some((each) => areLike(told, each))
  })
