import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import type { Job } from '../../adapters/batch-system.ts'
import { exposition } from '../../deploy/metrics/exposition.ts'
import { type Metrics, metrics } from '../../deploy/metrics/metrics.ts'
import { eventually } from '../conformance/eventually.ts'
import { type FakeSite, fakeSite, ledgerOf, SITE_YAML, T0, yamlIn } from './control-site.ts'
import { jobOf, pictureOf } from './groc-world.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
let dir = ''
let site: FakeSite
let counted: Metrics
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-metrics-'))
  writeFileSync(yamlIn(dir), SITE_YAML)
  site = fakeSite(dir, yamlIn(dir))
  counted = metrics(site, { clock, startedAt: T0, log })
})
afterEach(async () => {
  await counted.close()
  rmSync(dir, { recursive: true })
})

interface Read {
  readonly types: ReadonlyMap<string, string>
  readonly samples: ReadonlyMap<string, number>
}

/** As Prometheus reads it: strict about order, doubles and names. */
function read(text: string): Read {
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  let open: string | undefined
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-z_]+) (.+)$/.exec(line)
    const type = /^# TYPE ([a-z_]+) (gauge|counter)$/.exec(line)
    const sample = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (\S+)$/.exec(line)
    if (help !== null) {
      expect(types.has(help[1]!), line).toBe(false)
      open = help[1]
    } else if (type !== null) {
      expect(type[1]).toBe(open)
      types.set(type[1]!, type[2]!)
    } else {
      expect(sample, line).not.toBeNull()
      expect([sample![1], types.has(sample![1]!)]).toEqual([open, true])
      const key = `${sample![1]}${sample![2] ?? ''}`
      expect(samples.has(key), key).toBe(false)
      expect(Number.isNaN(Number(sample![3])), line).toBe(false)
      samples.set(key, Number(sample![3]))
    }
  }
  return { types, samples }
}

test('are in the form that Prometheus reads, and by its conventions', () => {
  const { types, samples } = read(counted.text())
  for (const [name, kind] of types) {
    expect(name.startsWith('sublet_')).toBe(true)
    expect([name, name.endsWith('_total')]).toEqual([name, kind === 'counter'])
    expect(name).not.toMatch(/_(ms|millis|minutes|count)(_|$)/)
  }
  expect(Object.fromEntries(samples)).toMatchObject({
    'sublet_actor_running{actor="duke",role="site authority"}': 1,
    'sublet_offer_units{type="vm.small"}': 4,
    'sublet_guest_units{guest="batch",state="max"}': 4,
    'sublet_guest_blind_seconds{guest="batch"}': 0,
    'sublet_guest_frozen_seconds{guest="batch"}': 0,
    sublet_paused: 0,
    sublet_start_time_seconds: T0 / 1_000,
  })
})

test('say nothing of what is not known', async () => {
  const { batch } = site.guests
  const unseen = { ...site, guests: { batch: { ...batch!, lastPicture: () => undefined } } }
  const counting = metrics(unseen, { clock, startedAt: T0, log })
  const text = counting.text()
  await counting.close()
  // There was no look yet.
  expect(text).not.toContain('sublet_guest_jobs')
  expect(text).not.toContain('sublet_guest_look_age_seconds')
  expect(text).not.toContain('sublet_peer_silent_seconds')
})

test('count held jobs by what holds them; those whose start failed are held by the middleware itself', async () => {
  const held = (id: string, over: object) => jobOf(id, { state: 'held', ...over })
  const jobs = [
    held('1', { heldBy: 'system', tasks: 3 }),
    held('2', { heldBy: 'user', launchFailed: true }),
    held('3', { heldBy: 'user' }),
    held('4', {}),
    jobOf('5'),
    held('6', { heldBy: 'system', queue: 'elsewhere' }),
  ]
  const samplesOf = async (seen: readonly Job[], queues?: readonly string[]) => {
    const [guest] = site.settings.guests
    const controller = { ...guest!.controller, queues: queues?.map((name) => ({ name, weight: 1 })) }
    const counting = metrics(
      {
        ...site,
        settings: { ...site.settings, guests: [{ ...guest!, controller } as never] },
        guests: { batch: { ...site.guests.batch!, lastPicture: () => pictureOf({ jobs: seen }) } },
      },
      { clock, startedAt: T0, log },
    )
    const { samples } = read(counting.text())
    await counting.close()
    return [...samples].flatMap(([name, value]) =>
      name.includes('held_jobs') ? [[name.slice(23), value]] : [],
    )
  }
  expect(await samplesOf(jobs, ['batch'])).toEqual([
    ['guest="batch",by="system"}', 4],
    ['guest="batch",by="user"}', 1],
    ['guest="batch",by="unknown"}', 1],
  ])
  expect(await samplesOf(jobs)).toContainEqual(['guest="batch",by="system"}', 5])
  // There from the first look on: an alert that ends says so.
  expect(await samplesOf([])).toEqual([['guest="batch",by="system"}', 0]])
})

