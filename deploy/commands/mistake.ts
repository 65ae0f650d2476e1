import type { Command, CommanderError } from 'commander'
import { SubletError } from '../../actors/runtime/errors.ts'
import { nearest } from '../settings/near.ts'

/** Mistakes of the command line, with the code and the cure that every error has. */

export function mistakeOf(error: CommanderError, program: Command, words: readonly string[]): SubletError {
  const named = commandOf(program, words)
  const path = pathOf(named)
  if (error.code === 'commander.help')
    return new SubletError('usage', `${path} is followed by a command, and none is named`, {
      cure: `See \`${path} --help\`${named === program ? '; `sublet demo` needs nothing, and shows what happens' : ''}.`,
    })
  return new SubletError('usage', sentenceOf(error.message), { cure: `See \`${path} --help\`.` })
}

/** Help with what is no command would be the whole of it, and no word of why. */
export function refuseUnknownHelp(program: Command, [word, wanted]: readonly string[]): void {
  const known = program.commands.map((command) => command.name())
  if (
    word !== 'help' ||
    wanted === undefined ||
    wanted.startsWith('-') ||
    wanted === 'help' ||
    known.includes(wanted)
  )
    return
  throw new SubletError('usage', `there is no command ${wanted}${meant(nearest(wanted, known))}`)
}

const meant = (name: string | undefined): string => (name === undefined ? '' : `. Did you mean ${name}?`)

/** `error: unknown option '--jsn'\n(Did you mean --json?)` on one line. */
const sentenceOf = (message: string): string =>
  message
    .replace(/^error: /, '')
    .replace(/\s*\n\((Did you mean .*\?)\)$/s, '. $1')
    .replace(/\.$/, '')

/** The command that the words begin with, as far as they name one. */
function commandOf(program: Command, words: readonly string[]): Command {
  let at = program
  for (const word of words) {
    const next = at.commands.find((command) => command.name() === word)
    if (next === undefined) return at
    at = next
  }
  return at
}

function pathOf(command: Command): string {
  const names: string[] = []
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name())
  return names.join(' ')
}
