import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SubletError } from '../../actors/runtime/errors.ts'

/** How a command names the Sublet it speaks to. */
export interface Whose {
  readonly dir?: string
  readonly config?: string
}

/**
 * The work folder: `--dir`, or what the configuration says, or the only one under `./.sublet`. Nothing is
 * taken from the environment. One that nobody named must be the caller's or root's: whoever may write where she
 * works may put his own there.
 */
export async function workFolder({ dir, config }: Whose): Promise<string> {
  if (dir !== undefined && config !== undefined)
    throw new SubletError('usage', 'give --dir or --config, not both')
  if (dir !== undefined) return existing(resolve(dir))
  if (config !== undefined) {
    const { loadConfig } = await import('../settings/settings-file.ts')
    return existing(loadConfig(config).settings.dir)
  }
  const here = resolve('.sublet')
  const found = isFolder(here) ? namesIn(here).filter((name) => isWorkFolder(join(here, name))) : []
  if (found.length === 1) return ofCaller(join(here, found[0]!))
  if (found.length === 0)
    throw new SubletError('not-running', 'there is no work folder in ./.sublet', {
      cure: 'Name the one that is meant with --dir FOLDER or --config FILE.',
    })
  throw new SubletError('usage', `./.sublet holds several work folders: ${found.join(', ')}`, {
    cure: 'Name the one that is meant with --dir .sublet/NAME.',
  })
}

function ofCaller(dir: string): string {
  const { uid } = statSync(dir)
  if (uid === 0 || uid === process.getuid?.()) return dir
  throw new SubletError('not-permitted', `${dir} belongs to another user (uid ${uid}), and was not named`, {
    cure: `If it is meant, name it: --dir ${dir}`,
  })
}

function existing(dir: string): string {
  const found = inspected(dir, () => statSync(dir, { throwIfNoEntry: false }))
  if (found === undefined) throw new SubletError('not-running', `there is no folder ${dir}`)
  if (!found.isDirectory()) throw new SubletError('not-running', `${dir} is a file, not a work folder`)
  return dir
}

const ANOTHER = 'Name the work folder with --dir FOLDER.'

/** What the system says of a folder or file that a person has named is his affair, not a mistake of ours. */
export function inspected<T>(path: string, look: () => T, cure = ANOTHER): T {
  try {
    return look()
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && 'syscall' in cause)) throw cause
    if (cause.code === 'ENOTDIR' && cure === ANOTHER)
      throw new SubletError('not-running', `${path} is not a folder`, { cause })
    if (cause.code !== 'EACCES' && cause.code !== 'EPERM')
      throw new SubletError('usage', `${path} cannot be looked at`, {
        cause,
        cure,
      })
    throw new SubletError('not-permitted', `this user may not look into ${path}`, {
      cause,
      cure:
        cure === ANOTHER
          ? 'Name a work folder that may be entered with --dir FOLDER, or ask the user who runs Sublet.'
          : `${cure} This one belongs to another user.`,
    })
  }
}

const namesIn = (path: string): readonly string[] => inspected(path, () => readdirSync(path))

const isFolder = (path: string): boolean =>
  inspected(path, () => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false)

const isWorkFolder = (path: string): boolean =>
  isFolder(path) &&
  // Before the first start there are only the keys that `sublet keygen` made.
  (['control.sock', 'keys'].some((name) => existsSync(join(path, name))) ||
    namesIn(path).some((name) => name.endsWith('.db')))
