import { statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'

/** Slurm writes several files for one job; one call for them all. */
const GATHER_MS: Millis = 10

/**
 * Calls back after a change of any of the paths. A file is watched through its folder, because logs are
 * rotated and may not exist yet.
 */
export function watchPaths(
  paths: readonly string[],
  clock: Clock,
  onChange: () => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return
  let gathering: Cancel | undefined
  const changed = (): void => {
    gathering ??= clock.after(GATHER_MS, () => {
      gathering = undefined
      onChange()
    })
  }
  signal.addEventListener('abort', () => gathering?.(), { once: true })
  for (const path of paths) {
    const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
    const watcher = watch(isFolder ? path : dirname(path), { signal }, (_, file) => {
      if (isFolder || file === null || file === basename(path)) changed()
    })
    // A watch is a hint: without it the next timed look sees the same.
    watcher.on('error', changed)
  }
}
