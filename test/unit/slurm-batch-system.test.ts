import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import type { Executor, Finished } from '../../adapters/executor.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmPrivileges } from '../../adapters/slurm/privileges.ts'
import { listedOnly } from '../conformance/listed.ts'
import { handClock } from '../emulated/clocks.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/slurm/${name}`, import.meta.url), 'utf8')

const never = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'sublet-slurm-'))
afterAll(() => rmSync(folder, { recursive: true }))

type Answer = string | { readonly exitCode: number; readonly stderr: string } | Error

/** Answers each command by its first words; the longest rule that fits wins. Remembers what was asked. */
function cluster(
  rules: Readonly<Record<string, Answer | (() => Answer)>> = {},
  { clock = systemClock, format = 'auto' }: { clock?: Clock; format?: string } = {},
) {
  const asked: string[] = []
  const answers: Readonly<Record<string, Answer | (() => Answer)>> = {
    'squeue -a --json': recorded('squeue.json'),
    'sinfo -a --json': recorded('sinfo.json'),
    'squeue -h -a -t PD': recorded('plans.txt'),
    'squeue -h -a -t all': recorded('squeue.txt'),
    'squeue --version': 'slurm-wlm 22.05.8',
    'sinfo --version': 'slurm-wlm 22.05.8',
    'scontrol show config': recorded('show-config.txt'),
    'scontrol -a -o show partition': recorded('show-partition.txt'),
    'scontrol -a -d -o show node': recorded('show-node.txt'),
    'scontrol -a -o show reservation': 'No reservations in the system\n',
    'scontrol -a -o show jobs': 'No jobs in the system\n',
    'scontrol update NodeName=sublet-has-no-such-node': {
      exitCode: 1,
      stderr: 'slurm_update error: Invalid node name specified\n',
    },
    'id -un': 'root\n',
    'id -u': '0\n',
    ...rules,
  }
  const exec: Executor = {
    name: 'recorded',
    close: async () => undefined,
    async run(argv, { signal }): Promise<Finished> {
      signal.throwIfAborted()
      const line = argv.join(' ')
      asked.push(line)
      const [rule] = Object.keys(answers)
        .filter((start) => line.startsWith(start))
        .sort((a, b) => b.length - a.length)
      const given = rule === undefined ? undefined : answers[rule]
      const answer = typeof given === 'function' ? given() : given
      if (answer === undefined) throw new Error(`nobody answers “${line}”`)
      if (answer instanceof Error) throw answer
      const done = { exitCode: 0, signal: null, stdout: '', stderr: '' }
      return typeof answer === 'string' ? { ...done, stdout: answer } : { ...done, ...answer }
    },
  }
  const config = slurmConfig.parse({ partition: 'dyn', lockFolder: folder, format })
  const listed = listedOnly(exec, slurmPrivileges(config, '(vm|n|g)[0-9]+'))
  return { asked, exec, config, system: slurm(config, listed, { clock }) }
}

/** `scontrol show node NAME` of the recording, with other states. */
function nodeLine(name: string, change: (line: string) => string = (line) => line): Record<string, string> {
  const line =
    recorded('show-node.txt')
      .split('\n')
      .find((each) => each.startsWith(`NodeName=${name} `)) ?? ''
  return { [`scontrol -F -a -d -o show node ${name}`]: `${change(line)}\n` }
}

const mark = (name: string) => ({ leaseId: 'lease-7f3a', unitId: `unit-${name.slice(1)}` })
const changes = (asked: readonly string[]): readonly string[] =>
  asked.filter((line) => /^scontrol (update|create|delete|requeue)/.test(line))

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof SubletError ? error.code : error),
  )

const NO_JOBS = '{"meta":{"plugin":{"type":"openapi/v0.0.38"}},"errors":[],"jobs":[]}'
const NO_NODES = '{"meta":{"plugin":{"type":"openapi/v0.0.38"}},"errors":[],"nodes":[]}'

test('a look shows the partition’s jobs and every node', async () => {
  const { system } = cluster()
  const picture = await system.observe(never)
  expect(picture.trust).toBe('confirmed')
  expect(picture.warnings).toEqual([])
  expect(picture.nodes).toHaveLength(7)
  expect(picture.jobs.map(({ id }) => id)).not.toContain('16')
  expect(picture.jobs.map(({ id }) => id)).toContain('7')
})

