import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { refuseForeign } from '../../deploy/upkeep/own-folder.ts'

const CLI = fileURLToPath(new URL('../../deploy/bin.js', import.meta.url))

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-own-folder-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

describe('what is no work folder', () => {
  test.each(['/', '/etc', '/usr/'])('%s would be closed to others, and is refused', (folder) => {
    expect(() => refuseForeign(folder)).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        cure: expect.stringMatching(/^Name a folder of its own/),
      }),
    )
  })

  test('one in which everybody may put things is refused, wherever it is', () => {
    chmodSync(dir, 0o1777)
    expect(() => refuseForeign(dir)).toThrow(
      `${dir} is no work folder, which is closed to others: everybody may put things there`,
    )
  })

  test('a start changes nothing of it', () => {
    const common = join(dir, 'common')
    mkdirSync(common)
    chmodSync(common, 0o1777)
    const file = join(dir, 'site.yaml')
    writeFileSync(file, `name: lone\ndir: ${common}\nbroker: {}\n`)
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'start', '--config', file], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    expect(stderr).toMatch(/is no work folder/)
    expect(status).toBe(2)
    expect(statSync(common).mode & 0o7777).toBe(0o1777)
    expect(readdirSync(common)).toEqual([])
  })
})

describe('what may be one', () => {
  test('a folder that is new, empty, or holds other things of the same user', () => {
    expect(() => refuseForeign(join(dir, 'new'))).not.toThrow()
    expect(() => refuseForeign(dir)).not.toThrow()
    mkdirSync(join(dir, 'scripts'))
    expect(() => refuseForeign(dir)).not.toThrow()
    chmodSync(dir, 0o775)
    expect(() => refuseForeign(dir)).not.toThrow()
  })
})
