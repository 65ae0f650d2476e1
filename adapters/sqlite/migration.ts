import { readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Instant } from '../../actors/runtime/clock.ts'
import { syncFile } from '../durable-file.ts'
import { newer } from './failures.ts'
import { rowsAndLedger } from './migrations/0001-rows-and-ledger.ts'
import { head } from './migrations/0002-head.ts'
import { base } from './migrations/0003-base.ts'
import { checksums } from './migrations/0004-checksums.ts'
import type { Migration } from './migrations/step.ts'

const MIGRATIONS: readonly Migration[] = [rowsAndLedger, head, base, checksums]

/** The layout that this code writes. */
export const VERSION = MIGRATIONS.length

/** 0 for a new database. */
export function versionOf(database: DatabaseSync): number {
  const tables = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").get()
  if (tables === undefined) return 0
  const value = database.prepare("SELECT value FROM meta WHERE key = 'version'").get()?.value
  return typeof value === 'number' ? value : 0
}

/**
 * Brings a database to today's layout:
 *
 *   older ──copied beside it, synced──▶ every missing step in ONE transaction ──▶ today's
 *     └──────────────── interrupted or failed ────────────────▶ as it was
 *
 * The copy stays, `FILE.v2-20261125T013000Z`, for whoever wants to go back to the version before.
 */
export function migrate(database: DatabaseSync, path: string, now: Instant): void {
  const version = versionOf(database)
  if (version > VERSION) throw newer(version)
  if (version === VERSION) return
  if (version > 0) {
    removeUnfinished(path)
    copyTo(database, `${path}.v${version}-${stamp(now)}`)
  }
  database.exec('BEGIN IMMEDIATE')
  try {
    database.exec('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT')
    for (const { up } of MIGRATIONS.slice(version)) up(database)
    database.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('version', ?)").run(VERSION)
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** What copies that were interrupted left behind: each has the size of the database, and SQLite's journal may be beside it. */
function removeUnfinished(path: string): void {
  const folder = dirname(path)
  for (const name of readdirSync(folder))
    if (name.startsWith(`${basename(path)}.v`) && UNFINISHED.test(name)) rmSync(join(folder, name))
}

const UNFINISHED = /\.unfinished(-journal)?$/

/** A whole copy, as of one instant, also while others write; it is on disk when this returns. */
export function copyTo(database: DatabaseSync, path: string): void {
  const unfinished = `${path}.unfinished`
  for (const left of [unfinished, `${unfinished}-journal`]) rmSync(left, { force: true })
  database.prepare('VACUUM INTO ?').run(unfinished)
  syncFile(unfinished)
  renameSync(unfinished, path)
  syncFile(dirname(path))
}

/** `20261125T013000Z`: an instant as part of a file's name. */
export const stamp = (at: Instant): string =>
  new Date(at).toISOString().replaceAll(/[-:]/g, '').replace(/\.\d+/, '')
