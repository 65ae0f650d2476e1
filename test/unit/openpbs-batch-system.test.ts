import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { ExpectedNode } from '../../adapters/batch-system.ts'
import { openpbs } from '../../adapters/openpbs/batch-system.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { openpbsPrivileges } from '../../adapters/openpbs/privileges.ts'
import { listedOnly } from '../conformance/listed.ts'
import { driven, type HandClock, handClock } from '../emulated/clocks.ts'
import { emulatedExecutor } from '../emulated/executor.ts'
import { answer } from '../emulated/openpbs/commands.ts'
import { PbsServer } from '../emulated/openpbs/server.ts'
import { recorded } from '../emulated/recordings.ts'
import { configOf, decideOn, unitsAsked, viewOf } from './groc-world.ts'

const lockFolder = mkdtempSync(join(tmpdir(), 'sublet-openpbs-'))
afterAll(() => rmSync(lockFolder, { recursive: true }))
const never = new AbortController().signal
const rows = recorded('openpbs-23.06.06')
const took = (file: string) => {
  const { exitCode, stdout, stderr } = rows.find((row) => row.file.startsWith(file))!
  return { exitCode, stdout, stderr }
}

async function scene({ user = 'root', resources = ['sublet'] } = {}) {
  const clock: HandClock = handClock(Date.UTC(2026, 10, 21, 20))
  const server = new PbsServer({ clock })
  for (const each of resources) server.resources.add(each)
  server.settings.history = true
  for (const at of [1, 2, 3]) server.hosts.set(`vm0${at}`, `10.77.1.1${at}`)
  const exec = emulatedExecutor((asked) => answer(server, asked), { clock, user })
  const config = openpbsConfig.parse({ lockFolder })
  const system = openpbs(config, listedOnly(exec, openpbsPrivileges(config, 'vm[0-9]+')), { clock })
  const node = (name: string, over: Partial<ExpectedNode> = {}): ExpectedNode => ({
    ...{ name, address: server.hosts.get(name) ?? '', cpus: 2, memoryMiB: 1000 },
    mark: { leaseId: 'lease-7f3a', unitId: `unit-${name}` },
    ...over,
  })
  const run = async (program: string, args: readonly string[], as = 'tquser1') => {
    const done = await driven(clock, answer(server, { program, args, user: as, input: 'sleep 100000' }))
    await clock.moveTo(clock.now() + 2_000)
    return done
  }
  const does = <T>(work: Promise<T>): Promise<T> => driven(clock, work)
  const observe = () => does(system.observe(never))
  return {
    ...{ clock, server, exec, system, node, run, does, observe },
    qsub: async (...args: string[]) => (await run('qsub', args)).stdout.trim(),
    letIn: async (name: string) => {
      server.startMom(name, node(name).address)
      await does(system.expect(node(name), never))
      return node(name)
    },
    seen: async (name: string) => (await observe()).nodes.find((each) => each.name === name),
    job: async (id: string) => (await observe()).jobs.find((each) => each.id === id),
  }
}

