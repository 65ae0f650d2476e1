import type { Millis } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import type { Executor, Finished } from '../executor.ts'

export type Program = 'qstat' | 'qmgr' | 'pbsnodes' | 'pbs_rstat' | 'qrerun' | 'qrls' | 'qdel'

export interface RunAsk {
  readonly signal: AbortSignal
  readonly timeoutMs?: Millis
  readonly input?: string
}

/** The commands of a PBS, here or wherever the executor runs them. */
export interface Commands {
  /** A refusal is an answer; a server that cannot be reached is `middleware-unreachable`. */
  run(program: Program, args: readonly string[], ask: RunAsk): Promise<Finished>
  /** Also a refusal is an error, whatever the exit status says of it: `middleware-refused`. */
  ask(program: Program, args: readonly string[], ask: RunAsk): Promise<string>
  /** Any other short program, such as `id`. */
  other(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<string>
  /** The same, where that it fails is an answer. */
  attempt(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<Finished>
  refusal(shown: string, done: Finished): SubletError
}

/** What the commands print when nobody answers them; their language does not change. */
const UNREACHABLE =
  /cannot connect to server|Unable to communicate with|Connection refused|could not connect to trqauthd|Cannot resolve specified server|Can not resolve name for server|No default server|Connection timed out|End of File|Protocol failure|communication failure/i
const NO_RIGHTS = /Unauthorized Request|PERM_/i
/** `pbsnodes -o` of Torque ends with 0 when it was refused: only these words tell. */
const REFUSED = /^(?:pbsnodes|qmgr|qrerun|qrls|qdel|Error (?:setting|marking))\b.*[:-]/m

export const isRefused = ({ exitCode, stderr }: Finished): boolean => exitCode !== 0 || REFUSED.test(stderr)

/** Of ten thousand jobs some 14 MB; an environment may be as long as its user likes. */
const OUTPUT_BYTES_MAX = 512 * 1024 * 1024

/** The command's own words, the last two lines of them. */
export const complaint = ({ stderr, stdout, exitCode }: Finished): string => {
  const said = (stderr.trim() === '' ? stdout : stderr).trim()
  return said === '' ? `exit ${exitCode}` : said.split('\n').slice(-2).join(' ').trim().slice(0, 300)
}

/** Times without a zone, as OpenPBS prints them, are then universal. */
export const pbsEnv = (server: string | undefined): Readonly<Record<string, string>> => ({
  ...{ LC_ALL: 'C', TZ: 'UTC0' },
  ...(server !== undefined && { PBS_DEFAULT: server }),
})

export function pbsCommands(
  exec: Executor,
  options: {
    readonly product: 'Torque' | 'OpenPBS'
    readonly server: string | undefined
    readonly bin: string | undefined
    readonly timeoutMs: Millis
  },
): Commands {
  const { product, server, bin } = options
  const env = pbsEnv(server)

  const start = async (argv: readonly [string, ...string[]], ask: RunAsk): Promise<Finished> => {
    const { signal, timeoutMs = options.timeoutMs, input } = ask
    try {
      return await exec.run(argv, {
        ...{ signal, timeoutMs, env, outputBytesMax: OUTPUT_BYTES_MAX },
        ...(input !== undefined && { input }),
      })
    } catch (cause) {
      if (signal.aborted || !(cause instanceof SubletError) || cause.code !== 'exec-timeout') throw cause
      throw new SubletError(
        'middleware-unreachable',
        `${product} gave no answer within ${period(timeoutMs)}: ${inOneLine(cause)}`,
        { cause },
      )
    }
  }

  const refusal = (shown: string, done: Finished): SubletError => {
    const sentence = `“${shown}” failed: ${complaint(done)}`
    if (!NO_RIGHTS.test(done.stderr)) return new SubletError('middleware-refused', sentence)
    return new SubletError('middleware-refused', sentence, {
      cure: `Make Sublet’s user a manager: qmgr -c 'set server managers += USER@HOST'.`,
    })
  }

  const commands: Commands = {
    refusal,
    async run(program, args, ask) {
      const done = await start([bin === undefined ? program : `${bin}/${program}`, ...args], ask)
      if (done.exitCode !== 0 && UNREACHABLE.test(done.stderr))
        throw new SubletError(
          'middleware-unreachable',
          `“${shown(program, args)}” did not reach ${product}: ${complaint(done)}`,
        )
      return done
    },
    async ask(program, args, ask) {
      const done = await commands.run(program, args, ask)
      if (isRefused(done)) throw refusal(shown(program, args), done)
      return done.stdout
    },
    async other(argv, signal) {
      const done = await start(argv, { signal })
      if (done.exitCode !== 0)
        throw new SubletError('exec-failed', `“${argv.join(' ')}” failed: ${complaint(done)}`)
      return done.stdout.trim()
    },
    attempt: (argv, signal) => start(argv, { signal }),
  }
  return commands
}

const shown = (program: string, args: readonly string[]): string => [program, ...args.slice(0, 4)].join(' ')

/** All at once; if one fails the others are ended, and the first failure is the answer. */
export async function together<T extends readonly unknown[]>(
  signal: AbortSignal,
  ...works: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> }
): Promise<T> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  try {
    return (await Promise.all(works.map((work) => work(either)))) as unknown as T
  } catch (error) {
    stop.abort(error)
    throw error
  }
}
