import { spawn } from 'node:child_process'

/**
 * The batch system outlives whoever started it, as a middleware should, but a demo that was killed is not to
 * leave one behind: a small shell waits for the end of this process and then takes the folder away, by which
 * the batch system ends. Its machines end with their leases. Returns how to call it off.
 */
export function guardFolder(dir: string, batchDir: string, all: boolean): () => void {
  const script =
    'while kill -0 "$1" 2>/dev/null; do sleep 1; done; sleep "$4"; if [ "$3" = all ]; then rm -rf "$2" "$5"; else rm -rf "$2"; fi'
  const guard = spawn(
    'sh',
    ['-c', script, 'sh', String(process.pid), batchDir, all ? 'all' : 'batch', '40', dir],
    {
      detached: true,
      stdio: 'ignore',
      cwd: '/',
    },
  )
  guard.unref()
  return () => {
    // With whatever it waits in: it leads a group of its own.
    if (guard.pid !== undefined && guard.exitCode === null) process.kill(-guard.pid, 'SIGKILL')
  }
}
