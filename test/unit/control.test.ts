import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../actors/runtime/clock.ts'
import { chain } from '../../actors/runtime/commit.ts'
import { ledger } from '../../deploy/commands/read-ledger.ts'
import { type ControlServer, controlServer, ledgersOf } from '../../deploy/control/control.ts'
import { controlClient } from '../../deploy/control/control-client.ts'
import { doorkeeper, PENDING_MAX } from '../../deploy/control/doorkeeper.ts'
import { allLines } from '../../deploy/reports/ledgers.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'
import { type FakeSite, fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const STRANGER = 65_534

let root = ''
let dir = ''
let server: ControlServer | undefined
let stops: { release: boolean; by: string; reason: string }[] = []
const socket = (): string => join(dir, 'control.sock')
const client = () => controlClient(socket())

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sublet-control-'))
  dir = root
  writeFileSync(yamlIn(dir), SITE_YAML)
  stops = []
})
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(root, { recursive: true, force: true })
})

async function serve(
  control: Parameters<typeof fakeSite>[2] = {},
  site: FakeSite = fakeSite(dir, yamlIn(dir), control),
): Promise<FakeSite> {
  server = await controlServer(site, {
    socket: socket(),
    auth: join(dir, 'auth'),
    clock: systemClock,
    log: quiet,
    startedAt: T0,
    metrics: () => '',
    stop: (release, by, reason) => stops.push({ release, by, reason }),
  })
  return site
}

