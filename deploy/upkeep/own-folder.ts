import { readdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SubletError } from '../../actors/runtime/errors.ts'

const STICKY = 0o1000
const OTHERS_WRITE = 0o002

/**
 * A work folder is closed to others. One of the system that was named by mistake, as /etc or /tmp, is not: nobody could go
 * on there. Where everybody may put things, somebody else could also have put there what Sublet would take for its own.
 */
export function refuseForeign(dir: string): void {
  const path = resolve(dir)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isDirectory() !== true) return
  const isCommon = (found.mode & STICKY) !== 0 && (found.mode & OTHERS_WRITE) !== 0
  const why = isCommon
    ? 'everybody may put things there'
    : isTop(path) && !isOurs(readdirSync(path))
      ? 'it holds what is not Sublet’s'
      : undefined
  if (why !== undefined)
    throw new SubletError('config-invalid', `${dir} is no work folder, which is closed to others: ${why}`, {
      cure: isCommon
        ? 'Name a folder of its own with `dir`, such as one below it; a disk that is there for it alone has to be closed to others (`chmod 700`).'
        : 'Name a folder of its own with `dir`, such as one below it.',
    })
}

/** The root, and what lies directly in it. */
const isTop = (path: string): boolean => dirname(dirname(path)) === dirname(path)

/** Sublet has run there, or nothing but keys and configurations were put there for it. */
const isOurs = (names: readonly string[]): boolean =>
  names.includes('sublet.log') || names.every((name) => name === 'keys' || /\.ya?ml$/.test(name))
