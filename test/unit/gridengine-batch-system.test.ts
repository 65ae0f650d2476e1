import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { gridenginePrivileges } from '../../adapters/gridengine/privileges.ts'
import { listedOnly } from '../conformance/listed.ts'
import { type Answer, cell, host, NO_HOSTS, NO_JOBS, recorded } from './gridengine-world.ts'

const never = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'sublet-gridengine-'))
afterAll(() => rmSync(folder, { recursive: true }))

const JOBS = 'qstat -u * -s prs -r -g t -xml'
const HOSTS = 'qhost -q -F arch'
const ONE = 'qhost -q -F sublet,sublet_drain -h g1 -xml'
const MINE = { sublet: 'lease-7f3a/unit-g1' }
const mark = { leaseId: 'lease-7f3a', unitId: 'unit-g1' }
const node = { name: 'g1', address: '', mark, cpus: 2, memoryMiB: 1000 }

function system(rules: Readonly<Record<string, Answer | (() => Answer)>> = {}) {
  const { exec, asked } = cell({
    'qconf -dattr': '',
    'qconf -aattr': '',
    'qconf -rattr': '',
    'qconf -mattr': '',
    ...rules,
  })
  const config = gridengineConfig.parse({ queue: 'dyn', lockFolder: folder })
  return {
    asked,
    system: gridengine(config, listedOnly(exec, gridenginePrivileges(config, 'g[0-9]+')), {
      clock: systemClock,
    }),
  }
}

/** These answers one after the other, the last of them for ever. */
const inTurn = (...answers: readonly Answer[]): (() => Answer) => {
  let at = 0
  return () => answers[Math.min(at++, answers.length - 1)] ?? ''
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof SubletError ? error.code : error),
  )

const changes = (asked: readonly string[]): readonly string[] =>
  asked.filter((line) => /^(qconf -[ADadmrp]|qmod|qdel)/.test(line) && !line.startsWith('qconf -sq'))

describe('what a dead or dying qmaster says is never an empty queue', () => {
  const dead: Answer = {
    exitCode: 1,
    stderr:
      'error: commlib error: got select error (Connection refused)\nerror: unable to send message to qmaster using port 6444 on host "head": got send error\n',
  }
  test.each([
    ['refuses the connection', dead, 'middleware-unreachable'],
    ['prints nothing and ends with 0', '', 'middleware-garbage'],
    ['is cut off in the middle', recorded('jobs.xml').slice(0, 3000), 'middleware-garbage'],
    [
      'has no root any more',
      { exitCode: 1, stderr: 'error: SGE_ROOT directory "/x" doesn\'t exist\n' },
      'middleware-unreachable',
    ],
    ['gives no answer in time', new SubletError('exec-timeout', 'it took 10 s'), 'middleware-unreachable'],
  ] as const)('qstat %s', async (_, answer, code) => {
    expect(await codeOf(system({ [JOBS]: answer }).system.observe(never))).toBe(code)
  })

  test('a qstat that hangs is ended, and is a qmaster that does not answer', async () => {
    const exec = localExecutor({ clock: systemClock })
    const config = gridengineConfig.parse({ queue: 'dyn', commandTimeout: '200ms', lockFolder: folder })
    const slow = gridengine(
      config,
      { ...exec, run: (_argv, options) => exec.run(['sleep', '60'], options) },
      { clock: systemClock },
    )
    expect(await codeOf(slow.observe(never))).toBe('middleware-unreachable')
  })

  test('an empty list is believed only if a second look agrees', async () => {
    const empty = { [JOBS]: NO_JOBS, [HOSTS]: NO_HOSTS, 'qstat -u * -s prs': '' }
    expect(await system(empty).system.observe(never)).toMatchObject({ trust: 'confirmed', nodes: [] })
    const others = { ...empty, 'qstat -u * -s prs': '     12 0.25000 job7  sgeu  qw\n' }
    expect((await system(others).system.observe(never)).trust).toBe('doubtful')
    // Somebody computes there.
    expect((await system({ ...empty, [HOSTS]: recorded('hosts.xml') }).system.observe(never)).trust).toBe(
      'doubtful',
    )
  })
})

