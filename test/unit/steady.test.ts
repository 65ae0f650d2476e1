import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ClockMark, type ClockStep, steadyClock } from '../../actors/runtime/steady.ts'

const STEP_MS_MAX = 2_000

/** A machine whose two clocks are set by hand. */
function machine(mark?: ClockMark) {
  const hands = { wall: 1_000_000, monotonic: 0 }
  const steps: ClockStep[] = []
  const bare = { now: () => hands.wall, monotonic: () => hands.monotonic, after: () => () => undefined }
  const clock = steadyClock(bare, STEP_MS_MAX, (step) => steps.push(step), mark)
  const pass = (ms: number, jumpMs = 0): number => {
    hands.wall += ms + jumpMs
    hands.monotonic += ms
    return clock.now()
  }
  return { clock, steps, pass }
}

describe('a wall clock', () => {
  test('is followed while it goes with the time since boot', () => {
    const { pass, steps } = machine()
    expect([pass(1_000), pass(86_400_000)]).toEqual([1_001_000, 87_401_000])
    expect(steps).toEqual([])
  })

  test('is followed when a time daemon moves it forward a little', () => {
    const { pass, steps } = machine()
    expect(pass(1_000, STEP_MS_MAX)).toBe(1_001_000 + STEP_MS_MAX)
    expect(steps).toEqual([])
  })

  test('that is moved back a little stands still until it has caught up', () => {
    const { pass, steps } = machine()
    expect([pass(1_000), pass(100, -500), pass(100), pass(500)]).toEqual([
      1_001_000, 1_001_000, 1_001_000, 1_001_200,
    ])
    expect(steps).toEqual([])
  })

  test.each([
    3_600_000,
    -3_600_000,
    STEP_MS_MAX + 1,
  ])('that jumps by %i ms is not believed, and told of once', (jumpMs) => {
    const { pass, steps } = machine()
    pass(1_000)
    expect([pass(1_000, jumpMs), pass(1_000), pass(1_000)]).toEqual([1_002_000, 1_003_000, 1_004_000])
    expect(steps).toEqual([{ at: 1_002_000, byMs: jumpMs }])
  })

  test('is believed again when it agrees again, and a second jump is told of', () => {
    const { pass, steps } = machine()
    pass(1_000, 3_600_000)
    expect(pass(1_000, -3_600_000)).toBe(1_002_000)
    pass(1_000, 7_200_000)
    expect(steps.map(({ byMs }) => byMs)).toEqual([3_600_000, 7_200_000])
  })

  test('that jumps again while it is not believed is told of again', () => {
    const { pass, steps } = machine()
    pass(1_000, 3_600_000)
    pass(1_000, 3_600_000)
    expect(steps.map(({ byMs }) => byMs)).toEqual([3_600_000, 7_200_000])
  })

  test('that had jumped before this life goes on as it was before, and that is told of once', () => {
    const { pass, steps } = machine({ wall: 1_000_000 - 3_600_000, monotonic: 0 })
    expect([pass(1_000), pass(1_000)]).toEqual([1_001_000 - 3_600_000, 1_002_000 - 3_600_000])
    expect(steps).toEqual([{ at: 1_001_000 - 3_600_000, byMs: 3_600_000 }])
  })

  test('that went on as it should since the last life is followed', () => {
    const { pass, steps } = machine({ wall: 999_000, monotonic: -1_500 })
    expect(pass(1_000)).toBe(1_001_000)
    expect(steps).toEqual([])
  })

  test('whatever happens to it, time does not go back, and does not run ahead by more than small steps', () => {
    const move = fc.tuple(
      fc.nat(10_000),
      fc.oneof(fc.constant(0), fc.integer({ min: -100_000, max: 100_000 })),
    )
    fc.assert(
      fc.property(fc.array(move, { maxLength: 50 }), (moves) => {
        const { clock, pass } = machine()
        let last = clock.now()
        let most = last
        for (const [ms, jumpMs] of moves) {
          const now = pass(ms, jumpMs)
          most += ms + STEP_MS_MAX
          expect(now).toBeGreaterThanOrEqual(last)
          expect(now).toBeLessThanOrEqual(most)
          last = now
        }
      }),
    )
  })
})
