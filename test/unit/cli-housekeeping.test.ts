import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { fileLog } from '../../deploy/log.ts'
import { type HousekeepingParts, keepHouse, scheduleHousekeeping } from '../../deploy/upkeep/housekeeping.ts'
import { ledgerOf } from './control-site.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-house-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

interface Line {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

const linesOf = (file: string): readonly Line[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

function open(over: Partial<HousekeepingParts['settings']> = {}, alter = false) {
  const file = join(dir, 'sublet.log')
  const warned: string[] = []
  const { log, reopen, close } = fileLog({
    file,
    level: 'info',
    clock: systemClock,
    warn: (line) => warned.push(line),
  })
  const entries = ledgerOf('site', [
    { kind: 'started', subject: 'site', reason: 'one' },
    { kind: 'offered', subject: 'vm.small', reason: 'two' },
  ])
  const head = { seq: 2, hash: entries[1]?.hash ?? '' }
  if (alter) entries[0] = { ...entries[0]!, reason: 'another' }
  const ledger = { entries: () => Promise.resolve(entries) }
  const parts: HousekeepingParts = {
    settings: {
      at: '17 3 * * *',
      logMiBMax: 1,
      logsKept: 2,
      chartsKept: 2,
      ledgerKept: 0,
      diskFreeMiBMin: 0,
      ...over,
    },
    ...{ logFile: file, charts: join(dir, 'charts'), log, reopenLog: reopen },
    ledgers: () => [{ name: 'site', ledger, head }],
    clock: systemClock,
    stores: [],
  }
  return { parts, file, log, warned, close }
}

describe('housekeeping', () => {
  test('verifies the ledgers and says so in the log', async () => {
    const { parts, file, close } = open()
    expect(await keepHouse(parts)).toEqual({
      entries: 2,
      faults: 0,
      rotated: false,
      chartsRemoved: 0,
      linesArchived: 0,
    })
    close()
    expect(linesOf(file)).toMatchObject([{ level: 'info', msg: 'housekeeping done', entries: 2, faults: 0 }])
  })

  test('tells of a line that was altered, in the log and on the terminal', async () => {
    const { parts, file, warned, close } = open({}, true)
    expect(await keepHouse(parts)).toMatchObject({ faults: 1 })
    close()
    expect(linesOf(file)[0]).toMatchObject({
      level: 'error',
      msg: 'the ledger has a fault',
      seq: 1,
      fault: 'line 1 was altered',
    })
    expect(warned).toEqual(['error: the ledger has a fault (actor=site, seq=1, fault=line 1 was altered)'])
  })

  test('sets a log aside that is too large, keeps a few, and goes on in a new one', async () => {
    const { parts, file, log, close } = open()
    for (let i = 0; i < 3; i++) {
      log.info({ filler: 'x'.repeat(1_100_000), i }, 'large')
      expect(await keepHouse(parts)).toMatchObject({ rotated: true })
    }
    close()
    expect(
      readdirSync(dir)
        .filter((name) => name.startsWith('sublet.log'))
        .sort(),
    ).toEqual(['sublet.log', 'sublet.log.1', 'sublet.log.2'])
    expect(linesOf(`${file}.1`).at(-1)).toMatchObject({ msg: 'large', i: 2 })
    expect(linesOf(file)).toMatchObject([{ msg: 'housekeeping done' }])
  })

  test('keeps the newest charts', async () => {
    const { parts, close } = open()
    mkdirSync(parts.charts)
    for (const [i, name] of ['c.svg', 'a.svg', 'b.svg', 'notes.txt'].entries()) {
      writeFileSync(join(parts.charts, name), '')
      utimesSync(join(parts.charts, name), 1_000 + i, 1_000 + i)
    }
    expect(await keepHouse(parts)).toMatchObject({ chartsRemoved: 1 })
    close()
    expect(readdirSync(parts.charts).sort()).toEqual(['a.svg', 'b.svg', 'notes.txt'])
  })

  test('comes by itself at its time, and no more once it is ended', async () => {
    const { parts, file, close } = open({ at: '* * * * * *' })
    const end = scheduleHousekeeping(parts)
    await vi.waitUntil(() => existsSync(file) && readFileSync(file, 'utf8').includes('housekeeping done'), {
      timeout: 5_000,
      interval: 50,
    })
    await end()
    close()
  })

  test('that fails is told, and is no reason to end', async () => {
    const { parts, file, close } = open({ at: '* * * * * *' })
    const broken = {
      ...parts,
      ledgers: () => [
        {
          name: 'site',
          ledger: { entries: () => Promise.reject(new Error('the disk is gone')) },
          head: { seq: 1, hash: '' },
        },
      ],
    }
    const end = scheduleHousekeeping(broken)
    await vi.waitUntil(() => existsSync(file) && readFileSync(file, 'utf8').includes('the disk is gone'), {
      timeout: 5_000,
      interval: 50,
    })
    await end()
    close()
    expect(linesOf(file)[0]).toMatchObject({ level: 'error', msg: 'housekeeping failed' })
  })
})

describe('the log', () => {
  test('holds no secrets and is readable by its owner only', () => {
    const { file, log, close } = open()
    log.info(
      { actor: 'site', privateKey: 'SECRET', keys: { privateKey: 'SECRET', publicKey: 'open' } },
      'keys read',
    )
    close()
    expect(readFileSync(file, 'utf8')).not.toContain('SECRET')
    expect(linesOf(file)).toMatchObject([
      { msg: 'keys read', actor: 'site', keys: { publicKey: 'open' }, level: 'info' },
    ])
  })
})