describe('jobs that are over', () => {
  test('come from the accounting file, and until it is written from the look before', async () => {
    const seconds = Math.floor(systemClock.now() / 1000)
    const late = recorded('accounting.txt').replaceAll('1796049006', String(seconds - 5))
    const { system: sge } = system({
      [JOBS]: inTurn(recorded('jobs.xml'), NO_JOBS),
      'qstat -u * -s prs': '',
      [HOSTS]: NO_HOSTS,
      tail: inTurn({ exitCode: 1, stderr: 'No such file' }, late),
    })
    const before = await sge.observe(never)
    expect(before.jobs.some(({ state }) => state === 'ended')).toBe(false)
    const { jobs } = await sge.observe(never)
    const ended = new Map(jobs.map((job) => [job.id, job]))
    expect(ended.get('2')).toMatchObject({ state: 'ended', nodeNames: ['g1', 'g2'] })
    expect(ended.get('4.1')).toMatchObject({
      state: 'ended',
      nodeNames: ['g1'],
      endedAt: (seconds - 5) * 1000,
    })
    // It ended long ago, and those that waited are gone without a trace.
    expect(ended.has('1')).toBe(false)
    expect(ended.has('12')).toBe(false)
  })
})

describe('expecting a machine', () => {
  test('makes the marked record first, and gives the right to speak to qmaster last', async () => {
    const { system: sge, asked } = system({
      [ONE]: inTurn(NO_HOSTS, host('g1', MINE, { letters: 'u' }), host('g1', MINE)),
      'qconf -Ae': '',
      'qconf -ah': '',
    })
    await sge.expect(node, never)
    const made = changes(asked)
    expect(made.map((line) => line.split(' <<')[0])).toEqual([
      'qconf -Ae',
      'qconf -rattr queue slots [g1=2] dyn',
      'qconf -aattr hostgroup hostlist g1 @sublet',
      'qconf -ah g1',
    ])
    expect(made[0]).toContain('complex_values sublet=lease-7f3a/unit-g1\n')
  })

  test('takes back our own drain, and waits while the admin has disabled it', async () => {
    const drained = { ...MINE, sublet_drain: 'lease_20ends' }
    const { system: sge, asked } = system({
      [ONE]: inTurn(
        host('g1', drained, { letters: 'd' }),
        host('g1', drained, { letters: 'd' }),
        host('g1', drained),
        host('g1', MINE),
      ),
    })
    await sge.expect(node, never)
    expect(changes(asked)).toEqual(['qconf -dattr exechost complex_values slots,sublet_drain g1'])
  })

  test('a name that is another’s in GridEngine’s spelling goes neither into the host group nor into the queue', async () => {
    const { system: sge, asked } = system()
    expect(await codeOf(sge.expect({ ...node, name: 'STATIC1' }, never))).toBe('node-name')
    expect(await codeOf(sge.vet?.({ ...node, name: 'STATIC1' }, never) ?? Promise.resolve())).toBe(
      'node-name',
    )
    expect(changes(asked)).toEqual([])
  })

  test('a record that is there already is gone on with only if it is ours', async () => {
    const { system: sge, asked } = system({
      [ONE]: inTurn(NO_HOSTS, host('g1', {})),
      'qconf -Ae': { exitCode: 1, stderr: 'exechost "g1" already exists\n' },
    })
    expect(await codeOf(sge.expect(node, never))).toBe('node-not-ours')
    expect(changes(asked).map((line) => line.split(' <<')[0])).toEqual(['qconf -Ae'])
  })

  test('a record that came out under another name is taken away again', async () => {
    const { system: sge, asked } = system({
      [ONE]: inTurn(NO_HOSTS, host('g1.site.org', MINE)),
      'qconf -Ae': '',
      'qconf -purge': '',
      'qconf -dh g1': '',
      'qconf -de g1': '',
    })
    const error = await sge.expect(node, never).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'node-name', message: expect.stringContaining('g1.site.org') })
    expect(changes(asked).at(-1)).toBe('qconf -de g1')
  })

  test('says in words that the user has no rights', async () => {
    const { system: sge } = system({
      [ONE]: NO_HOSTS,
      'qconf -Ae': { exitCode: 1, stderr: 'denied: "ann" must be manager for this operation\n' },
    })
    const error = await sge.expect(node, never).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'middleware-refused', cure: expect.stringContaining('qconf -am') })
  })
})

