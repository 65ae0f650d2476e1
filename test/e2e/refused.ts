import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { agree, BIN, controller, openPool, processesIn, run, until, views } from './pool.ts'

const startOf = (config: string) => run(process.execPath, [BIN, 'start', '--config', config])

describe.concurrent('a second Sublet', { timeout: 450_000 }, () => {
  test('on the same pool is refused in one sentence, whether it has the same work folder or its own, and harms nothing', async () => {
    const pool = await openPool(controller({ min: 1, term: '30s' }))
    await pool.start()
    const id = await pool.submit(30)
    await until(
      'it runs',
      15_000,
      () => pool.record(id),
      (job) => job?.state === 'running',
    )
    // One more may have been ordered while the job waited for its node, and go again.
    const [at] = (await pool.nodes()).filter(({ jobs }) => jobs.includes(id))

    const same = await startOf(pool.config)
    expect(same).toMatchObject({ code: 4, out: '' })
    expect(same.err).toMatch(
      /^error: a Sublet runs in [^\n]*\/s already\n {2}code: already-running\n {2}cure: [^\n]*\n$/,
    )

    const other = join(pool.dir, 'other.yaml')
    const text = JSON.parse(readFileSync(pool.config, 'utf8'))
    writeFileSync(
      other,
      JSON.stringify({
        ...text,
        name: 'other',
        dir: 'o',
        site: { ...text.site, machines: { kind: 'process' } },
      }),
    )
    const second = await startOf(other)
    expect(second).toMatchObject({ code: 4, out: '' })
    expect(second.err).toMatch(
      /^error: [^\n]*pool \([^\n]*\/s\)[^\n]*\n {2}code: already-running\n {2}cure: [^\n]*\n$/,
    )

    const after = await until('the three views agree', 15_000, () => views(pool), agree)
    expect(after.running).toContain(at?.unitId)
    expect(await pool.record(id)).toMatchObject({ state: 'running', attempt: 1 })
    expect(readdirSync(join(pool.dir, 'o', 'm')).filter((name) => name.startsWith('unit'))).toEqual([])
  })
})

describe.concurrent('a configuration that cannot work', { timeout: 450_000 }, () => {
  const mistakes: readonly [string, (text: string) => string, RegExp][] = [
    [
      'an unknown key',
      (text) => text.replace('"shrink"', '"shrnk"'),
      /:\d+:\d+: [^\n]*controller\.shrnk: is no option here, did you mean “shrink”\?/,
    ],
    [
      'thresholds that would make units come and go for the same queue',
      (text) =>
        text
          .replace('"wait": "0s"', '"backlog": "1m"')
          .replace('"idle": "2s"', '"idle": "2s", "backlog": "2m"'),
      /:\d+:\d+: [^\n]*controller\.grow\.backlog: must be above shrink\.backlog/,
    ],
    [
      'a maximum below the minimum',
      (text) => text.replace('"max": 4', '"max": 0.5'),
      /:\d+:\d+: [^\n]*controller\.max: found 0\.5, expected a whole number/,
    ],
    [
      'a minimum above the maximum',
      (text) => text.replace('"min": 1', '"min": 5'),
      /:\d+:\d+: [^\n]*controller\.max: max \(4\) must not be below min \(5\)/,
    ],
  ]
  test('is refused by file, line and column before anything is started', async () => {
    const pool = await openPool()
    const good = readFileSync(pool.config, 'utf8')
    for (const [what, change, sentence] of mistakes) {
      const file = join(pool.dir, 'bad.yaml')
      writeFileSync(file, change(good))
      const { code, out, err } = await startOf(file)
      expect({ what, code, out }).toEqual({ what, code: 2, out: '' })
      expect(err).toMatch(sentence)
      expect(err).not.toMatch(/\n\s+at /)
    }
    expect(existsSync(pool.work)).toBe(false)
    const poor = await run(process.execPath, [BIN, 'start', '--config', pool.config], {
      env: { PATH: '/nowhere' },
    })
    expect(poor).toMatchObject({ code: 2, out: '' })
    expect(poor.err).toMatch(
      /^(error: )?machines of kind process cannot be made here: The program grep is missing\.\n {2}code: config-invalid\n {2}cure: Provide what is missing/,
    )
    expect(pool.machines()).toEqual([])
    expect((await pool.picture()).nodes).toEqual([])
  })
})

describe.concurrent('a clock that is earlier than when Sublet last ran here', { timeout: 450_000 }, () => {
  test('keeps it from being started, until somebody says that the clock is right', async () => {
    const pool = await openPool(controller({ min: 1, term: '30s' }))
    const first = await pool.start()
    const held = await until(
      'a node is leased',
      15_000,
      () => pool.leases(),
      (leases) => leases.length > 0,
    )
    await pool.kill(first)
    const file = join(pool.work, 'hour.json')
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { boot: string; upMs: number; wall: number }
    writeFileSync(file, JSON.stringify({ ...kept, boot: 'another', wall: kept.wall + 86_400_000 }))

    const early = await startOf(pool.config)
    expect(early).toMatchObject({ code: 1, out: '' })
    expect(early.err).toMatch(
      /^error: the clock of this machine says [^\n]*\n {2}code: clock-behind\n {2}cure: [^\n]*--believe-clock\.\n$/,
    )
    await pool.start('--believe-clock')
    expect((await pool.leases()).map(({ id }) => id)).toContain(held[0]?.id)
    expect(await pool.release()).toMatchObject({ code: 0 })
  })
})

const OLD_NODE = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path))
const isReal = process.env.SUBLET_REAL === '1'
if (OLD_NODE === undefined && !isReal) process.stderr.write('skipped: no other Node is installed here\n')

describe.concurrent('a Node that is too old', () => {
  test.skipIf(OLD_NODE === undefined && !isReal)('is told so in one sentence', async () => {
    const pool = await openPool()
    const deploy = join(pool.dir, 'deploy')
    mkdirSync(deploy)
    copyFileSync(BIN, join(deploy, 'bin.js'))
    writeFileSync(join(pool.dir, 'package.json'), '{"type":"module"}')
    const { code, out, err } = await run(OLD_NODE ?? 'node', [
      join(deploy, 'bin.js'),
      'start',
      '--config',
      pool.config,
    ])
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/^error: Sublet needs Node 24 or newer, this is v\d+\.\d+\.\d+, [^\n]*\n$/)
    expect(processesIn(deploy)).toEqual([])
  })
})
