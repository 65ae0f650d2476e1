import { statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'

/** One job is several writes; one call for them all. */
const GATHER_MS: Millis = 10

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/**
 * Calls back after something in any of the folders changed, or one of the files; a file is watched by its
 * folder, because logs are rotated. What is not there is not watched: the next timed look sees the same.
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
    const folder = isFolder(path) ? path : dirname(path)
    if (!isFolder(folder)) continue
    watch(folder, { signal }, (_event, name) => {
      if (folder === path || name === basename(path)) changed()
    }).on('error', changed)
  }
}
