import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem, ExpectedNode } from '../../adapters/batch-system.ts'
import type { Executor } from '../../adapters/executor.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { type SlurmConfig, slurmConfig } from '../../adapters/slurm/config.ts'
import type { SlurmLab } from '../../deploy/labs/slurm/lab.ts'
import type { DeadNodeBench } from './dead-node.ts'
import {
  clearLab,
  clearNames,
  closeLab,
  EPILOG_MS,
  type LabMachines,
  never,
  PATIENCE_MS,
  shell,
} from './slurm-bench.ts'

export const lawConfig = (
  lab: SlurmLab,
  over: Pick<SlurmConfig, 'format' | 'nodes'> & Partial<SlurmConfig>,
): SlurmConfig =>
  slurmConfig.parse({
    cluster: 'lab',
    confFile: lab.confFile,
    partition: lab.partition,
    lockFolder: lab.dir,
    commandTimeout: '5s',
    watchPaths: lab.watchPaths,
    ...over,
  })

/** A Slurm of the lab on the workbench of the law, whatever its adapter reaches it by. */
export function lawBench(
  lab: SlurmLab,
  machines: LabMachines,
  config: SlurmConfig,
  ways: {
    /** What runs the adapter's commands. */
    readonly exec: Executor
    readonly unreachable: () => BatchSystem
    /** Its names are listed so in slurm.conf, for machines of so many cpus. */
    readonly listed?: { readonly kind: 'FUTURE' | 'CLOUD'; readonly cpus: number } | undefined
    readonly close?: () => Promise<void>
  },
): DeadNodeBench {
  const { listed } = ways
  const make = (): BatchSystem => slurm(config, ways.exec, { clock: systemClock })
  const system = make()
  const names = ['n1', 'n2', 'n3']
  const node = (name: string): ExpectedNode => {
    const { unitId, leaseId, facts } = machines.unit(name)
    const size = { cpus: listed?.cpus ?? 2, memoryMiB: 1000 }
    return { name, address: facts.address ?? '', mark: { unitId, leaseId }, ...size }
  }
  return {
    system,
    names,
    can: {
      epilogMs: EPILOG_MS,
      collecting: true,
      notRequeueable: true,
      arrays: true,
      dependencies: true,
      staticNode: 'static1',
    },
    patienceMs: PATIENCE_MS,
    node,
    // Of listed names the machine takes one before its daemon starts, as the service manager has it.
    startMachine: async (name) => {
      await system.take?.(node(name), never)
      await machines.start(name)
    },
    killMachine: machines.kill,
    killDaemon: machines.killDaemon,
    hangEpilogs: () => lab.setEpilogSeconds(600),
    submit({ runsMs, nodes = 1, cpusPerNode = 1, walltimeMs, held, requeueable = true, after, tasks = 1 }) {
      const args = [`--nodes=${nodes}`, `--ntasks=${nodes}`, `--cpus-per-task=${cpusPerNode}`]
      args.push(`--partition=${config.partition}`, requeueable ? '--requeue' : '--no-requeue')
      if (walltimeMs !== undefined) args.push(`--time=${Math.ceil(walltimeMs / 60_000)}`)
      if (held) args.push('--hold')
      if (after !== undefined) args.push(`--dependency=afterany:${after}`)
      if (tasks > 1) args.push(`--array=1-${tasks}`)
      return lab.submit(`sleep ${runsMs / 1000}`, { args }, never)
    },
    cancel: async (id) => {
      await shell(lab, `scancel ${id}`)
    },
    adminDrain: async (name, reason) => {
      await shell(lab, `scontrol update nodename=${name} state=drain reason="${reason}"`)
    },
    adminResume: async (name) => {
      await shell(lab, `scontrol update nodename=${name} state=resume`)
    },
    another: async () => make(),
    unreachable: async () => ways.unreachable(),
    clear: async () => {
      lab.setEpilogSeconds(EPILOG_MS / 1000)
      await machines.killAll()
      await (listed === undefined
        ? clearLab(lab, PATIENCE_MS)
        : clearNames(lab, listed.kind, names, PATIENCE_MS))
    },
    close: async () => {
      await ways.close?.()
      await closeLab(lab)
    },
  }
}
