import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { span } from '../../deploy/commands/cli-replay.ts'
import { lublin } from '../../deploy/replay/lublin.ts'
import { T0 } from './replay-stage.ts'

const BIN = join(import.meta.dirname, '../../deploy/bin.js')
const dir = mkdtempSync(join(tmpdir(), 'replay-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** No batch system is there, and none is needed. */
const configText = (groc: string, more = ''): string => `name: try
broker: {}
guests:
  - name: grid
    batch: { kind: embedded, socket: nowhere/sock }
    join: { kind: embedded }
    controller: { kind: groc, type: node, unit: { cpus: 2, memoryMiB: 4096 }, max: 8, ${groc} }
${more}`

const file = (name: string, text: string): string => {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}

const quick = file('new.yaml', configText('shrink: { idle: 2m }'))
const slow = file('old.yaml', configText('shrink: { idle: 40m }'))
const trace = file(
  'tiny.swf',
  `; MaxProcs: 16\n${lublin({ jobs: 60, seed: 'cli', processors: 16, from: T0 })
    .jobs.map(
      ({ id, submittedAt, runMs, walltimeMs = 0, processors }) =>
        `${id} ${submittedAt / 1000} -1 ${runMs / 1000} ${processors} -1 -1 ${processors} ${walltimeMs / 1000} -1 1 7 1 1 1 -1 -1 -1`,
    )
    .join('\n')}\n99 ${T0 / 1000} -1 60 17 -1 -1 17 60 -1 1 7 1 1 1 -1 -1 -1\nnonsense\n`,
)

async function sublet(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [BIN, ...words], { cwd: dir })) }
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string }
  }
}

describe('sublet replay', () => {
  test('compares two configurations over a trace, in a table and on a page that needs nothing else', async () => {
    const page = join(dir, 'both.html')
    const { code, stdout, stderr } = await sublet(
      ...['replay', '--trace', trace, '--config', quick, '--against', slow, '--html', page],
    )
    expect(stderr).toBe(`written: ${page}\n`)
    expect(code).toBe(0)
    expect(stdout).toContain('tiny: 61 jobs')
    expect(stdout).toContain('8 nodes of 2 cpus and 4096 MiB, EASY, boots of 60 s to 2 min')
    expect(stdout).toContain('1 job left out: no pool of this size')
    expect(stdout).toContain('Warning: line 63: not a job of 15 numbers or more.')
    expect(stdout).toMatch(/^ +always on +old\.yaml +new\.yaml +difference$/m)
    // Machines that go sooner are paid for less, and booted more often.
    expect(stdout).toMatch(/^node-hours paid +.* -\d+$/m)
    expect(stdout).toMatch(/^boots +0 +.* \+\d+$/m)
    expect(stdout).toMatch(/^machines taken while wanted +0 +0 +0 +0$/m)
    const spread = 'mean +median +90 of 100 +99 of 100'
    for (const what of ['processors', 'queue'])
      expect(stdout).toMatch(new RegExp(`^${what} +jobs +old\\.yaml: ${spread} +new\\.yaml: ${spread}$`, 'm'))
    const html = readFileSync(page, 'utf8')
    expect(html.match(/<svg /g)).toHaveLength(2)
    expect(html.match(/<th>99 of 100<\/th>/g)).toHaveLength(4)
    expect(html).not.toMatch(/https?:|<script|src=/)
    expect(Buffer.byteLength(html)).toBeLessThan(100_000)
  })

  test('prints the same JSON for the same seed', async () => {
    const words = [
      'replay',
      '--synthetic',
      'lublin',
      '--jobs',
      '40',
      '--seed',
      'x',
      '--config',
      quick,
      '--json',
    ]
    const first = await sublet(
      ...words,
      '--scheduler',
      'fifo',
      '--nodes',
      '6',
      '--cpus',
      '4',
      '--boot',
      '30s-90s',
    )
    const again = await sublet(
      ...words,
      '--scheduler',
      'fifo',
      '--nodes',
      '6',
      '--cpus',
      '4',
      '--boot',
      '30s-90s',
    )
    expect(first.stdout).toBe(again.stdout)
    expect(JSON.parse(first.stdout)).toMatchObject({
      trace: 'lublin-24-40-x',
      jobs: 40,
      options: { units: 6, unit: { cpus: 4 }, scheduler: 'fifo', bootMs: { least: 30_000, most: 90_000 } },
      courses: [{ name: 'new.yaml', measured: { neverStarted: 0, cut: 0 } }],
    })
  })

  test.each([
    [['--config', quick], /nothing to replay: name a trace/],
    [['--config', quick, '--trace', trace, '--synthetic', 'lublin'], /are sources of jobs: name one/],
    [['--config', quick, '--synthetic', 'uniform'], /“uniform” is no synthetic workload; there is lublin/],
    [['--config', quick, '--trace', join(dir, 'none.swf')], /none\.swf cannot be read/],
    [
      ['--config', quick, '--trace', trace, '--guest', 'other'],
      /has no guest “other” whose controller is groc/,
    ],
    [['--config', quick, '--trace', file('empty.swf', '; nothing')], /has no job that ran/],
    [['--config', quick, '--trace', trace, '--boot', '2m-1m'], /the shorter one first/],
  ])('says what is wrong with %j', async (words, sentence) => {
    const { code, stderr } = await sublet('replay', ...words)
    expect(code).toBe(2)
    expect(stderr).toMatch(sentence)
  })

  test('reads a range of boots, or one length for all', () => {
    expect(span('60s-2m')).toEqual({ least: 60_000, most: 120_000 })
    expect(span('90s')).toEqual({ least: 90_000, most: 90_000 })
  })
})
