import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

/**
 * Each job runs under a small shell of its own, which dies with the machine:
 *
 *   supervisor ══ fd 3 ══▶ guard ──▶ the job's command          (one process group and session)
 *                            └─────▶ watcher: reads fd 3 until it ends
 *
 * The guard starts nothing before it reads a line from fd 3: first the start marker has to be on the disk.
 * When fd 3 ends, the supervisor is dead. Then the watcher kills every process that carries the machine's
 * mark, also one that left the group, and the group last, for it is in there itself. Its own environment
 * carries another name, so that the watchers of two jobs do not kill each other before the work is done.
 */
const GUARD = `
umask 022
[ -z "$2" ] || exec >>"$2" 2>&1
read -r go <&3 || exit 75
(
  trap '' TERM INT HUP
  export SUBLET_GUARD="$SUBLET_UNIT"
  unset SUBLET_UNIT SUBLET_PART
  exec /bin/sh -c "$3" watcher "$$" >/dev/null 2>&1
) &
watcher=$!
trap : TERM INT HUP
/bin/sh -c "$1" 3<&- &
job=$!
while :; do
  wait "$job"
  code=$?
  kill -0 "$job" 2>/dev/null || break
done
{ kill -9 "$watcher"; wait "$watcher"; } 2>/dev/null
exit "$code"
`

const WATCHER = `
read -r never <&3
exec 3<&-
for round in 1 2 3 4 5; do
  files=$(grep -lsF "SUBLET_UNIT=$SUBLET_GUARD" /proc/[0-9]*/environ)
  [ -n "$files" ] || break
  for file in $files; do
    pid=\${file#/proc/}
    kill -9 "\${pid%/environ}"
  done
done
kill -9 -"$1"
`

/** Enough of standard error for the last line to say why a command failed. */
const STDERR_KEPT = 2_048

export interface Guarded {
  readonly pid: number
  /** Lets the command begin. */
  go(): void
  /** To the whole group; absence is success. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void
  /** The command's exit code (128 + n after signal n), and the end of what it said on standard error. */
  readonly ended: Promise<{ readonly exitCode: number; readonly stderr: string }>
}

interface GuardOptions {
  readonly command: string
  readonly cwd: string
  readonly output: string | null
  readonly env: Readonly<Record<string, string>>
}

export function guard(options: GuardOptions): Guarded {
  const child = start(options)
  if (child instanceof Error || child.pid === undefined) {
    const ended = child instanceof Error ? Promise.resolve(notStarted(child)) : outcome(child)
    return { pid: 0, go: () => undefined, signal: () => undefined, ended }
  }
  const { pid } = child
  const ended = outcome(child)
  const line = child.stdio[3]
  return {
    pid,
    ended,
    go() {
      if (line !== null && line !== undefined && 'write' in line) line.write('go\n')
    },
    signal(name) {
      signalGroup(pid, name)
    },
  }
}

/** Some commands cannot even be handed over: too long, or with a zero byte in them. */
function start({ command, cwd, output, env }: GuardOptions): ChildProcess | Error {
  try {
    return spawn('/bin/sh', ['-c', GUARD, 'guard', command, output ?? '', WATCHER], {
      detached: true,
      cwd,
      env: { ...env },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

const notStarted = (error: Error): { exitCode: number; stderr: string } => ({
  exitCode: 126,
  stderr: error.message,
})

export function signalGroup(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function outcome(child: ChildProcess): Promise<{ exitCode: number; stderr: string }> {
  let stderr = ''
  const errors: Readable | null = child.stderr
  errors?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-STDERR_KEPT)
  })
  // Its end of fd 3 breaks when the guard dies first; 'exit' tells of that.
  child.stdio[3]?.on('error', () => undefined)
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(notStarted(error)))
    // Not 'close': a process that left the job may hold standard error open.
    child.once('exit', (code, signal) => {
      resolve({ exitCode: code ?? (signal === 'SIGKILL' ? 137 : 143), stderr: stderr.trim() })
    })
  })
}