test('without Slurm’s JSON the text is read, and JSON is not asked for again', async () => {
  const { system, asked } = cluster({
    'squeue -a --json': { exitCode: 1, stderr: "squeue: unrecognized option '--json'" },
    'sinfo -a --json': { exitCode: 1, stderr: "sinfo: unrecognized option '--json'" },
  })
  expect((await system.observe(never)).nodes).toHaveLength(7)
  asked.length = 0
  await system.observe(never)
  expect(asked.filter((line) => line.includes('--json'))).toEqual([])
})

test('an unknown schema is not worked around with text', async () => {
  const { system } = cluster({ 'squeue -a --json': NO_JOBS.replace('0.0.38', '0.0.40') })
  expect(await codeOf(system.observe(never))).toBe('middleware-schema')
})

test('an empty list is confirmed only by a second source', async () => {
  const rules = { 'squeue -a --json': NO_JOBS, 'sinfo -a --json': NO_NODES }
  expect((await cluster(rules).system.observe(never)).trust).toBe('confirmed')
  const denied = cluster({
    ...rules,
    'scontrol -a -o show jobs': 'JobId=7 JobName=x UserId=u(1) JobState=PENDING\n',
  })
  const picture = await denied.system.observe(never)
  expect(picture.trust).toBe('doubtful')
  expect(picture.warnings.join()).toContain('another look')
  // The nodes are a second source too: somebody computes there.
  expect((await cluster({ 'squeue -a --json': NO_JOBS }).system.observe(never)).trust).toBe('doubtful')
})

test('an ordinary user is not believed while PrivateData hides the others’ jobs', async () => {
  const config = recorded('show-config.txt').replace(/PrivateData .*/, 'PrivateData = jobs,nodes')
  const rules = { 'scontrol show config': config, 'id -u': '1000', 'id -un': 'grid' }
  const none = { ...rules, 'squeue -a --json': NO_JOBS, 'sinfo -a --json': NO_NODES }
  const { system } = cluster({
    ...none,
    'scontrol update NodeName=sublet-has-no-such-node': {
      exitCode: 1,
      stderr: 'slurm_update error: Invalid user id',
    },
  })
  expect((await system.observe(never)).trust).toBe('doubtful')
  expect((await system.check(never)).join()).toContain('PrivateData hides other users’ jobs from grid')
  // An Administrator sees all: he may also change nodes.
  expect((await cluster(none).system.observe(never)).trust).toBe('confirmed')
  expect(await cluster(none).system.check(never)).toEqual([])
  const asRoot = cluster({ 'scontrol show config': config })
  expect((await asRoot.system.observe(never)).trust).toBe('confirmed')
  expect(await asRoot.system.check(never)).toEqual([])
})

test('what is missing is told in sentences', async () => {
  const { system } = cluster({
    'scontrol show config': recorded('show-config.txt')
      .replace('22.05.8', '23.11.4')
      .replace(/MaxNodeCount .*/, ''),
    'scontrol -a -o show partition': { exitCode: 1, stderr: 'Partition dyn not found' },
    'scontrol update NodeName=sublet-has-no-such-node': {
      exitCode: 1,
      stderr: 'slurm_update error: Invalid user id',
    },
    'id -u': '1000',
    'id -un': 'grid',
  })
  expect(await system.check(never)).toEqual([
    expect.stringMatching(/^Slurm 23\.11\.4 was not tried with this adapter, .* Try it beside a cluster/),
    'There is no partition dyn. Add it to slurm.conf with its NodeSet.',
    'MaxNodeCount is not set: Slurm takes no nodes beyond slurm.conf. Set it in slurm.conf and start slurmctld anew.',
    'The user grid may not change nodes (Invalid user id). Let it be SlurmUser, or an Administrator: sacctmgr modify user grid set adminlevel=Administrator.',
  ])
})

test('a silent, dead or unknown controller is unreachable, a refusal is a refusal', async () => {
  const silent = cluster({ 'squeue -a --json': new SubletError('exec-timeout', 'squeue had not ended') })
  expect(await codeOf(silent.system.observe(never))).toBe('middleware-unreachable')
  for (const stderr of [
    'slurm_load_jobs error: Unable to contact slurm controller (connect failure)',
    'squeue: fatal: Unable to process configuration file',
    'squeue: error: If munged is up, restart with --num-threads=10',
  ])
    expect(await codeOf(cluster({ 'squeue -a --json': { exitCode: 1, stderr } }).system.observe(never))).toBe(
      'middleware-unreachable',
    )
  const refused = cluster({
    ...nodeLine('n3'),
    'scontrol update NodeName=n3': { exitCode: 1, stderr: 'slurm_update error: Invalid user id' },
  })
  expect(await codeOf(refused.system.drain('n3', mark('n3'), 'x', never))).toBe('middleware-refused')
})

