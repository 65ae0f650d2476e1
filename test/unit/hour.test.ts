import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Hour, sinceBoot } from '../../deploy/upkeep/hour.ts'
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

  test('goes on where the machine was suspended, while the monotonic time of the process stood still', async () => {
    const { world, state, clock, begin, pass } = machine()
    const end = begin().keep()
    await pass(70_000)
    state.offMs += HOUR_MS
    state.upMs += HOUR_MS
    await pass(10_000)
    end()
    await pass(5_000)
    expect(begin().mark).toEqual({ wall: world.now + HOUR_MS, monotonic: clock.monotonic() })
  })

  test('goes on where a machine whose clock had jumped was suspended', async () => {
    const { world, state, begin, pass } = machine()
    const end = begin().keep()
    state.offMs += 3 * HOUR_MS
    await pass(70_000)
    state.offMs += HOUR_MS
    state.upMs += HOUR_MS
    await pass(70_000)
    end()
    expect(begin().mark).toMatchObject({ wall: world.now + HOUR_MS })
  })

  test('goes on with monotonic time where the machine no longer says since when it is up', async () => {
    const { world, state, file, begin, pass } = machine()
    const end = begin().keep()
    await pass(70_000)
    Object.assign(state, { boot: 'none that is known', upMs: 40 * HOUR_MS })
    await pass(70_000)
    end()
    expect(JSON.parse(readFileSync(file, 'utf8')).wall).toBe(world.now)
  })

  test('is kept once a minute, so that a killed process leaves a good one', async () => {
    const { file, begin, pass } = machine()
    begin().keep()
    const kept = () => JSON.parse(readFileSync(file, 'utf8')).upMs
    const first = kept()
    await pass(61_000)
    expect(kept() - first).toBe(60_000)
  })

  test.each([
    ['first', 9e15],
    ['first', -9e15],
    ['second', 9e15],
    ['second', -9e15],
    ['second', 8.64e15],
  ])('is not known where the file says one that is none: after start “%s”, %d', async (boot, wall) => {
    const { state, file, begin } = machine()
    writeFileSync(file, JSON.stringify({ boot, upMs: 0, wall }))
    expect(begin().mark).toBeUndefined()
    expect(state.logged).toEqual(['what the hour was is not known: the clock is believed'])
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

describe('since when a machine is up', () => {
  test('this one tells, and that goes on', async () => {
    const first = sinceBoot()
    expect(first?.boot).toMatch(/^[0-9a-f-]{36}$/)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(sinceBoot()!.upMs - first!.upMs).toBeGreaterThanOrEqual(20)
  })

  /** Whoever reads it sees an uptime, a first process, and the start of the machine below. */
  const told = (uptime: string, stat: string): ((path: string) => string) => {
    const files: Record<string, string> = { uptime: `${uptime} 7.00\n`, '1/stat': stat }
    return (path) => (path === 'sys/kernel/random/boot_id' ? 'the-boot\n' : files[path]!)
  }
  const init = (began: number): string => `1 (in) it) S ${Array(18).fill(0).join(' ')} ${began} 22 33\n`

  test('a container with a time of its own is started anew each time, the machine below is not', () => {
    const hostMs = 5 * HOUR_MS
    const hour = { boot: 'the-boot', upMs: hostMs }
    expect(sinceBoot(told('18000.00', init(900_000)), hostMs)).toEqual(hour)
    // It was suspended for an hour.
    expect(sinceBoot(told('18000.00', init(7)), hostMs - HOUR_MS)).toEqual(hour)
    const first = sinceBoot(told('120.00', init(900_000)), hostMs)
    expect(first).toEqual({ boot: 'the-boot 900000', upMs: 120_000 })
    expect(sinceBoot(told('180.00', init(900_000)), hostMs + 60_000)?.boot).toBe(first!.boot)
    expect(sinceBoot(told('180.00', init(9_540_000)), hostMs + 24 * HOUR_MS)?.boot).not.toBe(first!.boot)
  })

  test.each([
    '',
    '1 (init) S 0',
    '1 (init) S'.padEnd(80, ' -'),
  ])('a container does not tell whose first process says %j', (stat) => {
    expect(sinceBoot(told('120.00', stat), HOUR_MS)).toBeUndefined()
  })

  test('a container that was off for a day does not go on from before, though it is up for longer than it was', () => {
    const clock = new World().clock()
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    const parts = { file: join(dir, 'hour.json'), clock, stepMsMax: STEP_MS_MAX, believe: false, log }
    const hourOf = (uptime: string, began: number, hostMs: number, offMs: number): Hour =>
      new Hour({
        ...parts,
        clock: { ...clock, now: () => clock.now() + offMs },
        sinceBoot: () => sinceBoot(told(uptime, init(began)), hostMs),
      })
    hourOf('60.00', 900_000, 3 * HOUR_MS, 0).keep()()
    expect(hourOf('90.00', 900_000, 3 * HOUR_MS, HOUR_MS).mark).toMatchObject({ wall: clock.now() + 30_000 })
    expect(hourOf('180.00', 9_540_000, 27 * HOUR_MS, 24 * HOUR_MS).mark).toBeUndefined()
  })
})
