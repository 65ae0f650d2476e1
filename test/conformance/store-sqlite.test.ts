import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifyLedger } from '../../actors/ledger/verify.ts'
import { ERRORS } from '../../actors/runtime/errors.ts'
import { type CheckedRow, decodeRow, encodeRow, type StoredRow } from '../../actors/runtime/rows.ts'
import { whileLocked } from '../../adapters/sqlite/copy.ts'
import { sqliteLedger, sqliteStore } from '../../adapters/sqlite/store.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'
import { Stage, writer } from '../unit/actor-stage.ts'
import { eventually } from './eventually.ts'
import { numberedCommit, storeLaw } from './store.ts'

const newDir = (): string => mkdtempSync(join(tmpdir(), 'sublet-store-'))

storeLaw('SQLite', async () => {
  const dir = newDir()
  return {
    store: () => sqliteStore(join(dir, 'a.db')),
    soon: (work) => work,
    end: async () => rmSync(dir, { recursive: true }),
  }
})

let dir = ''
let path = ''
const children: ChildProcess[] = []

beforeEach(() => {
  dir = newDir()
  path = join(dir, 'a.db')
})

afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) await kill(child)
  rmSync(dir, { recursive: true, force: true })
})

/** A process that opens the database; what it says, line by line. */
function child(task: 'open' | 'count', file = path, shell = ''): { process: ChildProcess; lines: string[] } {
  const script = join(import.meta.dirname, 'store-child.ts')
  const words = [process.execPath, script, file, task]
  const started =
    shell === ''
      ? spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
      : spawn('sh', ['-c', `${shell}; exec "$@"`, 'sh', ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(started)
  const lines: string[] = []
  createInterface({ input: started.stdout }).on('line', (line) => lines.push(line))
  return { process: started, lines }
}

async function kill(victim: ChildProcess): Promise<void> {
  const ended = once(victim, 'exit')
  victim.kill('SIGKILL')
  await ended
}

/** Runs a few commits and closes. */
async function fill(commits: number): Promise<void> {
  const store = sqliteStore(path)
  let { head } = await store.open()
  for (let n = head.seq + 1, last = head.seq + commits; n <= last; n++) {
    const { commit, entry } = numberedCommit(n, head)
    await store.commit(commit)
    head = entry
  }
  await store.close()
}

/** Does something to the file behind the store's back. */
function tamper(sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

const opening = async (): Promise<readonly (StoredRow | CheckedRow)[]> => {
  const store = sqliteStore(path)
  try {
    return (await store.open()).rows
  } finally {
    await store.close()
  }
}

describe('a process that is killed', () => {
  test('loses no commit that it was told of, and leaves none in halves', async () => {
    let acknowledged = 0
    for (let round = 1; round <= 4; round++) {
      const { process: victim, lines } = child('count')
      await eventually(async () => lines.length > 10 * round, 15_000)
      await kill(victim)
      acknowledged = Math.max(acknowledged, ...lines.map(Number).filter(Number.isInteger))
      const store = sqliteStore(path)
      const { rows, head } = await store.open()
      const found = rows.map((row) => decodeRow(row) as unknown as { id: string; n: number })
      const counter = found.find(({ id }) => id === 'counter')!.n
      expect(counter).toBeGreaterThanOrEqual(acknowledged)
      expect(counter).toBeLessThanOrEqual(acknowledged + 1)
      expect(found).toHaveLength(counter + 1)
      expect(head.seq).toBe(counter)
      expect(verifyLedger(await store.entries({ afterSeq: 0, limit: 100_000 }), head)).toEqual([])
      await store.close()
    }
  }, 180_000)

  test('gives its lock back; one that lives keeps it', async () => {
    const { process: owner, lines } = child('count')
    await eventually(async () => lines.includes('open'), 10_000)
    await expect(opening()).rejects.toMatchObject({
      code: 'store-locked',
      message: `the database ${path} is in use by another process`,
    })
    const other = child('open')
    await once(other.process, 'exit')
    expect(other.lines).toEqual([`store-locked the database ${path} is in use by another process`])
    await kill(owner)
    expect((await opening()).length).toBeGreaterThan(0)
  })
})

describe('a ledger', () => {
  test('can be read while another process writes it, and is whole as far as it was told', async () => {
    const { lines } = child('count')
    await eventually(async () => lines.length > 20, 10_000)
    const reader = sqliteLedger(path)
    const { head } = await reader.open()
    const entries = (await reader.entries({ afterSeq: 0, limit: 100_000 })).filter(
      ({ seq }) => seq <= head.seq,
    )
    await reader.close()
    expect(head.seq).toBeGreaterThanOrEqual(20)
    expect(verifyLedger(entries, head)).toEqual([])
  })

  test('can be read when nobody writes it, and takes no lock', async () => {
    await fill(3)
    const reader = sqliteLedger(path)
    expect((await reader.open()).head.seq).toBe(3)
    expect(await opening()).toHaveLength(4)
    await reader.close()
  })

  test('that was cut off at the end is not opened, and the reader finds what is missing', async () => {
    await fill(5)
    tamper('DELETE FROM ledger WHERE seq > 3')
    await expect(opening()).rejects.toMatchObject({
      code: 'store-corrupt',
      message: `the database ${path} is damaged: its ledger ends at line 3, and line 5 was the last one written`,
      cure: expect.stringContaining('backup'),
    })
    const reader = sqliteLedger(path)
    const { head } = await reader.open()
    const faults = verifyLedger(await reader.entries({ afterSeq: 0, limit: 10 }), head)
    await reader.close()
    expect(faults.map(({ sentence }) => sentence)).toEqual([
      'the ledger ends at line 3, and line 5 was the last one written',
    ])
  })

  test('of which a line was altered, removed or swapped is found out by the reader', async () => {
    const tampers = [
      `UPDATE ledger SET json = replace(json, 'count 2', 'count 9') WHERE seq = 2`,
      'DELETE FROM ledger WHERE seq = 2',
      'UPDATE ledger SET seq = 99 WHERE seq = 2; UPDATE ledger SET seq = 2 WHERE seq = 3; UPDATE ledger SET seq = 3 WHERE seq = 99',
    ]
    for (const sql of tampers) {
      rmSync(path, { force: true })
      await fill(5)
      tamper(sql)
      const reader = sqliteLedger(path)
      const { head } = await reader.open()
      expect(verifyLedger(await reader.entries({ afterSeq: 0, limit: 10 }), head), sql).not.toEqual([])
      await reader.close()
    }
  })

  test('of which the last line was altered is not continued', async () => {
    await fill(2)
    tamper(`UPDATE ledger SET json = replace(json, 'count 2', 'count 9') WHERE seq = 2`)
    await expect(opening()).rejects.toMatchObject({
      code: 'store-corrupt',
      message: expect.stringContaining('line 2, the last of its ledger, was altered'),
    })
  })
})

describe('rows that are handed over while they are read', () => {
  const parts = async (rows: readonly StoredRow[]): Promise<string[][]> => {
    const store = sqliteStore(path)
    await store.open()
    await store.commit({ rows, ledger: [] })
    await store.close()
    const again = sqliteStore(path)
    const taken: string[][] = []
    await again.open(({ ids }) => taken.push([...ids]))
    await again.close()
    return taken
  }

  test('come many at once, but never more than there is room for', async () => {
    const many = Array.from({ length: 600 }, (_, n) => ({ id: `row ${String(n).padStart(3, '0')}` }))
    const large = ['a', 'b', 'c'].map((id) => ({ id, text: 'x'.repeat(4_000_000) }))
    const taken = await parts([
      ...many.map((row) => encodeRow('many', row.id, row)),
      ...large.map((row) => encodeRow('large', row.id, row)),
    ])
    expect(taken.map((ids) => ids.length)).toEqual([2, 1, 256, 256, 88])
    expect(taken.flat()).toEqual(['a', 'b', 'c', ...many.map(({ id }) => id)])
  })

  test('may have whatever id', async () => {
    const ids = ['', ' ', 'a\nb', 'a"b', 'a\\', 'naïve 🙂', '\uffff', '\u{10000}', "'", '{"id":"', ',\n']
    expect((await parts(ids.map((id) => encodeRow('note', id, { id })))).flat().toSorted()).toEqual(
      ids.toSorted(),
    )
  })
})

describe('a database that will not do is refused with a sentence and a cure', () => {
  test('of a newer version, and it is left as it is', async () => {
    await fill(1)
    tamper("UPDATE meta SET value = 99 WHERE key = 'version'")
    const before = readFileSync(path)
    await expect(opening()).rejects.toMatchObject({
      code: 'store-newer',
      message: `the database ${path} was written by a newer version (layout 99)`,
      cure: expect.stringContaining('run that version'),
    })
    await expect(sqliteLedger(path).open()).rejects.toMatchObject({ code: 'store-newer' })
    expect(readFileSync(path).equals(before)).toBe(true)
    tamper("UPDATE meta SET value = 4 WHERE key = 'version'")
    expect(await opening()).toHaveLength(2)
  })

  test('that does not say any more how long its ledger is', async () => {
    await fill(1)
    tamper('DELETE FROM head')
    await expect(opening()).rejects.toMatchObject({ code: 'store-corrupt' })
  })

  test('that is no database', async () => {
    writeFileSync(path, 'a text of some length that is no database at all\n'.repeat(100))
    await expect(opening()).rejects.toMatchObject({ code: 'store-corrupt' })
  })

  test('that is in no folder, or is a folder', async () => {
    await expect(sqliteStore(join(dir, 'none', 'a.db')).open()).rejects.toMatchObject({
      code: 'store-failed',
    })
    mkdirSync(path)
    await expect(opening()).rejects.toMatchObject({ code: 'store-failed' })
  })

  test('in which any byte of a row was flipped: the start of the actor ends with a sentence', async () => {
    await fill(3)
    const whole = readFileSync(path)
    const text = Buffer.from('{"id":"row 2"')
    const at = whole.indexOf(text)
    expect(at).toBeGreaterThan(0)
    for (const offset of [-6, -1, 1, 8, text.length + 3]) {
      const flipped = Buffer.from(whole)
      flipped[at + offset]! ^= 1
      writeFileSync(path, flipped)
      const found = opening().then((rows) => rows.map((row) => decodeRow(row)))
      await expect(found, `byte ${offset}`).rejects.toMatchObject({
        code: 'store-corrupt',
        cure: expect.stringContaining('sublet repair'),
      })
    }
    writeFileSync(path, whole)
    expect(await opening()).toHaveLength(4)
  })

  test('of which the index of rows was damaged: no row is skipped', async () => {
    await fill(400)
    const whole = readFileSync(path)
    const pageSize = whole.readUInt16BE(16)
    let damagedPages = 0
    for (let page = 1; page < whole.length / pageSize; page++) {
      // An inner or leaf page of an index: a table without rowid is one.
      if (whole[page * pageSize] !== 2 && whole[page * pageSize] !== 10) continue
      const cells = whole.readUInt16BE(page * pageSize + 3)
      if (cells < 3 || !whole.subarray(page * pageSize, (page + 1) * pageSize).includes('row ')) continue
      damagedPages++
      const cut = Buffer.from(whole)
      cut.writeUInt16BE(cells - 1, page * pageSize + 3)
      writeFileSync(path, cut)
      await expect(opening(), `page ${page}`).rejects.toMatchObject({ code: 'store-corrupt' })
    }
    expect(damagedPages).toBeGreaterThan(1)
  })
})

describe('a database of which the order of rows was damaged', () => {
  test('is not opened: rows would not be found, and be there twice', async () => {
    await fill(400)
    const whole = readFileSync(path)
    const pageSize = whole.readUInt16BE(16)
    let pages = 0
    for (let at = pageSize; at < whole.length; at += pageSize) {
      const cells = whole.readUInt16BE(at + 3)
      // A leaf of an index, as a table without rowid is one: where its cells are is written behind eight bytes.
      if (whole[at] !== 10 || cells < 9 || !whole.subarray(at, at + pageSize).includes('{"id":"row '))
        continue
      pages++
      for (const other of [3, cells - 1]) {
        const [one, two] = [at + 8 + 2 * 2, at + 8 + 2 * other]
        const swapped = Buffer.from(whole)
        swapped.writeUInt16BE(whole.readUInt16BE(two), one)
        swapped.writeUInt16BE(whole.readUInt16BE(one), two)
        writeFileSync(path, swapped)
        await expect(opening(), `cell ${other} of the page at ${at}`).rejects.toMatchObject({
          code: 'store-corrupt',
          message: expect.stringMatching(/of table count (is|are) not in (its|their) place$/),
        })
      }
    }
    expect(pages).toBeGreaterThan(1)
  })
})

describe('a disk that is full', () => {
  test('rejects the commit with store-failed; what was durable before is there', async () => {
    // No file of that process may be larger than 800 blocks of 512 bytes.
    const { process: writing, lines } = child('count', path, "trap '' XFSZ; ulimit -f 800")
    await once(writing, 'exit')
    const last = lines.at(-1)!
    expect(last).toMatch(/^store-failed the database .*a\.db failed: /)
    const acknowledged = Number(lines.at(-2))
    expect(acknowledged).toBeGreaterThan(5)
    const rows = (await opening()).map((row) => decodeRow(row))
    expect(rows).toContainEqual({ id: 'counter', n: acknowledged })
    expect(rows).toHaveLength(acknowledged + 1)
  })

  test('stops the actor with a sentence, and nothing of the last batch has happened', async () => {
    const stage = new Stage()
    const store = sqliteStore(path)
    await store.open()
    const life = stage.live({ handle: writer, commit: (commit) => store.commit(commit) })
    for (let i = 0; i < 1_000 && !life.actor.running; i++) await stage.pass(100)
    // Virtual time that ran on beside a real disk would be the end of its deadline.
    await life.started
    // Another connection that holds the file is as good as a disk that does not take it.
    const blocker = new DatabaseSync(path)
    blocker.exec('BEGIN IMMEDIATE')
    const asked = life.actor.command('word', 1)
    asked.catch(() => undefined)
    await eventually(async () => {
      await stage.pass(1)
      return life.failures.length > 0
    }, 10_000)
    blocker.exec('ROLLBACK')
    blocker.close()
    await expect(asked).rejects.toMatchObject({ code: 'not-running' })
    expect([life.actor.running, life.actor.rows('note')]).toEqual([false, []])
    expect(life.failures[0]).toMatchObject({ message: expect.stringContaining(path) })
    await store.close()
    expect((await opening()).map(({ table }) => table)).toEqual(['$meta'])
  })

  test.skipIf(cannotBeRoot)(
    `is the same on a real file system of 300 KiB ${AS_ROOT}`,
    async () => {
      // In a mount namespace of its own: it goes with the process.
      const small = join(dir, 'small')
      mkdirSync(small)
      const lines = execFileSync(
        'unshare',
        [
          ...[
            '--mount',
            'sh',
            '-c',
            'mount -t tmpfs -o size=300k sublet-test "$1" && exec "$2" "$3" "$1/a.db" count',
          ],
          ...['sh', small, process.execPath, join(import.meta.dirname, 'store-child.ts')],
        ],
        { encoding: 'utf8', timeout: 15_000 },
      )
      expect(lines.trim().split('\n').at(-1)).toMatch(/^store-failed .*full/)
    },
    20_000,
  )
})

test('a lock file that a power cut left locks nobody out', async () => {
  await fill(3)
  // Whatever a torn write left in it: the lock is the one of the process, not the file.
  writeFileSync(`${path}.lock`, '')
  writeFileSync(`${path}.lock-journal`, 'torn')
  expect((await opening()).length).toBe(4)
})

test('a lock file that is damaged is said to be, and its database is whole without it', async () => {
  await fill(3)
  writeFileSync(`${path}.lock`, 'garbage'.repeat(1_000))
  const damaged = {
    ...{
      code: 'store-lock-damaged',
      message: expect.stringMatching(/^the lock .*a\.db\.lock is damaged, and not/),
    },
    cure: expect.stringMatching(/^Remove the file/),
  }
  await expect(opening()).rejects.toMatchObject(damaged)
  await expect(whileLocked([path], async () => undefined)).rejects.toMatchObject(damaged)
  rmSync(`${path}.lock`)
  expect((await opening()).length).toBe(4)
})

test.each([
  ['NFS', 0x6969],
  ['CIFS', 0xff534d42],
  ['CIFS', 0xff534d42 | 0],
  ['Lustre', 0x0bd00bd0],
])(
  'a folder on %s (statfs says %i) is refused with a cure, and nothing is made there',
  async (kind, type) => {
    const own = join(dir, 'share')
    mkdirSync(own)
    const lie = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module'
    const real = fs.statfsSync
    fs.statfsSync = (path) => path === ${JSON.stringify(own)} ? { type: ${type} } : real(path)
    syncBuiltinESMExports()`
    const script = join(import.meta.dirname, 'store-child.ts')
    const refusal = (file: string): string =>
      `store-remote the database ${file} would lie on ${kind} (${own}), where no lock and no sync can be relied on`
    const says = (file: string): string =>
      execFileSync(
        process.execPath,
        ['--import', `data:text/javascript,${encodeURIComponent(lie)}`, script, file, 'open'],
        { encoding: 'utf8', timeout: 15_000 },
      ).trim()
    expect(says(join(own, 'a.db'))).toBe(refusal(join(own, 'a.db')))
    expect(readdirSync(own)).toEqual([])
    expect(ERRORS['store-remote'][1]).toMatch(/on a disk of this machine/)
    // The same by a link that lies elsewhere, and what is on this machine's own disk is opened.
    await fill(1)
    renameSync(path, join(own, 'b.db'))
    symlinkSync(join(own, 'b.db'), path)
    expect(says(path)).toBe(refusal(path))
    expect(says(join(dir, 'c.db'))).toBe('open')
  },
  20_000,
)

test.skipIf(cannotBeRoot)(
  `a folder that cannot be written to is a clear stop ${AS_ROOT}`,
  async () => {
    await fill(3)
    const lines = execFileSync(
      'unshare',
      [
        ...['--mount', 'sh', '-c'],
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" "$3" "$1/a.db" open',
        ...['sh', dir, process.execPath, join(import.meta.dirname, 'store-child.ts')],
      ],
      { encoding: 'utf8', timeout: 15_000 },
    )
    expect(lines.trim()).toMatch(/^store-failed the database .*a\.db failed: /)
    expect((await opening()).length).toBe(4)
  },
  20_000,
)

describe('a store whose worker is gone', () => {
  test('answers at once that it is not open, and can be opened again', async () => {
    const store = sqliteStore(path)
    await store.open()
    await store.close()
    const { commit } = numberedCommit(1, { seq: 0, hash: '' })
    await expect(store.commit(commit)).rejects.toMatchObject({ code: 'store-failed' })
    await store.open()
    await store.commit(commit)
    await store.close()
    expect(await opening()).toHaveLength(2)
  })

  test('refuses a commit whose line is in the ledger already, whole', async () => {
    await fill(2)
    const store = sqliteStore(path)
    await store.open()
    const { commit } = numberedCommit(2, { seq: 1, hash: 'x' })
    const more = { ...commit, rows: [...commit.rows, ...numberedCommit(7, { seq: 6, hash: '' }).commit.rows] }
    await expect(store.commit(more)).rejects.toMatchObject({ code: 'store-failed' })
    await store.close()
    expect(await opening()).toHaveLength(3)
  })
})