describe('draining', () => {
  test('takes the slots of the host, with the reason, in one change', async () => {
    const drained = { ...MINE, sublet_drain: 'lease_20ends' }
    const { system: sge, asked } = system({ [ONE]: inTurn(host('g1', MINE), host('g1', drained)) })
    await sge.drain('g1', mark, 'lease ends', never)
    expect(changes(asked)).toEqual([
      'qconf -mattr exechost complex_values slots=0,sublet_drain=lease_20ends g1',
    ])
  })

  test('changes nothing where the admin has done it', async () => {
    const { system: sge, asked } = system({ [ONE]: host('g1', MINE, { letters: 'd' }) })
    await sge.drain('g1', mark, 'lease ends', never)
    await sge.resume('g1', mark, never)
    expect(changes(asked)).toEqual([])
  })

  test('a host of somebody else is left alone', async () => {
    const { system: sge, asked } = system({ [ONE]: host('g1', {}) })
    expect(await codeOf(sge.drain('g1', mark, 'x', never))).toBe('node-not-ours')
    expect(await codeOf(sge.remove('g1', mark, { lost: true }, never))).toBe('node-not-ours')
    expect(changes(asked)).toEqual([])
  })
})

describe('removing', () => {
  const gone: Answer = { exitCode: 1, stderr: 'g1 is not an execution host\n' }

  test('takes the right to speak to qmaster before the record', async () => {
    const { system: sge, asked } = system({
      [ONE]: inTurn(host('g1', MINE), host('g1', MINE), host('g1', MINE), host('g1', MINE), NO_HOSTS),
      'qconf -purge': '',
      'qconf -dh g1': '',
      'qconf -de g1': '',
    })
    await sge.remove('g1', mark, { lost: false }, never)
    expect(changes(asked)).toEqual([
      'qconf -mattr exechost complex_values slots=0,sublet_drain=leaves g1',
      'qconf -dattr hostgroup hostlist g1 @sublet',
      'qconf -purge queue slots dyn@g1',
      'qconf -dh g1',
      'qconf -de g1',
    ])
  })

  test('a job that came between look and change puts the host back', async () => {
    const { system: sge, asked } = system({
      [ONE]: inTurn(host('g1', MINE), host('g1', MINE), host('g1', MINE), host('g1', MINE, { used: 1 })),
    })
    expect(await codeOf(sge.remove('g1', mark, { lost: false }, never))).toBe('node-busy')
    expect(changes(asked).at(-1)).toBe('qconf -aattr hostgroup hostlist g1 @sublet')
  })

  test('of a lost machine: what may not run again is deleted, never forced to run again', async () => {
    const rows = (id: string): string =>
      `<job_list state="running"><JB_job_number>${id}</JB_job_number><state>r</state><queue_name>dyn@g1</queue_name><slots>1</slots></job_list>`
    const { system: sge, asked } = system({
      [ONE]: inTurn(host('g1', MINE, { used: 2 }), NO_HOSTS),
      [JOBS]: `<job_info>${rows('17')}${rows('18')}</job_info>`,
      'qmod -rj 17': 'Pushed rescheduling of job 17 on host g1\n',
      // With exit status 0.
      'qmod -rj 18': 'The job 18 is not restartable\n',
      'qmod -cj 18': { exitCode: 1, stderr: 'invalid queue or job "18"\n' },
      'qdel -f 18': 'root has deleted job 18\n',
      'qconf -purge': '',
      'qconf -dh g1': '',
      'qconf -de g1': gone,
    })
    await sge.remove('g1', mark, { lost: true }, never)
    expect(asked.filter((line) => /^(qmod|qdel)/.test(line))).toEqual([
      'qmod -rj 17',
      'qmod -rj 18',
      'qmod -cj 18',
      'qdel -f 18',
    ])
  })
})

