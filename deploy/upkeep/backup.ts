import { readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { syncFile } from '../../adapters/durable-file.ts'
import { copyDatabase } from '../../adapters/sqlite/copy.ts'
import { stamp } from '../../adapters/sqlite/migration.ts'
import { inDir } from '../settings/work-files.ts'
import { hashOfFile, MANIFEST, type Manifest } from './backup-form.ts'
import { makeNamedFolder } from './make-folder.ts'
import { refuseHalfRestored } from './restore.ts'
import { inspected } from './work-folder.ts'

/** The actors whose databases lie in a work folder. */
export const actorsIn = (dir: string): readonly string[] =>
  inspected(dir, () => readdirSync(dir))
    .flatMap((file) => /^(.+)\.db$/.exec(file)?.[1] ?? [])
    .toSorted()

const ANOTHER = 'Name a new folder with --to FOLDER.'

/**
 * Copies the database of each actor, also while Sublet runs: nobody waits for it. Each copy is read whole and
 * compared with its checksums before the manifest names it.
 */
export async function backUp(
  dir: string,
  to: string | undefined,
  clock: Clock,
): Promise<{ readonly folder: string; readonly manifest: Manifest }> {
  refuseHalfRestored(dir)
  const names = actorsIn(dir)
  if (names.length === 0)
    throw new SubletError('not-running', `there is no Sublet in ${dir}, and no database of one`)
  const at = clock.now()
  const folder = resolve(to ?? join(dir, 'backups', stamp(at)))
  makeNamedFolder(folder, ANOTHER)
  if (inspected(folder, () => readdirSync(folder), ANOTHER).length > 0)
    throw new SubletError('usage', `${folder} is there already, and is not empty`, { cure: ANOTHER })
  const actors: Manifest['actors'] = []
  for (const name of names) {
    const copy = join(folder, `${name}.db`)
    const { layout, rows, base, head } = copyDatabase(inDir(dir).database(name), copy)
    const [bytes, sha256] = [statSync(copy).size, await hashOfFile(copy)]
    actors.push({ name, layout, rows, base, head, bytes, sha256 })
  }
  const manifest: Manifest = { format: 1, folder: basename(dir), at, actors }
  const unfinished = join(folder, `${MANIFEST}.unfinished`)
  writeFileSync(unfinished, `${JSON.stringify(manifest, null, 1)}\n`, { mode: 0o600 })
  syncFile(unfinished)
  renameSync(unfinished, join(folder, MANIFEST))
  syncFile(folder)
  return { folder, manifest }
}
