import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Clock } from '../../actors/runtime/clock.ts'
import { deadman } from '../../adapters/embedded/machine-deadman.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'deadman-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

/** Time that passes when told to; the wall clock can be set wrong. */
function handClock() {
  let elapsed = 0
  let stepped = 0
  let timers: { at: number; callback: () => void }[] = []
  const clock: Clock = {
    now: () => 1_000_000 + elapsed + stepped,
    monotonic: () => elapsed,
    after(delayMs, callback) {
      const timer = { at: elapsed + delayMs, callback }
      timers.push(timer)
      return () => {
        timers = timers.filter((each) => each !== timer)
      }
    },
  }
  return {
    clock,
    step(byMs: number) {
      stepped += byMs
    },
    pass(ms: number) {
      elapsed += ms
      for (const due of timers.filter(({ at }) => at <= elapsed)) {
        timers = timers.filter((each) => each !== due)
        due.callback()
      }
    },
  }
}

function begin(busy: { now: boolean }) {
  const file = join(dir, 'end.json')
  writeFileSync(file, JSON.stringify({ endsAt: 1_000_500, graceMs: 300 }))
  const hand = handClock()
  const ends: string[] = []
  const guardian = deadman({
    file,
    clock: hand.clock,
    isBusy: () => busy.now,
    onEnd: (why) => ends.push(why),
  })
  return { ...hand, ends, guardian, file }
}

test('an idle machine ends at the end of its lease, and once', () => {
  const { pass, ends } = begin({ now: false })
  pass(499)
  expect(ends).toEqual([])
  pass(1)
  pass(1_000)
  expect(ends).toEqual(['the lease has ended'])
})

test('a busy machine ends when its work has ended', () => {
  const busy = { now: true }
  const { pass, ends, guardian } = begin(busy)
  pass(600)
  expect(ends).toEqual([])
  busy.now = false
  guardian.look()
  expect(ends).toEqual(['the lease has ended'])
})

test('a busy machine ends when the grace is over', () => {
  const { pass, ends } = begin({ now: true })
  pass(500)
  pass(299)
  expect(ends).toEqual([])
  pass(1)
  expect(ends).toEqual(['the lease has ended and the grace is over'])
})

test('a step of the wall clock ends nothing, and keeps nothing alive', () => {
  const { step, pass, ends, guardian } = begin({ now: false })
  step(3_600_000)
  guardian.look()
  pass(499)
  expect(ends).toEqual([])
  step(-7_200_000)
  pass(1)
  expect(ends).toEqual(['the lease has ended'])
})

test('a new end is kept on the disk before it counts', () => {
  const { pass, ends, guardian, file } = begin({ now: false })
  guardian.modify({ endsAt: 1_000_900, graceMs: 0 })
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ endsAt: 1_000_900, graceMs: 0 })
  pass(899)
  expect(ends).toEqual([])
  pass(1)
  expect(ends).toHaveLength(1)
})
