import { existsSync, readdirSync } from 'node:fs'
import { namesHere } from './settings/names-here.ts'
import { inDir } from './settings/work-files.ts'
import { actorsIn } from './upkeep/backup.ts'
import { inspected } from './upkeep/work-folder.ts'

/**
 * The actors that run in a work folder: as its configuration says, or without one as far as their keys and databases
 * tell; undefined of a new folder, of which nothing is known.
 */
export async function actorsHere(
  dir: string,
  config: string | undefined,
): Promise<readonly string[] | undefined> {
  if (config !== undefined) {
    const { loadConfig } = await import('./settings/settings-file.ts')
    return namesHere(loadConfig(config).settings)
  }
  const { keys } = inDir(dir)
  const files = inspected(keys, () => (existsSync(keys) ? readdirSync(keys) : []))
  const named = files.flatMap((file) => /^(.+?)(?:\.next)?\.key$/.exec(file)?.[1] ?? [])
  const names = [...new Set([...named, ...actorsIn(dir)])].toSorted()
  return names.length === 0 ? undefined : names
}
