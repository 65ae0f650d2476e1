import { type ErrorCode, inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Executor, Finished } from '../executor.ts'
import type { GridengineConfig } from './config.ts'

type Program = 'qstat' | 'qselect' | 'qhost' | 'qconf' | 'qmod' | 'qdel' | 'qrstat' | 'qquota'

/** GridEngine's commands, here or wherever the executor runs them. */
export interface Commands {
  /** A refusal is an answer; a qmaster that cannot be reached is `middleware-unreachable`. */
  run(program: Program, args: readonly string[], signal: AbortSignal): Promise<Finished>
  /** Also a refusal is an error: `middleware-refused`. */
  ask(program: Program, args: readonly string[], signal: AbortSignal): Promise<string>
  /** `qconf` with a last argument that is a file with this text, which is gone afterwards. */
  qconfFile(option: string, text: string, signal: AbortSignal): Promise<Finished>
  /** The error for an answer that is a refusal. */
  refused(shown: string, done: Finished): SubletError
  /** Any other short program, such as `tail`. */
  other(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<Finished>
}

/** What the commands print, whose language does not change, when there is nobody to answer. */
const UNREACHABLE =
  /commlib error|unable to (?:send message|contact|connect)|failed receiving gdi|SGE_ROOT|cell directory|act_qmaster|can't (?:connect|get (?:connection|configuration))|got (?:select|read|write|send) error/i
const NO_RIGHTS =
  /denied: (?!.*does not exist)|must be (?:a )?(?:manager|operator|admin)|no permission|is neither/i

/** The commands' own words in one line, without what they say of themselves. */
export function complaint({ stderr, stdout }: Finished): string {
  const words = (stderr.trim() === '' ? stdout : stderr).trim().split('\n').slice(-3).join(' ')
  return words.replaceAll(/\b(?:error|critical error): /g, '').slice(0, 300)
}

function foreignError(shown: string, done: Finished): SubletError {
  const words = complaint(done)
  const say = (code: ErrorCode, cure?: string): SubletError =>
    new SubletError(
      code,
      `“${shown}” failed: ${words || `exit ${done.exitCode}`}`,
      cure === undefined ? {} : { cure },
    )
  const said = `${done.stderr}\n${done.stdout}`
  if (UNREACHABLE.test(said)) return say('middleware-unreachable')
  if (NO_RIGHTS.test(said))
    return say(
      'middleware-refused',
      'Sublet’s user must be a manager (qconf -am USER), on an administrative host (qconf -ah HOST).',
    )
  return say('middleware-refused')
}

/** Times in UTC, one line for one attribute, and words that stay the same. */
export const gridengineEnv = ({
  root,
  cell,
  qmasterPort,
  execdPort,
}: Pick<GridengineConfig, 'root' | 'cell' | 'qmasterPort' | 'execdPort'>): Readonly<
  Record<string, string>
> => ({
  SGE_ROOT: root,
  SGE_CELL: cell,
  SGE_SINGLE_LINE: '1',
  TZ: 'UTC',
  LC_ALL: 'C',
  ...(qmasterPort !== undefined && { SGE_QMASTER_PORT: String(qmasterPort) }),
  ...(execdPort !== undefined && { SGE_EXECD_PORT: String(execdPort) }),
})

/** qconf reads objects from a file that it must be able to seek in; what is made here ends here. */
export const WITH_FILE = 'f=$(mktemp) || exit 1; trap \'rm -f "$f"\' EXIT; cat >"$f" || exit 1; "$@" "$f"'

export function gridengineCommands(exec: Executor, config: GridengineConfig): Commands {
  const { bin, commandTimeout: timeoutMs } = config
  const env = gridengineEnv(config)
  const path = (program: string): string => (bin === undefined ? program : `${bin}/${program}`)

  const start = async (
    argv: readonly [string, ...string[]],
    signal: AbortSignal,
    input?: string,
  ): Promise<Finished> => {
    try {
      return await exec.run(argv, { signal, timeoutMs, env, ...(input !== undefined && { input }) })
    } catch (cause) {
      if (signal.aborted || !(cause instanceof SubletError) || cause.code !== 'exec-timeout') throw cause
      throw new SubletError(
        'middleware-unreachable',
        `GridEngine gave no answer within ${period(timeoutMs)}: ${inOneLine(cause)}`,
        { cause },
      )
    }
  }
  const shown = (program: string, args: readonly string[]): string => [program, ...args.slice(0, 4)].join(' ')

  const judged = (done: Finished, words: string): Finished => {
    if (done.exitCode === 0) return done
    const error = foreignError(words, done)
    if (error.code === 'middleware-unreachable') throw error
    return done
  }

  const commands: Commands = {
    run: async (program, args, signal) =>
      judged(await start([path(program), ...args], signal), shown(program, args)),
    async ask(program, args, signal) {
      const done = await commands.run(program, args, signal)
      if (done.exitCode !== 0) throw foreignError(shown(program, args), done)
      return done.stdout
    },
    qconfFile: async (option, text, signal) =>
      judged(
        await start(['sh', '-c', WITH_FILE, 'sh', path('qconf'), option], signal, text),
        `qconf ${option}`,
      ),
    refused: foreignError,
    other: (argv, signal) => start(argv, signal),
  }
  return commands
}
