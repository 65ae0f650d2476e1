import type { Millis } from '../actors/runtime/clock.ts'

/** What a finished command left. A non-zero exit is an answer, not an exception. */
export interface Finished {
  /** The exit status, or null if a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Ends the command and everything it started. */
  readonly signal: AbortSignal
  /** Ends the command after this long with `exec-timeout`. Default 10 000. */
  readonly timeoutMs?: Millis
  /** Written to the command's standard input, which is then closed. */
  readonly input?: string
  /** Added to the executor's own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** More output than this ends the command with `exec-output-too-large`. Default 64 MiB. */
  readonly outputBytesMax?: number
}

/**
 * Runs commands somewhere: here, or on another machine.
 *
 * Law (test/conformance/executor.ts): arguments arrive as they were given, whatever characters they
 * hold; both streams arrive whole; a missing program is `exec-missing`; a command past its time is
 * ended together with its children and is `exec-timeout`; an aborted signal ends it likewise and
 * rejects with the signal's reason; a command that cannot be started or reached is an error, a command
 * that fails is an answer.
 */
export interface Executor {
  /** For messages, such as `local` or `ssh root@10.88.0.101`. */
  readonly name: string
  run(argv: readonly [string, ...string[]], options: RunOptions): Promise<Finished>
  /** Closes connections; a later run opens them again. */
  close(): Promise<void>
}
