import type { Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'

/** The bounds of `RunOptions` where the caller names none. */
export const TIMEOUT_MS: Millis = 10_000
export const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

type Argv = readonly [string, ...string[]]

const SHOWN_CHARS_MAX = 120

/** A command line for messages: cut, for an argument may hold a whole script. */
export function shown(argv: readonly string[]): string {
  const line = argv.join(' ').replaceAll('\n', ' ')
  return line.length <= SHOWN_CHARS_MAX ? line : `${line.slice(0, SHOWN_CHARS_MAX)}…`
}

export const programMissing = (argv: Argv, where: string, cause?: unknown): SubletError =>
  new SubletError('exec-missing', `The program “${argv[0]}” is not there or not executable (${where})`, {
    cause,
  })

export const timedOut = (argv: Argv, timeoutMs: Millis): SubletError =>
  new SubletError('exec-timeout', `“${shown(argv)}” had not ended after ${period(timeoutMs)} and was ended`)

export const outputTooLarge = (argv: Argv, bytesMax: number): SubletError =>
  new SubletError(
    'exec-output-too-large',
    `“${shown(argv)}” printed more than ${bytesMax} bytes and was ended`,
  )
