import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { gridenginePrivileges } from '../../adapters/gridengine/privileges.ts'
import { batchSystemLaw } from './batch-system.ts'
import { type DeadNodeBench, deadNodeCases } from './dead-node.ts'
import {
  clearLab,
  closeLab,
  EPILOG_MS,
  gridengineSkip,
  labMachines,
  never,
  openLab,
  PATIENCE_MS,
  title,
} from './gridengine-bench.ts'
import { type JoinBench, joinLaw } from './join.ts'
import { listedOnly } from './listed.ts'

function open(runId: string): () => Promise<DeadNodeBench> {
  return async () => {
    const lab = await openLab(runId)
    const machines = labMachines(lab)
    const config = gridengineConfig.parse({
      root: lab.root,
      queue: lab.queue,
      hostGroup: lab.hostGroup,
      bin: lab.bin,
      lockFolder: lab.dir,
      cpusOfMachine: 2,
      watchPaths: [`${lab.dir}/spooldb`],
      commandTimeout: '5s',
    })
    const make = (more: Partial<typeof config> = {}): BatchSystem =>
      gridengine(
        { ...config, ...more },
        listedOnly(lab.onHead, gridenginePrivileges({ ...config, ...more }, 'g[0-9]+')),
        { clock: systemClock },
      )
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
      unreachable: async () => make({ qmasterPort: 7777 }),
      clear: async () => {
        await machines.killAll()
        await clearLab(lab)
      },
      close: () => closeLab(lab),
    }
  }
}

batchSystemLaw(title('GridEngine 8.1.9'), open('lawg'), { skip: gridengineSkip })

deadNodeCases(title('GridEngine 8.1.9'), open('deadg'), {
  ...{ skip: gridengineSkip, runsMs: 4_000, leavesJobs: true, startsAgain: false },
})

joinLaw(
  title('sge_execd in a namespace of its own'),
  async (): Promise<JoinBench> => {
    const lab = await openLab('lawx')
    const machines = labMachines(lab)
    let slot = 0
    return {
      join: machines.handler,
      anyUnit: true,
      patienceMs: PATIENCE_MS,
      async machine() {
        slot += 1
        const name = `g${slot}`
        await machines.boot(name)
        // What the batch system does when it expects the machine.
        await lab.shell(`qconf -ah ${name}`, never)
        return machines.unit(name)
      },
      killMachine: ({ name }) => machines.kill(name),
      async registered({ name }) {
        const pings = await lab.shell(`(echo >/dev/tcp/${name}/6445) 2>&1 || true`, never)
        return /refused|route|timed out/i.test(pings) ? 0 : 1
      },
      clear: async () => {
        await machines.killAll()
        await clearLab(lab)
      },
      close: () => closeLab(lab),
    }
  },
  { skip: gridengineSkip },
)
