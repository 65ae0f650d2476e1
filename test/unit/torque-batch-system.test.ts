import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Membership } from '../../actors/service-manager/membership.ts'
import type { BatchSystem, ExpectedNode } from '../../adapters/batch-system.ts'
import { torque } from '../../adapters/torque/batch-system.ts'
import { type TorqueConfig, torqueConfig } from '../../adapters/torque/config.ts'
import { torquePrivileges } from '../../adapters/torque/privileges.ts'
import { listedOnly } from '../conformance/listed.ts'
import { driven, type HandClock, handClock } from '../emulated/clocks.ts'
import { emulatedExecutor } from '../emulated/executor.ts'
import { recorded } from '../emulated/recordings.ts'
import { answer } from '../emulated/torque/commands.ts'
import type { Version } from '../emulated/torque/model.ts'
import { TorqueServer } from '../emulated/torque/server.ts'
import { configOf, decideOn, unitsAsked, viewOf } from './groc-world.ts'

/** What an author of an autoscaler gets wrong about Torque, by its number; the hours are the emulated server's. */
const lockFolder = mkdtempSync(join(tmpdir(), 'sublet-torque-'))
afterAll(() => rmSync(lockFolder, { recursive: true }))
const never = new AbortController().signal
const rows = recorded('torque-6.1.3')
const stderrOf = (file: string): string => rows.find((row) => row.file.startsWith(file))?.stderr ?? ''

interface Options {
  readonly version?: Version
  readonly user?: string
  readonly config?: Partial<TorqueConfig>
  /** A node of the admin's own; it is busy, so that no job lands there. */
  readonly own?: boolean
}

async function scene({ version = '6.1.3', user = 'root', config = {}, own = true }: Options = {}) {
  const clock: HandClock = handClock(Date.UTC(2026, 10, 21, 20))
  const server = new TorqueServer({ clock, version })
  const exec = emulatedExecutor((asked) => answer(server, asked), { clock, user })
  const through = (settings: TorqueConfig): BatchSystem =>
    torque(settings, listedOnly(exec, torquePrivileges(settings, 'vm[0-9]+')), { clock })
  const system = through(torqueConfig.parse({ lockFolder }))
  const made = through({ ...torqueConfig.parse({ lockFolder }), ...config })
  for (const at of [1, 2, 3, 4]) server.hosts.set(`vm0${at}`, `10.77.0.1${at}`)
  server.hosts.set('own', '10.77.0.9')
  server.queue.transit = true
  if (own) {
    server.createNode('own', 1, [], '')
    Object.assign(server.nodes.get('own')!, { isBusy: true, isOffline: false })
    server.startMom('own', '10.77.0.9')
    await clock.moveTo(clock.now() + 1_000)
  }
  const node = (name: string, over: Partial<ExpectedNode> = {}): ExpectedNode => ({
    ...{ name, address: server.hosts.get(name) ?? '', cpus: 2, memoryMiB: 1000 },
    mark: { leaseId: 'lease-7f3a', unitId: `unit-${name}` },
    ...over,
  })
  const run = async (program: string, args: readonly string[], as = 'tquser1', sleeps = 100_000) => {
    const done = await driven(clock, answer(server, { program, args, user: as, input: `sleep ${sleeps}` }))
    await clock.moveTo(clock.now() + 2_000)
    return done
  }
  const qsub = async (...args: string[]): Promise<string> => (await run('qsub', args)).stdout.trim()
  const letIn = async (name: string): Promise<ExpectedNode> => {
    const expecting = driven(clock, made.expect(node(name), never))
    await clock.moveTo(clock.now() + 500)
    server.startMom(name, node(name).address)
    await expecting
    return node(name)
  }
  const observe = () => driven(clock, made.observe(never))
  const seen = async (name: string) => (await observe()).nodes.find((each) => each.name === name)
  const job = async (id: string) => (await observe()).jobs.find((each) => each.id === id)
  const does = <T>(work: Promise<T>): Promise<T> => driven(clock, work)
  return {
    clock,
    server,
    exec,
    system: config === undefined ? system : made,
    node,
    run,
    qsub,
    letIn,
    observe,
    seen,
    job,
    does,
  }
}

