import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { ERRORS } from '../../actors/runtime/errors.ts'
import { type BatchUser, batchUser } from '../../adapters/embedded/batch-client.ts'
import { endBatchServer, spawnBatchServer } from '../../adapters/embedded/batch-server.ts'
import { table } from '../../deploy/reports/show.ts'
import { otherDay, parseMoment } from '../../deploy/settings/moments.ts'
import { inspected } from '../../deploy/upkeep/work-folder.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'

const BIN = new URL('../../deploy/bin.js', import.meta.url).pathname
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs a command of its own process to its end. */
function sublet(args: readonly string[], cwd = tmpdir()): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-cli-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('the command line', () => {
  test('helps', async () => {
    const { code, out } = await sublet(['--help'])
    expect(code).toBe(0)
    for (const command of [
      'start',
      'demo',
      'validate',
      'stop',
      'status',
      'leases',
      'nodes',
      'ledger',
      'explain',
      'verify',
      'recall',
      'lend',
      'withdraw',
      'reclaim',
      'query',
      'request',
      'extend',
      'release',
      'host',
      'approve',
      'disapprove',
      'batch',
    ])
      expect(out).toMatch(new RegExp(`^  ${command} `, 'm'))
  })

  test('says lengths of time in its help as they are written', async () => {
    for (const command of ['request', 'extend'])
      expect((await sublet([command, '--help'])).out).toMatch(/--wait [^-]*at\s+most 25s \(default: 5s\)/)
    expect((await sublet(['replay', '--help'])).out).toMatch(/--boot <range> [^{]*\(default:\s+60s-120s\)/)
  })

  test.each<[string, readonly string[], number, RegExp]>([
    [
      'an unknown command',
      ['stauts'],
      2,
      /'stauts'\. Did you mean status\?\n {2}code: usage\n {2}cure: See `sublet --help`/,
    ],
    [
      'an unknown option',
      ['status', '--jsn'],
      2,
      /Did you mean --json\?\n.*\n {2}cure: See `sublet status --help`/,
    ],
    [
      'lines for verifying of which some are left out',
      ['ledger', '--export', '--subject', 'lease-1'],
      2,
      /'--export' cannot be used with option '--subject <id>'\n {2}code: usage\n/,
    ],
    ['no number', ['ledger', '--limit', 'many'], 2, /whole number.*\n {2}code: usage\n/],
    ['a missing option', ['start'], 2, /--config.*\n {2}code: usage\n {2}cure: See `sublet start --help`/],
    ['a missing argument', ['peer', 'add'], 2, /argument 'name'\n.*\n {2}cure: See `sublet peer add --help`/],
    [
      'help with what is no command',
      ['help', 'stauts'],
      2,
      /^error: there is no command stauts\. Did you mean status\?/,
    ],
    [
      'no command',
      [],
      2,
      /none is named\n {2}code: usage\n {2}cure: See `sublet --help`; `sublet demo` needs/,
    ],
    ['half a command', ['host'], 2, /sublet host is followed by a command/],
    [
      'a file that is not there',
      ['verify', '--file', '/nonexistent'],
      2,
      /there is no file \/nonexistent\n.*\n {2}cure: Give a file that `sublet ledger --export` wrote/,
    ],
    [
      'a file without a line',
      ['verify', '--file', '/dev/null'],
      2,
      /\/dev\/null holds no line of a ledger.*\n.*\n {2}cure: Give a file that/,
    ],
    [
      'a folder for a file',
      ['verify', '--file', '/'],
      2,
      /\/ is a folder, not a file\n.*\n {2}cure: Give a file/,
    ],
    [
      'a folder that nobody can make',
      ['demo', '--dir', '/proc/x'],
      2,
      /the folder \/proc\/x cannot be made: ENOENT.*\n {2}code: usage\n {2}cure: Name a folder that is new/,
    ],
    [
      'a folder below what is none',
      ['demo', '--dir', '/dev/null/x'],
      2,
      /the folder \/dev\/null\/x cannot be made: ENOTDIR/,
    ],
    ['a file for a folder of the demo', ['demo', '--dir', BIN], 2, /bin\.js is a file, not a folder/],
    [
      'a folder of the batch system that nobody can make',
      ['batch', 'start', '--dir', '/proc/x'],
      2,
      /the folder \/proc\/x cannot be made/,
    ],
    [
      'a day that is none',
      ['usage', '--from', '2026-02-30', '--dir', '.'],
      2,
      /Expected a date such as 2026-11-01/,
    ],
    ['two ways to name it', ['status', '--dir', '.', '--config', 'x'], 2, /--dir or --config, not both/],
    ['a Sublet that does not run', ['status'], 3, /code: not-running/],
    ['a folder without one', ['verify', '--dir', '.'], 3, /there is no Sublet in \//],
    ['a folder that is not there', ['status', '--dir', '/nowhere'], 3, /there is no folder \/nowhere/],
    ['a file for a folder', ['verify', '--dir', BIN], 3, /bin\.js is a file, not a work folder/],
    ['a configuration that is not there', ['start', '--config', 'none.yaml'], 2, /code: config-missing/],
    [
      'a time that is none',
      ['recall', '--type', 't', '--units', '1', '--by', 'soon', '--dir', '.'],
      2,
      /“soon” is no time/,
    ],
    [
      'a day that is none',
      ['host', 'maintain', 'host-a', '--by', '2026-02-30', '--dir', '.'],
      2,
      /“2026-02-30” is no time[\s\S]*cure: Give a time of day/,
    ],
    ['maintenance of no host', ['host', 'maintain', '--dir', '.'], 2, /missing required argument 'host'/],
    [
      'maintenance where nothing runs',
      ['host', 'maintain', 'host-a', '--by', '30m', '--dir', '.'],
      3,
      /code: not-running/,
    ],
    [
      'a batch system that is not there',
      ['batch', 'jobs', '--dir', '/nowhere'],
      1,
      /sublet batch start --dir/,
    ],
    [
      'a time that is past',
      ['recall', '--type', 't', '--units', '1', '--by', '2020-01-01T00:00Z', '--dir', '.'],
      2,
      /2020-01-01T00:00:00\.000Z is past/,
    ],
    [
      'something that cannot be explained',
      ['explain', 'tree', '1', '--dir', '.'],
      2,
      /a job, a lease, a node or a decision can/,
    ],
  ])('answers %s with its exit code and a sentence, never with a stack', async (_, args, code, sentence) => {
    const ended = await sublet(args, dir)
    expect(ended.err).toMatch(sentence)
    expect(ended.err).not.toMatch(/\n\s+at /)
    expect(ended).toMatchObject({ code, out: '' })
  })

  test('prints an error as one object when JSON is asked for', async () => {
    const { code, out } = await sublet(['status', '--json'], dir)
    expect(code).toBe(3)
    expect(JSON.parse(out)).toEqual({
      error: {
        code: 'not-running',
        sentence: 'there is no work folder in ./.sublet',
        cure: expect.any(String),
      },
    })
  })

  test('prints a mistake of its own words as one object, too', async () => {
    const { code, out } = await sublet(['status', '--jsn', '--json'], dir)
    expect(code).toBe(2)
    expect(JSON.parse(out)).toEqual({
      error: {
        code: 'usage',
        sentence: "unknown option '--jsn'. Did you mean --json?",
        cure: 'See `sublet status --help`.',
      },
    })
  })

  test('does not take help for a mistake', async () => {
    for (const words of [
      ['--help'],
      ['help'],
      ['help', 'host'],
      ['host', 'maintain', '--help'],
      ['--version'],
    ])
      expect(await sublet(words)).toMatchObject({ code: 0, err: '' })
  })

  test.skipIf(cannotBeRoot)(`tells another user which folders are closed to him ${AS_ROOT}`, () => {
    const closed = join(dir, '.sublet')
    mkdirSync(join(closed, 'lab'), { recursive: true })
    chmodSync(dir, 0o711)
    const codeAs = (mode: number, look: () => unknown): unknown => {
      chmodSync(closed, mode)
      const user = process.geteuid?.() ?? 0
      process.seteuid?.(65_534)
      try {
        return look()
      } catch (error) {
        return error
      } finally {
        process.seteuid?.(user)
      }
    }
    for (const mode of [0o700, 0o711])
      expect(codeAs(mode, () => inspected(closed, () => readdirSync(closed)))).toMatchObject({
        code: 'not-permitted',
        message: `this user may not look into ${closed}`,
        cure: expect.stringContaining('--dir'),
      })
  })

  test('validates a file, and tells every mistake', async () => {
    const file = join(dir, 'c.yaml')
    writeFileSync(file, 'name: lab\nsit: {}\n')
    const { code, out } = await sublet(['validate', file])
    expect(code).toBe(2)
    expect(out).toContain(`${file}:2:1: sit: is no option here, did you mean “site”?`)
    expect(out).toContain(
      `${file}:1:1: describes none of the three actors, expected “site”, “broker” or “guests”`,
    )
    const json = JSON.parse((await sublet(['validate', file, '--json'])).out)
    expect(json).toMatchObject({
      valid: false,
      errors: expect.arrayContaining([expect.objectContaining({ line: 2, column: 1, path: 'sit' })]),
    })
    const wrong = await sublet(['validate', file, '--reach'])
    expect(wrong.out).toContain('when they are corrected, more is checked: what is there (--reach)')
  })

  test('tells what is not there, of a work folder that cannot be made, too, and makes none that can', async () => {
    const file = join(dir, 'c.yaml')
    const text = (folder: string) => `name: lab
dir: ${folder}
site:
  name: rack
  hosts: [{ name: a, cpu: 4, memoryMiB: 4096 }]
  types: { s: { cpu: 1, memoryMiB: 512, image: plain, units: 2 } }
  machines: { kind: process }
broker: {}
`
    writeFileSync(file, text('c.yaml/in/a/file'))
    const { code, out, err } = await sublet(['validate', file, '--reach'])
    expect(err).toBe('')
    expect(code).toBe(1)
    expect(out).toMatch(/machines of kind process: .*ENOTDIR/)
    writeFileSync(file, text('w/k'))
    expect(await sublet(['validate', file, '--reach'])).toMatchObject({ code: 0 })
    expect(existsSync(join(dir, 'w'))).toBe(false)
    // A disk that is not mounted yet: the link is not ours to remove.
    symlinkSync(join(dir, 'not-mounted'), join(dir, 'machines'))
    writeFileSync(file, text('w').replace('kind: process', 'kind: process, dir: machines'))
    const unmounted = await sublet(['validate', file, '--reach'])
    expect(unmounted.out).toContain(`${join(dir, 'machines')} is a link to what is not there`)
    expect(lstatSync(join(dir, 'machines')).isSymbolicLink()).toBe(true)
  })

  test('tells how to start the batch system that is not there', async () => {
    const file = join(dir, 'c.yaml')
    writeFileSync(
      file,
      `name: lab
serviceManager: { broker: far }
guests:
  - name: batch
    batch: { kind: embedded, socket: b/sock }
    join: { kind: embedded }
    controller: by-hand
`,
    )
    expect((await sublet(['validate', file, '--reach'])).out).toContain(
      ` → Start it with \`sublet batch start --dir ${join(dir, 'b')}\`.`,
    )
  })

  test('says in one sentence that the output has no room', () => {
    const { status, stderr } = spawnSync('sh', ['-c', `"$0" "$1" --help >/dev/full`, process.execPath, BIN], {
      encoding: 'utf8',
    })
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^error: the output cannot be written \(.*ENOSPC[^\n]*\)\n {2}code: usage\n {2}cure: /,
    )
  })
})

/** Makes a Node say that it is of version 20. */
const old =
  'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.2"});Object.defineProperty(process,"version",{value:"v20.20.2"})'

/** The Node of the machine, which may be older than the one that runs this. */
const ANOTHER = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path)) ?? process.execPath

