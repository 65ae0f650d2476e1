import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Hour, sinceBoot } from '../../deploy/hour.ts'
import { World } from '../simulation/world.ts'

const HOUR_MS = 3_600_000
const STEP_MS_MAX = 2_000

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-hour-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** A machine of which the start, the time since then and the wall clock are set by hand. */
function machine() {
  const world = new World()
  const state = { boot: 'first', upMs: 5_000, offMs: 0, logged: [] as string[] }
  const file = join(dir, 'hour.json')
  const clock = world.clock(() => state.offMs)
  const log = (_: unknown, sentence: string): void => void state.logged.push(sentence)
  const begin = (believe = false): Hour =>
    new Hour({
      ...{ file, clock, stepMsMax: STEP_MS_MAX, believe },
      log: { debug: log, info: log, warn: log, error: log },
      sinceBoot: () => ({ boot: state.boot, upMs: state.upMs + world.elapsed }),
    })
  /** One life of so long. */
  const live = async (ms: number): Promise<void> => {
    const end = begin().keep()
    await world.run(world.elapsed + ms, () => undefined)
    end()
  }
  const pass = (ms: number): Promise<void> => world.run(world.elapsed + ms, () => undefined)
  return { world, state, file, clock, begin, live, pass }
}

describe('the hour of a work folder', () => {
  test('is believed as it is where nobody ran before', () => {
    expect(machine().begin().mark).toBeUndefined()
  })

  test('goes on with the time since the machine was started, whatever the wall clock says now', async () => {
    const { world, state, clock, begin, live, pass } = machine()
    await live(10_000)
    state.offMs = HOUR_MS
    await pass(30_000)
    expect(begin().mark).toEqual({ wall: world.now, monotonic: clock.monotonic() })
  })

  test('is not that of a jump while the last life went on', async () => {
    const { world, state, begin, pass } = machine()
    const end = begin().keep()
    await pass(10_000)
    state.offMs = -HOUR_MS
    await pass(200_000)
    end()
    expect(begin().mark).toMatchObject({ wall: world.now })
  })

  test('is kept once a minute, so that a killed process leaves a good one', async () => {
    const { file, begin, pass } = machine()
    begin().keep()
    const kept = () => JSON.parse(readFileSync(file, 'utf8')).upMs
    const first = kept()
    await pass(61_000)
    expect(kept() - first).toBe(60_000)
  })

  test('may be any later one when the machine was started anew', async () => {
    const { state, begin, live } = machine()
    await live(10_000)
    Object.assign(state, { boot: 'second', upMs: 0, offMs: 30 * 24 * HOUR_MS })
    expect(begin().mark).toBeUndefined()
    state.offMs = -STEP_MS_MAX
    expect(begin().mark).toBeUndefined()
  })

  test('is refused when it is earlier than the last one, unless somebody says that it is right', async () => {
    const { state, begin, live } = machine()
    await live(10_000)
    Object.assign(state, { boot: 'second', upMs: 0, offMs: -HOUR_MS })
    expect(() => begin()).toThrow(
      expect.objectContaining({
        code: 'clock-behind',
        message: expect.stringMatching(/says 2026-01-05T07:00:10.*until 2026-01-05T08:00:10/),
      }),
    )
    expect(begin(true).mark).toBeUndefined()
  })

  test('is believed when somebody says that it is right, though it jumped', async () => {
    const { state, begin, live } = machine()
    await live(10_000)
    state.offMs = HOUR_MS
    expect(begin(true).mark).toBeUndefined()
  })

  test.each([
    '',
    '{"boot":',
    '{"boot":"first","upMs":-1,"wall":0}',
    '[]',
    '{"boot":"first","upMs":1e999,"wall":1}',
  ])('that was kept as %j says nothing, and the log says so', (text) => {
    const { state, file, begin } = machine()
    writeFileSync(file, text)
    expect(begin().mark).toBeUndefined()
    expect(state.logged).toEqual(['what the hour was is not known: the clock is believed'])
  })

  test('that cannot be kept is said in the log, and nothing else happens', async () => {
    const { state, file, begin } = machine()
    const hour = begin()
    rmSync(dir, { recursive: true })
    hour.keep()()
    expect([existsSync(file), state.logged]).toEqual([
      false,
      ['what the hour is was not kept', 'what the hour is was not kept'],
    ])
  })
})

test('this machine tells since when it is up, and that goes on', async () => {
  const first = sinceBoot()
  expect(first?.boot).toMatch(/^[0-9a-f-]{36}$/)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(sinceBoot()!.upMs - first!.upMs).toBeGreaterThanOrEqual(20)
})