test('what the admin drained is neither drained, resumed nor changed', async () => {
  const { system, asked } = cluster(nodeLine('n6'))
  await system.drain('n6', mark('n6'), 'lease ends', never)
  await system.resume('n6', mark('n6'), never)
  expect(changes(asked)).toEqual([])
})

test('a drain of ours is not written twice', async () => {
  const { system, asked } = cluster(nodeLine('n5'))
  await system.drain('n5', mark('n5'), 'lease ends', never)
  expect(changes(asked)).toEqual([])
})

test('a drain that did not hold is an error', async () => {
  const { system } = cluster({ ...nodeLine('n3'), 'scontrol update NodeName=n3': '' })
  expect(await codeOf(system.drain('n3', mark('n3'), 'lease ends', never))).toBe('middleware-refused')
})

test('an idle node of ours is let in by IDLE, a busy one by UNDRAIN', async () => {
  const idle = cluster({ ...nodeLine('n4'), 'scontrol update NodeName=n4': '' })
  await codeOf(idle.system.resume('n4', mark('n4'), never))
  expect(changes(idle.asked)).toEqual([
    'scontrol update NodeName=n4 State=IDLE Comment=sublet:lease=lease-7f3a,unit=unit-4',
  ])
  const states = (line: string): string =>
    line.replace(/ State=\S+/, ' State=MIXED+DRAIN+DYNAMIC_NORM').replace('CPUAlloc=0', 'CPUAlloc=1')
  const busy = cluster({ ...nodeLine('n4', states), 'scontrol update NodeName=n4': '' })
  await codeOf(busy.system.resume('n4', mark('n4'), never))
  expect(changes(busy.asked)).toEqual([
    'scontrol update NodeName=n4 State=UNDRAIN Comment=sublet:lease=lease-7f3a,unit=unit-4',
  ])
})

test('a node that the scheduler has planned is not deleted, for that kills slurmctld 22.05', async () => {
  const planned = (line: string): string =>
    line.replace(/ State=\S+/, ' State=IDLE+DRAIN+DYNAMIC_NORM+PLANNED')
  const { system, asked } = cluster(nodeLine('n5', planned))
  expect(await codeOf(system.remove('n5', mark('n5'), { lost: false }, never))).toBe('node-busy')
  expect(changes(asked)).toEqual([])
})

test('a job that comes between the look and the deletion keeps the node', async () => {
  const { system } = cluster({
    ...nodeLine('n5', (line) => line.replace('lease ends', 'leaves')),
    'scontrol delete NodeName=n5': {
      exitCode: 1,
      stderr: 'delete_node nodename=n5: Requested nodes are busy',
    },
  })
  expect(await codeOf(system.remove('n5', mark('n5'), { lost: false }, never))).toBe('node-busy')
})

test('a silent node is not told down while a job cannot be read: it may run there', async () => {
  const nodes = JSON.parse(recorded('sinfo.json'))
  const n2 = nodes.nodes.find(({ name }: { name: string }) => name === 'n2')
  const drained = ['DRAIN', 'NOT_RESPONDING', 'DYNAMIC_NORM']
  Object.assign(n2, { state_flags: drained, reason: 'sublet: it does not answer' })
  const jobs = JSON.parse(recorded('squeue.json'))
  const told = async (state: unknown, ids: readonly string[]): Promise<readonly string[]> => {
    const last = jobs.jobs.find(({ job_id }: { job_id: number }) => job_id === 6)
    Object.assign(last, { job_state: state })
    const { system, asked } = cluster({
      'squeue -a --json': JSON.stringify(jobs),
      'sinfo -a --json': JSON.stringify(nodes),
      'scontrol requeue': '',
      'scontrol update NodeName=n2': '',
    })
    expect(await system.requeue(ids, 'its node is silent', never)).toEqual([])
    return changes(asked).filter((line) => line.includes('State=DOWN'))
  }
  expect(await told('RUNNING', ['2_2', '2_3'])).toHaveLength(1)
  expect(await told(7, ['2_2'])).toEqual([])
})

