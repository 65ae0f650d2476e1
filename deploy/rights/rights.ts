import { readFileSync } from 'node:fs'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type Line, namedBy, type Privileges, type Word } from '../../adapters/privileges.ts'
import { listedLike } from '../../adapters/slurm/privileges.ts'
import { privilegesOf } from '../adapters.ts'
import type { GuestSettings, Settings } from '../settings/config.ts'
import { wrapper } from './wrapper.ts'

/** What an admin grants so that Sublet can drive her batch system, and nothing beside it. */
export interface Rights {
  readonly guest: string
  readonly batch: string
  /** What the names of nodes have to be like to be changed. */
  readonly nodes: string
  readonly list: readonly ListedLine[]
  readonly wrapper: string
  readonly sudoers: string
  readonly authorizedKeys: string
}

export interface ListedLine {
  readonly right: Line['right']
  readonly verb: Line['verb']
  readonly command: string
  readonly input?: readonly string[]
  readonly why: string
}

export interface RightsAsk {
  /** Who runs Sublet, or logs in for it. */
  readonly user: string
  /** With sudo: as whom the commands run; the batch system has to let that user. */
  readonly as: string
  readonly nodes?: string
  /** Where the wrapper is put. */
  readonly wrapper: string
  readonly path: string
}

/**
 * Names of nodes as an expression that no blank, line end, option or second order can be like: letters, digits,
 * `_`, dashes and dots (as `[.]`), each once or more often, groups and choices. None of it may be nothing, so that what
 * does not begin with a dash never does.
 */
const NAMES =
  /^(?:[A-Za-z0-9_-]|\[(?:0-9|a-z|A-Z|[A-Za-z0-9])+\]|\[\.\]|\+|\{[1-9]\d?(?:,\d{0,3})?\}|\(|\)|\|)+$/
const EMPTY_OR_OPTION = /(?:^|[(|])(?:[-|)+{]|\[\.\]|$)/

const USER = /^[a-z_][a-z0-9_-]{0,31}$/
const ABSOLUTE = /^(?:\/[A-Za-z0-9_.+-]+)+$/
const FOLDERS = /^(?:\/[A-Za-z0-9_.+/-]*)(?::\/[A-Za-z0-9_.+/-]*)*$/

export function rightsOf(settings: Settings, guest: GuestSettings, ask: RightsAsk): Rights {
  const { batch } = guest
  if (batch.kind === 'embedded')
    throw new SubletError(
      'usage',
      `the embedded batch system of ${guest.name} is Sublet’s own and asks for no rights`,
    )
  for (const user of [ask.user, ask.as]) refuseUnless(USER.test(user), 'the name of a user', user)
  refuseUnless(ABSOLUTE.test(ask.wrapper), 'an absolute path of letters, digits and _ . + -', ask.wrapper)
  refuseUnless(FOLDERS.test(ask.path), 'absolute folders with colons between', ask.path)
  const listed = batch.kind === 'slurm' && batch.nodes === 'listed' ? batch.names : undefined
  const nodes = nodesOf(settings, ask.nodes ?? (listed && listedLike(listed)))
  const privileges = privilegesOf(batch, guest.join, nodes)
  const key = batch.ssh === undefined ? undefined : publicKey(batch.ssh.privateKeyFile)
  return {
    ...{ guest: guest.name, batch: batch.kind, nodes },
    list: listOf(privileges),
    wrapper: wrapper({ privileges, title: `${batch.kind} of the guest ${guest.name}`, path: ask.path }),
    sudoers: sudoers(ask),
    authorizedKeys: authorizedKeys(ask, key),
  }
}

const refuseUnless = (isRight: boolean, expected: string, found: string): void => {
  if (!isRight) throw new SubletError('usage', `expected ${expected}, found “${found.slice(0, 80)}”`)
}

function nodesOf({ site }: Settings, given: string | undefined): string {
  if (given === undefined && site === undefined)
    throw new SubletError('usage', 'the site is not in this configuration: how are its nodes named?', {
      cure: `Give a pattern for their names, such as --nodes 'vm[0-9]+'.`,
    })
  const pattern = given ?? namedBy(site?.names.prefix ?? '')
  const isSafe = NAMES.test(pattern) && !EMPTY_OR_OPTION.test(pattern) && isExpression(pattern)
  refuseUnless(isSafe, 'a pattern of names such as vm[0-9]+', pattern)
  // A choice would otherwise reach beyond the name.
  return pattern.includes('|') ? `(${pattern})` : pattern
}

function isExpression(pattern: string): boolean {
  try {
    new RegExp(pattern)
    return true
  } catch {
    return false
  }
}

/** One line however many guests, and words as they come: in sudoers a `*` would stand for any words at all. */
const sudoers = ({ user, as, wrapper: file }: RightsAsk): string =>
  [`Defaults!${file} !requiretty`, `${user} ALL=(${as}) NOPASSWD: ${file}`, ''].join('\n')

const authorizedKeys = ({ wrapper: file }: RightsAsk, key: string | undefined): string =>
  `restrict,command="exec ${file}" ${key ?? 'ssh-ed25519 PUBLIC-KEY-OF-THE-GUEST'}\n`

function publicKey(privateKeyFile: string): string | undefined {
  try {
    const line = readFileSync(`${privateKeyFile}.pub`, 'utf8').trim()
    return /^(?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/=]+( [^\n]*)?$/.test(line) ? line : undefined
  } catch {
    return undefined
  }
}

const shown = (word: Word): string =>
  typeof word === 'string' ? (/\s/.test(word) || word === '' ? `“${word}”` : word) : `/${word.like}/`

const listOf = ({ lines }: Privileges): readonly ListedLine[] =>
  lines.map(({ right, verb, words, rest, inputs, why }) => ({
    ...{ right, verb, why },
    command: [...words.map(shown), ...(rest === undefined ? [] : [`${shown(rest)} …`])].join(' '),
    ...(inputs !== undefined && { input: inputs.map((lines) => lines.map(shown).join(' ⏎ ')) }),
  }))
