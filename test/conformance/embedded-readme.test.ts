import { execFile } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { shortFolder } from './embedded-bench.ts'

test('the example in the embedded README does what it says', { timeout: 30_000 }, async () => {
  const home = join(import.meta.dirname, '../../adapters/embedded/')
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readFileSync(join(home, 'README.md'), 'utf8')) ?? []
  const dir = shortFolder()
  try {
    const script = join(dir, 'example.ts')
    writeFileSync(
      script,
      example.replace(/from '(\..*?)'/g, (_, path: string) => `from '${new URL(path, pathToFileURL(home))}'`),
    )
    const { stdout } = await promisify(execFile)(process.execPath, [script, join(dir, 'b')], {
      timeout: 20_000,
    })
    expect(stdout).toBe('job 1 is pending\n')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
