import { appendFileSync, mkdirSync, mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
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

describe('what can be watched no more', () => {
  const failing = (code: string, isGone: (path: string) => boolean): typeof watch =>
    ((path: string, ...rest: [{ signal: AbortSignal }, () => void]) => {
      if (isGone(path)) throw Object.assign(new Error(`${code}: watch`), { code, syscall: 'watch' })
      return watch(path, ...rest)
    }) as typeof watch

  test('a folder that goes between look and watch throws nothing into the watch of the one above', async () => {
    const gone = failing('ENOENT', (path) => path.endsWith('hash.2'))
    const seen = Promise.withResolvers<void>()
    watchPaths([join(folder, 'hash.2')], systemClock, seen.resolve, stop.signal, gone)
    mkdirSync(join(folder, 'hash.2'))
    await expect(seen.promise).resolves.toBeUndefined()
  })

  test.each(['ENOSPC', 'EMFILE'])('a system that has no more watches (%s) is no fault', (code) => {
    const tried: string[] = []
    const none = failing(code, (path) => tried.push(path) > 0)
    watchPaths([join(folder, 'job_scripts')], systemClock, () => undefined, stop.signal, none)
    expect(tried).toEqual([folder, join(folder, 'job_scripts')])
  })
})
