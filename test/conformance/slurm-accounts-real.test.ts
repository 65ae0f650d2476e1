import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchPicture, BatchSystem, Job } from '../../adapters/batch-system.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import { until } from './batch-system.ts'
import { closeLab, labMachines, never, openLab, PATIENCE_MS, shell, slurmSkip, title } from './slurm-bench.ts'

/** Users whom every Debian has. */
const DAEMON = 1
const BIN = 2

/** Two accounts, one of which may use two processors at once; a QOS that gives one job to each user, and one that takes its nodes. */
const ACCOUNTS = [
  'add qos tiny MaxJobsPerUser=1',
  'add qos urgent Preempt=tiny Priority=1000',
  'add account physics GrpTRES=cpu=2',
  'add account chemistry',
  'add user daemon account=physics',
  'add user bin account=chemistry qos=normal,tiny',
  'modify user root set qos=normal,urgent',
]

describe.skipIf(slurmSkip !== undefined)(title('a Slurm with slurmdbd'), { timeout: 60_000 }, () => {
  let lab: SlurmLab
  let machines: ReturnType<typeof labMachines>
  let system: BatchSystem

  beforeAll(async () => {
    lab = await openLab('acct', [], { accounts: true })
    machines = labMachines(lab)
    system = slurm(
      slurmConfig.parse({ confFile: lab.confFile, partition: 'dyn', lockFolder: lab.dir }),
      lab.onHead,
      { clock: systemClock },
    )
    for (const line of ACCOUNTS) await shell(lab, `sacctmgr -i ${line}`)
    for (const name of ['n1', 'n2']) {
      await machines.start(name)
      const { unitId, leaseId, facts } = machines.unit(name)
      const node = { name, address: facts.address ?? '', mark: { unitId, leaseId }, cpus: 2, memoryMiB: 1000 }
      await system.expect(node, never)
    }
  }, 180_000)
  afterAll(() => closeLab(lab), 60_000)

  const submit = (uid: number, ...args: readonly string[]): Promise<string> =>
    lab.submit('sleep 300', { uid, args: ['--time=30', ...args] }, never)
  const jobIn = (picture: BatchPicture, id: string): Job | undefined =>
    picture.jobs.find((job) => job.id === id)
  const seen = (id: string, what: string, holds: (job: Job) => boolean): Promise<Job | undefined> =>
    until(
      `job ${id} ${what}`,
      PATIENCE_MS,
      async () => jobIn(await system.observe(never), id),
      (job) => job !== undefined && holds(job),
    )
  const saying = (id: string, reason: string): Promise<Job | undefined> =>
    seen(id, `waits for ${reason}`, ({ vendorReason }) => vendorReason === reason)
  const runs = (id: string): Promise<Job | undefined> => seen(id, 'runs', ({ state }) => state === 'running')

  test('tells what a limit holds from what a machine would cure, and a preempted job from both', async () => {
    const ofPhysics = await submit(DAEMON, '--ntasks=2')
    await runs(ofPhysics)
    const beyondItsShare = await submit(DAEMON, '--ntasks=1')
    expect(await saying(beyondItsShare, 'AssocGrpCpuLimit')).toMatchObject({
      state: 'held',
      heldBy: 'limit',
      account: 'physics',
      user: 'daemon',
    })

    const tiny = await submit(BIN, '--ntasks=2', '--qos=tiny')
    await runs(tiny)
    const secondTiny = await submit(BIN, '--ntasks=1', '--qos=tiny')
    expect(await saying(secondTiny, 'QOSMaxJobsPerUserLimit')).toMatchObject({
      state: 'held',
      heldBy: 'limit',
      account: 'chemistry',
    })

    // Every processor is taken: only this one waits for a machine.
    const ordinary = await submit(BIN, '--ntasks=2')
    expect(await seen(ordinary, 'waits', ({ vendorReason }) => vendorReason !== '')).toMatchObject({
      state: 'pending',
      account: 'chemistry',
    })
    const waiting = (await system.observe(never)).jobs.filter(({ state }) => state === 'pending')
    expect(waiting.map(({ id }) => id)).toEqual([ordinary])

    const urgent = await submit(0, '--ntasks=2', '--qos=urgent')
    await runs(urgent)
    const putBack = await seen(tiny, 'is put back', ({ state }) => state === 'held' || state === 'pending')
    expect(putBack).toMatchObject({ state: 'held', heldBy: 'start-time', restarts: 1, nodeNames: [] })
    // Slurm has it wait for two minutes; then it is demand like any other.
    expect(putBack?.notBefore).toBeGreaterThan(systemClock.now() + 60_000)
    expect(await seen(secondTiny, 'is free of its limit', ({ state }) => state === 'pending')).toBeDefined()
    const physics = jobIn(await system.observe(never), beyondItsShare)
    expect(physics).toMatchObject({ state: 'held', heldBy: 'limit' })
    const { warnings, trust } = await system.observe(never)
    expect({ warnings, trust }).toEqual({ warnings: [], trust: 'confirmed' })
  })
})
