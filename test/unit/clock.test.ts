import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { deadline, sleep, systemClock, within } from '../../actors/runtime/clock.ts'
import { World } from '../simulation/world.ts'

const DAY_MS = 86_400_000

describe('the clock of the machine', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('waits for longer than a timer can hold', () => {
    const called: number[] = []
    systemClock.after(60 * DAY_MS, () => called.push(60))
    const cancel = systemClock.after(50 * DAY_MS, () => called.push(50))
    vi.advanceTimersByTime(30 * DAY_MS)
    cancel()
    vi.advanceTimersByTime(30 * DAY_MS - 1)
    expect(called).toEqual([])
    vi.advanceTimersByTime(1)
    expect(called).toEqual([60])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('takes a time in the past for now', () => {
    const called: number[] = []
    systemClock.after(-5, () => called.push(1))
    vi.advanceTimersByTime(1)
    expect(called).toEqual([1])
  })

  test('counts whole milliseconds since boot, never backwards', () => {
    vi.useRealTimers()
    const readings = Array.from({ length: 1_000 }, () => systemClock.monotonic())
    expect(readings.every(Number.isSafeInteger)).toBe(true)
    expect(readings).toEqual(readings.toSorted((a, b) => a - b))
  })
})

describe('waiting', () => {
  const late = (): Error => new Error('too late')

  test('ends with the reason of the signal, also one that was aborted before', async () => {
    const world = new World()
    const stop = new AbortController()
    const asleep = sleep(world.clock(), 1_000, stop.signal)
    stop.abort(new Error('no more'))
    await expect(asleep).rejects.toThrow('no more')
    await expect(sleep(world.clock(), 1_000, stop.signal)).rejects.toThrow('no more')
  })

  test('within a deadline gives the outcome, the lateness, or the reason of the parent', async () => {
    const world = new World()
    const stop = new AbortController()
    const never = (): Promise<never> => new Promise(() => undefined)
    await expect(within(world.clock(), 1_000, late, async () => 'done')).resolves.toBe('done')
    const slow = within(world.clock(), 1_000, late, never)
    const stopped = within(world.clock(), 1_000, late, never, stop.signal)
    const both = Promise.allSettled([slow, stopped])
    stop.abort(new Error('no more'))
    await world.run(1_000, () => undefined)
    expect(await both).toMatchObject([
      { reason: { message: 'too late' } },
      { reason: { message: 'no more' } },
    ])
    await expect(within(world.clock(), 1_000, late, never, stop.signal)).rejects.toThrow('no more')
  })

  test('leaves no timer and no listener behind when the work is done', async () => {
    let timers = 0
    const clock = {
      ...new World().clock(),
      after: () => {
        timers++
        return () => {
          timers--
        }
      },
    }
    const parent = new AbortController()
    const listening = vi.spyOn(parent.signal, 'addEventListener')
    const ended = vi.spyOn(parent.signal, 'removeEventListener')
    await within(clock, 1_000, late, async () => 'done', parent.signal)
    deadline(clock, 1_000, late, parent.signal).done()
    expect([timers, listening.mock.calls.length]).toEqual([0, ended.mock.calls.length])
  })
})
