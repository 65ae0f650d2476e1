import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseStringPromise } from 'xml2js'
import type { RunReport } from '../../deploy/reports/report.ts'

const BIN = new URL('../../deploy/bin.js', import.meta.url).pathname

let dir = ''
let child: ChildProcess | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-'))
})
afterEach(() => {
  if (child?.exitCode === null) child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

interface Demo {
  out: string
  err: string
  readonly ended: Promise<number | null>
}

function demo(args: readonly string[]): Demo {
  const started = spawn(process.execPath, [BIN, 'demo', ...args], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child = started
  const running: Demo = { out: '', err: '', ended: new Promise((resolve) => started.on('close', resolve)) }
  started.stdout.setEncoding('utf8').on('data', (text: string) => {
    running.out += text
  })
  started.stderr.setEncoding('utf8').on('data', (text: string) => {
    running.err += text
  })
  return running
}

/** Processes whose command line or environment names the folder. */
const processesIn = (folder: string): readonly string[] =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
    try {
      return ['cmdline', 'environ'].some((file) =>
        readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(folder),
      )
    } catch {
      // It ended meanwhile, or is another user's.
      return false
    }
  })

/** The work folder of the demo that runs, as the commands of its children name it. */
function folderOfChildren(): string | undefined {
  const children = readFileSync(`/proc/${child?.pid}/task/${child?.pid}/children`, 'utf8').trim().split(' ')
  const commands = children.map((pid) => {
    const file = `/proc/${pid}/cmdline`
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  })
  return /sublet-[A-Za-z0-9]{6}/.exec(commands.join(' '))?.[0]
}

describe('the demo', () => {
  test('plays both waves and prints one object: nothing lost, nothing run twice, ledgers verified', async () => {
    const running = demo(['--once', '--json', '--dir', join(dir, 'd')])
    expect(await running.ended).toBe(0)
    expect(running.err).toBe('')
    expect(running.out.trimEnd()).not.toContain('\n')
    const report = JSON.parse(running.out) as RunReport
    expect(report).toMatchObject({
      jobs: { submitted: 28, completed: 28, failed: 0, requeued: 0, killedByUs: 0, runTwice: 0, lost: 0 },
      nodes: { min: 1, final: 1 },
      // Requests that are refused while the pool is full are repeated: how many, a slow machine decides.
      ledger: { verified: true },
    })
    expect(report.nodes.peak).toBeGreaterThan(3)
    expect(report.nodes.peak).toBeLessThanOrEqual(6)
    expect(report.leases.closed).toBe(report.leases.granted)
    expect(report.ledger.entries).toBeGreaterThan(100)
    expect(report.ledger.accepted).toBeGreaterThanOrEqual(report.leases.granted)
    expect(report.ledger.traced).toBe(report.ledger.accepted)
    for (const ms of [report.waitMs.p50, report.waitMs.p90, report.reactionMs.p50, report.reactionMs.p90])
      expect(ms).toBeGreaterThan(0)
    expect(report.waitMs.max).toBeGreaterThanOrEqual(report.waitMs.p90)
    expect(await parseStringPromise(readFileSync(report.chart, 'utf8'))).toHaveProperty('svg')
    expect(processesIn(join(dir, 'd'))).toEqual([])
  }, 180_000)

  test('gives everything back on Ctrl-C, also when npm passes it on a second time, and leaves nothing behind', async () => {
    const running = demo([])
    await vi.waitUntil(() => running.out.includes('wave 1'), { timeout: 60_000, interval: 50 })
    // A child of which the list has just been read may have ended, or not yet have begun its command.
    const folder = await vi.waitUntil(folderOfChildren, { timeout: 20_000, interval: 20 })
    child?.kill('SIGINT')
    child?.kill('SIGINT')
    expect(await running.ended).toBe(130)
    expect(running.out).toContain('giving everything back')
    expect(running.out).toMatch(/leases {4}(\d+) granted, \1 closed/)
    expect(running.out).toMatch(/ 0 run twice, 0 lost/)
    expect(existsSync(join(tmpdir(), folder))).toBe(false)
    expect(processesIn(join(tmpdir(), folder))).toEqual([])
  })

  test('wants a folder that is new or empty', async () => {
    const running = demo(['--dir', tmpdir()])
    expect(await running.ended).toBe(2)
    expect(running.err).toMatch(/is not empty/)
  })
})
