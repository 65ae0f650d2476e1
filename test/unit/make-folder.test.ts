import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { machineFolders } from '../../adapters/embedded/machine-folder.ts'
import { makeFolder } from '../../adapters/make-folder.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-folder-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('a folder', () => {
  test('is made with those above it, and the topmost new one is told', () => {
    expect(makeFolder(join(dir, 'a', 'b'), 0o700)).toBe(join(dir, 'a'))
    expect(statSync(join(dir, 'a', 'b')).mode & 0o777).toBe(0o700)
    expect(makeFolder(join(dir, 'a', 'b'))).toBeUndefined()
  })

  test('that cannot be made is an error at once, also where the kernel takes none', () => {
    writeFileSync(join(dir, 'file'), '')
    expect(() => makeFolder(join(dir, 'file', 'x'))).toThrow(/ENOTDIR/)
    for (const make of [makeFolder, machineFolders])
      expect(() => make('/proc/no-process/x')).toThrow(/ENOENT|EACCES|EPERM/)
  })
})
