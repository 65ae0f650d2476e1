import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { watchPaths } from '../../adapters/gridengine/watch.ts'

const folder = mkdtempSync(join(tmpdir(), 'sublet-watch-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a new job’s script, and a line of accounting, are told; other files are not', async () => {
  mkdirSync(join(folder, 'job_scripts'))
  const accounting = join(folder, 'accounting')
  writeFileSync(accounting, '')
  const watching = new AbortController()
  let calls = 0
  const count = (): void => {
    calls += 1
  }
  const paths = [join(folder, 'job_scripts'), accounting, join(folder, 'no', 'such')]
  watchPaths(paths, systemClock, count, watching.signal)
  writeFileSync(join(folder, 'job_scripts', '7'), 'sleep 1')
  await vi.waitUntil(() => calls === 1)
  writeFileSync(join(folder, 'other'), 'x')
  appendFileSync(accounting, 'a:b:c\n')
  await vi.waitUntil(() => calls === 2)
  watching.abort()
  appendFileSync(accounting, 'd:e:f\n')
  watchPaths(paths, systemClock, count, watching.signal)
  expect(calls).toBe(2)
})
