import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import type { Executor } from '../../adapters/executor.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { type GridengineConfig, gridengineConfig } from '../../adapters/gridengine/config.ts'
import type { GridengineLab } from '../../deploy/labs/gridengine/lab.ts'
import type { DeadNodeBench } from './dead-node.ts'
import { clearLab, closeLab, EPILOG_MS, labMachines, never, PATIENCE_MS } from './gridengine-bench.ts'

export const lawConfig = (lab: GridengineLab): GridengineConfig =>
  gridengineConfig.parse({
    root: lab.root,
    queue: lab.queue,
    hostGroup: lab.hostGroup,
    bin: lab.bin,
    lockFolder: lab.dir,
    cpusOfMachine: 2,
    watchPaths: [`${lab.dir}/spooldb`],
    commandTimeout: '5s',
  })

/** A GridEngine of the lab on the workbench of the law, whatever its adapter reaches it by. */
export function lawBench(
  lab: GridengineLab,
  config: GridengineConfig,
  ways: {
    /** What runs the adapter's commands. */
    readonly exec: Executor
    readonly unreachable: () => BatchSystem
    readonly close?: () => Promise<void>
  },
): DeadNodeBench {
  const machines = labMachines(lab)
  const make = (): BatchSystem => gridengine(config, ways.exec, { clock: systemClock })
  return {
    system: make(),
    names: ['g1', 'g2', 'g3'],
    can: {
      epilogMs: EPILOG_MS,
      collecting: true,
      notRequeueable: true,
      arrays: true,
      dependencies: true,
      drainReasons: false,
      staticNode: 'static1',
    },
    patienceMs: PATIENCE_MS,
    node: (name) => {
      const { unitId, leaseId } = machines.unit(name)
      return { name, address: '', mark: { unitId, leaseId }, cpus: 2, memoryMiB: 1000 }
    },
    startMachine: machines.start,
    killMachine: machines.kill,
    killDaemon: machines.killDaemon,
    submit({ runsMs, nodes = 1, cpusPerNode = 1, walltimeMs, held, requeueable = true, after, tasks = 1 }) {
      const args = ['-q', lab.queue, '-r', requeueable ? 'y' : 'n']
      if (nodes > 1)
        args.push('-pe', cpusPerNode === 2 ? 'two' : 'one', String(nodes * cpusPerNode), '-R', 'y')
      else if (cpusPerNode > 1) args.push('-pe', 'smp', String(cpusPerNode))
      if (walltimeMs !== undefined) args.push('-l', `h_rt=${Math.ceil(walltimeMs / 1000)}`)
      if (held) args.push('-h')
      if (after !== undefined) args.push('-hold_jid', after)
      if (tasks > 1) args.push('-t', `1-${tasks}`)
      return lab.submit(`sleep ${runsMs / 1000}`, args, never)
    },
    cancel: async (id) => {
      await lab.shell(`qdel ${id}`, never)
    },
    adminDrain: async (name) => {
      await lab.shell(`qmod -d ${lab.queue}@${name}`, never)
    },
    adminResume: async (name) => {
      await lab.shell(`qmod -e ${lab.queue}@${name}`, never)
    },
    another: async () => make(),
    unreachable: async () => ways.unreachable(),
    clear: async () => {
      await machines.killAll()
      await clearLab(lab)
    },
    close: async () => {
      await ways.close?.()
      await closeLab(lab)
    },
  }
}
