import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { chain } from '../../actors/runtime/commit.ts'
import { drawScreen, type Terminal, view } from '../../deploy/reports/view.ts'
import { type FakeSite, fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'

let dir = ''
let site: FakeSite
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-view-'))
  writeFileSync(yamlIn(dir), SITE_YAML)
  site = fakeSite(dir, yamlIn(dir))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const append = (kind: string, subject: string, reason: string): void => {
  site.ledger.push(
    chain(
      { kind, subject, reason },
      T0 + 1500,
      'service-manager',
      site.ledger.at(-1) ?? { seq: 0, hash: '' },
    ),
  )
  site.changed()
}

describe('the screen', () => {
  const drawn = (
    size: { columns: number; rows: number; colours?: boolean },
    decisions = 40,
  ): readonly string[] =>
    drawScreen(
      {
        ...{ site, title: 'sublet demo', phase: 'wave 1 of 2', now: T0 + 5_000, startedAt: T0 },
        decisions: Array.from({ length: decisions }, (_, i) => ({
          at: T0 + i,
          text: `lease-1: extended: reason ${i} ${'long '.repeat(30)}`,
        })),
      },
      { colours: false, ...size },
    )

  test('shows queue, nodes, leases with the time that is left, and the last decisions', () => {
    const text = drawn({ columns: 80, rows: 24 }).join('\n')
    expect(text).toContain('lease-1  active')
    expect(text).toContain('55 s left')
    expect(text).toContain('vm1   joined')
    expect(text).toContain('1 job waits')
    expect(text).toContain('reason 39')
    expect(text).not.toContain('reason 3 ')
  })

  test.each([
    [80, 24],
    [200, 60],
    [40, 12],
    [20, 5],
    [1, 1],
  ])('fits %i columns and %i rows', (columns, rows) => {
    const lines = drawn({ columns, rows })
    expect(lines.length).toBeLessThanOrEqual(rows)
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns)
  })

  test('ends every colour it begins, also where a line is cut', () => {
    const esc = String.fromCharCode(27)
    for (const line of drawn({ columns: 30, rows: 24, colours: true })) {
      const codes = line
        .split(`${esc}[`)
        .slice(1)
        .map((part) => part.split('m')[0])
      expect(codes.length === 0 || codes.at(-1) === '0').toBe(true)
    }
  })
})

describe('without a terminal', () => {
  function out(): Terminal & { text: string; writable: boolean } {
    return {
      text: '',
      writable: true,
      write(text) {
        this.text += text
        return true
      },
    }
  }

  test('each event is a line with the time since the start; what is noted for the ledger only is not', async () => {
    const terminal = out()
    const shown = view({ site, clock: systemClock, startedAt: T0, title: 'x', out: terminal })
    append('requested', 'lease-2', 'a job waits')
    append('message noted', 'lease-2', 'nothing anybody wants to know')
    append('unit joined', 'unit-1', 'vm1 takes jobs')
    await shown.stop()
    expect(terminal.text).toBe(
      '   1.50s  lease-2: requested: a job waits\n   1.50s  vm1: unit joined: vm1 takes jobs\n',
    )
  })

  test('a flood of events is cut to a few lines and a count', async () => {
    const terminal = out()
    const shown = view({ site, clock: systemClock, startedAt: T0, title: 'x', out: terminal })
    for (let i = 0; i < 300; i++) append('requested', `lease-${i}`, 'a job waits')
    await shown.stop()
    const lines = terminal.text.trimEnd().split('\n')
    expect(lines.length).toBeLessThan(90)
    expect(terminal.text).toMatch(/\.\.\. and \d+ more events/)
  })

  test('a pipe that was closed is written to no more', async () => {
    const terminal = out()
    const shown = view({ site, clock: systemClock, startedAt: T0, title: 'x', out: terminal })
    terminal.writable = false
    append('requested', 'lease-2', 'a job waits')
    shown.phase('going on')
    await shown.stop()
    expect(terminal.text).toBe('')
  })
})

test('a terminal is drawn on a screen of its own, which is given back', async () => {
  const written: string[] = []
  const terminal: Terminal = {
    isTTY: true,
    columns: 80,
    rows: 24,
    writable: true,
    write: (text) => written.push(text) > 0,
  }
  const shown = view({ site, clock: systemClock, startedAt: T0, title: 'sublet demo', out: terminal })
  await shown.stop()
  expect(written[0]).toContain('[?1049h')
  expect(written.some((text) => text.includes('sublet demo'))).toBe(true)
  expect(written.at(-1)).toContain('[?1049l')
})
