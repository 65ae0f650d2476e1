import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Claim, hashOfClaim } from '../../../actors/leases/claim.ts'
import { issueTicket } from '../../../actors/leases/ticket.ts'
import { signable } from '../../../actors/runtime/canonical.ts'
import { systemClock as clock, sleep } from '../../../actors/runtime/clock.ts'
import type { Puppet } from './puppet.ts'
import { World } from './world.ts'

/** A site in a process of its own with a lease that lives, whose disk and processor are not what they should be. */
const CLI = fileURLToPath(new URL('../../../deploy/bin.js', import.meta.url))
const world = new World({ live: ['site'], played: { broker: 'broker', anna: 'manager' }, units: 4 })
let broker: Puppet
let anna: Puppet
let failed = false
beforeAll(async () => {
  await world.open()
  ;({ broker, anna } = world.puppets as Record<'broker' | 'anna', Puppet>)
}, 180_000)
afterEach(({ task }) => {
  failed ||= task.result?.state === 'fail'
})
afterAll(() => world.close(failed), 30_000)

const site = () => world.processes.site!
const file = (): string => join(world.dir, 'site', 'site.db')
const printed = (): string => readFileSync(join(world.dir, 'site.out'), 'utf8')
let count = 0

/** A lease of one unit that is active. */
async function lease(): Promise<string> {
  const leaseId = `lease-${++count}`
  const claim: Claim = (await broker.hears('delegation', 'offer-vm.small')).body.claim!
  const { key } = anna.identity
  const head = { id: 'message-1', from: 'anna', kind: 'ticket', subject: leaseId, key }
  const request = { ...head, signature: anna.identity.sign(signable('message', head)) }
  const start = clock.now() - 1_000
  const ticket = issueTicket(
    {
      ...{ id: `ticket-${leaseId}`, leaseId, holder: 'anna', site: 'site', type: 'vm.small', units: 1 },
      ...{ term: { start, end: start + 600_000 }, predecessor: null, issuedAt: start },
      conditions: claim.conditions,
      proof: {
        ...{ parent: hashOfClaim(claim), brokerKey: broker.identity.key, holderKey: key },
        ...{ vector: claim.vector, request },
      },
    },
    broker.identity,
  )
  await anna.says('site', 'redeem', leaseId, { ticket: { ...ticket, chain: [claim] }, properties: {} })
  await anna.hears('lease-update', leaseId, ({ state }) => state === 'active')
  return leaseId
}

async function closes(leaseId: string): Promise<void> {
  await anna.says('site', 'close', leaseId, { reason: 'done' })
  await anna.hears('lease-update', leaseId, ({ state }) => state === 'closed')
}

/** What another start says, and its exit code. */
const startOf = (config: string): Promise<{ readonly code: number; readonly err: string }> =>
  promisify(execFile)(process.execPath, [CLI, 'start', '--config', config]).then(
    () => ({ code: 0, err: '' }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, err: stderr }),
  )

test('a database that another process does not let go of stops Sublet with its cure, and nothing is lost', async () => {
  const held = await lease()
  const blocker = new DatabaseSync(file())
  blocker.exec('BEGIN IMMEDIATE')
  const asked = anna.says('site', 'vacate', held, { units: ['unit-none'], reason: 'none' }).catch(String)
  const code = await site().ended()
  expect(code).not.toBe(0)
  expect(printed()).toMatch(/code: store-(failed|locked)[\s\S]*cure: /)
  blocker.exec('ROLLBACK')
  blocker.close()
  await asked
  await site().up()
  expect(world.rows('site')[`lease ${held}`]).toMatchObject({ state: 'active' })
  await closes(held)
  expect(await world.faults('site')).toEqual([])
}, 180_000)

test('a disk that takes no more stops Sublet with its cure; what was said to be durable is, and machines go on', async () => {
  const held = await lease()
  await site().kill()
  // No file of that process may be larger than 1,600 blocks of 512 bytes.
  const words = [
    'trap \'\' XFSZ; ulimit -f 1600; exec "$@"',
    'sh',
    process.execPath,
    CLI,
    'start',
    '--config',
  ]
  const limited = spawn('sh', ['-c', ...words, world.configOf('site')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  limited.stderr.on('data', (part) => {
    said += String(part)
  })
  const ended = once(limited, 'exit')
  try {
    await world.until('it answers', () => site().answers(), Boolean)
    const taken: string[] = []
    const text = 'x'.repeat(2_000)
    for (let i = 0; i < 4_000 && limited.exitCode === null; i += 20)
      await Promise.all(
        Array.from({ length: 20 }, async (_, j) => {
          const subject = `query-${i + j}`
          const said = await anna
            .utters('site', 'vacate', held, { units: [`${subject}`], reason: text })
            .catch(() => undefined)
          if (said?.outcome === 'received') taken.push(subject)
        }),
      )
    const [code] = (await ended) as [number | null]
    expect([code, said]).toEqual([
      expect.any(Number),
      expect.stringMatching(/code: store-failed\n {2}cure: /),
    ])
    expect(code).not.toBe(0)
    expect(taken.length).toBeGreaterThan(0)
    await site().up()
    expect(world.rows('site')[`lease ${held}`]).toMatchObject({ state: 'active' })
    const lines = await world.notes('site', 'message noted', held)
    expect(lines.length).toBeGreaterThanOrEqual(taken.length)
    await closes(held)
    expect(await world.faults('site')).toEqual([])
  } finally {
    limited.kill('SIGKILL')
  }
}, 300_000)

test('a second process on the same folder is refused, and the first goes on', async () => {
  const held = await lease()
  const { code, err } = await startOf(world.configOf('site'))
  expect([code, err]).toEqual([4, expect.stringMatching(/code: already-running\n {2}cure: /)])
  await closes(held)
}, 180_000)

test('a process that stood still goes on, and so does one that was killed, whatever lock it left', async () => {
  const held = await lease()
  const { pid } = (await site().client.get('/status')) as { pid: number }
  process.kill(pid, 'SIGSTOP')
  await sleep(clock, 3_000)
  process.kill(pid, 'SIGCONT')
  await closes(held)
  const other = await lease()
  await site().kill()
  writeFileSync(`${file()}.lock-journal`, '')
  await site().up()
  expect(world.rows('site')[`lease ${other}`]).toMatchObject({ state: 'active' })
  await closes(other)
  expect(await world.faults('site')).toEqual([])
}, 180_000)

test('half a configuration, or half a list of peers, changes nothing of what runs and is told at the next start', async () => {
  const held = await lease()
  const config = world.configOf('site')
  const whole = readFileSync(config, 'utf8')
  writeFileSync(config, whole.slice(0, whole.length / 2))
  const peers = join(world.dir, 'site', 'peers.json')
  writeFileSync(peers, '{"version":1,"peers":[{"na')
  await site().client.post('/peers/reload', {})
  expect(printed()).toMatch(/the peers were not read again/)
  await closes(held)
  const { code, err } = await startOf(config)
  expect([code, err]).toEqual([2, expect.stringMatching(/site\.yaml:\d+:\d+: /)])
  writeFileSync(config, whole)
  await site().kill()
  const again = await startOf(config)
  expect([again.code, again.err]).toEqual([
    2,
    expect.stringMatching(/peers\.json cannot be used[\s\S]*cure: /),
  ])
  writeFileSync(peers, '{"version":1,"peers":[]}')
  await site().up()
  await closes(await lease())
  expect(await world.faults('site')).toEqual([])
}, 180_000)
