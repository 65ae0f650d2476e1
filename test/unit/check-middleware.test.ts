import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import { spread } from '../../adapters/exec/host-findings.ts'
import type { Finding } from '../../adapters/finding.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { gridenginePrivileges } from '../../adapters/gridengine/privileges.ts'
import { openpbs } from '../../adapters/openpbs/batch-system.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { openpbsPrivileges } from '../../adapters/openpbs/privileges.ts'
import { torque } from '../../adapters/torque/batch-system.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { markProperty } from '../../adapters/torque/marks.ts'
import { torquePrivileges } from '../../adapters/torque/privileges.ts'
import { examined, inOrder } from '../../deploy/commands/check-middleware.ts'
import { listedOnly } from '../conformance/listed.ts'
import { handClock } from '../emulated/clocks.ts'
import { type EmulatedExecutor, emulatedExecutor } from '../emulated/executor.ts'
import { answer as openpbsAnswer } from '../emulated/openpbs/commands.ts'
import { PbsServer } from '../emulated/openpbs/server.ts'
import { answer as torqueAnswer } from '../emulated/torque/commands.ts'
import { TorqueServer } from '../emulated/torque/server.ts'
import { cell } from './gridengine-world.ts'

const dir = mkdtempSync(join(tmpdir(), 'sublet-check-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const START = Date.UTC(2026, 10, 21, 20)
const NAMES = ['vm1', 'vm2', 'vm3']

/** A Torque that is set up as it should be, asked as `user`, with what is listed. */
function torqueWorld(user = 'root', over: object = {}) {
  const clock = handClock(START)
  const server = new TorqueServer({ clock, version: '6.1.3' })
  NAMES.forEach((name, at) => void server.hosts.set(name, `10.77.0.${at + 1}`))
  server.hosts.set('own', '10.77.0.9')
  server.createNode('own', 1, [], '')
  server.queue.transit = true
  const exec = emulatedExecutor((asked) => torqueAnswer(server, asked), { clock, user })
  const config = torqueConfig.parse({ lockFolder: dir, ...over })
  const system = torque(config, listedOnly(exec, torquePrivileges(config, 'vm[0-9]+')), { clock })
  return { clock, server, exec, ...looking(system, clock) }
}

const looking = (system: BatchSystem, clock: ReturnType<typeof handClock>) => ({
  find: async (names: readonly string[] = NAMES): Promise<readonly Finding[]> =>
    inOrder(await examined(system, { names, skewMsMax: 2000 }, clock)),
})

const bad = (findings: readonly Finding[]) =>
  findings.filter(({ severity }) => severity !== 'fine').map(({ severity, about }) => `${severity} ${about}`)
const of = (findings: readonly Finding[], about: Finding['about']): Finding | undefined =>
  findings.find((each) => each.about === about)

describe('Torque, emulated', () => {
  test('one that is set up as it should be has all seven things fine', async () => {
    const findings = await torqueWorld().find()
    expect(bad(findings)).toEqual([])
    expect(findings.map(({ about }) => about).toSorted()).toEqual([
      'clock',
      'job shapes',
      'names',
      'rights',
      'server',
      'settings',
      'visibility',
    ])
    expect(of(findings, 'names')?.sentence).toBe(
      '3 of 3 names of machines lead to an address and back there.',
    )
  })

  test('an ordinary user may change nothing and sees nobody’s jobs', async () => {
    const world = torqueWorld('ann')
    world.server.settings.queryOtherJobs = false
    const findings = await world.find()
    expect(bad(findings)).toEqual(['missing rights', 'missing visibility'])
    expect(of(findings, 'rights')?.cure).toBe("make it a manager: qmgr -c 'set server managers += ann@HOST'.")
  })

  test('the node of the admin’s own that is to stay has to be there, and to be nobody else’s', async () => {
    expect(bad(await torqueWorld('root', { ownNode: 'own' }).find())).toEqual([])
    const world = torqueWorld('root', { ownNode: 'vm1' })
    expect(bad(await world.find())).toEqual(['missing job shapes'])
    world.server.createNode(
      'vm1',
      1,
      [markProperty({ leaseId: 'lease-1', unitId: 'unit-1' }, '10.77.0.1')],
      '',
    )
    expect(of(await world.find(), 'job shapes')?.sentence).toContain('is one of ours and goes with its lease')
  })

  test('Maui’s reservations are not read, and that is said', async () => {
    const findings = await torqueWorld('root', { scheduler: 'maui' }).find()
    expect(bad(findings)).toEqual(['unwise settings'])
    expect(of(findings, 'settings')).toMatchObject({
      sentence: expect.stringContaining('Reservations of Maui (showres) are not read'),
      cure: expect.stringContaining('sublet pin NODE --until'),
    })
  })

  test('jobs that qsub would refuse, and a scheduler that is off', async () => {
    const world = torqueWorld()
    world.server.queue.transit = false
    world.server.settings.scheduling = false
    const findings = await world.find()
    expect(bad(findings)).toEqual(['missing settings', 'missing job shapes'])
    expect(of(findings, 'job shapes')).toMatchObject({
      sentence: expect.stringContaining('qsub refuses jobs of more than 1 nodes or 1 processors'),
      cure: expect.stringContaining('is_transit = True'),
    })
  })

  test.each([
    [600_000, 'ahead of'],
    [-600_000, 'behind'],
  ])('a clock that is %d ms off', async (off, words) => {
    const world = torqueWorld()
    const seconds = Math.floor((world.clock.now() + off) / 1000)
    world.exec.instead = (line) => (line === 'date +%s' ? { stdout: `${seconds}\n` } : undefined)
    const findings = await world.find()
    expect(bad(findings)).toEqual(['missing clock'])
    expect(of(findings, 'clock')?.sentence).toMatch(
      new RegExp(`^The clock of the batch system’s host is (10|9) min.* ${words} ours;`),
    )
  })

  test('a clock that is off by less than may be is fine', async () => {
    const world = torqueWorld()
    const seconds = Math.floor((world.clock.now() + 2000) / 1000)
    world.exec.instead = (line) => (line === 'date +%s' ? { stdout: `${seconds}\n` } : undefined)
    expect(bad(await world.find())).toEqual([])
  })

  test('names that the server does not know, and addresses that are another’s there', async () => {
    const world = torqueWorld()
    world.server.hosts.delete('vm2')
    const found = of(await world.find(), 'names')
    expect(found).toMatchObject({ severity: 'missing', cure: expect.stringContaining('/etc/hosts or DNS') })
    expect(found?.sentence).toContain('does not know 1 of 3 names of machines, such as vm2.')
    const other = torqueWorld()
    other.exec.instead = (line) =>
      line === 'getent hosts 10.77.0.2' ? { stdout: '10.77.0.2  printer.site printer\n' } : undefined
    expect(of(await other.find(), 'names')?.sentence).toContain('vm2 is 10.77.0.2, which is printer.site.')
  })

  test('a queue without a walltime is unwise', async () => {
    const world = torqueWorld()
    const plain = world.exec
    const printed = (
      await plain.run(['qmgr', '-c', 'print server'], { signal: new AbortController().signal })
    ).stdout
    plain.instead = (line) =>
      line === 'qmgr -c print server'
        ? { stdout: printed.replaceAll(/.*resources_default\.walltime.*\n/g, '') }
        : undefined
    const findings = await world.find()
    expect(bad(findings)).toEqual(['unwise settings'])
    expect(of(findings, 'settings')?.cure).toContain('resources_default.walltime = 24:00:00')
  })

  test('a server that is not there is one finding, and a name service that hangs is another', async () => {
    const world = torqueWorld()
    world.exec.instead = (line) =>
      /^(qstat|qmgr|pbsnodes)/.test(line)
        ? { exitCode: 111, stderr: 'qstat: cannot connect to server head (errno=111) Connection refused\n' }
        : undefined
    expect(await world.find()).toEqual([
      {
        severity: 'missing',
        about: 'server',
        sentence: expect.stringContaining('did not reach Torque'),
        cure: 'Check that the batch system runs and answers from this machine.',
      },
    ])
    const never: Pick<BatchSystem, 'check' | 'examine'> = {
      check: async () => [],
      examine: async () => {
        throw new SubletError('deadline-missed', 'no answer')
      },
    }
    expect(bad(await examined(never, { names: [], skewMsMax: 1 }, world.clock))).toEqual(['missing server'])
  })
})

test('OpenPBS, emulated: without the resource of the mark, as a user that may do nothing', async () => {
  const clock = handClock(START)
  const server = new PbsServer({ clock })
  NAMES.forEach((name, at) => void server.hosts.set(name, `10.77.1.${at + 1}`))
  const make = (user: string) => {
    const exec: EmulatedExecutor = emulatedExecutor((asked) => openpbsAnswer(server, asked), { clock, user })
    const config = openpbsConfig.parse({ lockFolder: dir })
    return looking(openpbs(config, listedOnly(exec, openpbsPrivileges(config, 'vm[0-9]+')), { clock }), clock)
  }
  const findings = await make('ann').find()
  expect(bad(findings).filter((each) => each.startsWith('missing'))).toEqual([
    'missing rights',
    'missing settings',
  ])
  server.resources.add('sublet')
  expect(bad(await make('root').find()).filter((each) => each.startsWith('missing'))).toEqual([])
})

test('GridEngine, recorded: a host group that is missing, and names that nobody knows', async () => {
  const clock = handClock(Date.now())
  const rules = {
    'date +%s': () => `${Math.floor(clock.now() / 1000)}\n`,
    'getent hosts': { exitCode: 2, stderr: '' },
    'qconf -shgrp @sublet': { exitCode: 1, stderr: 'Host group "@sublet" does not exist\n' },
  }
  const config = gridengineConfig.parse({ queue: 'dyn', lockFolder: dir })
  const exec = listedOnly(cell(rules).exec, gridenginePrivileges(config, 'g[0-9]+'))
  const findings = await looking(gridengine(config, exec, { clock }), clock).find()
  expect(bad(findings).filter((each) => each.startsWith('missing'))).toEqual([
    'missing settings',
    'missing names',
  ])
})

test('of many names some are asked for, the first and the last among them', () => {
  const names = Array.from({ length: 100 }, (_, at) => at + 1)
  const asked = spread(names, 24)
  expect(asked).toHaveLength(24)
  expect(new Set(asked).size).toBe(24)
  expect([asked[0], asked.at(-1)]).toEqual([1, 100])
})

test('the command prints a table, ends with 1 if anything is missing, and names what it needs', () => {
  const BIN = new URL('../../deploy/bin.js', import.meta.url).pathname
  const file = join(dir, 'site.yaml')
  writeFileSync(
    file,
    `name: here
serviceManager: { broker: far }
peers: [{ name: far, role: broker, key: '${'A'.repeat(43)}', url: 'https://far.example.org:7000' }]
guests:
  - name: grid
    batch: { kind: torque, bin: ${join(dir, 'none')} }
    join: { kind: ssh-torque, server: head, ssh: { privateKeyFile: ${join(dir, 'key')} } }
    controller: by-hand
`,
  )
  const run = (...words: string[]) =>
    spawnSync(process.execPath, [BIN, 'check', 'middleware', ...words], { encoding: 'utf8', cwd: dir })
  const done = run('--config', file)
  expect(done).toMatchObject({ status: 1, stderr: '' })
  expect(done.stdout).toContain('grid (torque default): 2 missing, 1 unwise, 0 fine\nSEVERITY  ABOUT')
  expect(done.stdout).toContain('→ Name some of them with --node.')
  expect(JSON.parse(run('--config', file, '--json', '--node', 'vm1').stdout)).toMatchObject([
    { guest: 'grid', findings: [{ severity: 'missing' }, { severity: 'missing' }] },
  ])
  expect(run()).toMatchObject({ status: 2, stdout: '' })
  expect(run('--config', file, '--guest', 'other').stderr).toContain(
    'no guest is named other; there is: grid',
  )
})
