import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem, ExpectedNode } from '../../adapters/batch-system.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { leftoversOf } from '../../deploy/labs/leftovers.ts'
import { sweep } from '../../deploy/labs/namespaces.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import { until } from './batch-system.ts'
import {
  closeLab,
  exec,
  FIXED,
  labMachines,
  never,
  openLab,
  PATIENCE_MS,
  shell,
  slurmSkip,
  title,
} from './slurm-bench.ts'

/** What goes wrong around a real Slurm, beyond the law. */
describe.skipIf(slurmSkip !== undefined)(title('around a real Slurm'), { timeout: 60_000 }, () => {
  let lab: SlurmLab
  let machines: ReturnType<typeof labMachines>
  let system: BatchSystem

  const open = async (extraConf: readonly string[] = [], nodes: 'self' | 'fixed' = 'self'): Promise<void> => {
    lab = await openLab('fail', extraConf)
    machines = labMachines(lab, nodes === 'fixed' ? FIXED : {})
    system = make(nodes)
  }
  const make = (nodes: 'self' | 'fixed' = 'self', onHead = lab.onHead): BatchSystem =>
    slurm(
      slurmConfig.parse({
        confFile: lab.confFile,
        partition: 'dyn',
        nodes,
        lockFolder: lab.dir,
        commandTimeout: '2s',
      }),
      onHead,
      { clock: systemClock },
    )
  const node = (name: string): ExpectedNode => {
    const { unitId, leaseId, facts } = machines.unit(name)
    return { name, address: facts.address ?? '', mark: { unitId, leaseId }, cpus: 2, memoryMiB: 1000 }
  }
  const letIn = async (name: string): Promise<void> => {
    await machines.start(name)
    await system.expect(node(name), never)
  }
  const stateOf = async (id: string): Promise<string> => shell(lab, `squeue -h -a -t all -j ${id} -o "%T %N"`)
  const isNow = (id: string, wanted: string): Promise<string> =>
    until(
      `job ${id} is ${wanted}`,
      PATIENCE_MS,
      () => stateOf(id),
      (seen) => seen === wanted,
    )

  beforeEach(({ task }) => {
    if (task.name.includes('own conf')) return
    return open()
  }, 180_000)
  afterEach(() => closeLab(lab), 60_000)

  test('the job of a lost machine starts again on another one within seconds, and is counted once', async () => {
    await letIn('n1')
    const id = await lab.submit('sleep 1.5', {}, never)
    await isNow(id, 'RUNNING n1')
    await machines.kill('n1')
    await system.remove('n1', node('n1').mark, { lost: true }, never)
    const before = systemClock.monotonic()
    await letIn('n2')
    await isNow(id, 'RUNNING n2')
    expect(systemClock.monotonic() - before).toBeLessThan(8_000)
    await isNow(id, 'COMPLETED n2')
    expect(lab.jobRecords().map(({ jobId, state, nodes }) => `${jobId} ${state} ${nodes}`)).toEqual([
      `${id} NODE_FAIL n1`,
      `${id} COMPLETED n2`,
    ])
  })

  test('a job that was requeued on a living machine starts there again and is not killed', async () => {
    await letIn('n1')
    const id = await lab.submit('sleep 1', {}, never)
    await isNow(id, 'RUNNING n1')
    expect(await system.requeue([id], 'wanted back', never)).toEqual([])
    await isNow(id, 'COMPLETED n1')
  })

  test('while the controller is dead every look fails, and afterwards the picture is the same', async () => {
    await letIn('n1')
    const id = await lab.submit('sleep 60', {}, never)
    await isNow(id, 'RUNNING n1')
    // The controller writes its state at most 5 s after a change; what is younger dies with it.
    const saved = (): string => {
      const file = `${lab.dir}/state/node_state`
      return existsSync(file) ? readFileSync(file, 'latin1') : ''
    }
    await until(
      'the state is saved',
      PATIENCE_MS,
      async () => saved(),
      (seen) => seen.includes('unit-n1'),
    )
    await lab.killController(never)
    await expect(system.observe(never)).rejects.toMatchObject({ code: 'middleware-unreachable' })
    await lab.startController({}, never)
    const picture = await until(
      'the node is back',
      PATIENCE_MS,
      () => system.observe(never),
      ({ nodes }) => nodes.some(({ name, responding }) => name === 'n1' && responding),
    )
    expect(picture.nodes.find(({ name }) => name === 'n1')).toMatchObject({ mark: node('n1').mark })
  })

  test('a machine whose record the controller lost is let in again by joining again', async () => {
    await letIn('n1')
    await lab.killController(never)
    await lab.startController({ cold: true }, never)
    expect((await system.observe(never)).nodes.map(({ name }) => name)).toEqual(['static1'])
    await machines.handler.join(machines.unit('n1'), never)
    await system.expect(node('n1'), never)
    expect((await system.observe(never)).nodes.map(({ name }) => name)).toContain('n1')
  })

  test('an ordinary user sees through PrivateData that nothing is proven (own conf)', async () => {
    await open(['PrivateData=jobs'])
    await lab.submit('sleep 60', {}, never)
    const asNobody = {
      ...lab.onHead,
      run: (argv: readonly [string, ...string[]], options: Parameters<typeof lab.onHead.run>[1]) =>
        lab.onHead.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...argv], options),
    }
    const seen = make('self', asNobody)
    expect(await seen.observe(never)).toMatchObject({ trust: 'doubtful', jobs: [] })
    const missing = (await seen.check(never)).join(' ')
    expect(missing).toContain('PrivateData hides other users’ jobs from nobody')
    expect(missing).toContain('The user nobody may not change nodes')
    expect(await system.observe(never)).toMatchObject({ trust: 'confirmed' })
  })

  test('fixed names: the record is made by us, and a machine that was there before it is let in (own conf)', async () => {
    await open([], 'fixed')
    const id = await lab.submit('sleep 1', {}, never)
    await machines.start('n1')
    await system.expect(node('n1'), never)
    await isNow(id, 'COMPLETED n1')
    await system.drain('n1', node('n1').mark, 'lease ends', never)
    await system.remove('n1', node('n1').mark, { lost: false }, never)
    expect((await system.observe(never)).nodes.map(({ name }) => name)).toEqual(['static1'])
  })

  test('licences, begin times and dependencies hold a job; resources do not', async () => {
    await letIn('n1')
    const first = await lab.submit('sleep 60', { args: ['-L', 'lab:1'] }, never)
    await isNow(first, 'RUNNING n1')
    const licence = await lab.submit('sleep 60', { args: ['-L', 'lab:1'] }, never)
    const later = await lab.submit('sleep 60', { args: ['--begin=now+1hour'] }, never)
    const never_ = await lab.submit('sleep 60', { args: [`--dependency=afterok:${first}`] }, never)
    const wide = await lab.submit('sleep 60', { args: ['-N2', '-c2'] }, never)
    const limited = await lab.submit('sleep 60', { args: ['--array=1-9%2', '-c2'] }, never)
    const picture = await until(
      'all have a reason',
      PATIENCE_MS,
      () => system.observe(never),
      ({ jobs }) => jobs.every(({ state, vendorReason }) => state === 'running' || vendorReason !== ''),
    )
    const told = new Map(picture.jobs.map((job) => [job.id, `${job.state} ${job.heldBy ?? job.tasks}`]))
    expect(told.get(licence)).toBe('held licence')
    expect(told.get(later)).toBe('held start-time')
    const comes = picture.jobs.find(({ id }) => id === later)?.notBefore ?? 0
    expect(Math.abs(comes - systemClock.now() - 3_600_000)).toBeLessThan(60_000)
    expect(told.get(never_)).toBe('held dependency')
    expect(told.get(wide)).toBe('pending 1')
    expect(told.get(`${limited}_[1-9%2]`)).toBe('pending 2')
  })
})

test.skipIf(slurmSkip !== undefined)(
  title('what a killed run of the lab left is swept by its journal'),
  async () => {
    const dir = mkdtempSync('/tmp/sublet-lab-')
    const here = (path: string): string => new URL(path, import.meta.url).href
    const script = `import { slurmLab } from '${here('../../deploy/labs/slurm/lab.ts')}'
import { localExecutor } from '${here('../../adapters/exec/local.ts')}'
import { systemClock as clock } from '${here('../../actors/runtime/clock.ts')}'
const lab = slurmLab({ dir: '${dir}', runId: 'swept', exec: localExecutor({ clock }), clock })
await lab.up(new AbortController().signal)
console.log('up')
setInterval(() => undefined, 1000)`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGKILL')
    expect(leftoversOf('swept', dir)).toMatchObject({ netns: 2 })
    await sweep(dir, { exec, clock: systemClock })
    await sweep(dir, { exec, clock: systemClock })
    expect(leftoversOf('swept', dir)).toEqual({ processes: 0, netns: 0, mounts: 0, cgroups: 0 })
    rmSync(dir, { recursive: true })
  },
  60_000,
)