describe('Torque 6.1', () => {
  test('trap 1: the offline of a new record is nobody’s drain', async () => {
    const { server, seen } = await scene()
    server.createNode('vm01', 2, ['sublet_lease-7f3a_unit-vm01_10.77.0.11'], '')
    expect(await seen('vm01')).toMatchObject({
      ...{
        vendorState: 'down,offline,mom-list-not-sent',
        drained: 'no',
        responding: false,
        accepting: false,
      },
      mark: { leaseId: 'lease-7f3a', unitId: 'unit-vm01' },
    })
  })

  test('trap 2: a node that is free is not empty while a job is on one of its slots', async () => {
    const { letIn, qsub, seen } = await scene()
    await letIn('vm01')
    const id = await qsub('-l', 'nodes=1:ppn=1')
    expect(await seen('vm01')).toMatchObject({ vendorState: 'free', empty: false, jobs: [id], cpusInUse: 1 })
  })

  test('trap 3: a full node has its slots counted', async () => {
    const { letIn, qsub, seen } = await scene()
    await letIn('vm01')
    await qsub('-l', 'nodes=1:ppn=2')
    expect(await seen('vm01')).toMatchObject({ vendorState: 'job-exclusive', cpusInUse: 2, accepting: true })
  })

  test('traps 4 and 5: a dead mom is known by its silence, before the server says down', async () => {
    const { clock, server, letIn, qsub, seen } = await scene()
    await letIn('vm01')
    await qsub('-l', 'nodes=1:ppn=1')
    server.killMom('vm01')
    await clock.moveTo(clock.now() + 130_000)
    expect(await seen('vm01')).toMatchObject({ vendorState: 'free', responding: true })
    await clock.moveTo(clock.now() + 60_000)
    expect(await seen('vm01')).toMatchObject({
      vendorState: 'free',
      responding: false,
      accepting: false,
      empty: false,
    })
    await clock.moveTo(clock.now() + 120_000)
    expect(await seen('vm01')).toMatchObject({ vendorState: 'down', responding: false })
  })

  test('trap 6: a node with a job is never told to be deleted, and first it is offline and looked at', async () => {
    const { exec, system, letIn, qsub, run, does, server } = await scene()
    const { mark } = await letIn('vm01')
    const id = await qsub('-l', 'nodes=1:ppn=1')
    const remove = () => does(system.remove('vm01', mark, { lost: false }, never))
    await expect(remove()).rejects.toMatchObject({ code: 'node-busy' })
    expect(exec.ran.filter((line) => line.includes('delete node'))).toEqual([])
    await run('qdel', [id])
    exec.ran.length = 0
    await remove()
    expect(server.nodes.has('vm01')).toBe(false)
    const order = exec.ran
      .filter((line) => /pbsnodes -o|delete node/.test(line))
      .map((line) => line.split(' ')[0])
    expect(order).toEqual(['pbsnodes', 'qmgr'])
  })

  test('trap 6: a job that comes between the look and the offline keeps its node', async () => {
    const { exec, system, letIn, server, does, job } = await scene()
    const { mark } = await letIn('vm01')
    exec.instead = (line) => {
      if (line.startsWith('pbsnodes -o') && server.jobs.size === 0) {
        void answer(server, {
          program: 'qsub',
          args: ['-l', 'nodes=1'],
          user: 'tquser1',
          input: 'sleep 9999',
        })
        // The scheduler has decided already.
        server.run([...server.jobs.values()][0]!)
      }
      return undefined
    }
    await expect(does(system.remove('vm01', mark, { lost: false }, never))).rejects.toMatchObject({
      code: 'node-busy',
    })
    expect(await job('0.tqsrv')).toMatchObject({ state: 'running', nodeNames: ['vm01'] })
  })

  test('trap 6: a lost node’s jobs are put back one by one before it is deleted, and none is forgotten', async () => {
    const { server, system, letIn, qsub, does, job, clock } = await scene()
    const { mark } = await letIn('vm01')
    const may = await qsub('-l', 'nodes=1:ppn=1')
    const mayNot = await qsub('-r', 'n', '-l', 'nodes=1:ppn=1')
    server.killMom('vm01')
    const begun = clock.now()
    await does(system.remove('vm01', mark, { lost: true }, never))
    expect(clock.now() - begun).toBeLessThan(20_000)
    expect(await job(may)).toMatchObject({ state: 'pending', restarts: 0 })
    expect(await job(mayNot)).toBeUndefined()
    expect(server.nodes.has('vm01')).toBe(false)
  })

  test('a second spelling of a host that is there makes no second record of it', async () => {
    const { server, system, does, node } = await scene()
    server.createNode('vm01.site.org', 2, [], '')
    const before = [...server.nodes.keys()]
    const refused = { code: 'node-name' }
    await expect(does(system.vet!(node('OWN'), never))).rejects.toMatchObject(refused)
    await expect(does(system.expect(node('OWN'), never))).rejects.toMatchObject(refused)
    await expect(does(system.vet!(node('vm01'), never))).rejects.toMatchObject(refused)
    await does(system.vet!(node('vm02'), never))
    expect([...server.nodes.keys()]).toEqual(before)
  })

  test('a job that qrerun will not put back is not forgotten with its lost node', async () => {
    const { server, system, letIn, qsub, does, job, exec } = await scene()
    const { mark } = await letIn('vm01')
    const id = await qsub('-l', 'nodes=1:ppn=1')
    server.killMom('vm01')
    exec.instead = (line) =>
      line.startsWith('qrerun')
        ? { exitCode: 159, signal: null, stdout: '', stderr: `qrerun: Unauthorized Request ${id}\n` }
        : undefined
    await expect(does(system.remove('vm01', mark, { lost: true }, never))).rejects.toMatchObject({
      code: 'node-busy',
      message: expect.stringContaining('Unauthorized Request'),
    })
    exec.instead = () => undefined
    expect(server.jobs.has(id), 'the server has it still').toBe(true)
    expect(await job(id)).toBeDefined()
  })

  test('a job that cannot be read is not forgotten with its lost node', async () => {
    const { server, system, letIn, qsub, does, job } = await scene()
    const { mark } = await letIn('vm01')
    const id = await qsub('-l', 'nodes=1:ppn=1')
    await qsub('-l', 'nodes=1:ppn=2')
    server.killMom('vm01')
    // A host whose name begins with a digit, such as 2u-rack1, is asked for by `-l nodes=2u-rack1`.
    Object.assign(server.jobs.get(id)!.resources, { nodes: '2u-vm01:ppn=1' })
    await does(system.remove('vm01', mark, { lost: true }, never)).catch(() => undefined)
    Object.assign(server.jobs.get(id)?.resources ?? {}, { nodes: '1:ppn=1' })
    expect(server.jobs.has(id), 'the server has it still').toBe(true)
    expect(await job(id)).toBeDefined()
  })

  test('a node whose record cannot be read is not taken for one that is not there', async () => {
    const { system, letIn, qsub, does, exec, clock, run } = await scene()
    const { mark } = await letIn('vm01')
    const id = await qsub('-l', 'nodes=1:ppn=1')
    const whole = await run('pbsnodes', ['-x'])
    const broken = whole.stdout.replace(/(<name>vm01<\/name>.*?<np>)2</, '$1-2<')
    expect(broken).not.toBe(whole.stdout)
    exec.instead = (line) => (line === 'pbsnodes -x' ? { stdout: broken } : undefined)
    const picture = await does(system.observe(never))
    expect(picture.jobs.find((job) => job.id === id)).toMatchObject({ state: 'running', nodeNames: ['vm01'] })
    const left: string[] = []
    const handler = {
      join: async () => undefined,
      leave: async ({ name }: { name: string }) => void left.push(name),
      close: async () => undefined,
    }
    const unit = { ...mark, name: 'vm01', vector: { cpu: 2 }, facts: {} }
    const outcome = await does(
      new Membership(system, handler, clock).perform(
        'leave',
        { guest: 'g', unit, reason: 'the batch system has not known it for 10 min', requeue: false },
        never,
      ),
    ).catch((error: unknown) => error)
    // Its daemon was ended, and the site may end the machine, with the job on it.
    expect(outcome).not.toEqual({ kind: 'left' })
    expect(left).toEqual([])
  })

  test('trap 7: a refusal that ends with 0 is a refusal', async () => {
    const { server, system, letIn, does, exec } = await scene({ user: 'sublet' })
    server.managers.add('sublet')
    const { mark } = await letIn('vm01')
    server.managers.delete('sublet')
    await expect(does(system.drain('vm01', mark, 'lease ends', never))).rejects.toMatchObject({
      ...{
        code: 'middleware-refused',
        message: expect.stringContaining('error in permissions (PERM_OPorMGR)'),
      },
    })
    exec.instead = (line) => (line.startsWith('pbsnodes -o') ? { stderr: stderrOf('015-') } : undefined)
    await expect(does(system.drain('vm01', mark, 'lease ends', never))).rejects.toMatchObject({
      code: 'middleware-refused',
    })
    // Also one that says nothing at all: the node is looked at afterwards.
    exec.instead = (line) => (line.startsWith('pbsnodes -o') ? {} : undefined)
    await expect(does(system.drain('vm01', mark, 'lease ends', never))).rejects.toMatchObject({
      message: expect.stringContaining('still takes jobs'),
    })
  })

  test('a server that shows for a moment what was before is looked at again', async () => {
    const { exec, system, letIn, does, server, seen } = await scene()
    const { mark } = await letIn('vm01')
    const stale = await answer(server, { program: 'pbsnodes', args: ['-x', 'vm01'], user: 'root', input: '' })
    let looks = 0
    exec.instead = (line) => {
      if (line.startsWith('pbsnodes -o')) looks = 2
      return line === 'pbsnodes -x vm01' && looks-- > 0 ? stale : undefined
    }
    await does(system.drain('vm01', mark, 'lease ends', never))
    exec.instead = () => undefined
    expect(await seen('vm01')).toMatchObject({ drained: 'ours', accepting: false })
  })

  test('trap 8: no state is ever set as a whole', async () => {
    const { exec, system, letIn, does } = await scene()
    const { mark } = await letIn('vm01')
    await does(system.drain('vm01', mark, 'lease ends', never))
    await does(system.resume('vm01', mark, never))
    await does(system.remove('vm01', mark, { lost: false }, never))
    expect(exec.ran.filter((line) => /state ?[-+]?=/.test(line))).toEqual([])
  })

  test('trap 8: what somebody else had noted on a node is put back', async () => {
    const { run, system, letIn, does, seen } = await scene()
    const { mark } = await letIn('vm01')
    await run('pbsnodes', ['-N', 'needs a new fan', 'vm01'], 'root')
    await does(system.drain('vm01', mark, 'lease ends', never))
    expect((await seen('vm01'))?.drainReason).toBe('sublet: lease ends [was: needs a new fan]')
    await does(system.drain('vm01', mark, 'recalled', never))
    expect((await seen('vm01'))?.drainReason).toBe('sublet: recalled [was: needs a new fan]')
    await does(system.resume('vm01', mark, never))
    expect(await seen('vm01')).toMatchObject({ drained: 'no', drainReason: 'needs a new fan' })
  })

  test('trap 9: no node list, and no nodes found, are lists of none', async () => {
    const { observe, exec } = await scene({ own: false })
    expect((await observe()).nodes).toEqual([])
    exec.instead = (line) => (line === 'pbsnodes -x' ? { exitCode: 2, stderr: stderrOf('139-') } : undefined)
    expect(await observe()).toMatchObject({ nodes: [], trust: 'confirmed' })
  })

  test('trap 10: jobs that qsub refuses are seen by nobody, so check says how to let them in', async () => {
    const { server, qsub, system, does, observe } = await scene()
    server.queue.transit = false
    expect(await qsub('-l', 'nodes=4:ppn=2')).toBe('')
    expect((await observe()).jobs).toEqual([])
    const [sentence] = await does(system.check(never))
    expect(sentence).toContain('more than 1 nodes or 1 processors')
    expect(sentence).toContain("qmgr -c 'set queue batch is_transit = True'")
    server.queue.transit = true
    expect(await does(system.check(never))).toEqual([])
    expect(await qsub('-l', 'nodes=4:ppn=2')).not.toBe('')
  })

  test('trap 11: the last record is kept, offline and of no lease, and taken over by the next machine', async () => {
    const { server, system, letIn, qsub, does, job, seen, node, clock } = await scene({ own: false })
    const { mark } = await letIn('vm01')
    await does(system.remove('vm01', mark, { lost: false }, never))
    expect(await seen('vm01')).toMatchObject({ mark: undefined, accepting: false })
    await does(system.remove('vm01', mark, { lost: false }, never))
    const id = await qsub('-l', 'nodes=1:ppn=2')
    await clock.moveTo(clock.now() + 60_000)
    expect(await job(id)).toMatchObject({ state: 'pending' })
    expect(await does(system.check(never))).toEqual([expect.stringContaining('keeps its last record')])
    await letIn('vm01')
    expect(await seen('vm01')).toMatchObject({ mark, drained: 'no' })
    // Another one holds the place: then it goes for good, and so does what was kept.
    await letIn('vm02')
    server.jobs.clear()
    server.nodes.get('vm01')?.slots.clear()
    await does(system.remove('vm01', mark, { lost: false }, never))
    expect([...server.nodes.keys()]).toEqual(['vm02'])
    expect(node('vm02').mark.unitId).toBe('unit-vm02')
  })

  test('trap 11: the last record comes back with another address without a round of the scheduler in between', async () => {
    const { server, exec, system, letIn, qsub, does, job, node } = await scene({ own: false })
    const { mark } = await letIn('vm01')
    await does(system.remove('vm01', mark, { lost: false }, never))
    const id = await qsub('-l', 'nodes=1:ppn=2')
    server.killMom('vm01')
    server.hosts.set('vm01', '10.77.0.24')
    server.startMom('vm01', '10.77.0.24')
    await does(system.expect(node('vm01', { address: '10.77.0.24' }), never))
    const line = exec.ran.find((each) => each.startsWith('qmgr <<'))
    expect(line?.split('\n').map((each) => each.replace(/ np=.*/, ''))).toEqual([
      'qmgr <<set server scheduling = False',
      'delete node vm01',
      'create node vm01',
      'set server scheduling = True',
      '',
    ])
    expect(['pending', 'running']).toContain((await job(id))?.state)
  })

  test('check 5, trap 14: tasks beyond the limit of their array, and dependents, are no demand', async () => {
    const { qsub, observe } = await scene()
    await qsub('-t', '1-4%2', '-l', 'nodes=1:ppn=1')
    const first = await qsub('-l', 'nodes=9')
    await qsub('-W', `depend=afterok:${first}`, '-l', 'nodes=1')
    const { jobs } = await observe()
    expect(jobs.map(({ id, state, heldBy }) => `${id} ${state} ${heldBy}`)).toEqual([
      '0[1].tqsrv pending undefined',
      '0[2].tqsrv pending undefined',
      '0[3].tqsrv held limit',
      '0[4].tqsrv held limit',
      '1.tqsrv pending undefined',
      '2.tqsrv held dependency',
    ])
  })

  test('an array of which each task is listed, and five may run at once, is a demand of five', async () => {
    const { qsub, observe, clock } = await scene()
    await qsub('-t', '0-999%5', '-l', 'nodes=1:ppn=4')
    const { jobs } = await observe()
    expect(jobs).toHaveLength(1000)
    const config = configOf({ max: 400, step: 100 })
    const { intents, reason } = decideOn(viewOf([], { jobs }), config, undefined, clock.now())
    expect(unitsAsked(intents)).toBe(5)
    expect(reason).toContain('(995 more are held: 995 by a limit)')
  })

  test.each([
    ['148-down-qstat-x', 'qstat -x', 111],
    ['149-down-pbsnodes-x', 'pbsnodes', 1],
    ['150-down-qmgr-create', 'qmgr', 3],
    ['155-trqauthd-down-qstat-x', 'qstat -x', 33],
    ['156-trqauthd-down-pbsnodes', 'pbsnodes', 1],
  ])('trap 16: %s is a server that cannot be reached, not an empty list', async (file, command, exitCode) => {
    const { exec, system, does } = await scene()
    exec.instead = (line) => (line.startsWith(command) ? { exitCode, stderr: stderrOf(file) } : undefined)
    await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
  })

  test('trap 16: nothing on stdout beside words of complaint is no empty list, whatever the status says', async () => {
    const { exec, system, does } = await scene()
    exec.instead = (line) =>
      line.startsWith('qstat -x') ? { exitCode: 0, stdout: '', stderr: 'qstat: something broke' } : undefined
    await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-refused' })
  })

  test('trap 17: names are words, and lists of properties stand in quotes', async () => {
    const { exec, system, does, letIn, node, seen } = await scene({ config: { properties: ['groc', 'xen'] } })
    await letIn('vm01')
    expect(exec.ran.find((line) => line.startsWith('qmgr -c create'))).toBe(
      'qmgr -c create node vm01 np=2,properties="sublet_lease-7f3a_unit-vm01_10.77.0.11,groc,xen"',
    )
    expect((await seen('vm01'))?.features).toEqual(['groc', 'xen'])
    await expect(does(system.expect(node('vm02 np=64'), never))).rejects.toThrow(
      'not the name of a Torque node',
    )
  })

  test('trap 18: a machine that comes back with a new address has its record made anew', async () => {
    const { server, system, letIn, does, node, seen, clock } = await scene()
    const { mark } = await letIn('vm01')
    server.hosts.set('vm01', '10.77.0.24')
    server.startMom('vm01', '10.77.0.24')
    await clock.moveTo(clock.now() + 60_000)
    await does(system.expect(node('vm01', { address: '10.77.0.24' }), never))
    expect(server.nodes.get('vm01')).toMatchObject({ address: '10.77.0.24' })
    expect(await seen('vm01')).toMatchObject({ mark, accepting: true, responding: true, drained: 'no' })
  })

  test('traps 19 and 23: what is R holds its nodes, also long after its walltime', async () => {
    const { clock, server, letIn, qsub, job, seen } = await scene()
    await letIn('vm01')
    await letIn('vm02')
    // The sister has a new address, and is not reached.
    server.moms.get('vm02')?.stop()
    server.moms.delete('vm02')
    const id = await qsub('-l', 'nodes=2:ppn=2,walltime=00:01:00')
    await clock.moveTo(clock.now() + 600_000)
    expect(await job(id)).toMatchObject({ state: 'running', nodeNames: ['vm01', 'vm02'] })
    expect(await seen('vm01')).toMatchObject({ empty: false, jobs: [id] })
  })

  test('trap 20: after a restart of the server everything is as it was', async () => {
    const { exec, system, letIn, qsub, does, observe } = await scene()
    await letIn('vm01')
    await qsub('-l', 'nodes=1')
    const { jobs, nodes } = await observe()
    exec.instead = (line) =>
      /^(?:date|id) /.test(line) ? undefined : { exitCode: 111, stderr: stderrOf('148-') }
    await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
    exec.instead = () => undefined
    expect(await observe()).toMatchObject({ jobs, nodes, trust: 'confirmed' })
  })

  test('trap 21: deleting may take its two minutes, and what takes longer is looked at', async () => {
    const { exec, system, letIn, does, server } = await scene()
    const { mark } = await letIn('vm01')
    exec.instead = (line) => (line.includes('delete node') ? 'hangs' : undefined)
    await expect(does(system.remove('vm01', mark, { lost: false }, never))).rejects.toMatchObject({
      ...{ code: 'middleware-unreachable', message: expect.stringContaining('3 min') },
    })
    exec.instead = (line) => {
      if (!line.includes('delete node')) return undefined
      server.nodes.delete('vm01')
      return 'hangs'
    }
    await does(system.remove('vm01', mark, { lost: false }, never))
  })

  test('trap 22: the mark is a property, which the server itself keeps', async () => {
    const { server, letIn } = await scene()
    await letIn('vm01')
    expect(server.nodes.get('vm01')?.properties).toEqual(['sublet_lease-7f3a_unit-vm01_10.77.0.11'])
  })

  test('a name that the server cannot resolve is said with its cure', async () => {
    const { system, does, node, server } = await scene()
    server.hosts.delete('vm01')
    await expect(does(system.expect(node('vm01', { address: '10.77.0.11' }), never))).rejects.toMatchObject({
      ...{ code: 'middleware-refused', cure: expect.stringContaining('vm01 resolve to 10.77.0.11') },
    })
  })

  test('a command that hangs is ended at its deadline', async () => {
    const { exec, system, does, clock } = await scene()
    exec.instead = (line) => (line.startsWith('qstat -x') ? 'hangs' : undefined)
    const begun = clock.now()
    await expect(does(system.observe(never))).rejects.toMatchObject({ code: 'middleware-unreachable' })
    expect(clock.now() - begun).toBeLessThanOrEqual(20_500)
  })

  test('an empty list is believed only if the server counts none either', async () => {
    const { exec, qsub, observe } = await scene()
    await qsub('-l', 'nodes=1')
    expect((await observe()).jobs).toHaveLength(1)
    exec.instead = (line) => (line.startsWith('qstat -x') ? { stdout: '<Data></Data>' } : undefined)
    for (const _ of [1, 2]) {
      const { trust, warnings } = await observe()
      expect([trust, warnings]).toEqual([
        'doubtful',
        ['The list of jobs is empty, but the server counts jobs'],
      ])
    }
  })

  test('a list of one’s own jobs alone proves nothing where others’ are hidden', async () => {
    const { server, observe, system, does } = await scene({ user: 'sublet' })
    server.settings.queryOtherJobs = false
    expect((await observe()).trust).toBe('doubtful')
    const missing = await does(system.check(never))
    expect(missing.filter((sentence) => /may not change nodes|hides others/.test(sentence))).toHaveLength(2)
    server.managers.add('sublet')
    expect(await does(system.check(never))).toEqual([])
  })

  test('what the queue or the scheduler holds is no demand', async () => {
    const { server, qsub, observe, clock } = await scene()
    for (let at = 0; at < 3; at++) await qsub('-l', 'nodes=5')
    const heldBy = async () => {
      await clock.moveTo(clock.now() + 61_000)
      return (await observe()).jobs.map((job) => job.heldBy ?? job.state)
    }
    expect(await heldBy()).toEqual(['pending', 'pending', 'pending'])
    server.queue.maxUserRun = 2
    expect(await heldBy()).toEqual(['pending', 'pending', 'limit'])
    server.queue.started = false
    expect(await heldBy()).toEqual(['queue', 'queue', 'queue'])
    server.queue.started = true
    server.settings.scheduling = false
    expect(await heldBy()).toEqual(['queue', 'queue', 'queue'])
  })

  test('a job that the server itself holds since it failed to start is told of, and requeue lets it go', async () => {
    const { server, qsub, job, does, system } = await scene()
    const id = await qsub('-l', 'nodes=1')
    Object.assign(server.jobs.get(id)!, { letter: 'H', holds: 's', starts: 3 })
    expect(await job(id)).toMatchObject({ state: 'held', heldBy: 'system', launchFailed: true })
    expect(await does(system.requeue([id], 'try again', never))).toEqual([])
    expect(await job(id)).toMatchObject({ state: 'pending' })
  })

  test('the scheduler is woken when a node comes, but not where the admin has switched it off', async () => {
    const { server, exec, letIn, clock } = await scene()
    await letIn('vm01')
    expect(exec.ran.at(-1)).toBe('qmgr -c set server scheduling = True')
    server.settings.scheduling = false
    await clock.moveTo(clock.now() + 61_000)
    await letIn('vm02')
    expect(server.settings.scheduling).toBe(false)
  })
})