describe('the launcher', () => {
  test('can be executed, also by a link in a folder of PATH', () => {
    expect(statSync(BIN).mode & 0o111).toBe(0o111)
    symlinkSync(BIN, join(dir, 'sublet'))
    const { status, stdout, stderr } = spawnSync('sublet', ['--version'], {
      encoding: 'utf8',
      cwd: '/',
      env: { PATH: `${dir}:${dirname(ANOTHER)}` },
    })
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })

  test.each([
    ['in a checkout', 'deploy', 'node_modules/node/bin'],
    ['beside its dependencies', 'node_modules/sublet/deploy', 'node_modules/node/bin'],
  ])('finds %s the Node that was installed with it, whatever Node runs it', (_, deploy, bin) => {
    for (const folder of [deploy, bin]) mkdirSync(join(dir, folder), { recursive: true })
    writeFileSync(join(dir, deploy, '../package.json'), '{"type":"module"}')
    copyFileSync(BIN, join(dir, deploy, 'bin.js'))
    writeFileSync(join(dir, bin, 'node'), '#!/bin/sh\necho "$@"\nexit 7\n', { mode: 0o755 })
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, [...args, join(dir, deploy, 'bin.js'), 'status', '--all'], {
        encoding: 'utf8',
      })
    const told = {
      status: 7,
      stdout: `--import ${pathToFileURL(join(realpathSync(dir), deploy, 'compile-cache.js'))} ${join(realpathSync(dir), deploy, 'cli.ts')} status --all\n`,
      stderr: '',
    }
    expect(run()).toMatchObject(told)
    expect(run('--import', old)).toMatchObject(told)
  })

  test('says in one sentence what is missing when there is no Node that is new enough', () => {
    mkdirSync(join(dir, 'deploy'))
    writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
    copyFileSync(BIN, join(dir, 'deploy', 'bin.js'))
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', old, join(dir, 'deploy', 'bin.js')],
      { encoding: 'utf8' },
    )
    expect(status).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^error: Sublet needs Node 24 or newer, this is v20\.20\.2, .*npm ci.*\n$/)
  })

  test('is written for Nodes that are as old as ES modules', () => {
    const text = readFileSync(BIN, 'utf8')
    expect(text).not.toMatch(/\?\?|\?\.|await |node:|import\.meta\.(dirname|filename)/)
  })
})

