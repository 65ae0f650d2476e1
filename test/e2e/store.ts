import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'
import { agree, allEnded, allRanOnce, controller, givesAllBack, openPool, until, views } from './pool.ts'

function rowOf(file: string, table: string): string {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return String(database.prepare('SELECT json FROM row WHERE tbl = ?').get(table)?.json)
  } finally {
    database.close()
  }
}

/** Wherever the page with the row was written. */
function withOneByteChanged(bytes: Buffer, row: string): Buffer {
  const changed = Buffer.from(bytes)
  const inRow = row.indexOf('host-a') + 'host-'.length
  for (let at = bytes.indexOf(row); at >= 0; at = bytes.indexOf(row, at + 1)) changed[at + inRow] = 0x62
  return changed
}

describe.concurrent('a database of which one byte has changed', { timeout: 450_000 }, () => {
  test('keeps its actor from starting, in one sentence with a cure, and nothing is taken for free', async () => {
    const pool = await openPool(controller({ min: 1, term: '60s' }))
    const sublet = await pool.start()
    await until(
      'a node is there',
      15_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    process.kill(sublet.pid, 'SIGTERM')
    await sublet.ended
    const file = join(pool.work, 'rack.db')
    const good = readFileSync(file)
    writeFileSync(file, withOneByteChanged(good, rowOf(file, 'unit')))
    await expect(pool.start()).rejects.toThrow(
      /^Sublet did not start: error: the database [^\n]*rack\.db is damaged: row unit-[^\n]* does not fit its checksum\n {2}code: store-corrupt\n {2}cure: See what [^\n]*\n$/,
    )
    expect(pool.machines()).toHaveLength(1)
    writeFileSync(file, good)
    await pool.start()
    await givesAllBack(pool)
  })
})

describe.concurrent('a work folder', { timeout: 450_000 }, () => {
  test('that cannot be one is said to be, in one sentence', async () => {
    const pool = await openPool()
    writeFileSync(pool.work, 'a file where the folder should be')
    await expect(pool.start()).rejects.toThrow(
      /^Sublet did not start: error: the work folder [^\n]*\/s cannot be used: EEXIST[^\n]*\n {2}code: store-failed\n {2}cure: [^\n]*\n$/,
    )
    expect(pool.machines()).toEqual([])
  })
})

describe.concurrent('a work folder on a disk that is full', { timeout: 450_000 }, () => {
  test.skipIf(cannotBeRoot)(
    `stops Sublet with a sentence; machines and jobs go on, and after there is room again so does it ${AS_ROOT}`,
    async () => {
      const pool = await openPool(controller({ min: 1, max: 3, term: '60s' }))
      mkdirSync(pool.work)
      must('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=700', 'sublet-test', pool.work])
      try {
        const sublet = await pool.start()
        const id = await pool.submit(8)
        await until(
          'it runs',
          15_000,
          () => pool.trail(id),
          ({ length }) => length === 1,
        )
        const machines = pool.machines()
        fill(join(pool.work, 'ballast'))
        // Something to write down.
        const more = await Promise.all([1, 1].map((seconds) => pool.submit(seconds)))
        const { code, err } = await sublet.ended
        expect(code).toBe(1)
        expect(err).toMatch(
          /\nerror: [^\n]*\n {2}code: store-failed\n {2}cure: Check the disk: is it full, [^\n]*\n$/,
        )
        expect(err).not.toMatch(/\n\s+at /)
        expect(pool.machines()).toEqual(expect.arrayContaining([...machines]))
        await expect(pool.start()).rejects.toThrow(
          /error: [^\n]*\n {2}code: store-failed\n {2}cure: [^\n]*\n$/,
        )
        expect(await pool.record(id)).toMatchObject({ attempt: 1, restarts: 0 })

        rmSync(join(pool.work, 'ballast'))
        await pool.start()
        await until('all jobs have ended', 30_000, pool.records, allEnded)
        expect(await allRanOnce(pool, [id, ...more])).toEqual([])
        await until(
          'all agree at the minimum',
          20_000,
          () => views(pool),
          (seen) => agree(seen) && seen.held.length === 1,
        )
        await givesAllBack(pool)
      } finally {
        await pool.killAll()
        must('umount', [pool.work])
      }
    },
  )
})

function must(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}

/** To the last byte. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (let size = 65_536; size >= 1; )
      try {
        if (writeSync(file, Buffer.alloc(size)) === 0) size = Math.floor(size / 2)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
        size = Math.floor(size / 2)
      }
  } finally {
    closeSync(file)
  }
}
