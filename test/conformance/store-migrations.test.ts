import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyLedger } from '../../actors/ledger/verify.ts'
import { decodeRow, type Row } from '../../actors/runtime/rows.ts'
import { inspect } from '../../adapters/sqlite/copy.ts'
import { damageOf } from '../../adapters/sqlite/mend.ts'
import { VERSION } from '../../adapters/sqlite/migration.ts'
import { sqliteLedger, sqliteStore } from '../../adapters/sqlite/store.ts'
import { OLD_STORES } from './old-stores.ts'
import { numberedCommit } from './store.ts'

let dir = ''
let path = ''

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-migrations-'))
  path = join(dir, 'a.db')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** How such a page begins; a table without rowid is an index (https://sqlite.org/fileformat2.html). */
const LEAF_OF_INDEX = 10
const AT = Date.UTC(2026, 10, 25, 1, 30)
const clock = { now: () => AT }
/** Copies that were made before a migration, and what interrupted ones left. */
const copies = (): string[] => readdirSync(dir).filter((name) => name.startsWith('a.db.v'))
const unfinished = (name: string): boolean => /\.unfinished(-journal)?$/.test(name)

/** What stands in a file, whatever its layout: rows and lines, sorted. */
function content(file: string): unknown {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return {
      version: database.prepare("SELECT value FROM meta WHERE key = 'version'").get()?.value,
      rows: database.prepare('SELECT tbl, id, json, checksum FROM row ORDER BY tbl, id').all(),
      lines: database.prepare('SELECT seq, subject, json FROM ledger ORDER BY seq').all(),
      tables: database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .all()
        .map(({ name }) => name),
    }
  } finally {
    database.close()
  }
}

test('there is a database of every earlier version', () => {
  expect(OLD_STORES.map(({ version }) => version)).toEqual(
    Array.from({ length: VERSION - 1 }, (_, i) => i + 1),
  )
})

