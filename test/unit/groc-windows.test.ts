import { describe, expect, test } from 'vitest'
import { grocConfig } from '../../controllers/guests/groc/config.ts'
import { type Cron, openings, periodOf, readCron } from '../../controllers/guests/groc/cron.ts'
import { explainJob } from '../../controllers/guests/groc/explain.ts'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
import { seasonAt } from '../../controllers/guests/groc/season.ts'
import { DAY_MS } from '../../controllers/guests/groc/wall-time.ts'
import { configOf, decideOn, jobOf, jobsOf, MINUTE, SECOND, T0, unitsAsked, viewOf } from './groc-world.ts'

const cronOf = (expression: string): Cron => {
  const cron = readCron(expression)
  if (typeof cron === 'string') throw new Error(cron)
  return cron
}

/** Openings of one night, in UTC. */
const night = (expression: string, from: string, until: string, zone = 'Europe/Prague'): readonly string[] =>
  openings(cronOf(expression), zone, Date.parse(from), Date.parse(until)).map((at) =>
    new Date(at).toISOString().slice(5, 16),
  )

test('an expression with numbers beyond all fields, or without end, is not read at all', () => {
  expect(readCron('1-9999999999 * * * *')).toBe('has a number of three digits, and no field goes beyond 59')
  expect(readCron(`${'1,'.repeat(200)}2 * * * *`)).toBe('is longer than 200 characters')
  expect(readCron('60 * * * *')).toMatch(/\S/)
})

describe('the openings of a window', () => {
  test('on the night clocks go forward: what is left out opens as long after as on other days', () => {
    const [from, until] = ['2026-03-28T00:00Z', '2026-03-31T00:00Z']
    expect(night('30 2 * * *', from, until)).toEqual(['03-28T01:30', '03-29T01:30', '03-30T00:30'])
    expect(night('30 1 * * *', from, until)).toEqual([
      '03-28T00:30',
      '03-29T00:30',
      '03-29T23:30',
      '03-30T23:30',
    ])
    expect(night('30 3 * * *', from, until)).toEqual(['03-28T02:30', '03-29T01:30', '03-30T01:30'])
    // Both are half past three that night, and it opens once.
    expect(night('30 2,3 * * *', '2026-03-29T00:00Z', '2026-03-29T12:00Z')).toEqual(['03-29T01:30'])
    expect(night('30 2 29 3 *', '2026-01-01T00:00Z', '2026-12-31T00:00Z')).toEqual(['03-29T01:30'])
  })

  test('on the night clocks go back: what comes twice opens once, the first time', () => {
    const [from, until] = ['2026-10-24T00:00Z', '2026-10-27T00:00Z']
    expect(night('30 2 * * *', from, until)).toEqual(['10-24T00:30', '10-25T00:30', '10-26T01:30'])
    expect(night('0 3 * * *', from, until)).toEqual(['10-24T01:00', '10-25T02:00', '10-26T02:00'])
    expect(night('59 1 25 10 *', from, until)).toEqual(['10-24T23:59'])
  })

  test('of every hour come in every hour, on both nights', () => {
    expect(night('5 * * * *', '2026-10-24T23:00Z', '2026-10-25T03:00Z')).toHaveLength(4)
    expect(night('5 * * * *', '2026-03-28T23:00Z', '2026-03-29T03:00Z')).toHaveLength(4)
  })

  test('in zones half an hour off, and on the other side of the date line', () => {
    // Lord Howe goes back by half an hour, from 02:00 to 01:30.
    const zone = 'Australia/Lord_Howe'
    expect(night('45 1 * * *', '2026-04-04T00:00Z', '2026-04-05T00:00Z', zone)).toEqual(['04-04T14:45'])
    expect(night('0 9 * * 1', '2026-03-01T00:00Z', '2026-03-04T00:00Z', 'Pacific/Kiritimati')).toEqual([
      '03-01T19:00',
    ])
  })

  test.each([
    ['0 8 * * *', DAY_MS],
    ['0 8 * * 1-5', DAY_MS],
    ['0 8,20 * * *', DAY_MS / 2],
    ['*/20 * * * *', 20 * MINUTE],
    ['0 23 * * 0', 7 * DAY_MS],
    ['0 0 1 * *', 28 * DAY_MS],
    ['0 0 29 2 *', 4 * 365 * DAY_MS + DAY_MS],
  ])('of “%s” are this far apart at least', (expression, apart) => {
    expect(periodOf(cronOf(expression))).toBe(apart)
  })
})

const windowed = (...windows: readonly Record<string, unknown>[]) =>
  configOf({ windows: windows.map((window) => ({ timezone: 'Europe/Prague', ...window })) })

const PRAGUE_8 = Date.parse('2026-03-02T07:00:00Z')

