import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { thawGuard } from '../../adapters/namespace/thaw-guard.ts'
import { eventually } from '../conformance/eventually.ts'

const dir = mkdtempSync(join(tmpdir(), 'thaw-'))
afterAll(() => rmSync(dir, { recursive: true }))

test('a machine that was stopped goes on when the one who stopped it is killed', async () => {
  const file = join(dir, 'killed')
  const module = pathToFileURL(join(import.meta.dirname, '../../adapters/namespace/thaw-guard.ts')).href
  const script = `const { thawGuard } = await import(${JSON.stringify(module)}); await thawGuard(${JSON.stringify(file)}, 'THAWED'); process.kill(process.pid, 'SIGKILL')`
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
  expect(signal).toBe('SIGKILL')
  await eventually(async () => existsSync(file) && readFileSync(file, 'utf8') === 'THAWED\n', 5000)
})

test('a guard that is told that all is done leaves the machine as it is', async () => {
  const file = join(dir, 'done')
  const dismiss = await thawGuard(file, 'THAWED')
  dismiss()
  const later = await thawGuard(join(dir, 'later'), 'THAWED')
  later()
  expect(existsSync(file)).toBe(false)
})
