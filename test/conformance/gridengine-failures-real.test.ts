import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import type { BatchPicture, BatchSystem, ExpectedNode, Job } from '../../adapters/batch-system.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import type { GridengineLab } from '../../deploy/labs/gridengine/lab.ts'
import { until } from './batch-system.ts'
import {
  clearLab,
  closeLab,
  gridengineSkip,
  labMachines,
  never,
  openLab,
  PATIENCE_MS,
  title,
} from './gridengine-bench.ts'

/** What goes wrong around a real GridEngine, and what its jobs wait for, beyond the law. */
describe.skipIf(gridengineSkip !== undefined)(title('around a real GridEngine'), { timeout: 90_000 }, () => {
  let lab: GridengineLab
  let machines: ReturnType<typeof labMachines>
  let system: BatchSystem

  beforeAll(async () => {
    lab = await openLab('failg', { epilogSeconds: 0 })
    machines = labMachines(lab)
    system = make()
  }, 180_000)
  afterEach(async () => {
    await machines.killAll()
    await clearLab(lab)
  }, 180_000)
  afterAll(() => closeLab(lab), 60_000)

  const make = (): BatchSystem =>
    gridengine(
      gridengineConfig.parse({
        root: lab.root,
        queue: lab.queue,
        bin: lab.bin,
        lockFolder: lab.dir,
        cpusOfMachine: 2,
        commandTimeout: '5s',
      }),
      lab.onHead,
      { clock: systemClock },
    )
  const node = (name: string): ExpectedNode => {
    const { unitId, leaseId } = machines.unit(name)
    return { name, address: '', mark: { unitId, leaseId }, cpus: 2, memoryMiB: 1000 }
  }
  const letIn = async (name: string): Promise<void> => {
    await machines.start(name)
    await system.expect(node(name), never)
  }
  const submit = (args: readonly string[], runs = '60'): Promise<string> =>
    lab.submit(`sleep ${runs}`, ['-q', lab.queue, ...args], never)
  const look = (what: string, wanted: (seen: BatchPicture) => boolean): Promise<BatchPicture> =>
    until(what, PATIENCE_MS, () => system.observe(never), wanted)
  const jobIs = (id: string, wanted: (seen: Job) => boolean): Promise<BatchPicture> =>
    look(`job ${id} is as wanted`, ({ jobs }) => jobs.some((job) => job.id === id && wanted(job)))

  test('the job of a lost machine starts again on another one', async () => {
    await letIn('g1')
    const id = await submit(['-r', 'y'])
    await jobIs(id, ({ state }) => state === 'running')
    await machines.kill('g1')
    await system.remove('g1', node('g1').mark, { lost: true }, never)
    await letIn('g2')
    await jobIs(id, (job) => job.state === 'running' && job.nodeNames.join() === 'g2' && job.restarts === 1)
  })

  test('a machine whose daemon runs on after it was removed does not come back by itself', async () => {
    await letIn('g1')
    await system.remove('g1', node('g1').mark, { lost: false }, never)
    await until(
      'qmaster has refused what its daemon reports',
      PATIENCE_MS,
      () => lab.shell(`cat ${lab.dir}/qmaster/messages`, never),
      (messages) => messages.includes('load report of unknown exec host "g1"'),
    )
    expect((await system.observe(never)).nodes.map(({ name }) => name)).not.toContain('g1')
  })

  test('a daemon that waits without end for its configuration is started again', async () => {
    const bin = `${lab.dir}/late`
    mkdirSync(bin)
    // Its first start is in the lock of qmaster and daemon that wait for each other.
    const program = `#!/bin/sh
[ -e /run/started ] && exec ${lab.bin}/sge_execd
: >/run/started
echo "error: can't get configuration from qmaster -- backgrounding"
while :; do sleep 1; done
`
    writeFileSync(`${bin}/sge_execd`, program, { mode: 0o755 })
    const late = labMachines(lab, bin)
    try {
      await late.start('g1')
      await system.expect(node('g1'), AbortSignal.timeout(60_000))
      const id = await submit([])
      await jobIs(id, ({ state }) => state === 'running')
      // Whoever is registered is let be, whatever it said before.
      await sleep(systemClock, 8_000)
      const { jobs } = await system.observe(never)
      expect(jobs.find((job) => job.id === id)).toMatchObject({ state: 'running', restarts: 0 })
    } finally {
      await late.killAll()
    }
  })

  test('while qmaster is dead every look fails, and afterwards the picture is the same', async () => {
    await letIn('g1')
    const id = await submit([])
    await jobIs(id, ({ state }) => state === 'running')
    await lab.killMaster()
    await expect(system.observe(never)).rejects.toMatchObject({ code: 'middleware-unreachable' })
    await lab.startMaster(never)
    // Its machines are heard again within half a minute; nothing of them is forgotten meanwhile.
    const { nodes, jobs } = await system.observe(never)
    const g1 = nodes.find(({ name }) => name === 'g1')
    expect(g1).toMatchObject({ mark: node('g1').mark, jobs: [id], empty: false })
    expect(jobs.find((job) => job.id === id)).toMatchObject({ state: 'running' })
  })

  test('holds, limits, licences and start times hold a job; slots do not', async () => {
    await lab.shell('qconf -mattr exechost complex_values licence=1 global', never)
    await letIn('g1')
    const first = await submit(['-l', 'licence=1'])
    await jobIs(first, ({ state }) => state === 'running')
    const wrong = await lab.submit('sleep 1', ['-q', lab.queue, '-wd', '/no/such/folder'], never)
    await jobIs(wrong, (job) => job.heldBy === 'system' && job.vendorReason.includes('/no/such/folder'))
    const array = await submit(['-t', '1-9', '-tc', '1'])
    const ids = {
      licence: await submit(['-l', 'licence=1']),
      'start-time': await submit(['-a', '203501010000']),
      user: await submit(['-h']),
      dependency: await submit(['-hold_jid', first]),
      impossible: await submit(['-pe', 'two', '3']),
      pending: await submit(['-pe', 'two', '4']),
    }
    const picture = await look('a task of the array runs', ({ jobs }) =>
      jobs.some(({ id, state }) => id === `${array}.1` && state === 'running'),
    )
    const told = new Map(picture.jobs.map((job) => [job.id, job.heldBy ?? job.state]))
    for (const [wanted, id] of Object.entries(ids)) expect(`${id} ${told.get(id)}`).toBe(`${id} ${wanted}`)
    expect(told.get(`${array}.2-9:1`)).toBe('limit')
  })
})
