import { type Clock, type Millis, sleep, within } from '../../actors/runtime/clock.ts'
import { timedOut } from '../../adapters/exec/outcome.ts'
import type { Executor, Finished } from '../../adapters/executor.ts'
import type { Answer, Asked } from './answer.ts'

/** Asks an emulated server without processes, and keeps what was asked. */
export interface EmulatedExecutor extends Executor {
  readonly ran: string[]
  /** Answers in the server's stead, if it says anything. */
  instead: (line: string) => Partial<Finished> | 'hangs' | undefined
  /** How long a command takes before it answers, in ms. */
  lasts: (line: string) => Millis
}

export function emulatedExecutor(
  answer: (asked: Asked) => Promise<Answer>,
  { clock, user = 'root' }: { readonly clock: Clock; readonly user?: string },
): EmulatedExecutor {
  const executor: EmulatedExecutor = {
    name: 'emulated',
    ran: [],
    instead: () => undefined,
    lasts: () => 0,
    close: async () => undefined,
    run(argv, { signal, timeoutMs = 10_000, input = '' }) {
      const line = argv.join(' ')
      executor.ran.push(input === '' ? line : `${line} <<${input}`)
      const [program, ...args] = argv
      return within(
        clock,
        timeoutMs,
        () => timedOut(argv, timeoutMs),
        async (): Promise<Finished> => {
          const lastsMs = executor.lasts(line)
          if (lastsMs > 0) await sleep(clock, lastsMs, signal)
          const instead = executor.instead(line)
          if (instead === 'hangs') return new Promise(() => undefined)
          if (instead !== undefined) return { exitCode: 0, signal: null, stdout: '', stderr: '', ...instead }
          if (program === 'id') return { exitCode: 0, signal: null, stdout: `${user}\n`, stderr: '' }
          return { signal: null, ...(await answer({ program, args, user, input })) }
        },
        signal,
      )
    },
  }
  return executor
}
