import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SubletError } from '../actors/runtime/errors.ts'

/** How a command names the Sublet it speaks to. */
export interface Whose {
  readonly dir?: string
  readonly config?: string
}

/**
 * The work folder: `--dir`, or what the configuration says, or the only one under `./.sublet`. Nothing is
 * taken from the environment.
 */
export async function workFolder({ dir, config }: Whose): Promise<string> {
  if (dir !== undefined && config !== undefined)
    throw new SubletError('usage', 'give --dir or --config, not both')
  if (dir !== undefined) return resolve(dir)
  if (config !== undefined) {
    const { loadConfig } = await import('./settings-file.ts')
    return loadConfig(config).settings.dir
  }
  const here = resolve('.sublet')
  const found = isFolder(here) ? readdirSync(here).filter((name) => isWorkFolder(join(here, name))) : []
  if (found.length === 1) return join(here, found[0]!)
  if (found.length === 0)
    throw new SubletError('not-running', 'there is no work folder in ./.sublet', {
      cure: 'Name the one that is meant with --dir FOLDER or --config FILE.',
    })
  throw new SubletError('usage', `./.sublet holds several work folders: ${found.join(', ')}`, {
    cure: 'Name the one that is meant with --dir .sublet/NAME.',
  })
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

const isWorkFolder = (path: string): boolean =>
  isFolder(path) &&
  (existsSync(join(path, 'control.sock')) || readdirSync(path).some((name) => name.endsWith('.db')))
