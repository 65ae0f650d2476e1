import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem, Job } from '../../adapters/batch-system.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import { until } from './batch-system.ts'
import { closeLab, labMachines, never, openLab, PATIENCE_MS, shell, slurmSkip, title } from './slurm-bench.ts'

/** Devices that every machine has stand for GPUs; an `fpga` needs none. */
const GRES = `NodeName=n[1-9] Name=gpu Type=a100 File=/dev/null,/dev/zero
NodeName=n[1-9] Name=fpga Count=4
`
const CONF =
  'CPUs={cpu} RealMemory={memoryMiB} Feature={feature},ssd,{mark} Gres=gpu:a100:2,fpga:4 State=DRAIN'

describe.skipIf(slurmSkip !== undefined)(title('a Slurm with GPUs'), { timeout: 60_000 }, () => {
  let lab: SlurmLab
  let machines: ReturnType<typeof labMachines>
  const systems = new Map<string, BatchSystem>()

  beforeAll(async () => {
    lab = await openLab('gres', ['GresTypes=gpu,fpga'], {
      prepare: (dir) => writeFileSync(join(dir, 'gres.conf'), GRES),
    })
    machines = labMachines(lab, { conf: CONF })
    for (const format of ['json', 'text'] as const)
      systems.set(
        format,
        slurm(
          slurmConfig.parse({ confFile: lab.confFile, partition: 'dyn', format, lockFolder: lab.dir }),
          lab.onHead,
          { clock: systemClock },
        ),
      )
  }, 180_000)
  afterAll(() => closeLab(lab), 60_000)

  const look = async (format: string) => systems.get(format)!.observe(never)
  const seen = (format: string, id: string, state: Job['state']): Promise<Job | undefined> =>
    until(
      `job ${id} is ${state}`,
      PATIENCE_MS,
      async () => (await look(format)).jobs.find((job) => job.id === id),
      (job) => job?.state === state,
    )

  test('jobs ask for them before there is a node, nodes bring them, and what is taken is told', async () => {
    const first = await lab.submit('sleep 300', { args: ['--gres=gpu:a100:1,fpga:3'] }, never)
    for (const format of systems.keys())
      expect((await seen(format, first, 'pending'))?.consumablesPerNode).toEqual({ 'gpu:a100': 1, fpga: 3 })

    await machines.start('n1')
    const { unitId, leaseId, facts } = machines.unit('n1')
    const node = {
      name: 'n1',
      address: facts.address ?? '',
      mark: { unitId, leaseId },
      cpus: 2,
      memoryMiB: 1000,
    }
    await systems.get('json')!.expect(node, never)
    await seen('json', first, 'running')
    // A processor is free and so is a GPU, but not two.
    const second = await lab.submit('sleep 300', { args: ['--gpus=2', '--constraint=ssd|dynf'] }, never)
    for (const format of systems.keys()) {
      expect(await seen(format, second, 'pending')).toMatchObject({
        consumablesPerNode: { gpu: 2 },
        features: ['dynf|ssd'],
      })
      const { nodes, warnings } = await look(format)
      expect(nodes.find(({ name }) => name === 'n1')).toMatchObject({
        consumables: { 'gpu:a100': 2, fpga: 4 },
        consumablesInUse: { 'gpu:a100': 1, fpga: 3 },
        features: ['dynf', 'ssd'],
        cpusInUse: 1,
      })
      expect(warnings).toEqual([])
    }
    await shell(lab, `scancel ${first}`)
    await seen('json', second, 'running')
  })

  test('components of a heterogeneous job are one job of unlike parts', async () => {
    const id = await lab.submit(
      'sleep 1',
      { args: ['--gres=gpu:a100:2', '--ntasks=1', ':', '--nodes=2', '--ntasks=4', '--constraint=ssd'] },
      never,
    )
    for (const format of systems.keys()) {
      expect(await seen(format, `${id}+0`, 'pending')).toMatchObject({
        nodes: 3,
        parts: [
          { nodes: 1, cpusPerNode: 1, consumablesPerNode: { 'gpu:a100': 2 } },
          { nodes: 2, cpusPerNode: 2, features: ['ssd'] },
        ],
      })
      expect(await seen(format, `${id}+1`, 'pending')).toMatchObject({ partOf: `${id}+0` })
    }
    const args = ['--ntasks=1', ':', '--hold', '--ntasks=1']
    const held = await lab.submit('sleep 1', { args }, never)
    for (const component of ['+0', '+1'])
      expect((await seen('json', `${held}${component}`, 'held'))?.heldBy).toMatch(/^(user|operator)$/)
    await shell(lab, `scancel ${id} ${held}`)
  })

  test('a node that somebody reserves is told at once, and a job beside it is not counted', async () => {
    await shell(
      lab,
      'scontrol create reservation reservationname=works starttime=now duration=60 nodes=n1 user=root flags=maint,ignore_jobs',
    )
    for (const format of systems.keys())
      await until(
        'the reservation is told',
        PATIENCE_MS,
        async () => (await look(format)).nodes.find(({ name }) => name === 'n1'),
        (node) => node?.reservedFor !== undefined && !node.accepting,
      )
    const beside = await lab.submit(
      'sleep 1',
      { args: ['--time=5', '--ntasks=2', '--reservation=works'] },
      never,
    )
    expect(await seen('json', beside, 'held').then((job) => job?.heldBy)).toBe('reservation')
  })
})