test('requeue believes words, not exit statuses, and asks for nothing that is no job', async () => {
  const { system: sge, asked } = system({
    'qmod -rj 17.3': 'Pushed rescheduling of job 17.3 on host g1\n',
    'qmod -rj 18': 'The job 18 is not restartable\n',
    'qmod -cj 18': { exitCode: 1, stderr: 'invalid queue or job "18"\n' },
  })
  const refused = await sge.requeue(['17.3', '18', '-u root'], 'wanted back', never)
  expect(refused.map(({ id }) => id)).toEqual(['18', '-u root'])
  expect(refused[0]?.reason).toContain('not restartable')
  expect(asked.join('\n')).not.toContain('-u root')
  expect(asked.join('\n')).not.toContain('-f')
})

test('what is missing is told in sentences', async () => {
  expect(await system().system.check(never)).toEqual([])
  const { system: sge } = system({
    'qstat -help': 'UGE 8.6.7\n',
    'qselect -q dyn': { exitCode: 1, stderr: '' },
    'qconf -sq dyn': recorded('sq.txt').replace('@sublet', 'NONE'),
    'qconf -sc': recorded('sc.txt')
      .replace(/^sublet .*$/m, '')
      .replace(/^(sublet_drain +\S+ +)RESTRING/m, '$1INT'),
    'qconf -ssconf': recorded('ssconf.txt').replace(/^schedd_job_info .*$/m, 'schedd_job_info false'),
    'qconf -shgrp @sublet': { exitCode: 1, stderr: 'Host group "@sublet" does not exist\n' },
    'qconf -dh sublet-has-no-such-host': {
      exitCode: 1,
      stderr: 'denied: "ann" must be manager for this operation\n',
    },
  })
  expect(await sge.check(never)).toEqual([
    expect.stringContaining('UGE 8.6.7'),
    expect.stringContaining('@sublet is not in the hostlist'),
    expect.stringContaining('qsub refuses jobs that name it'),
    expect.stringContaining('There is no host group @sublet'),
    expect.stringContaining('There is no complex sublet;'),
    expect.stringContaining('sublet_drain is not a plain RESTRING'),
    expect.stringContaining('does not say why jobs wait'),
    expect.stringContaining('may not change hosts (denied'),
  ])
  const lacking = system({
    'qconf -sq dyn': { exitCode: 1, stderr: 'No cluster queue or queue instance matches the phrase "dyn"\n' },
  })
  expect((await lacking.system.check(never)).join()).toContain('There is no cluster queue dyn')
  expect((await lacking.system.observe(never)).trust).toBe('doubtful')
})

test('details are asked for each job once, and again only for what waits first of its shape', async () => {
  const { system: sge, asked } = system()
  await sge.observe(never)
  await sge.observe(never)
  const [first = '', second = ''] = asked.filter((line) => line.startsWith('qstat -j'))
  const ids = (line: string): readonly string[] => (line.split(' ')[2] ?? '').split(',')
  expect(ids(first)).toContain('2')
  expect(ids(second)).not.toContain('2')
  expect(ids(second)).toContain('12')
  expect(ids(second).length).toBeLessThan(ids(first).length)
})
