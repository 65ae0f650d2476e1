import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor, Finished } from '../executor.ts'
import { OUTPUT_BYTES_MAX, outputTooLarge, programMissing, shown } from './outcome.ts'

/** What a command answered once. What is not named is empty, and exit status 0. */
export interface Recording {
  /** The whole command line, its words in order; `*` stands for any one word. */
  readonly argv: readonly string[]
  readonly exitCode?: number
  readonly stdout?: string
  readonly stderr?: string
  /** The program was not there. */
  readonly missing?: true
}

/** What was run, for tests that ask what an adapter would have done. */
export interface RecordedExecutor extends Executor {
  readonly ran: readonly { readonly argv: readonly string[]; readonly input: string }[]
}

/**
 * Answers from a table instead of running anything. Recordings of one command line are played in their
 * order, and the last of them again and again. A command that was never recorded is `exec-failed`.
 */
export function recordedExecutor(recordings: readonly Recording[], name = 'recorded'): RecordedExecutor {
  const played = new Map<string, number>()
  const ran: { argv: readonly string[]; input: string }[] = []
  return {
    name,
    ran,
    async run(argv, { signal, input = '', outputBytesMax = OUTPUT_BYTES_MAX }): Promise<Finished> {
      signal.throwIfAborted()
      ran.push({ argv, input })
      const takes = recordings.filter((recording) => fits(recording.argv, argv))
      const key = JSON.stringify(argv)
      const at = played.get(key) ?? 0
      played.set(key, at + 1)
      const take = takes[Math.min(at, takes.length - 1)]
      if (take === undefined) throw new SubletError('exec-failed', `“${shown(argv)}” was never recorded`)
      if (take.missing) throw programMissing(argv, name)
      const { exitCode = 0, stdout = '', stderr = '' } = take
      if (Buffer.byteLength(stdout) + Buffer.byteLength(stderr) > outputBytesMax)
        throw outputTooLarge(argv, outputBytesMax)
      return { exitCode, signal: null, stdout, stderr }
    },
    close: async () => undefined,
  }
}

const fits = (pattern: readonly string[], argv: readonly string[]): boolean =>
  pattern.length === argv.length && pattern.every((word, i) => word === '*' || word === argv[i])
