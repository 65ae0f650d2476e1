import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Clock, Instant } from '../../actors/runtime/clock.ts'
import { metaOf } from '../../actors/runtime/composition.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import { encodeRow, type Row } from '../../actors/runtime/rows.ts'
import { syncFile } from '../../adapters/durable-file.ts'
import { makeFolder } from '../../adapters/make-folder.ts'
import { ledgerArchive } from '../../adapters/sqlite/archive.ts'
import { inspect, readRow, writeRow } from '../../adapters/sqlite/copy.ts'
import { stamp } from '../../adapters/sqlite/migration.ts'
import { inDir } from '../settings/work-files.ts'
import { hashOfFile, type Manifest, readManifest } from './backup-form.ts'
import { whileStopped } from './while-stopped.ts'

/**
 * Puts a backup in the place of what is there:
 *
 *   manifest and copies checked ──▶ copies in restoring/, marked ──▶ journal ──▶ old ones aside, copies in ──▶ done
 *                                                                      │ interrupted
 *                                                                      └──▶ Sublet does not start: restore again
 *
 * Each restored actor finds in its row `$meta` that it was restored, and asks its peers for what it has forgotten
 * before it does anything else.
 */
export interface Restored {
  readonly actors: readonly string[]
  readonly at: Instant
  /** Where what was there before is now. */
  readonly replaced: string
}

const workIn = (dir: string): string => join(dir, 'restoring')
const journalIn = (dir: string): string => join(workIn(dir), 'journal.json')

/** Half of the databases are new, half are old: nobody may start. */
export function refuseHalfRestored(dir: string): void {
  if (existsSync(journalIn(dir)))
    throw new SubletError('store-failed', `a restore of ${dir} was interrupted`, {
      cure: 'Run `sublet restore FOLDER` again, to its end.',
    })
}

export async function restore(
  dir: string,
  backup: string,
  {
    only,
    clock,
    here,
  }: { readonly only?: string | undefined; readonly clock: Clock; readonly here?: readonly string[] },
): Promise<Restored> {
  const folder = resolve(backup)
  const manifest = readManifest(folder)
  const actors = manifest.actors.filter(({ name }) => only === undefined || name === only)
  if (actors.length === 0)
    throw new SubletError('unknown-id', `the backup has no actor ${only}`, {
      cure: `It has ${manifest.actors.map(({ name }) => name).join(', ')}.`,
    })
  if (here !== undefined) refuseStrangers(manifest, actors, here)
  await checkCopies(folder, actors)
  refuseToForget(
    dir,
    actors.map(({ name }) => name),
    only,
  )
  const files = inDir(dir)
  makeFolder(dir, 0o700)
  const at = clock.now()
  const names = actors.map(({ name }) => name)
  return whileStopped(dir, names, async () => {
    const replaced = unused(join(dir, `replaced-${stamp(at)}`))
    const work = workIn(dir)
    mkdirSync(work, { recursive: true, mode: 0o700 })
    const from = `the backup of ${new Date(manifest.at).toISOString()}`
    for (const { name } of actors) {
      const copy = join(work, `${name}.db`)
      copyFileSync(join(folder, `${name}.db`), copy)
      // A copy has the mode of what it is of, whatever the umask is.
      chmodSync(copy, 0o600)
      mark(copy, at, from)
    }
    writeFileSync(
      journalIn(dir),
      `${JSON.stringify({ at, folder, replaced, actors: actors.map(({ name }) => name) })}\n`,
    )
    for (const each of [journalIn(dir), work, dir]) syncFile(each)
    mkdirSync(replaced, { mode: 0o700 })
    for (const { name, base } of actors) {
      for (const end of ['', '-wal', '-shm'])
        if (existsSync(`${files.database(name)}${end}`))
          renameSync(`${files.database(name)}${end}`, join(replaced, `${name}.db${end}`))
      ledgerArchive(files.archive, name).cut(base.seq, replaced)
      renameSync(join(work, `${name}.db`), files.database(name))
    }
    syncFile(dir)
    rmSync(work, { recursive: true })
    return { actors: actors.map(({ name }) => name), at, replaced }
  })
}

/** Nobody would ever open the database of an actor that is not here; the backup is that of another Sublet. */
function refuseStrangers(manifest: Manifest, actors: Manifest['actors'], here: readonly string[]): void {
  const strange = actors.map(({ name }) => name).filter((name) => !here.includes(name))
  if (strange.length === 0) return
  const all = manifest.actors.map(({ name }) => name)
  throw new SubletError('unknown-id', `${strange.join(', ')} of the backup is no actor here`, {
    cure: `The backup has ${all.join(', ')}; here there is ${here.join(', ')}. Restore those with --actor, or name the work folder that is meant.`,
  })
}

/**
 * Of the actors that were being restored when it was interrupted some may have no database: whoever restores the
 * others alone would start those with nothing, and forget every lease of theirs.
 */
function refuseToForget(dir: string, names: readonly string[], only: string | undefined): void {
  const pending = pendingIn(dir)
  if (pending === undefined) return
  const forgotten =
    pending === 'unknown' ? only !== undefined : !pending.every((name) => names.includes(name))
  if (!forgotten) return
  const whom = pending === 'unknown' ? '' : ` of ${pending.join(', ')}`
  throw new SubletError('usage', `a restore${whom} in ${dir} was interrupted, and has to be ended first`, {
    cure: 'Run `sublet restore FOLDER` with a backup that has all of them, and without --actor.',
  })
}

/** Whose restore was interrupted; a journal that cannot be read was interrupted, too. */
function pendingIn(dir: string): readonly string[] | 'unknown' | undefined {
  if (!existsSync(journalIn(dir))) return undefined
  try {
    return journal.parse(JSON.parse(readFileSync(journalIn(dir), 'utf8'))).actors
  } catch {
    return 'unknown'
  }
}

const journal = z.object({ actors: z.array(z.string()) })

/** Two restores within a second do not share a folder. */
function unused(path: string): string {
  for (let i = 0; ; i++) {
    const candidate = i === 0 ? path : `${path}-${i}`
    if (!existsSync(candidate)) return candidate
  }
}

async function checkCopies(folder: string, actors: Manifest['actors']): Promise<void> {
  for (const { name, sha256, head } of actors) {
    const copy = join(folder, `${name}.db`)
    if (!existsSync(copy)) throw new SubletError('backup-damaged', `the backup ${folder} lacks ${name}.db`)
    if ((await hashOfFile(copy)) !== sha256)
      throw new SubletError('backup-damaged', `${copy} is not what was backed up`)
    const found = inspect(copy)
    if (found.head.seq !== head.seq || found.head.hash !== head.hash)
      throw new SubletError('backup-damaged', `the ledger in ${copy} does not end where the manifest says`)
  }
}

/** Read by the runtime when the actor starts: a new generation begins. */
function mark(copy: string, at: Instant, from: string): void {
  const rows = new RowSet()
  rows.set('$meta', 'meta', readRow(copy, '$meta', 'meta'))
  const marked: Row = { ...metaOf(rows), ...{ restored: { at, from } } }
  writeRow(copy, encodeRow('$meta', 'meta', marked))
}
