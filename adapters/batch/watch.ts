import { type FSWatcher, statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'

/** One job is several writes; one call for them all. */
const GATHER_MS: Millis = 10

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/**
 * Calls back after a change of any of the paths. Each is watched through the folder it lies in, because
 * logs are rotated, and slurmctld makes its hash folders only when the first job falls into them; a
 * folder is watched itself as soon as it is there. Where that folder is not there nothing is watched: the
 * next timed look sees the same.
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

  const inside = new Map<string, FSWatcher>()
  /** Called when the entry came or went: an inode may return under the same name, so the old watch goes. */
  const watchInside = (path: string): void => {
    inside.get(path)?.close()
    inside.delete(path)
    // A watch is a hint: without it the next timed look sees the same.
    if (isFolder(path)) inside.set(path, watch(path, { signal }, changed).on('error', changed))
  }

  const byParent = Map.groupBy(paths, (path) => dirname(path))
  for (const [parent, children] of byParent) {
    if (!isFolder(parent)) continue
    const names = new Map(children.map((path) => [basename(path), path]))
    watch(parent, { signal }, (event, file) => {
      const path = names.get(file ?? '')
      if (path === undefined) return
      if (event === 'rename') watchInside(path)
      changed()
    }).on('error', changed)
    for (const path of children) watchInside(path)
  }
}