test('a dead server prints what looks like an empty list; its exit status is believed', async () => {
  const { exec, system, does } = await scene()
  const dead = took('062-')
  expect(JSON.parse(dead.stdout)).not.toHaveProperty('Jobs')
  expect(dead.exitCode).toBe(255)
  exec.instead = (line) => (line.startsWith('qstat -t') ? dead : undefined)
  await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
  exec.instead = (line) => (line.startsWith('pbsnodes') ? took('063-') : undefined)
  await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
  exec.instead = (line) => (line.startsWith('qmgr') ? took('064-') : undefined)
  await expect(does(system.check(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
  // Also one that says nothing about it.
  exec.instead = (line) => (line.startsWith('qstat -t') ? { ...dead, stderr: '' } : undefined)
  await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-refused' })
})

test('an empty list is believed only if the server counts none either', async () => {
  const { exec, qsub, observe } = await scene()
  expect(await observe()).toMatchObject({ jobs: [], nodes: [], trust: 'confirmed' })
  await qsub('-l', 'select=1')
  expect((await observe()).jobs).toHaveLength(1)
  exec.instead = (line) => (line.startsWith('qstat -t') ? took('003-') : undefined)
  for (const _ of [1, 2]) expect((await observe()).trust).toBe('doubtful')
})

test('jobs of any size wait with no node at all, and are demand', async () => {
  const { qsub, observe } = await scene()
  await qsub('-l', 'select=10:ncpus=2')
  await qsub('-l', 'nodes=2:ppn=2,walltime=00:05:00')
  expect((await observe()).jobs).toMatchObject([
    { state: 'pending', nodes: 10, cpusPerNode: 2, walltimeMs: undefined },
    { state: 'pending', nodes: 2, cpusPerNode: 2, walltimeMs: 300_000 },
  ])
})

test('of an array only as many tasks are demand as may run at once', async () => {
  const { qsub, observe, letIn, clock } = await scene()
  await qsub('-J', '0-999%5', '-l', 'select=1:ncpus=2')
  const before = await observe()
  expect(before.jobs).toHaveLength(1000)
  expect(before.jobs.filter(({ state }) => state === 'pending')).toHaveLength(5)
  expect(before.jobs.at(-1)).toMatchObject({
    ...{ id: '0[999].opsrv', state: 'held', heldBy: 'limit' },
    vendorReason: 'at most 5 may run: array 0[].opsrv',
  })
  // Two tasks on each unit of four processors.
  const config = configOf({ max: 400, step: 100 })
  expect(
    unitsAsked(decideOn(viewOf([], { jobs: before.jobs }), config, undefined, clock.now()).intents),
  ).toBe(3)
  await letIn('vm01')
  await clock.moveTo(clock.now() + 2_000)
  // Its comment is that of an array that has begun, for those that wait, too.
  const { jobs } = await observe()
  expect(jobs.filter(({ state }) => state === 'running')).toHaveLength(1)
  expect(jobs.filter(({ state }) => state === 'pending')).toHaveLength(4)
})

describe('a reservation', () => {
  const HOUR = 3_600_000
  const reserved = async (afterMs: number) => {
    const world = await scene()
    await world.letIn('vm01')
    await world.letIn('vm02')
    const start = world.clock.now() + afterMs
    world.server.reservations.set('R5.opsrv', { nodes: ['vm01'], start, end: start + HOUR })
    return world
  }

  test('of a node holds it from an hour before, not from when it was made', async () => {
    const far = await reserved(3 * HOUR)
    expect(await far.seen('vm01')).not.toHaveProperty('reservedFor')
    expect((await far.observe()).warnings).toEqual([])
    await far.clock.moveTo(far.clock.now() + 2 * HOUR)
    expect(await far.seen('vm01')).toMatchObject({ reservedFor: 'reservation R5.opsrv' })
    expect(await far.seen('vm02')).not.toHaveProperty('reservedFor')
    await far.clock.moveTo(far.clock.now() + 3 * HOUR)
    expect(await far.seen('vm01')).not.toHaveProperty('reservedFor')
  })

  test('that was made since the last question is asked for', async () => {
    const world = await reserved(5 * HOUR)
    await world.observe()
    // It begins in hours, which only a new answer can tell: one that is unknown would hold its node.
    const start = world.clock.now() + 4 * HOUR
    world.server.reservations.set('R6.opsrv', { nodes: ['vm01'], start, end: start + HOUR })
    expect(await world.seen('vm01')).not.toHaveProperty('reservedFor')
  })

  test('of which nobody tells when it begins holds its node, with a warning', async () => {
    const world = await reserved(5 * HOUR)
    world.exec.instead = (line) =>
      line.startsWith('pbs_rstat') ? { exitCode: 126, stdout: '', stderr: 'refused' } : undefined
    const { nodes, warnings } = await world.observe()
    expect(nodes.map(({ name, reservedFor }) => [name, reservedFor])).toEqual([
      ['vm01', 'reservation R5.opsrv'],
      ['vm02', undefined],
    ])
    expect(warnings).toEqual([
      expect.stringContaining('no node that has one is taken out: “pbs_rstat -F” failed'),
    ])
  })

  test('is not asked for where no node has one', async () => {
    const world = await scene()
    await world.letIn('vm01')
    await world.observe()
    expect(world.exec.ran.filter((line) => line.includes('pbs_rstat'))).toEqual([])
  })
})

test('a new node takes no job before it is let in, and carries its mark as a resource', async () => {
  const { server, clock, exec, letIn, qsub, job, system, node, does, seen } = await scene()
  const id = await qsub('-l', 'select=1:ncpus=1')
  const expecting = does(system.expect(node('vm01'), never))
  await clock.moveTo(clock.now() + 10_000)
  expect(server.nodes.get('vm01')).toMatchObject({ isOffline: true, comment: 'sublet: not yet let in' })
  server.startMom('vm01', '10.77.1.11')
  await expecting
  expect(exec.ran.find((line) => line.includes('create node'))).toBe(
    'qmgr -c create node vm01 resources_available.ncpus=2,resources_available.sublet=lease-7f3a_unit-vm01_10.77.1.11',
  )
  await clock.moveTo(clock.now() + 2_000)
  expect(await job(id)).toMatchObject({ state: 'running', nodeNames: ['vm01'] })
  expect(await seen('vm01')).toMatchObject({
    ...{ mark: { leaseId: 'lease-7f3a', unitId: 'unit-vm01' }, drained: 'no', drainReason: '', empty: false },
  })
  await letIn('vm01')
})

test('without the resource for the mark, check and expect say how to make it', async () => {
  const { system, does, node, server } = await scene({ resources: [] })
  const cure = "qmgr -c 'create resource sublet type=string,flag=h'"
  expect(await does(system.check(never))).toEqual([expect.stringContaining(cure)])
  await expect(does(system.expect(node('vm01'), never))).rejects.toMatchObject({
    ...{ code: 'middleware-refused', cure: expect.stringContaining(cure) },
  })
  server.resources.add('sublet')
  expect(await does(system.check(never))).toEqual([])
})

test('a user without rights is told so, and a refused drain rejects', async () => {
  const { system, does, server, letIn } = await scene({ user: 'sublet' })
  server.managers.add('sublet')
  const { mark } = await letIn('vm01')
  server.managers.delete('sublet')
  await expect(does(system.drain('vm01', mark, 'lease ends', never))).rejects.toMatchObject({
    ...{ code: 'middleware-refused', cure: expect.stringContaining('set server managers') },
  })
  const [sentence] = await does(system.check(never))
  expect(sentence).toContain('may not change nodes (qmgr obj=sublet-has-no-such-node')
})

test('a job that ended is shown for some minutes, asked for by its name', async () => {
  const { clock, exec, letIn, qsub, run, job, observe } = await scene()
  await letIn('vm01')
  const id = await qsub('-l', 'select=1:ncpus=1')
  expect((await job(id))?.state).toBe('running')
  await run('qdel', [id])
  expect(await job(id)).toMatchObject({ state: 'ended', nodeNames: ['vm01'] })
  const asked = () => exec.ran.filter((line) => line.startsWith('qstat -x')).length
  expect(await job(id)).toMatchObject({ state: 'ended' })
  expect(asked()).toBe(1)
  await clock.moveTo(clock.now() + 301_000)
  expect((await observe()).jobs).toEqual([])
})

test('without a history what has gone is over', async () => {
  const { exec, letIn, qsub, run, observe, job } = await scene()
  await letIn('vm01')
  const id = await qsub('-l', 'select=1:ncpus=1')
  await job(id)
  await run('qdel', [id])
  exec.instead = (line) => (line.startsWith('qstat -x') ? took('054-') : undefined)
  expect(await observe()).toMatchObject({ jobs: [], trust: 'confirmed' })
})

test('the server itself refuses to delete a busy node, and that is node-busy', async () => {
  const { server, exec, system, letIn, does } = await scene()
  const { mark } = await letIn('vm01')
  exec.instead = (line) => (line.includes('delete node') ? took('043-') : undefined)
  await expect(does(system.remove('vm01', mark, { lost: false }, never))).rejects.toMatchObject({
    code: 'node-busy',
  })
  const began = server.clock.now()
  await expect(does(system.remove('vm01', mark, { lost: true }, never))).rejects.toMatchObject({
    code: 'node-busy',
  })
  expect(server.clock.now() - began).toBeLessThan(10_000)
  exec.instead = () => undefined
  await does(system.remove('vm01', mark, { lost: false }, never))
  expect(server.nodes.size).toBe(0)
})

test('a machine that comes back with a new address has its record made anew', async () => {
  const { server, system, letIn, does, node } = await scene()
  await letIn('vm01')
  server.hosts.set('vm01', '10.77.1.24')
  server.killMom('vm01')
  server.startMom('vm01', '10.77.1.24')
  await does(system.expect(node('vm01', { address: '10.77.1.24' }), never))
  expect(server.nodes.get('vm01')).toMatchObject({ address: '10.77.1.24', isDown: false, isOffline: false })
})

test('what somebody else had noted on a node is put back', async () => {
  const { server, system, letIn, does, seen } = await scene()
  const { mark } = await letIn('vm01')
  server.nodes.get('vm01')!.comment = 'needs a new fan'
  await does(system.drain('vm01', mark, 'lease ends', never))
  expect((await seen('vm01'))?.drainReason).toBe('sublet: lease ends [was: needs a new fan]')
  await does(system.resume('vm01', mark, never))
  expect(await seen('vm01')).toMatchObject({ drained: 'no', drainReason: 'needs a new fan' })
})

test('a command that hangs is ended at its deadline', async () => {
  const { clock, exec, system, does } = await scene()
  exec.instead = (line) => (line.startsWith('pbsnodes -a') ? 'hangs' : undefined)
  const begun = clock.now()
  await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
  expect(clock.now() - begun).toBeLessThanOrEqual(20_500)
})

test('a job whose record is broken still keeps its node from being empty', async () => {
  const { exec, server, letIn, qsub, seen, observe } = await scene()
  await letIn('vm01')
  const id = await qsub('-N', 'bad', '-l', 'select=1:ncpus=1')
  const { stdout } = await answer(server, {
    ...{ program: 'qstat', args: ['-t', '-f', '-F', 'json'], user: 'root', input: '' },
  })
  exec.instead = (line) =>
    line.startsWith('qstat -t') ? { stdout: stdout.replace('"bad"', '"b"a"d"') } : undefined
  const { jobs, warnings } = await observe()
  expect([jobs, warnings.length]).toEqual([[], 2])
  expect(await seen('vm01')).toMatchObject({ empty: false, jobs: [id] })
})

test('a job that the server itself holds since it failed to start is told of, and requeue lets it go', async () => {
  const { server, qsub, job, does, system } = await scene()
  const id = await qsub('-l', 'select=1')
  Object.assign(server.jobs.get(id)!, { letter: 'H', holds: 's', runs: 3 })
  expect(await job(id)).toMatchObject({ state: 'held', heldBy: 'system', launchFailed: true })
  expect(await does(system.requeue([id], 'try again', never))).toEqual([])
  expect(await job(id)).toMatchObject({ state: 'pending' })
})
