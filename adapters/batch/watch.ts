import { type FSWatcher, statSync, type WatchListener, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'

/** One job is several writes; one call for them all. */
const GATHER_MS: Millis = 10

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/**
 * Calls back after a change of any of the paths. Each is watched through the folder it lies in, because
 * logs are rotated, and slurmctld makes its hash folders only when the first job falls into them; a
 * folder is watched itself as soon as it is there. A watch is a hint: where there can be none (the folder is not there or
 * went a moment ago, the system has no more watches to give) the next timed look sees the same. So nothing is thrown.
 */
export function watchPaths(
  paths: readonly string[],
  clock: Clock,
  onChange: () => void,
  signal: AbortSignal,
  watching: typeof watch = watch,
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

  /** Often called from a watch, where what is thrown ends the process. */
  const watched = (path: string, told: WatchListener<string>): FSWatcher | undefined => {
    if (!isFolder(path)) return undefined
    try {
      return watching(path, { signal }, told).on('error', changed)
    } catch {
      return undefined
    }
  }

  const inside = new Map<string, FSWatcher>()
  /** Called when the entry came or went: an inode may return under the same name, so the old watch goes. */
  const watchInside = (path: string): void => {
    inside.get(path)?.close()
    inside.delete(path)
    const watcher = watched(path, changed)
    if (watcher !== undefined) inside.set(path, watcher)
  }

  const byParent = Map.groupBy(paths, (path) => dirname(path))
  for (const [parent, children] of byParent) {
    const names = new Map(children.map((path) => [basename(path), path]))
    watched(parent, (event, file) => {
      const path = names.get(file ?? '')
      if (path === undefined) return
      if (event === 'rename') watchInside(path)
      changed()
    })
    for (const path of children) watchInside(path)
  }
}