test('count the lines of the ledgers from the start of the process on, by kind', async () => {
  expect(counted.text()).not.toContain('sublet_ledger_lines_total')
  const [line] = ledgerOf('service-manager', [{ kind: 'unit lost', subject: 'u1', reason: 'gone' }])
  for (const seq of [1, 2]) site.ledger.push({ ...line!, seq: site.ledger.at(-1)!.seq + seq - seq + 1 })
  site.changed()
  await eventually(() => Promise.resolve(counted.text().includes('_total{')), 5_000)
  expect(
    read(counted.text()).samples.get('sublet_ledger_lines_total{actor="service-manager",kind="unit lost"}'),
  ).toBe(2)
})

test('label values are escaped', () => {
  const value = 'a "b"\\c\nd'
  const text = exposition([
    { name: 'sublet_x', kind: 'gauge', help: 'of\nx\\', samples: [{ labels: { value }, value: Infinity }] },
  ])
  expect(text).toBe(
    '# HELP sublet_x of\\nx\\\\\n# TYPE sublet_x gauge\nsublet_x{value="a \\"b\\"\\\\c\\nd"} +Inf\n',
  )
})

describe('served', () => {
  test('on loopback, to whoever asks for nothing else', async () => {
    const url = await counted.listen({ host: '127.0.0.1', port: 0 })
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
    const answer = await fetch(url)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(read(await answer.text()).types.size).toBeGreaterThan(10)
    expect((await fetch(url.replace('/metrics', '/status'))).status).toBe(404)
    expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(404)
  })

  /** What comes back of what is written to it, until it ends. */
  async function said(url: string, text: string): Promise<{ socket: Socket; ended: Promise<string> }> {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let got = ''
    socket.setEncoding('utf8').on('data', (part: string) => (got += part))
    socket.on('error', () => undefined)
    await new Promise<void>((resolve) => socket.once('connect', resolve))
    socket.write(text)
    return { socket, ended: new Promise((resolve) => socket.once('close', () => resolve(got))) }
  }

  test('are worked out once for what is asked in one go and within a second, of one connection once', async () => {
    let ms = 0
    let looks = 0
    const { settings } = site
    const counting = metrics(
      Object.defineProperty({ ...site }, 'settings', {
        get: () => {
          looks += 1
          return settings
        },
      }),
      { clock: { ...clock, monotonic: () => ms }, startedAt: T0, log },
    )
    try {
      const url = await counting.listen({ host: '127.0.0.1', port: 0 })
      looks = 0
      const answer = await (await said(url, 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2_000))).ended
      expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(1)
      const once = looks
      expect(once).toBeGreaterThan(0)
      await fetch(url)
      expect(looks).toBe(once)
      ms += 1_000
      await fetch(url)
      expect(looks).toBe(2 * once)
    } finally {
      await counting.close()
    }
  })

  test('whoever sends half a head and waits keeps neither others out nor Sublet from ending', async () => {
    const url = await counted.listen({ host: '127.0.0.1', port: 0 })
    const slow = []
    for (let i = 0; i < 40; i++) slow.push(await said(url, 'GET /metrics HTTP/1.1\r\nhost: x\r\n'))
    expect((await fetch(url)).status).toBe(200)
    await counted.close()
    await Promise.all(slow.map(({ ended }) => ended))
  })

  test('at a port that another has is refused with a cure', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    await expect(counted.listen({ host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(`127.0.0.1:${port}`),
      cure: expect.stringContaining('another address or port'),
    })
    other.close()
  })
})

describe('what comes with them', () => {
  const families = readFileSync(new URL('../../deploy/metrics/families.ts', import.meta.url), 'utf8')
  const known = new Set(families.match(/'sublet_[a-z_]+'/g)!.map((name) => name.slice(1, -1)))
  const named = (file: string): readonly string[] =>
    readFileSync(new URL(`../../deploy/metrics/${file}`, import.meta.url), 'utf8').match(
      /\bsublet_[a-z_]+\b/g,
    ) ?? []

  test.each(['alerts.yml', 'dashboard.json'])('%s asks for metrics that there are', (file) => {
    const names = named(file)
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter((name) => !known.has(name))).toEqual([])
  })

  test('the alerts have each a name of their own, a summary and a severity', () => {
    const { groups } = parse(
      readFileSync(new URL('../../deploy/metrics/alerts.yml', import.meta.url), 'utf8'),
    ) as {
      groups: {
        rules: {
          alert: string
          expr: string
          labels: { severity: string }
          annotations: { summary: string }
        }[]
      }[]
    }
    const rules = groups.flatMap(({ rules: some }) => some)
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
    for (const { alert, expr, labels, annotations } of rules) {
      expect([alert, expr.length > 0, annotations.summary.length > 20]).toEqual([alert, true, true])
      expect(['page', 'ticket']).toContain(labels.severity)
    }
  })
})
