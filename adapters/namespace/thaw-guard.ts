import { spawn } from 'node:child_process'

/**
 * Lets a machine go on when whoever stopped it dies: a shell of its own session that waits for a word.
 *
 *   told “done”          it ends
 *   told nothing at all  (the other end of the pipe is gone, kill -9 included) it writes `word` to `file`, and ends
 *
 * Resolves once it waits, so that there is no instant in which the machine stands still unguarded.
 */
export async function thawGuard(file: string, word: string): Promise<() => void> {
  const script = 'echo ready; read -r answer; [ "$answer" = done ] || echo "$2" >"$1"'
  const child = spawn('sh', ['-c', script, 'sh', file, word], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  child.unref()
  // A guard that cannot be told any more has ended, which is what it would have been told.
  child.stdin.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => reject(new Error('the guard of a stopped machine ended at once')))
    child.stdout.once('data', () => resolve())
  })
  child.removeAllListeners('exit')
  child.stdout.destroy()
  return () => child.stdin.end('done\n')
}
