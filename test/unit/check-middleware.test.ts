import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import { spread } from '../../adapters/exec/host-findings.ts'
import type { Finished } from '../../adapters/executor.ts'
import { type Finding, type MachineType, SEVERITIES } from '../../adapters/finding.ts'
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
import { type MachineLook, machineFindings } from '../../deploy/commands/machine-look.ts'
import { guest } from '../../deploy/settings/guest-schema.ts'
import { listedOnly } from '../conformance/listed.ts'
import { getent, said } from '../emulated/answer.ts'
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
  server.startMom('own', '10.77.0.9')
  Object.assign(server.nodes.get('own') ?? {}, { isDown: false, isNewborn: false, rectime: START })
  server.queue.transit = true
  const exec = emulatedExecutor((asked) => torqueAnswer(server, asked), { clock, user })
  const config = torqueConfig.parse({ lockFolder: dir, ...over })
  const system = torque(config, listedOnly(exec, torquePrivileges(config, 'vm[0-9]+')), { clock })
  return { clock, server, exec, system, ...looking(system, clock) }
}

const looking = (system: BatchSystem, clock: ReturnType<typeof handClock>) => ({
  find: async (names = NAMES, machines: readonly MachineType[] = []): Promise<readonly Finding[]> => {
    const found = inOrder(await examined(system, { names, machines, skewMsMax: 2000 }, clock))
    for (const { severity, cure } of found) expect(cure === '').toBe(severity === 'fine')
    return found
  },
})

/** Three machines, two cpus each, of which jobs may ask for `xen`. */
const VM: MachineType = {
  ...{ type: 'vm', units: 3, cpus: 2, memoryMiB: 1000 },
  ...{ consumables: {}, features: ['xen'] },
}

/** That pbs_sched starts no procs=N is so everywhere. */
const bad = (findings: readonly Finding[]) =>
  findings
    .filter(({ severity, sentence }) => severity !== 'fine' && !sentence.includes('procs=N'))
    .map(({ severity, about }) => `${severity} ${about}`)
const shapes = (findings: readonly Finding[]): readonly string[] =>
  findings
    .filter(({ about, severity }) => about === 'job shapes' && severity !== 'fine')
    .map(({ sentence }) => sentence)
const of = (findings: readonly Finding[], about: Finding['about']): Finding | undefined =>
  findings.find((each) => each.about === about)

