import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { watchPaths } from '../../adapters/batch/watch.ts'
import { until } from '../conformance/batch-system.ts'

let folder: string
let stop: AbortController
let calls: number

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sublet-watch-'))
  mkdirSync(join(folder, 'job_scripts'))
  stop = new AbortController()
  calls = 0
  const paths = [
    join(folder, 'job_scripts'),
    join(folder, 'hash.1'),
    join(folder, 'jobcomp.txt'),
    join(folder, 'no', 'such'),
  ]
  watchPaths(
    paths,
    systemClock,
    () => {
      calls += 1
    },
    stop.signal,
  )
})
afterEach(() => {
  stop.abort()
  rmSync(folder, { recursive: true })
})

const called = async (what: string, act: () => void): Promise<void> => {
  const before = calls
  act()
  await until(
    what,
    5_000,
    async () => calls,
    (seen) => seen > before,
  )
}

test('a file in a folder that is there is told', async () => {
  await called('the script is seen', () => writeFileSync(join(folder, 'job_scripts', '7'), 'sleep 1'))
})

test('a job in a folder that is made only later is told, the first and the next', async () => {
  await called('the folder is seen', () => mkdirSync(join(folder, 'hash.1')))
  await called('the next job is seen', () => mkdirSync(join(folder, 'hash.1', 'job.11')))
})

test('a folder that is replaced is watched anew', async () => {
  await called('the folder is seen', () => mkdirSync(join(folder, 'hash.1')))
  await called('its end is seen', () => rmSync(join(folder, 'hash.1'), { recursive: true }))
  await called('the new one is seen', () => mkdirSync(join(folder, 'hash.1')))
  await called('what falls into it is seen', () => mkdirSync(join(folder, 'hash.1', 'job.21')))
})

test('a log that is made later, and grows, is told; its neighbours are not', async () => {
  writeFileSync(join(folder, 'job_state.new'), 'of no concern')
  await called('the log is seen', () => writeFileSync(join(folder, 'jobcomp.txt'), 'JobId=1\n'))
  await called('its growth is seen', () => appendFileSync(join(folder, 'jobcomp.txt'), 'JobId=2\n'))
})

test('nothing is told after the end', async () => {
  stop.abort()
  writeFileSync(join(folder, 'jobcomp.txt'), 'JobId=1\n')
  await new Promise((resolve) => systemClock.after(50, () => resolve(undefined)))
  expect(calls).toBe(0)
})
