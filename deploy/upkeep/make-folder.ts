import { statSync } from 'node:fs'
import { SubletError } from '../../actors/runtime/errors.ts'
import { makeFolder } from '../../adapters/make-folder.ts'

/** A folder that a person has named: that it cannot be made is for him to know. */
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