describe('Torque, emulated', () => {
  test('one that is set up as it should be has all eight things fine', async () => {
    const findings = await torqueWorld().find()
    expect(bad(findings)).toEqual([])
    expect(findings.map(({ about }) => about).toSorted()).toEqual([
      'clock',
      'job shapes',
      'names',
      'ports',
      'rights',
      'server',
      'settings',
      'visibility',
    ])
    expect(of(findings, 'names')?.sentence).toBe(
      '3 of 3 names of machines lead to an address and back on the batch system’s host.',
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
      sentence: expect.stringContaining('“qsub -l nodes=vm1”, “nodes=vm2”, “nodes=vm3” is refused'),
      cure: expect.stringContaining('is_transit = True'),
    })
    // Where nothing is known of what may come, the bound itself is told; start tells it always.
    expect(shapes(await world.find([]))[0]).toContain('refuses jobs of more than 1 nodes or 1 processors')
    expect((await world.system.check(new AbortController().signal)).join()).toContain('more than 1 nodes')
  })

  test('each shape that is listed as refused is refused by qsub, and by none once the cure was given', async () => {
    const world = torqueWorld()
    world.server.queue.transit = false
    const { signal } = new AbortController()
    const qsub = async (shape: string): Promise<number> => {
      const args = ['-l', shape]
      return (await torqueAnswer(world.server, { ...{ program: 'qsub', args, user: 'ann' }, input: ':' }))
        .exitCode
    }
    const listed = async (): Promise<readonly string[]> =>
      shapes(await world.find(NAMES, [VM])).flatMap((sentence) =>
        [...sentence.matchAll(/(?:qsub -l |“)(nodes=[^”]+)”/g)].flatMap(([, shape]) => shape ?? []),
      )
    const refused = await listed()
    expect(refused).toEqual([
      'nodes=2',
      'nodes=1:ppn=2',
      'nodes=1:xen',
      'nodes=vm1',
      'nodes=vm2',
      'nodes=vm3',
    ])
    for (const shape of refused) expect(await qsub(shape)).toBe(190)
    // What is not listed is taken.
    expect(await qsub('nodes=1')).toBe(0)
    // The other cure: records like those that may come, which nobody has to be.
    for (const name of NAMES) {
      const line = `create node ${name} np=2,properties="xen"`
      await world.exec.run(['qmgr', '-c', line], { signal })
    }
    expect(await listed()).toEqual([])
    for (const shape of [...refused, 'nodes=3:ppn=2:xen']) expect(await qsub(shape)).toBe(0)
    expect(await qsub('nodes=4:ppn=2')).toBe(190)
  })

  test('a limit of the queue below what may come is told, and how to lift it', async () => {
    const world = torqueWorld()
    const print = (
      await world.exec.run(['qmgr', '-c', 'print server'], { signal: new AbortController().signal })
    ).stdout
    world.exec.instead = (line) =>
      line === 'qmgr -c print server'
        ? { stdout: `${print}set queue batch resources_max.nodect = 2\nset server resources_max.ncpus = 6\n` }
        : undefined
    const found = (await world.find(NAMES, [VM])).filter(({ sentence }) => sentence.includes('resources_max'))
    expect(found).toMatchObject([
      {
        severity: 'unwise',
        sentence:
          'The queue batch refuses jobs of more than 2 nodes (resources_max.nodect), and machines may come for 3.',
        cure: expect.stringContaining("qmgr -c 'set queue batch resources_max.nodect = 3'"),
      },
    ])
  })

  test('a port that nobody listens at, one behind a firewall and one of a host without a name', async () => {
    const world = torqueWorld()
    const ports = async () => (await world.find()).filter(({ about }) => about === 'ports')
    expect(await ports()).toMatchObject([
      {
        severity: 'fine',
        sentence:
          'Seen from the batch system’s host, pbs_server on tqsrv:15001, pbs_mom on own:15002, pbs_mom on own:15003 answer.',
      },
    ])
    const knockOn = (port: number, answer: Partial<Finished>): void => {
      world.exec.instead = (line) => (line.endsWith(` ${port}`) ? answer : undefined)
    }
    knockOn(15_003, { exitCode: 124 })
    expect((await ports())[0]).toMatchObject({
      severity: 'missing',
      sentence: 'pbs_mom on own:15003 does not answer the batch system’s host within 5 s.',
      cure: expect.stringContaining('Let TCP port 15003 through from the batch system’s host to own'),
    })
    knockOn(15_002, { exitCode: 1, stderr: 'bash: connect: Connection refused\n' })
    expect((await ports())[0]).toMatchObject({
      severity: 'missing',
      sentence: 'Nothing listens for pbs_mom on own:15002: the batch system’s host is refused there.',
    })
    knockOn(15_002, { exitCode: 1, stderr: 'bash: line 1: own: Name or service not known\n' })
    expect((await ports())[0]?.cure).toContain('/etc/hosts or DNS')
    // A wrapper that is older than this, or a head without bash: that it was not looked at is said.
    for (const exitCode of [126, 127]) {
      knockOn(15_002, { exitCode, stderr: 'sublet-rights: this command is not on the list\n' })
      expect((await ports())[0]).toMatchObject({
        severity: 'unseen',
        sentence: expect.stringContaining('was not looked at'),
        cure: expect.stringContaining('sublet rights'),
      })
    }
  })

  test('what cannot be looked at from here is said, and is no fault', async () => {
    const world = torqueWorld()
    world.server.killMom('own')
    Object.assign(world.server.nodes.get('own') ?? {}, { isDown: true })
    const unheard = (await world.find()).filter(({ severity }) => severity === 'unseen')
    expect(unheard.map(({ sentence }) => sentence)).toEqual([
      expect.stringContaining('no machine is there whose pbs_mom is heard'),
    ])
    // The commands run elsewhere than the server.
    const away = torqueWorld()
    away.server.hosts.set('tqsrv', '10.77.0.8')
    away.exec.instead = (line) => (line === 'uname -n' ? { stdout: 'login\n' } : undefined)
    const found = (await away.find()).filter(({ severity }) => severity === 'unseen')
    expect(found).toMatchObject([
      {
        sentence: expect.stringContaining('The commands run on login, and daemons on tqsrv'),
        about: 'names',
      },
    ])
    expect(SEVERITIES.indexOf('unseen')).toBeLessThan(SEVERITIES.indexOf('fine'))
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
      {
        severity: 'unseen',
        about: 'ports',
        sentence: expect.stringContaining('its name is not in this configuration'),
        cure: 'Name it as batch.server.',
      },
    ])
    // Where its name is known, its port tells more than its commands do.
    const named = torqueWorld('root', { server: 'tqsrv:15005' })
    named.exec.instead = world.exec.instead
    expect(await named.find()).toMatchObject([
      { about: 'server' },
      {
        severity: 'missing',
        sentence: expect.stringContaining('Nothing listens for pbs_server on tqsrv:15005'),
      },
    ])
    const never: Pick<BatchSystem, 'check' | 'examine'> = {
      check: async () => [],
      examine: async () => {
        throw new SubletError('deadline-missed', 'no answer')
      },
    }
    expect(bad(await examined(never, { names: [], machines: [], skewMsMax: 1 }, world.clock))).toEqual([
      'missing server',
    ])
  })
})