describe('a window', () => {
  const config = windowed({
    ...{ from: '0 8 * * 1-5', for: '10h', max: 2, min: 1 },
    ...{ grow: { wait: '5m' }, shrink: { idle: '1m' } },
  })

  test('replaces what it names and nothing else, from its first instant to before its last', () => {
    const { config: within, open, until } = seasonAt(config, PRAGUE_8)
    expect(within).toMatchObject({ max: 2, min: 1, grow: { wait: 300_000, run: 600_000 } })
    expect(within.shrink.idle).toBe(60_000)
    expect(open).toHaveLength(1)
    expect(until).toBe(PRAGUE_8 + 600 * MINUTE)
    for (const outside of [PRAGUE_8 - 1, until, PRAGUE_8 - DAY_MS])
      expect(seasonAt(config, outside).config).toMatchObject({ max: 20, min: 0, grow: { wait: 0 } })
    expect(seasonAt(config, PRAGUE_8 - 1).until).toBe(PRAGUE_8)
  })

  test('that opened the day before is still open after midnight', () => {
    const overnight = windowed({ from: '0 20 * * *', for: '12h', max: 3 })
    expect(seasonAt(overnight, Date.parse('2026-03-02T02:00:00Z')).config.max).toBe(3)
  })

  test('later in the list has the last word while two are open', () => {
    const both = windowed(
      { from: '0 8 * * *', for: '10h', max: 2, grow: { wait: '5m' } },
      { from: '0 9 * * *', for: '1h', max: 4 },
    )
    const at = (minutes: number) => seasonAt(both, PRAGUE_8 + minutes * MINUTE).config
    expect([at(0).max, at(60).max, at(119).max, at(120).max, at(600).max]).toEqual([2, 4, 4, 2, 20])
    expect(at(60).grow.wait).toBe(300_000)
  })

  test('is what a decision goes by and tells, and wakes it when it closes', () => {
    const now = PRAGUE_8 + 600 * MINUTE - 3 * SECOND
    const waiting = { jobs: jobsOf(8, { submittedAt: now - 10 * MINUTE }), startedAt: now, at: now }
    const inside = decideOn(viewOf([], waiting), config, undefined, now)
    expect(unitsAsked(inside.intents)).toBe(2)
    expect(inside.reason).toContain(
      'The window “0 8 * * 1-5” (Europe/Prague) is open until 2026-03-02T17:00:00Z: max 2, min 1, grow.wait 5 min, shrink.idle 60 s.',
    )
    expect(inside.againMs).toBe(3 * SECOND)
    expect(inside.steadyUntil).toBe(now + 3 * SECOND)
    const after = decideOn(viewOf([], waiting), config, undefined, now + 3 * SECOND)
    expect(unitsAsked(after.intents)).toBe(8)
    expect(after.reason).not.toContain('window')
  })

  test('is what a job is explained by', () => {
    const now = PRAGUE_8 + MINUTE
    const view = viewOf([], { jobs: [jobOf('7', { submittedAt: now - MINUTE })], startedAt: now, at: now })
    expect(explainJob('7', view, firstMemory, config, now)?.join(' ')).toContain(
      'once a job has waited 5 min, in 4 min',
    )
  })

  test('leaves decisions the same byte for byte, whatever was asked before', () => {
    const decided = (): string =>
      JSON.stringify(decideOn(viewOf([], { jobs: jobsOf(3) }), config, undefined, T0))
    const first = decided()
    seasonAt(config, T0 + 40 * DAY_MS)
    expect(decided()).toBe(first)
  })
})

describe('windows are refused', () => {
  const complaints = (windows: readonly unknown[], over: Record<string, unknown> = {}): string => {
    const least = { type: 'small', unit: { cpus: 2, memoryMiB: 2048 }, max: 8 }
    const { success, error } = grocConfig.safeParse({ ...least, ...over, windows })
    return success ? '' : error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n')
  }
  const at8 = { from: '0 8 * * *', for: '10h' }

  test.each([
    ['that are none', [{ from: '61 * * * *', for: '1m', max: 1 }], /^windows\.0\.from: 61 is/],
    ['with seconds', [{ from: '0 0 8 * * *', for: '1h', max: 1 }], /^windows\.0\.from: expected five fields/],
    ['with days by other rules', [{ from: '0 8 L * *', for: '1h', max: 1 }], /^windows\.0\.from: days by/],
    [
      'longer than their period',
      [{ from: '0 8 * * 1-5', for: '25h', max: 1 }],
      /^windows\.0\.for: found 25 h, and it opens again after 24 h/,
    ],
    ['of unknown zones', [{ ...at8, max: 1, timezone: 'Europe/Gotham' }], /^windows\.0\.timezone: /],
    ['that change nothing', [at8], /^windows\.0\.from: changes nothing/],
    ['with max below min', [{ ...at8, min: 9 }], /^windows\.0: max \(8\) must not be below min \(9\)/],
    [
      'with thresholds that cross those outside',
      [{ ...at8, shrink: { backlog: '20m' }, grow: { backlog: '20m' } }],
      /^windows\.0\.grow\.backlog: must be above shrink\.backlog/,
    ],
    [
      'that may not be open together',
      [
        { ...at8, max: 3 },
        { from: '0 17 * * 5', for: '2h', min: 4 },
      ],
      /^windows\.1: while windows\[0\] is open, too, max: /,
    ],
  ])('%s', (_, windows, complaint) => {
    expect(complaints(windows)).toMatch(complaint)
  })

  test('only where they ever meet', () => {
    const day = { ...at8, max: 3 }
    expect(complaints([day, { from: '0 18 * * *', for: '2h', min: 4 }])).toBe('')
    expect(complaints([{ ...at8, for: '24h', from: '0 8 * * 1-5', max: 3 }])).toBe('')
  })
})