test('the embedded batch system is started, used and ended by hand', async () => {
  const own = mkdtempSync(join(tmpdir(), 'sublet-'))
  const batch = (...args: readonly string[]): Promise<Ended> => sublet(['batch', ...args, '--dir', own])
  try {
    expect((await batch('start')).out).toContain(join(own, 'sock'))
    expect(await batch('submit', 'true', '--cpus', '2', '--hold')).toMatchObject({ code: 0, out: 'job 1\n' })
    expect((await batch('submit', 'true', '--time', 'soon')).err).toContain('“soon” is no length of time')
    expect((await batch('jobs')).out).toMatch(/^1 +user +held /m)
    expect((await batch('cancel', '1')).code).toBe(0)
    expect((await batch('jobs')).out).toBe('no jobs\n')
  } finally {
    await endBatchServer(own, clock)
    rmSync(own, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
})

describe('times', () => {
  const now = new Date(2026, 10, 21, 13, 30).getTime()
  test.each([
    ['14:00', new Date(2026, 10, 21, 14, 0).getTime()],
    ['13:30', new Date(2026, 10, 22, 13, 30).getTime()],
    ['30m', now + 1_800_000],
    ['in 2h', now + 7_200_000],
    ['2026-11-21T14:00:00Z', Date.UTC(2026, 10, 21, 14)],
    ['2026-11-21T14:00', new Date(2026, 10, 21, 14, 0).getTime()],
    ['2026-11-22', new Date(2026, 10, 22).getTime()],
  ])('%s', (text, at) => expect(parseMoment(text, now)).toBe(at))

  test.each([
    '25:00',
    'noon',
    '2026',
    '',
    '2026-02-30',
    '2026-02-31T10:00',
    '2026-13-01',
    '2026-11-21T',
  ])('“%s” is none', (text) => expect(() => parseMoment(text, now)).toThrow(/is no time/))
})

test.each([
  [
    '14:00',
    '2026-11-20T17:26',
    '“14:00” is not today: it was understood as tomorrow, 2026-11-21 14:00 by the clock here',
  ],
  [
    '30h',
    '2026-11-20T17:26',
    '“30h” is not today: it was understood as tomorrow, 2026-11-21 23:26 by the clock here',
  ],
  [
    '2026-12-01',
    '2026-11-20T17:26',
    '“2026-12-01” is not today: it was understood as 2026-12-01 00:00 by the clock here',
  ],
])('of %s, which is not today, the day is told', (text, clock, said) => {
  const now = Date.parse(clock)
  expect(otherDay(text, parseMoment(text, now), now).trim()).toBe(said)
})

test('of a time that is today it is not', () => {
  const now = Date.parse('2026-11-20T13:00')
  expect(otherDay('14:00', parseMoment('14:00', now), now)).toBe('')
})

test('a table is as wide as its cells', () => {
  expect(
    table(
      ['A', 'LONG'],
      [
        ['aaa', 'b'],
        ['c', 'dd'],
      ],
    ),
  ).toBe('A    LONG\naaa  b\nc    dd')
})

test('docs/errors.md lists every code with its recourse and cure, and no other', () => {
  const document = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const documented = [...document.matchAll(/^\| `([^`]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$/gm)].map(
    ([, code, recourse, cure]) => `${code}: ${recourse}: ${cure}`,
  )
  expect(documented.sort()).toEqual(
    Object.entries(ERRORS)
      .map(([code, [recourse, cure]]) => `${code}: ${recourse.replace('-', ' ')}: ${cure}`)
      .sort(),
  )
})

describe('a site that runs', () => {
  let home = ''
  let user: BatchUser
  let running: ReturnType<typeof spawn>
  let told = ''
  const work = (): string => join(home, 'w')
  const ask = (...args: readonly string[]): Promise<Ended> => sublet([...args, '--dir', work()])
  const json = async (...args: readonly string[]): Promise<never> =>
    JSON.parse((await ask(...args, '--json')).out) as never
  const until = (holds: () => Promise<boolean>): Promise<unknown> =>
    vi.waitUntil(holds, { timeout: 60_000, interval: 100 })

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'sublet-'))
    const { socket } = await spawnBatchServer(join(home, 'b'), {}, clock)
    user = batchUser(socket, clock)
    writeFileSync(join(home, 'site.yaml'), siteText(socket))
    running = spawn(process.execPath, [BIN, 'start', '--config', join(home, 'site.yaml')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    running.stderr?.setEncoding('utf8').on('data', (text: string) => {
      told += text
    })
    await until(() => Promise.resolve(told.includes('runs (pid')))
  })

  afterAll(async () => {
    if (running.exitCode === null) running.kill('SIGKILL')
    await user.close()
    await endBatchServer(join(home, 'b'), clock)
    rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  })

  test('can be looked at, asked and told to stop, and its ledgers outlive it', async () => {
    const id = await user.submit({ command: 'sleep 30', walltimeMs: 60_000 })
    const held = await user.submit({ command: 'true', held: true })
    await until(async () =>
      ((await json('nodes')) as { jobs: string[] }[]).some(({ jobs }) => jobs.includes(id)),
    )

    expect(await json('status')).toMatchObject({
      name: 'lab',
      leases: { active: 1 },
      guests: [{ name: 'batch', jobs: { running: 1 } }],
    })
    const status = await ask('status')
    expect(status.out).toMatch(/^lab runs in .*\n/)
    expect(status.err).toBe('')
    const [lease] = (await json('leases')) as { id: string; state: string }[]
    expect(lease).toMatchObject({ state: 'active', units: 1, members: [{ name: 'vm1', state: 'joined' }] })
    expect((await ask('leases')).out).toContain(lease?.id)
    expect((await ask('explain', 'job', id)).out).toContain(`Job ${id} of user is running on vm1`)
    expect((await ask('explain', 'job', held)).out).toContain('no machine would cure that')
    expect((await ask('explain', 'lease', lease?.id ?? '')).out).toContain('vm1')
    expect((await ask('explain', 'lease', lease?.id ?? '', '--lines')).out).toMatch(
      /requested: .*\n[\s\S]*unit assigned/,
    )
    expect((await ask('explain', 'node', 'vm1')).out).toContain('the probe passed')
    const decided = (await json('ledger', '--limit', '10000')) as { kind: string; seq: number }[]
    const first = decided.find(({ kind }) => kind === 'decided')?.seq
    const why = (await ask('explain', 'decision', `${first}`)).out
    expect(why).toMatch(
      /^It went by the look at the batch system that began at \S+: [12] jobs? and 0 nodes were listed\.$/m,
    )
    expect(why).toMatch(
      /^It compared: the longest wait without room was .+, and units are asked for from 0 s on \(grow\.wait\); 0 units were held or asked for, and max is 2: room for 2; /m,
    )
    expect(why).toMatch(/^The settings of its controller then have the digest [\w-]{8}: /m)
    expect((await ask('ledger', '--actor', 'nobody')).code).toBe(1)
    expect((await sublet(['start', '--config', join(home, 'site.yaml')])).code).toBe(4)

    const followed = ask('ledger', '--follow', '--limit', '1', '--json')
    const recalled = await ask(
      'recall',
      '--type',
      'vm.small',
      '--units',
      '2',
      '--by',
      '30h',
      '--reason',
      'tests',
    )
    expect(recalled).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^2 units of vm\.small asked back by \S+ \(delegation-\w+\)\n {2}“30h” is/),
    })
    expect((await ask('recall', '--type', 'vm.small', '--units', '99', '--by', '1h')).code).toBe(4)
    const early = await ask('lend', '--type', 'vm.small', '--units', '1')
    expect(early.err).toContain('0 of vm.small are withheld since a recall; 1 cannot be lent again')
    expect(early.code).toBe(4)
    const { recalls } = (await json('status')) as { recalls: { id: string }[] }
    const recallId = recalls[0]?.id ?? ''
    expect((await ask('status')).out).toMatch(new RegExp(`recalled .*\\(${recallId}\\)`))
    expect(await ask('call-off', recallId)).toMatchObject({
      code: 0,
      out: expect.stringContaining(`${recallId} is called off: `),
    })
    expect((await ask('call-off', recallId)).err).toContain(`no recall ${recallId} is before this site`)
    // What the site does beside it may have been written since.
    expect((await json('ledger', '--actor', 'rack', '--limit', '50')) as unknown).toContainEqual(
      expect.objectContaining({ kind: 'recalled', reason: expect.stringContaining('tests') }),
    )

    const site = join(home, 'site.yaml')
    writeFileSync(site, readFileSync(site, 'utf8').replace('idle: 30s', 'idle: 31s'))
    for (const order of [
      ['freeze', '--reason', 'the room is hot'],
      ['freeze'],
      ['thaw'],
      ['withdraw', '--type', 'vm.small', '--reason', 'sold'],
      ['withdraw', '--type', 'vm.small'],
      ['lend', '--type', 'vm.small', '--reason', 'bought back'],
      ['host', 'maintain', 'host-a', '--by', '20h', '--reason', 'a new disk'],
      ['host', 'maintain', 'host-a', '--by', '21h'],
      ['host', 'resume', 'host-a', '--reason', 'it has one'],
      ['reload', '--reason', 'patience'],
    ])
      expect(await ask(...order)).toMatchObject({ code: 0 })

    await user.cancel(id)
    expect(await ask('stop', '--release', '--reason', 'the room is closed')).toMatchObject({ code: 0 })
    expect(running.exitCode).toBe(0)
    expect((await ask('status')).code).toBe(3)

    const { code, out } = await followed
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { actor: string; seq: number; kind: string })
    expect(code).toBe(0)
    expect(lines.map(({ kind }) => kind)).toContain('recalled')
    expect(lines.map(({ kind }) => kind)).not.toContain('unit assigned')
    expect(new Set(lines.map(({ actor, seq }) => `${actor} ${seq}`)).size).toBe(lines.length)

    // Whoever ordered it and why is in the ledger, and an order without a reason leaves the one that was given.
    const written = (await json('ledger', '--limit', '10000')) as { kind: string; reason: string }[]
    const by = `uid ${process.getuid?.()}`
    const ordered = written.filter(({ reason }) => reason.includes(by))
    expect(ordered.map(({ kind, reason }) => `${kind}: ${reason.replace(/ 20\S+Z/g, ' TIME')}`)).toEqual([
      `recalled: 2 of vm.small by TIME: tests; ordered by ${by}`,
      `recall called off: 2 units of vm.small may stay: the operator no longer needs them; ordered by ${by}`,
      `frozen: ${by}: the room is hot`,
      `frozen: ${by}: already, by ${by}: the room is hot`,
      `thawed: ${by}: thawed by the operator`,
      `offered: 0 units: withdrawn: sold; ordered by ${by}`,
      `offered: 0 units: withdrawn already: sold; ordered by ${by}`,
      `offered: 2 units: offered again: bought back; ordered by ${by}`,
      `host leaves service: wanted empty by TIME: a new disk; ordered by ${by}`,
      `host leaves service: wanted empty by TIME: a new disk; ordered by ${by}`,
      `host in service: it has one; ordered by ${by}`,
      `configured: ${by}: patience: guests.batch.controller.shrink.idle: 30s → 31s`,
      ...Array(3).fill(`stopping: ${by}: the room is closed; all leases are given back first`),
    ])

    const verified = (await json('verify')) as { verified: boolean; entries: number }
    expect(verified).toMatchObject({ verified: true })
    expect((await ask('explain', 'lease', lease?.id ?? '', '--lines')).out).toContain('lease closed')
    expect((await ask('explain', 'job', id)).code).toBe(3)
    const database = new DatabaseSync(join(work(), 'rack.db'))
    database.exec(
      `UPDATE ledger SET json = replace(json, 'the probe passed', 'all is well') WHERE json LIKE '%the probe passed%'`,
    )
    database.close()
    const disproved = await ask('verify')
    expect(disproved.code).toBe(5)
    expect(disproved.out).toMatch(/^ {2}line \d+ was altered/m)
    expect(disproved.err).toMatch(/the ledger of rack .*\n {2}code: disproved\n {2}cure: Keep a copy/)
    const said = await ask('verify', '--json')
    expect(JSON.parse(said.out)).toMatchObject({ verified: false, error: { code: 'disproved' } })
    expect(told).not.toMatch(/warning|error/)
  }, 300_000)
})

const siteText = (socket: string): string => `name: lab
dir: w
skewMax: 500ms
site:
  name: rack
  hosts: [{ name: host-a, cpu: 4, memoryMiB: 4096 }]
  types: { vm.small: { cpu: 2, memoryMiB: 1024, image: plain, units: 2 } }
  machines: { kind: process }
  terms: { grace: 20s }
serviceManager: { leaveBudget: 2s }
guests:
  - name: batch
    batch: { kind: embedded, socket: ${JSON.stringify(socket)} }
    join: { kind: embedded }
    controller:
      kind: groc
      type: vm.small
      unit: { cpus: 2, memoryMiB: 1024 }
      max: 2
      grow: { wait: 0s }
      shrink: { idle: 30s }
      term: 60s
      settle: 0s
      every: 1s
`
