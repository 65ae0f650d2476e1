import type { Millis } from '../../actors/runtime/clock.ts'
import { type ErrorCode, inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Executor, Finished } from '../executor.ts'
import { TEXT_ENV } from './parse-text.ts'

type Program = 'squeue' | 'sinfo' | 'scontrol'

/** Slurm's commands, here or wherever the executor runs them. */
export interface Commands {
  /** A refusal is an answer; a controller that cannot be reached is `middleware-unreachable`. */
  run(program: Program, args: readonly string[], signal: AbortSignal): Promise<Finished>
  /** Also a refusal is an error: `middleware-refused`. */
  ask(program: Program, args: readonly string[], signal: AbortSignal): Promise<string>
  /** Any other short program, such as `id`. */
  other(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<string>
  /** The same, where that it fails is an answer. */
  attempt(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<Finished>
}

/** What the commands print, whose language does not change, when there is nobody to answer. */
const UNREACHABLE =
  /Unable to contact slurm controller|connect failure|Connection refused|timed out|Zero Bytes|controller not responding|Unable to process configuration|cannot stat file|configuration source|Can't find an address|not respond/i
const MUNGE = /munge|authentication/i
const NO_RIGHTS = /Invalid user id|Access\/permission denied|Security violation/i

/** The command's own words, without its name and its warnings about retries. */
export function complaint({ stderr, stdout }: Finished): string {
  const words = (stderr.trim() === '' ? stdout : stderr).trim().split('\n').slice(-2).join(' ')
  return words.replaceAll(/\b(slurm_\w+ error|squeue|sinfo|scontrol|error): /g, '').slice(0, 300)
}

function foreignError(shown: string, done: Finished): SubletError {
  const words = complaint(done)
  const say = (code: ErrorCode, cure?: string): SubletError =>
    new SubletError(
      code,
      `“${shown}” failed: ${words || `exit ${done.exitCode}`}`,
      cure === undefined ? {} : { cure },
    )
  if (UNREACHABLE.test(done.stderr)) return say('middleware-unreachable')
  if (MUNGE.test(done.stderr))
    return say('middleware-unreachable', 'Check that munged runs here and at the controller, with one key.')
  if (NO_RIGHTS.test(done.stderr))
    return say(
      'middleware-refused',
      'Sublet’s user must be SlurmUser, root, or an Administrator of slurmdbd.',
    )
  return say('middleware-refused')
}

/**
 * Of a job some 3,400 bytes as JSON, 250 as text: 150,000 jobs. A string of Node's is at most a little less
 * than 512 MiB.
 */
const OUTPUT_BYTES_MAX = 500 * 1024 * 1024

export const slurmEnv = (confFile: string): Readonly<Record<string, string>> => ({
  ...TEXT_ENV,
  SLURM_CONF: confFile,
})

export function slurmCommands(
  exec: Executor,
  { confFile, bin, timeoutMs }: { confFile: string; bin: string | undefined; timeoutMs: Millis },
): Commands {
  const start = async (argv: readonly [string, ...string[]], signal: AbortSignal): Promise<Finished> => {
    try {
      return await exec.run(argv, {
        ...{ signal, timeoutMs, env: slurmEnv(confFile), outputBytesMax: OUTPUT_BYTES_MAX },
      })
    } catch (cause) {
      if (signal.aborted || !(cause instanceof SubletError) || cause.code !== 'exec-timeout') throw cause
      throw new SubletError(
        'middleware-unreachable',
        `Slurm gave no answer within ${period(timeoutMs)}: ${inOneLine(cause)}`,
        { cause },
      )
    }
  }
  const commands: Commands = {
    async run(program, args, signal) {
      const done = await start([bin === undefined ? program : `${bin}/${program}`, ...args], signal)
      if (done.exitCode === 0) return done
      const error = foreignError([program, ...args.slice(0, 3)].join(' '), done)
      if (error.code === 'middleware-unreachable') throw error
      return done
    },
    async ask(program, args, signal) {
      const done = await commands.run(program, args, signal)
      if (done.exitCode !== 0) throw foreignError([program, ...args.slice(0, 3)].join(' '), done)
      return done.stdout
    },
    async other(argv, signal) {
      const done = await start(argv, signal)
      if (done.exitCode !== 0)
        throw new SubletError('exec-failed', `“${argv.join(' ')}” failed: ${complaint(done)}`)
      return done.stdout.trim()
    },
    attempt: start,
  }
  return commands
}
