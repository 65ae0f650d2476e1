import { SubletError } from '../../actors/runtime/errors.ts'
import { whileLocked } from '../../adapters/sqlite/copy.ts'
import { inDir } from '../settings/work-files.ts'

/** Works on the databases of these actors, which nobody may have open meanwhile: it says how to see to that. */
export async function whileStopped<T>(
  dir: string,
  actors: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const paths = actors.map((name) => inDir(dir).database(name))
  try {
    return await whileLocked(paths, work)
  } catch (error) {
    if (!(error instanceof SubletError && error.code === 'store-locked')) throw error
    throw new SubletError('store-locked', error.message, {
      cause: error.cause,
      cure: `End the Sublet that runs with \`sublet stop --dir ${dir}\`, and give this command again; leases and jobs go on.`,
    })
  }
}
