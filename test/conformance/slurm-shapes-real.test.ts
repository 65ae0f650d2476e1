import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { Finding, MachineType } from '../../adapters/finding.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import { until } from './batch-system.ts'
import { closeLab, labMachines, never, openLab, PATIENCE_MS, shell, slurmSkip, title } from './slurm-bench.ts'

/** Of which nobody has one yet; those of the lab have 2 cpus and 1000 MiB. */
const BIG: MachineType = {
  ...{ type: 'big', units: 3, cpus: 4, memoryMiB: 5000 },
  ...{ consumables: { fpga: 1 }, features: ['ssd'] },
}
const SMALL: MachineType = {
  ...{ type: 'small', units: 3, cpus: 2, memoryMiB: 1000 },
  ...{ consumables: {}, features: [] },
}
const ANNOUNCED = 'NodeName=like-big State=FUTURE CPUs=4 RealMemory=5000 Feature=dynf,ssd Gres=fpga:1'

const find = async (lab: SlurmLab): Promise<readonly Finding[]> => {
  const config = slurmConfig.parse({ confFile: lab.confFile, partition: 'dyn', lockFolder: lab.dir })
  const system = slurm(config, lab.onHead, { clock: systemClock })
  const examination = { names: ['n3'], machines: [SMALL, BIG], skewMsMax: 2000 }
  return (await system.examine?.(examination, never)) ?? []
}
const shapes = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap(({ sentence }) => /“sbatch ([^”]+)” is refused/.exec(sentence)?.[1] ?? [])
const sbatch = (lab: SlurmLab, shape: string): Promise<string> =>
  lab.submit(':', { args: ['-p', 'dyn', ...shape.split(' ')] }, never).then(
    () => 'taken',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )

/** A small machine is there, as ours are; then everything that only a big one has is refused. */
async function withSmall(
  runId: string,
  conf: readonly string[],
  act: (lab: SlurmLab, findings: readonly Finding[]) => Promise<void>,
): Promise<void> {
  const lab = await openLab(runId, conf)
  const machines = labMachines(lab)
  try {
    await machines.start('n1')
    const state = () => shell(lab, 'scontrol update nodename=n1 state=idle; sinfo -h -n n1 -p dyn -o %t')
    await until('n1 is idle', PATIENCE_MS, state, (shown) => shown.trim() === 'idle')
    await act(lab, await find(lab))
  } finally {
    await machines.killAll()
    await closeLab(lab)
  }
}

test.skipIf(slurmSkip !== undefined)(
  title('each job that is listed is refused by sbatch, and what is not listed is taken'),
  { timeout: 120_000 },
  () =>
    withSmall('shapes', ['GresTypes=fpga'], async (lab, findings) => {
      const refused = shapes(findings)
      expect(refused).toEqual(['-C ssd', '--mem=5000', '--gres=fpga:1', '-w n3'])
      for (const shape of refused)
        expect(await sbatch(lab, shape)).toMatch(
          /configuration is not available|Invalid (?:feature|node name)/,
        )
      for (const shape of ['-N 3 -c 2', '--mem=1000', '-C dynf'])
        expect(await sbatch(lab, shape)).toBe('taken')
      expect(findings.find(({ sentence }) => sentence.includes('-C ssd'))?.cure).toContain(ANNOUNCED)
      expect(findings.filter(({ about }) => about === 'ports')).toMatchObject([
        {
          severity: 'fine',
          sentence: expect.stringMatching(
            /^Seen from the batch system’s host, slurmctld on head:\d+, slurmd on 10\.88\.0\.101:6818 answer\.$/,
          ),
        },
      ])
    }),
)

test.skipIf(slurmSkip !== undefined)(
  title(
    'the cure that is told lets all of them be taken, and a kind of GRES that is not set is told by itself',
  ),
  { timeout: 120_000 },
  async () => {
    await withSmall('shapec', ['GresTypes=fpga', ANNOUNCED], async (lab, findings) => {
      expect(shapes(findings)).toEqual(['-w n3'])
      for (const shape of ['-C ssd', '--mem=5000', '--gres=fpga:1', '-c 4'])
        expect(await sbatch(lab, shape)).toBe('taken')
    })
    await withSmall('shapeg', [], async (lab, findings) => {
      expect(findings.find(({ sentence }) => sentence.includes('GresTypes'))?.severity).toBe('missing')
      expect(await sbatch(lab, '--gres=fpga:1')).toContain('Invalid generic resource')
    })
  },
)
