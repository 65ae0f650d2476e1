import { spawnSync } from 'node:child_process'
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'

const CACHE = new URL('../../deploy/compile-cache.js', import.meta.url).pathname
/** Any other than whoever runs this. */
const ANOTHER_UID = 65_534

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-cache-'))
  mkdirSync(join(dir, 'deploy'))
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  writeFileSync(join(dir, 'deploy', 'cli.ts'), "import { name } from './named.ts'\nconsole.log(name)\n")
  writeFileSync(join(dir, 'deploy', 'named.ts'), "export const name: string = 'named'\n")
  copyFileSync(CACHE, join(dir, 'deploy', 'compile-cache.js'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const kept = () => join(dir, 'node_modules', '.cache', 'sublet')
const start = () =>
  spawnSync(
    process.execPath,
    ['--import', join(dir, 'deploy', 'compile-cache.js'), join(dir, 'deploy', 'cli.ts')],
    { encoding: 'utf8', env: {} },
  )

describe('what Node makes of the TypeScript', () => {
  test('is kept beside the package for the next start', () => {
    mkdirSync(join(dir, 'node_modules'))
    expect(start()).toMatchObject({ status: 0, stdout: 'named\n', stderr: '' })
    const [made] = readdirSync(kept())
    expect(readdirSync(join(kept(), made!)).length).toBeGreaterThan(1)
    expect(start()).toMatchObject({ status: 0, stdout: 'named\n', stderr: '' })
  })

  test('is not kept where no packages are installed', () => {
    expect(start()).toMatchObject({ status: 0, stdout: 'named\n', stderr: '' })
    expect(existsSync(join(dir, 'node_modules'))).toBe(false)
  })

  test.skipIf(cannotBeRoot)(`is neither kept nor read in a package that is another user’s ${AS_ROOT}`, () => {
    mkdirSync(join(dir, 'node_modules'))
    chownSync(join(dir, 'node_modules'), ANOTHER_UID, ANOTHER_UID)
    expect(start()).toMatchObject({ status: 0, stdout: 'named\n', stderr: '' })
    expect(existsSync(kept())).toBe(false)
  })
})