/** A plain request, as somebody else's program would send it. */
function raw(
  method: string,
  path: string,
  body?: string,
  token?: string,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Sublet ${token}` }),
    }
    const asked = request({ socketPath: socket(), method, path, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text }))
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

describe('the control socket', () => {
  test('answers what is asked of a running site', async () => {
    const site = await serve()
    expect(await client().get('/status')).toMatchObject({
      name: 'lab',
      pid: process.pid,
      guests: [{ name: 'batch', reason: '1 job waits', figures: { unitsJoined: 1 } }],
      leases: { active: 1, closed: 0 },
      machines: { active: 1 },
      offers: [{ type: 'vm.small', units: 4, held: 1 }],
    })
    expect(await client().get('/leases')).toMatchObject([
      { id: 'lease-1', state: 'active', units: 1, members: [{ name: 'vm1' }] },
    ])
    expect(await client().get('/nodes')).toMatchObject([
      { name: 'vm1', membership: 'joined', machine: 'active', host: 'host-a' },
    ])
    expect(await client().get('/verify')).toMatchObject([
      { actor: 'service-manager', entries: 2, faults: [] },
      { actor: 'broker', entries: 0, faults: [] },
      { actor: 'duke', entries: 2, faults: [] },
    ])
    expect(site.commands).toEqual([])
  })

  test('tells lives of leases and machines, and what jobs wait for', async () => {
    await serve()
    expect(await client().get('/explain/job/17')).toEqual({ sentences: ['Job 17 waits for vm1.'] })
    const { sentences } = (await client().get('/explain/lease/lease-1?lines=yes')) as {
      sentences: string[]
    }
    expect(sentences.map((sentence) => sentence.slice(25))).toEqual([
      'duke: unit assigned: vm1 on host-a',
      'service-manager: requested: a job waits',
      'service-manager: ticketed: 1 unit of vm.small at duke',
    ])
    expect(await client().get('/explain/lease/lease-1')).toMatchObject({
      sentences: expect.arrayContaining([
        expect.stringMatching(/^\d\d:\d\d:\d\dZ {2}vm1 \(unit-1\) was assigned/),
      ]),
    })
    // An array goes by the number that was printed when it was submitted.
    const { sentences: ofArray } = (await client().get('/explain/job/5')) as { sentences: string[] }
    expect(ofArray).toEqual([
      '5 is listed as 11 jobs.',
      'Job 5_[10-20] waits.',
      ...Array.from({ length: 7 }, (_, i) => `Job 5_${i} runs.`),
      '3 others of it: ask by their own names.',
    ])
    expect(await client().get('/explain/job/5_12')).toEqual({ sentences: ['Job 5_[10-20] waits.'] })
    await expect(client().get('/explain/job/17?guest=nope')).rejects.toMatchObject({
      code: 'unknown-id',
      message: 'no guest is named nope; there is: batch',
    })
    const ofNode = await client().get('/ledger?subject=vm1')
    expect(ofNode).toMatchObject([{ kind: 'unit assigned', subject: 'unit-1' }])
    expect(await client().get('/ledger?subject=nobody')).toEqual([])
    expect(await client().get('/explain/node/vm1')).toMatchObject({
      sentences: [expect.stringContaining('vm1 on host-a')],
    })
    await expect(client().get('/explain/job/99')).rejects.toMatchObject({ code: 'unknown-id' })
    await expect(client().get('/explain/lease/lease-9')).rejects.toMatchObject({ code: 'unknown-id' })
    await expect(client().get('/explain/tree/1')).rejects.toMatchObject({ code: 'usage' })
  })

  test('carries approvals to the broker', async () => {
    const site = await serve()
    const by = `uid ${process.getuid?.()}`
    await client().post('/approve', { leaseId: 'lease-1', reason: 'a course' })
    await client().post('/disapprove', { leaseId: 'lease-1', reason: 'no' })
    expect(site.commands).toEqual([
      { name: 'approve', args: { leaseId: 'lease-1', by, reason: 'a course' } },
      { name: 'disapprove', args: { leaseId: 'lease-1', reason: 'no', by } },
    ])
    await expect(client().post('/disapprove', { leaseId: 'lease-1' })).rejects.toMatchObject({
      code: 'usage',
    })
  })

  test('carries a recall to the site, and its refusal back with its code', async () => {
    const site = await serve()
    const order = { type: 'vm.small', units: 2, by: T0 + 60_000, reason: 'the owner wants them' }
    expect(await client().post('/recall', order)).toEqual({ recallId: 'delegation-1' })
    const by = `uid ${process.getuid?.()}`
    expect(site.commands).toEqual([{ name: 'recall', args: { ...order, orderedBy: by } }])
    const lend = { type: 'vm.small', units: 2, reason: 'no longer' }
    await client().post('/lend', lend)
    // The guests here need not wait for their pause.
    expect(site.commands.slice(-2)).toEqual([
      { name: 'lend again', args: { ...lend, orderedBy: by } },
      { name: 'hurry', args: { by, reason: 'vm.small is lent again', type: 'vm.small' } },
    ])
    const withdraw = { type: 'vm.small', reason: 'sold' }
    await client().post('/withdraw', withdraw)
    await client().post('/reclaim', { ...withdraw, by: T0 })
    expect(site.commands.slice(3)).toEqual([
      { name: 'withdraw', args: { ...withdraw, orderedBy: by } },
      { name: 'reclaim', args: { ...withdraw, by: T0, orderedBy: by } },
    ])
    await expect(client().post('/recall', { ...order, type: 'none' })).rejects.toMatchObject({
      code: 'unknown-type',
    })
    await expect(client().post('/recall', { ...order, units: 0 })).rejects.toMatchObject({ code: 'usage' })
    await expect(client().post('/recall', { ...order, extra: 1 })).rejects.toMatchObject({ code: 'usage' })
  })

  test('carries requests and what becomes of them to the service manager, who asked besides', async () => {
    const site = await serve()
    const by = `uid ${process.getuid?.()}`
    const wanted = { type: 'vm.small', units: 1, durationMs: 3_600_000, reason: 'a class' }
    await expect(client().post('/request', { ...wanted, withinMs: 0 })).rejects.toMatchObject({
      code: 'unknown-id',
    })
    expect(await client().post('/release', { leaseId: 'lease-1', reason: 'done' })).toMatchObject({
      state: 'given back',
    })
    await client().post('/extend', { leaseId: 'lease-1', durationMs: 3_600_000, reason: 'more' })
    expect(site.commands).toMatchObject([
      { name: 'wish', args: { guest: 'batch', by, intent: { kind: 'request', units: 1, unitsMin: 1 } } },
      { name: 'wish', args: { guest: 'batch', by, intent: { kind: 'release', leaseId: 'lease-1' } } },
      { name: 'wish', args: { guest: 'batch', by, intent: { kind: 'extend', leaseId: 'lease-1' } } },
    ])
    for (const wrong of [
      { ...wanted, units: 0 },
      { ...wanted, type: 'x'.repeat(81) },
      { ...wanted, durationMs: 0 },
      { ...wanted, group: { id: 'a b', size: 2 } },
      { ...wanted, startAt: -1 },
      { ...wanted, elastic: true },
    ])
      await expect(client().post('/request', wrong)).rejects.toMatchObject({ code: 'usage' })
    expect(site.commands).toHaveLength(3)
  })

  test('carries the maintenance of a host to the site, and tells what it comes to', async () => {
    const site = await serve()
    expect(await client().get('/hosts')).toMatchObject([
      { name: 'host-a', state: 'in service', units: [{ name: 'vm1', leavesAt: null }], maintenance: null },
    ])
    const order = { host: 'host-a', by: T0 + 60_000, reason: 'a new disk' }
    expect(await client().post('/hosts/maintain', order)).toMatchObject({ name: 'host-a' })
    await client().post('/hosts/maintain', { host: 'host-a', reason: 'a new disk' })
    await client().post('/hosts/resume', { host: 'host-a', reason: 'it has one' })
    const orderedBy = `uid ${process.getuid?.()}`
    expect(site.commands).toEqual([
      { name: 'maintain', args: { ...order, orderedBy } },
      { name: 'maintain', args: { host: 'host-a', reason: 'a new disk', orderedBy } },
      { name: 'maintained', args: { host: 'host-a', reason: 'it has one', orderedBy } },
      { name: 'hurry', args: { by: expect.any(String), reason: 'host-a is in service again' } },
    ])
    for (const wrong of [
      { ...order, by: 1.5 },
      { ...order, by: -1 },
      { ...order, reason: '' },
      { by: T0, reason: 'x' },
      { ...order, extra: 1 },
    ])
      await expect(client().post('/hosts/maintain', wrong)).rejects.toMatchObject({ code: 'usage' })
    expect(site.commands).toHaveLength(4)
  })

  test('of a process without a site no host is told', async () => {
    const site = fakeSite(dir, yamlIn(dir))
    await serve({}, { ...site, authority: undefined })
    const order = { host: 'host-a', reason: 'a new disk' }
    const refusal = { code: 'usage', message: 'no site runs here', cure: expect.stringContaining('--dir') }
    await expect(client().get('/hosts')).rejects.toMatchObject(refusal)
    await expect(client().post('/hosts/maintain', order)).rejects.toMatchObject(refusal)
    await expect(client().post('/hosts/resume', { host: 'host-a' })).rejects.toMatchObject(refusal)
  })

  test('of a process without guests no job is explained, and it is said where', async () => {
    const site = fakeSite(dir, yamlIn(dir))
    await serve({}, { ...site, serviceManager: undefined, guests: {} })
    await expect(client().get('/explain/job/17')).rejects.toMatchObject({
      ...{ code: 'usage', message: expect.stringMatching(/^no service manager runs here/) },
      cure: expect.stringContaining('--dir'),
    })
    await expect(client().get('/plan')).rejects.toMatchObject({
      ...{ code: 'usage', message: 'no service manager runs here, whose guests have a plan' },
    })
  })

  test('passes on that Sublet is to stop, and who said so', async () => {
    await serve()
    expect(await client().post('/stop', { release: true, reason: 'it burns' })).toEqual({ pid: process.pid })
    expect(stops).toEqual([{ release: true, by: `uid ${process.getuid?.()}`, reason: 'it burns' }])
  })

  test('hands out the latest lines of the ledgers, or waits for further ones', async () => {
    const site = await serve()
    expect(await client().get('/ledger?actor=service-manager&limit=1')).toMatchObject([
      { kind: 'ticketed', seq: 2 },
    ])
    expect(await client().get('/ledger?subject=unit-1')).toMatchObject([{ kind: 'unit assigned' }])
    expect(await client().get('/ledger?subject=vm1')).toMatchObject([{ kind: 'unit assigned' }])
    await expect(client().get('/ledger?actor=nobody')).rejects.toMatchObject({ code: 'unknown-id' })
    const lines = (more: object) => ledger(dir, { json: true, limit: 9, ...more })
    await expect(lines({ subject: 'lease-l' })).rejects.toMatchObject({
      ...{ code: 'unknown-id', message: 'no line of a ledger here is about lease-l' },
    })
    await expect(lines({ subject: 'lease-1', actor: 'duke' })).rejects.toMatchObject({
      ...{ code: 'unknown-id', message: 'no line of the ledger of duke here is about lease-1' },
    })
    await expect(allLines(ledgersOf(site), 'nobody').next()).rejects.toMatchObject({
      ...{ code: 'unknown-id', message: expect.stringMatching(/^no actor is named nobody; there are /) },
    })
    const waiting = client().get(
      `/ledger?after=${encodeURIComponent('service-manager:2,duke:2')}&waitMs=5000`,
    )
    const last = site.ledger.at(-1)
    if (last === undefined) throw new Error('the ledger is empty')
    site.ledger.push(
      chain({ kind: 'active', subject: 'lease-1', reason: '1 unit is ready' }, T0, 'service-manager', last),
    )
    site.changed()
    expect(await waiting).toMatchObject([{ kind: 'active', seq: 3 }])
  })

  test('that nobody listens at is “not running”', async () => {
    await expect(client().get('/status')).rejects.toMatchObject({ code: 'not-running' })
    await serve()
    await server?.close()
    await expect(client().get('/status')).rejects.toMatchObject({ code: 'not-running' })
  })

  test('may have any path that the system allows', async () => {
    dir = join(dir, 'a b:c%20ä')
    mkdirSync(dir)
    writeFileSync(yamlIn(dir), SITE_YAML)
    await serve()
    expect(await client().get('/status')).toMatchObject({ name: 'lab' })
  })

  test('refuses requests that are too large, unknown or not JSON, and goes on', async () => {
    await serve()
    expect((await raw('POST', '/challenge', JSON.stringify({ request: 'x'.repeat(20_000) }))).status).toBe(
      413,
    )
    expect((await raw('POST', '/challenge', '{')).status).toBe(400)
    expect((await raw('GET', '/nothing')).status).toBe(404)
    expect(await client().get('/status')).toMatchObject({ name: 'lab' })
  })
})

test('callers who only connect, say half a line or nonsense keep nobody out', async () => {
  await serve()
  const idle = Array.from({ length: 300 }, () =>
    connect(socket())
      .on('error', () => undefined)
      .on('data', () => undefined)
      .setEncoding('latin1')
      .resume(),
  )
  try {
    for (const [i, one] of idle.entries())
      one.write(
        [
          '',
          'GET /sta',
          '\u0000\u0001\u0002\r\n\r\n',
          `POST /challenge HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{`,
        ][i % 4]!,
      )
    await Promise.all(
      idle.map((one) => (one.connecting ? once(one, 'connect').catch(() => undefined) : undefined)),
    )
    expect(await client().get('/status')).toMatchObject({ name: 'lab' })
    expect(await client().get('/leases')).toEqual(expect.any(Array))
  } finally {
    for (const one of idle) one.destroy()
  }
})

describe('who is asking', () => {
  test('without a token nothing is answered', async () => {
    await serve()
    for (const path of ['/status', '/leases', '/nodes', '/ledger', '/verify', '/explain/job/17'])
      expect((await raw('GET', path)).status, path).toBe(403)
    expect((await raw('POST', '/stop', '{"release":true}')).status).toBe(403)
    expect(stops).toEqual([])
  })

  test('a token serves once, for the request it was asked for', async () => {
    await serve()
    const challenge = async (asked: string): Promise<{ token: string; folder: string }> =>
      JSON.parse((await raw('POST', '/challenge', JSON.stringify({ request: asked }))).body)
    const one = await challenge('GET /status')
    mkdirSync(one.folder, { mode: 0o700 })
    expect((await raw('GET', '/status', undefined, one.token)).status).toBe(200)
    expect((await raw('GET', '/status', undefined, one.token)).status).toBe(403)
    const two = await challenge('GET /status')
    mkdirSync(two.folder, { mode: 0o700 })
    expect((await raw('POST', '/stop', '{"release":true}', two.token)).status).toBe(403)
    expect(stops).toEqual([])
    expect(readdirSync(join(dir, 'auth'))).toEqual([])
  })

  test('only the owner reaches the socket unless others are named', async () => {
    await serve()
    expect(statSync(socket()).mode & 0o777).toBe(0o600)
    expect(statSync(join(dir, 'auth')).mode & 0o7777).toBe(0o700)
    await server?.close()
    await serve({ viewers: [STRANGER] })
    expect(statSync(socket()).mode & 0o777).toBe(0o666)
    expect(statSync(join(dir, 'auth')).mode & 0o7777).toBe(0o1733)
  })

  test.skipIf(cannotBeRoot)(
    `a viewer may look, an operator also stop, an admin also change settings, a stranger nothing ${AS_ROOT}`,
    async () => {
      chmodSync(dir, 0o711)
      await serve({ viewers: [STRANGER], operators: [STRANGER - 1], admins: [STRANGER - 3] })
      expect(await asUser(STRANGER, 'GET', '/status')).toBe(200)
      expect(await asUser(STRANGER, 'POST', '/stop')).toBe(403)
      expect(await asUser(STRANGER - 1, 'GET', '/leases')).toBe(200)
      expect(await asUser(STRANGER - 1, 'POST', '/stop')).toBe(200)
      expect(await asUser(STRANGER - 2, 'GET', '/status')).toBe(403)
      expect(await asUser(STRANGER - 1, 'POST', '/reload')).toBe(403)
      // It may, and says nothing that can be understood.
      expect(await asUser(STRANGER - 3, 'POST', '/reload')).toBe(400)
      expect(await asUser(STRANGER - 3, 'GET', '/leases')).toBe(200)
      expect(stops).toMatchObject([{ release: false, by: `uid ${STRANGER - 1}` }])
    },
  )

  test.skipIf(cannotBeRoot)(
    `a folder that somebody else made for a stranger proves that other one only ${AS_ROOT}`,
    async () => {
      chmodSync(dir, 0o711)
      await serve({ viewers: [STRANGER] })
      const { token, folder } = JSON.parse((await raw('POST', '/challenge', '{"request":"POST /stop"}')).body)
      const made = spawnSync('mkdir', ['-m', '700', folder], { uid: STRANGER, gid: STRANGER })
      expect(made.status).toBe(0)
      expect((await raw('POST', '/stop', '{"release":true}', token)).status).toBe(403)
    },
  )
})

/** The status of a request that another user sends; mkdir is his, the socket is dialled by us for him. */
async function asUser(uid: number, method: string, path: string): Promise<number> {
  const { token, folder } = JSON.parse(
    (await raw('POST', '/challenge', JSON.stringify({ request: `${method} ${path}` }))).body,
  )
  const made = spawnSync('mkdir', ['-m', '700', folder], { uid, gid: uid })
  if (made.status !== 0) throw new Error(String(made.stderr))
  return (await raw(method, path, method === 'POST' ? '{"release":false}' : undefined, token)).status
}

describe('the doorkeeper', () => {
  let monotonicMs = 0
  const clock: Clock = { now: () => T0, monotonic: () => monotonicMs, after: () => () => undefined }
  const door = () => doorkeeper(join(dir, 'auth'), false, clock)

  test('believes a folder of mode 0700, and takes it away', () => {
    const { challenge, uidOf } = door()
    const { token, folder } = challenge('GET /x')
    mkdirSync(folder, { mode: 0o700 })
    expect(uidOf(token, 'GET /x')).toBe(process.getuid?.())
    expect(readdirSync(join(dir, 'auth'))).toEqual([])
  })

  test.each<[string, (folder: string) => void, RegExp]>([
    ['a folder that was not made', () => undefined, /was not made/],
    ['a link to a folder of the owner', (folder) => symlinkSync(tmpdir(), folder), /is no folder/],
    ['a file', (folder) => writeFileSync(folder, ''), /is no folder/],
    [
      'a folder that others may enter',
      (folder) => mkdirSync(folder, { mode: 0o755 }),
      /has not the mode 0700/,
    ],
  ])('does not believe %s', (_, make, why) => {
    const { challenge, uidOf } = door()
    const { token, folder } = challenge('GET /x')
    make(folder)
    expect(() => uidOf(token, 'GET /x')).toThrow(why)
  })

  test('forgets a challenge after five seconds, and its folder', () => {
    const { challenge, uidOf } = door()
    const { token, folder } = challenge('GET /x')
    mkdirSync(folder, { mode: 0o700 })
    monotonicMs += 5_000
    expect(() => uidOf(token, 'GET /x')).toThrow(/older than five seconds/)
    expect(readdirSync(join(dir, 'auth'))).toEqual([])
  })

  test('bounds how many are under way: of too many the oldest is forgotten, so that nobody keeps others out', () => {
    const { challenge, uidOf } = door()
    const first = challenge('GET /x')
    mkdirSync(first.folder, { mode: 0o700 })
    for (let i = 1; i < PENDING_MAX; i++) challenge('GET /x')
    const last = challenge('GET /x')
    mkdirSync(last.folder, { mode: 0o700 })
    expect(uidOf(last.token, 'GET /x')).toBe(process.getuid?.())
    expect(() => uidOf(first.token, 'GET /x')).toThrow(/the token is not known/)
    expect(readdirSync(join(dir, 'auth'))).toEqual([])
  })
})

describe('what lies in the place of the socket and its folder', () => {
  test('is said to, with what to do', async () => {
    const refused = { code: 'usage', cure: expect.stringMatching(/^Move it away: Sublet makes/) }
    mkdirSync(socket())
    await expect(serve()).rejects.toMatchObject({
      ...{ ...refused, message: expect.stringMatching(/control\.sock cannot be removed/) },
    })
    rmSync(socket(), { recursive: true })
    writeFileSync(socket(), 'notes')
    await expect(serve()).rejects.toMatchObject({
      ...{ ...refused, message: expect.stringMatching(/control\.sock cannot be removed/) },
    })
    expect(readFileSync(socket(), 'utf8')).toBe('notes')
    rmSync(socket())
    rmSync(join(dir, 'auth'), { recursive: true })
    writeFileSync(join(dir, 'auth'), '')
    await expect(serve()).rejects.toMatchObject({
      ...{ ...refused, message: expect.stringMatching(/auth is a file, not a folder/) },
    })
  })

  test('is left alone where it only leads elsewhere: no mode of it is changed, and nothing there is removed', async () => {
    const elsewhere = join(root, 'elsewhere')
    mkdirSync(join(elsewhere, 'empty'), { recursive: true, mode: 0o755 })
    const { mode } = statSync(elsewhere)
    symlinkSync(elsewhere, join(dir, 'auth'))
    await expect(serve()).rejects.toMatchObject({
      ...{ code: 'usage', cure: expect.stringMatching(/^Move it away: Sublet makes/) },
      message: `${join(dir, 'auth')} is a link, not a folder of its own`,
    })
    expect(statSync(elsewhere).mode).toBe(mode)
    expect(readdirSync(elsewhere)).toEqual(['empty'])
  })
})
