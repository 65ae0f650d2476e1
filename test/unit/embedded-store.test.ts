import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { NodeRecord } from '../../adapters/embedded/batch-records.ts'
import { batchStore } from '../../adapters/embedded/batch-store.ts'

let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'store-'))
  path = join(dir, 'batch.db')
})
afterEach(() => rmSync(dir, { recursive: true }))

const node: NodeRecord = {
  name: 'n1',
  mark: null,
  address: '',
  cpus: 1,
  memoryMiB: 0,
  expected: true,
  registered: true,
  drain: null,
}

test('what was committed is there after opening again', () => {
  const store = batchStore(path)
  store.commit({ jobs: new Map(), nodes: new Map([['n1', node]]), nextJob: 7 })
  store.commit({
    jobs: new Map(),
    nodes: new Map([
      ['n1', null],
      ['n2', { ...node, name: 'n2' }],
    ]),
    nextJob: 8,
  })
  store.close()
  const again = batchStore(path)
  expect(again.nodes).toEqual([{ ...node, name: 'n2' }])
  expect(again.nextJob).toBe(8)
  again.close()
})

test('the one who opened it first keeps it', () => {
  const store = batchStore(path)
  expect(() => batchStore(path)).toThrow(expect.objectContaining({ code: 'store-locked' }))
  store.close()
})

test('a row that cannot be read is never skipped', () => {
  batchStore(path).close()
  const raw = new DatabaseSync(path)
  raw.exec(`INSERT INTO jobs VALUES ('1', '{ half')`)
  raw.close()
  expect(() => batchStore(path)).toThrow(expect.objectContaining({ code: 'store-corrupt' }))
})

test('a file that is no database, or that of a newer version, is refused', () => {
  writeFileSync(path, 'this is no database at all, but a text of some length')
  expect(() => batchStore(path)).toThrow(expect.objectContaining({ code: 'store-corrupt' }))
  rmSync(path)
  const raw = new DatabaseSync(path)
  raw.exec('PRAGMA user_version = 99')
  raw.close()
  expect(() => batchStore(path)).toThrow(expect.objectContaining({ code: 'store-newer' }))
})
