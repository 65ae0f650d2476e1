import { spawn } from 'node:child_process'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor, Finished } from '../executor.ts'
import { type Gathered, gathered } from './gathered.ts'
import { OUTPUT_BYTES_MAX, outputTooLarge, programMissing, shown, TIMEOUT_MS, timedOut } from './outcome.ts'

export interface LocalDeps {
  readonly clock: Clock
  /** The whole environment of the commands; this process's own by default. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** How long a command that is being ended may tidy up between TERM and KILL. */
  readonly killAfterMs?: Millis
}

/** After KILL nothing but the kernel can hold a process; past this the caller is told all the same. */
const LAST_WAIT_MS = 2000

/**
 * Runs commands on this machine, without a shell.
 *
 *   started ──▶ both streams at their end and exit known ──▶ Finished
 *      └── too long, too much, aborted ──▶ TERM to the group ──(killAfterMs)──▶ KILL ──▶ rejected
 *
 * Each command leads a session of its own, so that one signal reaches it and all it started. A command
 * has finished when its streams are at their end: a daemon that it left behind must not keep them open.
 */
export function localExecutor({ clock, env, killAfterMs = 500 }: LocalDeps): Executor {
  const run: Executor['run'] = (argv, options) =>
    new Promise<Finished>((resolve, reject) => {
      const { signal, timeoutMs = TIMEOUT_MS, input = '', outputBytesMax = OUTPUT_BYTES_MAX } = options
      if (signal.aborted) return reject(signal.reason)
      const timers = new Set<Cancel>()
      const after = (delayMs: Millis, act: () => void): void => void timers.add(clock.after(delayMs, act))
      let ending: { readonly reason: unknown } | undefined
      let closed = false
      let killed = false
      let bytes = 0
      const stdout = gathered()
      const stderr = gathered()

      const settle = (act: () => void): void => {
        for (const cancel of timers) cancel()
        signal.removeEventListener('abort', onAbort)
        act()
      }
      const [program, ...rest] = argv
      const child = spawn(program, rest, { detached: true, env: { ...(env ?? process.env), ...options.env } })
      child.on('error', (cause: NodeJS.ErrnoException) => {
        if (child.pid === undefined) settle(() => reject(notStarted(argv, cause)))
      })
      // Out of file descriptors: there are no streams, and the error event tells why.
      if (child.stdout === undefined) return

      const giveUp = (): void => {
        child.stdout.destroy()
        child.stderr.destroy()
        settle(() => reject(ending?.reason))
      }
      const end = (reason: unknown): void => {
        if (ending !== undefined) return
        ending = { reason }
        child.stdin.destroy()
        signalGroup(child.pid, 'SIGTERM')
        after(killAfterMs, () => {
          killed = true
          signalGroup(child.pid, 'SIGKILL')
          if (closed) giveUp()
          else after(LAST_WAIT_MS, giveUp)
        })
      }
      const onAbort = (): void => end(signal.reason)
      const keep = (into: Gathered) => (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > outputBytesMax) end(outputTooLarge(argv, outputBytesMax))
        else into.add(chunk)
      }

      signal.addEventListener('abort', onAbort, { once: true })
      after(timeoutMs, () => end(timedOut(argv, timeoutMs)))
      child.stdout.on('data', keep(stdout))
      child.stderr.on('data', keep(stderr))
      // A command may end without having read its input; its exit status tells how it went.
      child.stdin.on('error', () => undefined)
      child.stdin.end(input)

      child.on('close', (exitCode, by) => {
        if (child.pid === undefined) return
        closed = true
        // What the leader started may ignore TERM and keep no stream open: then KILL is still to come.
        if (ending !== undefined) return killed || !signalGroup(child.pid, 0) ? giveUp() : undefined
        settle(() => resolve({ exitCode, signal: by, stdout: stdout.text(), stderr: stderr.text() }))
      })
    })

  return { name: 'local', run, close: async () => undefined }
}

/** False if no process of the group is left. */
function signalGroup(leader: number | undefined, name: NodeJS.Signals | 0): boolean {
  if (leader === undefined) return false
  try {
    return process.kill(-leader, name)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ESRCH') return false
    // A program of another user (sudo) cannot be ended from here; the caller is told after the last wait.
    if (code === 'EPERM') return true
    throw error
  }
}

function notStarted(argv: readonly [string, ...string[]], cause: NodeJS.ErrnoException): SubletError {
  if (cause.code === 'ENOENT' || cause.code === 'EACCES') return programMissing(argv, 'local', cause)
  return new SubletError('exec-failed', `“${shown(argv)}” could not be started`, { cause })
}