test('a name that Slurm would read as several nodes is refused', async () => {
  const { system, asked } = cluster()
  await expect(system.remove('n[1-3]', mark('n1'), { lost: true }, never)).rejects.toThrow(
    'not the name of one node',
  )
  expect(asked).toEqual([])
})

test('a machine that is long in coming is asked for ever more seldom', async () => {
  const clock = handClock(Date.now())
  const absent = { exitCode: 1, stderr: 'Node n9 not found' }
  const { system, asked } = cluster({ 'scontrol -F -a -d -o show node n9': absent }, { clock })
  const stop = new AbortController()
  const node = { name: 'n9', address: '10.88.0.109', mark: mark('n9'), cpus: 2, memoryMiB: 1000 }
  const expecting = codeOf(system.expect(node, stop.signal))
  await clock.moveTo(clock.now() + 1_000)
  // At once, and soon after: most come within a second.
  expect(asked.length).toBeGreaterThan(4)
  expect(asked.length).toBeLessThan(9)
  asked.length = 0
  await clock.moveTo(clock.now() + 60_000)
  expect(asked.length).toBeGreaterThan(28)
  expect(asked.length).toBeLessThan(36)
  stop.abort(new SubletError('deadline-missed', 'it never came'))
  expect(await expecting).toBe('deadline-missed')
})

test('a list of more than 64 MiB is read', async () => {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  // A user's own words, of a megabyte in each of the first jobs.
  const words = `"comment": "${'x'.repeat(2 ** 20)}"`
  let left = 70
  const [before = '', ...jobs] = recorded('squeue.json').split('\n    {\n')
  const [job = ''] = jobs
  const many = Array.from({ length: left + 2 }, () =>
    left-- > 0 ? job.replace('"comment": ""', words) : job,
  )
  writeFileSync(
    join(bin, 'list'),
    `${before}\n    {\n${many.join('\n    {\n').replace(/,\s*$/, '')}\n  ]\n}\n`,
  )
  writeFileSync(join(bin, 'squeue'), `#!/bin/sh\nexec cat ${join(bin, 'list')}\n`, { mode: 0o755 })
  const local = localExecutor({
    clock: systemClock,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  })
  const { exec, config } = cluster()
  const system = slurm(
    config,
    { ...exec, run: (argv, options) => (argv[0] === 'squeue' ? local : exec).run(argv, options) },
    { clock: systemClock },
  )
  const { jobs: seen, warnings, trust } = await system.observe(never)
  expect({ seen: seen.length, warnings, trust }).toEqual({ seen: 72, warnings: [], trust: 'confirmed' })
})

test('where the JSON is longer than can be taken, the text is read and the look says so', async () => {
  const tooLong = new SubletError('exec-output-too-large', '“squeue -a --json” printed more than 5 bytes')
  const { system, asked } = cluster({ 'squeue -a --json': tooLong })
  for (const times of [1, 2]) {
    const { jobs, warnings, trust } = await system.observe(never)
    expect([times, jobs.length > 5, trust]).toEqual([times, true, 'confirmed'])
    expect(warnings).toEqual([expect.stringMatching(/^The text of squeue is read, .* “squeue -a --json”/)])
  }
  // What takes minutes to print is not asked for again.
  expect(asked.filter((line) => line === 'squeue -a --json')).toHaveLength(1)
  expect(asked.filter((line) => line === 'sinfo -a --json')).toHaveLength(2)
  const strict = cluster({ 'squeue -a --json': tooLong }, { format: 'json' })
  await expect(strict.system.observe(never)).rejects.toMatchObject({
    ...{ code: 'exec-output-too-large', cure: expect.stringContaining('batch.format') },
  })
})

test('the seat is held against another adapter of the same pool', async () => {
  const { system, exec, config } = cluster()
  const other = slurm(config, exec, { clock: systemClock })
  const elsewhere = slurm({ ...config, partition: 'debug' }, exec, { clock: systemClock })
  await system.claim('one', never)
  await expect(other.claim('two', never)).rejects.toThrow(`driven by “one” (pid ${process.pid})`)
  await elsewhere.claim('three', never)
  await system.close()
  await other.claim('two', never)
  await other.close()
  await elsewhere.close()
})