describe('seen from a machine that has joined', () => {
  const clock = handClock(START)
  const hosts = new Map([
    ['head', '10.77.0.9'],
    ['vm1', '10.77.0.1'],
    ['vm2', '10.77.0.2'],
  ])
  const join = guest.shape.join.parse({
    ...{ kind: 'ssh-torque', server: 'head' },
    ssh: { privateKeyFile: 'key' },
  })
  if (join.kind === 'embedded') throw new Error('it is by ssh')
  const joined = ['vm1', 'vm2'].map((name) => ({ ...{ guest: 'grid', name }, facts: { address: name } }))
  const asked: string[] = []
  const look = (
    instead: (line: string) => Partial<Finished> | undefined,
    over: Partial<MachineLook> = {},
  ) => {
    const connect: MachineLook['connect'] = ({ address = '' }) => {
      const exec = emulatedExecutor(
        async (ask) => {
          if (ask.program === 'date') return said(`${Math.floor(clock.now() / 1000)}\n`)
          if (ask.program === 'uname') return said(`${address}\n`)
          return ask.program === 'getent' ? getent(hosts, ask) : said()
        },
        { clock },
      )
      exec.instead = (line) => {
        asked.push(`${address}: ${line}`)
        return instead(line)
      }
      return exec
    }
    const { signal } = new AbortController()
    return machineFindings({ ...{ join, joined, connect, skewMsMax: 2000, clock }, ...over }, signal)
  }

  test('all is as it should be, and it was asked there', async () => {
    const findings = await look(() => undefined)
    expect(findings.map(({ severity, about }) => `${severity} ${about}`)).toEqual([
      'fine clock',
      'fine names',
      'fine ports',
    ])
    expect(findings[1]?.sentence).toBe(
      '3 of 3 names of machines lead to an address and back on the machine vm1.',
    )
    expect(findings[2]?.sentence).toBe('Seen from the machine vm1, pbs_server on head:15001 answers.')
    expect(asked).toContain('vm1: getent hosts vm2')
  })

  test('its clock, a sister that it does not know, and a server behind a firewall', async () => {
    const off = Math.floor((clock.now() + 300_000) / 1000)
    const findings = await look((line) =>
      line === 'date +%s'
        ? { stdout: `${off}\n` }
        : line === 'getent hosts vm2'
          ? { exitCode: 2 }
          : line.endsWith(' head 15001')
            ? { exitCode: 124 }
            : undefined,
    )
    expect(findings).toMatchObject([
      {
        severity: 'missing',
        about: 'clock',
        sentence: expect.stringContaining('The clock of the machine vm1 is'),
      },
      {
        severity: 'missing',
        about: 'names',
        sentence: expect.stringContaining('The machine vm1 does not know 1 of 3'),
      },
      {
        ...{ severity: 'missing', about: 'ports' },
        sentence: 'pbs_server on head:15001 does not answer the machine vm1 within 5 s.',
      },
    ])
  })

  test('where none has joined, or it cannot be reached, that is said', async () => {
    expect(await look(() => undefined, { joined: [] })).toMatchObject([
      {
        severity: 'unseen',
        sentence: expect.stringContaining('was not looked at from one: none has joined.'),
      },
    ])
    const connect = () => {
      const run = () => Promise.reject(new SubletError('ssh-unreachable', 'no route'))
      return { name: 'gone', run, close: async () => undefined }
    }
    expect(await look(() => undefined, { connect })).toMatchObject([
      { severity: 'unseen', sentence: expect.stringContaining('vm1: no route') },
    ])
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
  const machines = [{ ...VM, features: [], consumables: { gpu: 1, scratch: 2 } }]
  const refused = shapes(await make('root').find(NAMES, machines))
  expect(refused).toEqual([expect.stringContaining('“qsub -l select=1:scratch=…” is refused')])
  server.resources.add('scratch')
  expect(shapes(await make('root').find(NAMES, machines))).toEqual([])
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
  expect(done.stdout).toContain(
    'grid (torque default): 2 missing, 1 unwise, 1 not looked at, 0 fine\nSEVERITY  ABOUT',
  )
  expect(done.stdout).toContain('→ Name some of them with --node.')
  expect(JSON.parse(run('--config', file, '--json', '--node', 'vm1').stdout)).toMatchObject([
    { guest: 'grid', findings: [{ severity: 'missing' }, { severity: 'missing' }, { severity: 'unseen' }] },
  ])
  expect(run()).toMatchObject({ status: 2, stdout: '' })
  expect(run('--config', file, '--guest', 'other').stderr).toContain(
    'no guest is named other; there is: grid',
  )
})