describe.each(OLD_STORES)('a database of version $version', ({ version, build }) => {
  test('is brought to today’s layout with every row and line, and goes on', async () => {
    build(path, 4)
    const store = sqliteStore(path, clock)
    const { rows, head } = await store.open()
    const byId = (a: Row, b: Row): number => (a.id < b.id ? -1 : 1)
    expect(rows.map((row) => decodeRow(row)).toSorted(byId)).toEqual([
      { id: 'counter', n: 4 },
      ...[1, 2, 3, 4].map((n) => ({ id: `row ${n}`, n, text: 'naïve 🙂 \u0000' })),
    ])
    const { commit, entry } = numberedCommit(5, head)
    await store.commit(commit)
    expect(verifyLedger(await store.entries({ afterSeq: 0, limit: 10 }), entry)).toEqual([])
    await store.close()
    const again = sqliteStore(path, clock)
    expect((await again.open()).head.seq).toBe(5)
    await again.close()
  })

  test('is copied beside it first, named by version and time, and the copy is what it was', async () => {
    build(path, 3)
    const before = content(path)
    const store = sqliteStore(path, clock)
    await store.open()
    await store.close()
    expect(copies()).toEqual([`a.db.v${version}-20261125T013000Z`])
    expect(content(join(dir, copies()[0]!))).toEqual(before)
    expect(content(path)).toMatchObject({ version: VERSION })
  })

  test('of which a row is damaged is brought there with the damage, and not opened', async () => {
    build(path, 3)
    const database = new DatabaseSync(path)
    database.exec("UPDATE row SET json = replace(json, '2', '3') WHERE id = 'row 2'")
    database.close()
    for (const life of [1, 2])
      await expect(sqliteStore(path, clock).open(), `life ${life}`).rejects.toMatchObject({
        code: 'store-corrupt',
        message: expect.stringContaining('row row 2 of table count does not fit its checksum'),
      })
    expect(content(path)).toMatchObject({ version: VERSION })
    expect(damageOf(path)).toMatchObject({ rows: [{ table: 'count', id: 'row 2' }] })
  })

  test('of which rows are lost is left as it was, for nobody would miss them any more', async () => {
    build(path, 300)
    const whole = readFileSync(path)
    const pageSize = whole.readUInt16BE(16)
    const damaged = Array.from({ length: whole.length / pageSize }, (_, page) => page * pageSize).find(
      (at) =>
        at > 0 && whole[at] === LEAF_OF_INDEX && whole.subarray(at, at + pageSize).includes('{"id":"row '),
    )!
    whole.writeUInt16BE(whole.readUInt16BE(damaged + 3) - 1, damaged + 3)
    writeFileSync(path, whole)
    const before = content(path) as { rows: unknown[] }
    expect(before.rows).toHaveLength(300)
    await expect(sqliteStore(path, clock).open()).rejects.toMatchObject({ code: 'store-corrupt' })
    expect(content(path)).toEqual(before)
  })

  test('can be inspected as it is', () => {
    build(path, 3)
    expect(inspect(path)).toMatchObject({ layout: version, rows: 4, head: { seq: 3 } })
    const database = new DatabaseSync(path)
    database.exec("UPDATE row SET json = replace(json, '2', '3') WHERE id = 'row 2'")
    database.close()
    expect(() => inspect(path)).toThrow('does not fit its checksum')
  })

  test('an empty one is brought there, too', async () => {
    build(path, 0)
    const store = sqliteStore(path, clock)
    expect(await store.open()).toEqual({ rows: [], head: { seq: 0, hash: '' } })
    await store.close()
  })

  test('can be read without being changed', async () => {
    build(path, 3)
    const before = content(path)
    const reader = sqliteLedger(path)
    const { base, head } = await reader.open()
    expect([base.seq, head.seq]).toEqual([0, 3])
    expect(verifyLedger(await reader.entries({ afterSeq: 0, limit: 10 }), head)).toEqual([])
    await reader.close()
    expect(content(path)).toEqual(before)
  })

  test('a step that fails leaves it as it was', async () => {
    build(path, 3)
    const database = new DatabaseSync(path)
    database.exec('CREATE VIEW row_4 AS SELECT 1')
    database.close()
    const before = content(path)
    await expect(sqliteStore(path, clock).open()).rejects.toMatchObject({
      code: 'store-failed',
      message: expect.stringContaining('row_4'),
    })
    expect(content(path)).toEqual(before)
  })

  test('without room for the copy it is left as it was, and nothing half-made looks like a copy', async () => {
    build(path, 3)
    const before = content(path)
    // Where the copy would be written there is a folder.
    const database = new DatabaseSync(':memory:')
    database.close()
    const { mkdirSync } = await import('node:fs')
    mkdirSync(join(dir, `a.db.v${version}-20261125T013000Z.unfinished`, 'x'), { recursive: true })
    await expect(sqliteStore(path, clock).open()).rejects.toMatchObject({ code: 'store-failed' })
    expect(content(path)).toEqual(before)
    expect(copies().filter((name) => !unfinished(name))).toEqual([])
  })

  test('what an interrupted copy left is removed by the next one, SQLite’s journal of it, too', async () => {
    build(path, 3)
    for (const end of ['unfinished', 'unfinished-journal']) {
      writeFileSync(join(dir, `a.db.v${version}-20261124T013000Z.${end}`), 'half a copy of yesterday')
      writeFileSync(join(dir, `a.db.v${version}-20261125T013000Z.${end}`), 'half a copy of this second')
    }
    const others = ['b.db.v1.unfinished', 'a.db.v1-20261124T013000Z']
    for (const name of others) writeFileSync(join(dir, name), 'of others, and a whole copy')
    const before = content(path)
    const store = sqliteStore(path, clock)
    await store.open()
    await store.close()
    const copy = `a.db.v${version}-20261125T013000Z`
    expect(copies().toSorted()).toEqual(['a.db.v1-20261124T013000Z', copy].toSorted())
    expect(content(join(dir, copy))).toEqual(before)
    for (const name of others) expect(existsSync(join(dir, name))).toBe(true)
  })

  test('killed at any moment of it, it is the old one or the new one, whole', async () => {
    build(path, 300)
    const before = content(path) as { rows: unknown; lines: unknown }
    const script = join(import.meta.dirname, 'store-child.ts')
    const seen = new Set<unknown>()
    for (const delayMs of [60, 90, 120, 150, 200]) {
      const child: ChildProcess = spawn(process.execPath, [script, path, 'open'], { stdio: 'ignore' })
      const ended = once(child, 'exit')
      const timer = setTimeout(() => child.kill('SIGKILL'), delayMs)
      await ended
      clearTimeout(timer)
      const after = content(path) as { version: number; rows: unknown; lines: unknown }
      expect({ rows: after.rows, lines: after.lines }).toEqual({ rows: before.rows, lines: before.lines })
      expect([version, VERSION]).toContain(after.version)
      seen.add(after.version)
      for (const name of copies().filter((copy) => !unfinished(copy)))
        expect(content(join(dir, name))).toEqual(before)
    }
    const store = sqliteStore(path, clock)
    expect((await store.open()).head.seq).toBe(300)
    await store.close()
    expect(existsSync(path)).toBe(true)
  })
})