describe('Torque 4.2', () => {
  test('a new node stays offline until it is cleared, once its mom has reported', async () => {
    const { server, letIn, seen } = await scene({ version: '4.2.10' })
    await letIn('vm01')
    expect(server.nodes.get('vm01')).toMatchObject({ isOffline: false, note: '' })
    expect(await seen('vm01')).toMatchObject({ accepting: true, drained: 'no' })
  })

  test('an admin’s offline without a note is left as it is, whoever expects the node', async () => {
    const { run, system, letIn, does, seen, node, clock } = await scene({ version: '4.2.10' })
    await letIn('vm01')
    await run('pbsnodes', ['-o', 'vm01'], 'root')
    const giveUp = new AbortController()
    clock.after(60_000, () => giveUp.abort(new Error('given up')))
    await expect(does(system.expect(node('vm01'), giveUp.signal))).rejects.toThrow('given up')
    expect(await seen('vm01')).toMatchObject({ drained: 'theirs', accepting: false })
  })

  test('no jobs at all are an empty stdout, and a job whose node was deleted still runs', async () => {
    const { server, letIn, qsub, observe, job, run } = await scene({ version: '4.2.10' })
    expect(await observe()).toMatchObject({ jobs: [], trust: 'confirmed' })
    await letIn('vm01')
    const id = await qsub('-l', 'nodes=1:ppn=2')
    await run('qmgr', ['-c', 'delete node vm01'], 'root')
    expect(server.nodes.has('vm01')).toBe(false)
    expect(await job(id)).toMatchObject({ state: 'running', nodeNames: ['vm01'] })
  })
})
