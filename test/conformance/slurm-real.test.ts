import { join } from 'node:path'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmPrivileges } from '../../adapters/slurm/privileges.ts'
import { batchSystemLaw } from './batch-system.ts'
import { type DeadNodeBench, deadNodeCases } from './dead-node.ts'
import { type JoinBench, joinLaw } from './join.ts'
import { listedOnly } from './listed.ts'
import {
  clearLab,
  closeLab,
  EPILOG_MS,
  FIXED,
  labMachines,
  type MoreOfLab,
  never,
  openLab,
  PATIENCE_MS,
  shell,
  slurmSkip,
  title,
} from './slurm-bench.ts'

function open(
  format: 'json' | 'text',
  nodes: 'self' | 'fixed',
  runId: string,
  more: MoreOfLab = {},
): () => Promise<DeadNodeBench> {
  return async () => {
    const lab = await openLab(runId, [], more)
    const machines = labMachines(lab, nodes === 'fixed' ? FIXED : {})
    const config = slurmConfig.parse({
      cluster: 'lab',
      confFile: lab.confFile,
      partition: lab.partition,
      format,
      nodes,
      lockFolder: lab.dir,
      commandTimeout: '5s',
      watchPaths: lab.watchPaths,
    })
    const make = (confFile: string): BatchSystem =>
      slurm({ ...config, confFile, commandTimeout: 1500 }, lab.onHead, { clock: systemClock })
    const listed = listedOnly(lab.onHead, slurmPrivileges(config, 'n[0-9]+'))
    const system = slurm(config, listed, { clock: systemClock })
    return {
      system,
      names: ['n1', 'n2', 'n3'],
      can: {
        epilogMs: EPILOG_MS,
        collecting: true,
        notRequeueable: true,
        arrays: true,
        dependencies: true,
        staticNode: 'static1',
      },
      patienceMs: PATIENCE_MS,
      node: (name) => {
        const { unitId, leaseId, facts } = machines.unit(name)
        return { name, address: facts.address ?? '', mark: { unitId, leaseId }, cpus: 2, memoryMiB: 1000 }
      },
      startMachine: machines.start,
      killMachine: machines.kill,
      killDaemon: machines.killDaemon,
      submit({ runsMs, nodes = 1, cpusPerNode = 1, walltimeMs, held, requeueable = true, after, tasks = 1 }) {
        const args = [`--nodes=${nodes}`, `--ntasks=${nodes}`, `--cpus-per-task=${cpusPerNode}`]
        args.push(requeueable ? '--requeue' : '--no-requeue')
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
      another: async () => make(config.confFile),
      unreachable: async () => make(join(lab.dir, 'no-such.conf')),
      clear: async () => {
        await machines.killAll()
        await clearLab(lab, PATIENCE_MS)
      },
      close: () => closeLab(lab),
    }
  }
}

batchSystemLaw(
  title('Slurm 22.05, read as JSON, with nodes that come by themselves'),
  open('json', 'self', 'lawj'),
  {
    skip: slurmSkip,
  },
)
batchSystemLaw(
  title('Slurm 22.05, read as text, with nodes whose records we make'),
  open('text', 'fixed', 'lawt'),
  {
    skip: slurmSkip,
  },
)

// Slurm pings each third of its time limit, and gives a node up by itself when that is over.
deadNodeCases(
  title('Slurm 22.05, before its SlurmdTimeout'),
  open('json', 'self', 'deads', { slurmdTimeoutSeconds: 60 }),
  { skip: slurmSkip, runsMs: 40_000, patienceMs: 150_000, leavesJobs: false, startsAgain: false },
)

joinLaw(
  title('slurmd in a namespace of its own'),
  async (): Promise<JoinBench> => {
    const lab = await openLab('lawd')
    const machines = labMachines(lab)
    let slot = 0
    return {
      join: machines.handler,
      anyUnit: true,
      patienceMs: PATIENCE_MS,
      async machine() {
        slot += 1
        await machines.boot(`n${slot}`)
        return machines.unit(`n${slot}`)
      },
      killMachine: ({ name }) => machines.kill(name),
      async registered({ name, unitId }) {
        const printed = await shell(lab, 'scontrol -o show node')
        const isHeard = (line: string): boolean =>
          line.includes(`NodeName=${name} `) && line.includes(`_${unitId} `)
        const records = printed.split('\n').filter(isHeard).length
        if (records === 0) return 0
        // A record outlives its slurmd; the daemon itself answers or not.
        const pings = await shell(lab, `(echo >/dev/tcp/${name}/6818) 2>&1 || true`)
        return pings.includes('refused') ? 0 : records
      },
      clear: async () => {
        await machines.killAll()
        await clearLab(lab, PATIENCE_MS)
      },
      close: () => closeLab(lab),
    }
  },
  { skip: slurmSkip },
)
