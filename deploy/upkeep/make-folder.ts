import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SubletError } from '../../actors/runtime/errors.ts'

/**
 * Makes a folder and those above it that are missing, from the top; the topmost that is new. `mkdir` with
 * `recursive` tries for ever where a folder is there and takes none, as /proc does.
 */
export function makeFolder(path: string, mode = 0o777): string | undefined {
  const missing: string[] = []
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at)
  for (const folder of missing)
    try {
      mkdirSync(folder, { mode })
    } catch (error) {
      // Somebody else has made it meanwhile.
      if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error
    }
  return missing[0]
}

/** ... that a person has named: that it cannot be made is for him to know. */
export function makeNamedFolder(path: string, cure: string, mode = 0o700): string | undefined {
  try {
    const made = makeFolder(path, mode)
    if (statSync(path).isDirectory()) return made
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause
    throw new SubletError('usage', `the folder ${path} cannot be made`, { cause, cure })
  }
  throw new SubletError('usage', `${path} is a file, not a folder`, { cure })
}
