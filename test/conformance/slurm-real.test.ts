import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import type { JoinUnit } from '../../adapters/join.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmJoin, slurmJoinConfig } from '../../adapters/slurm/join.ts'
import { type LabMachine, type SlurmLab, slurmLab } from '../../deploy/labs/slurm/lab.ts'
import { type BatchBench, batchSystemLaw, until } from './batch-system.ts'
import { type JoinBench, joinLaw } from './join.ts'

/** Why the real programs are not run here. With SUBLET_REAL=1 they must run: a missing one then fails. */
export const slurmSkip = process.env.SUBLET_REAL === '1' ? undefined : 'only with SUBLET_REAL=1'

/** Long enough to be seen, short enough for a law of twenty cases. */
const EPILOG_MS = 300

const exec = localExecutor({ clock: systemClock })
const never = new AbortController().signal

export async function openLab(runId: string, extraConf: readonly string[] = []): Promise<SlurmLab> {
  if (process.getuid?.() !== 0) throw new SubletError('needs-root', 'The Slurm lab makes network namespaces')
  for (const program of ['slurmctld', 'slurmd', 'munged'])
    if (!existsSync(`/usr/sbin/${program}`))
      throw new SubletError('exec-missing', `${program} is not installed`)
  const lab = slurmLab({
    dir: mkdtempSync('/tmp/sublet-lab-'),
    runId,
    exec,
    clock: systemClock,
    epilogSeconds: EPILOG_MS / 1000,
    extraConf,
  })
  await lab.up(never)
  return lab
}

export async function closeLab(lab: SlurmLab): Promise<void> {
  await lab.down()
  rmSync(lab.dir, { recursive: true })
  const left = lab.leftovers()
  if (left.processes + left.netns + left.mounts + left.cgroups > 0)
    throw new Error(`the lab left something behind: ${JSON.stringify(left)}`)
}

const slotOf = (name: string): number => Number(name.slice(1))

/** Machines of the lab, by name, and the join handler that starts slurmd in them. */
export function labMachines(lab: SlurmLab) {
  const machines = new Map<string, LabMachine>()
  const unit = (name: string): JoinUnit => ({
    unitId: `unit-${name}`,
    leaseId: 'lease-law',
    name,
    vector: { cpu: 2, memoryMiB: 1000 },
    facts: { machine: name, address: `10.88.0.${100 + slotOf(name)}` },
  })
  const handler = slurmJoin(
    slurmJoinConfig.parse({ confFile: lab.confFile, logFile: `${lab.dir}/log/%n.log` }),
    ({ machine = '' }) => {
      const found = machines.get(machine)
      if (found === undefined) throw new SubletError('machine-unreachable', `The machine ${machine} is gone`)
      return found.exec
    },
  )
  const boot = async (name: string): Promise<void> => {
    machines.set(name, await lab.machine(slotOf(name), never))
  }
  const kill = async (name: string): Promise<void> => {
    const machine = machines.get(name)
    machines.delete(name)
    await machine?.kill()
  }
  return {
    unit,
    handler,
    boot,
    kill,
    start: async (name: string) => {
      await boot(name)
      await handler.join(unit(name), never)
    },
    killAll: async () => {
      await Promise.all([...machines.keys()].map(kill))
    },
  }
}

const shell = async (lab: SlurmLab, line: string): Promise<string> => {
  const done = await lab.onHead.run(['bash', '-c', line], { signal: never })
  if (done.exitCode !== 0) throw new Error(`“${line}” failed: ${done.stderr}`)
  return done.stdout.trim()
}

/** No jobs, no nodes but the admin's own. */
export async function clearLab(lab: SlurmLab, patienceMs: number): Promise<void> {
  await shell(lab, 'scancel --user=root')
  const nodes = (await shell(lab, 'sinfo -h -N -p dyn -o %N')).split('\n').filter((name) => name !== '')
  for (const name of nodes) await shell(lab, `scontrol update nodename=${name} state=down reason=clear`)
  await until(
    'no job holds a node',
    patienceMs,
    () => shell(lab, 'squeue -h -a -o %i'),
    (seen) => seen === '',
  )
  // Slurm 22.05.8 does not survive the deletion of a node that is planned for a wide job.
  await until(
    'no node is planned',
    patienceMs,
    () => shell(lab, 'scontrol -o show node'),
    (seen) => !seen.includes('PLANNED'),
  )
  for (const name of nodes) await shell(lab, `scontrol delete nodename=${name}`)
}

const PATIENCE_MS = 15_000

function open(format: 'json' | 'text'): () => Promise<BatchBench> {
  return async () => {
    const lab = await openLab(format === 'json' ? 'lawj' : 'lawt')
    const machines = labMachines(lab)
    const config = slurmConfig.parse({
      cluster: 'lab',
      confFile: lab.confFile,
      partition: lab.partition,
      format,
      lockFolder: lab.dir,
      commandTimeout: '5s',
      watchPaths: lab.watchPaths,
    })
    const make = (confFile: string): BatchSystem =>
      slurm({ ...config, confFile, commandTimeout: 1500 }, lab.onHead, { clock: systemClock })
    const system = slurm(config, lab.onHead, { clock: systemClock })
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

const title = (what: string): string => (slurmSkip === undefined ? what : `${what} (${slurmSkip})`)

batchSystemLaw(title('Slurm 22.05 read as JSON'), open('json'), { skip: slurmSkip })
batchSystemLaw(title('Slurm 22.05 read as text'), open('text'), { skip: slurmSkip })

joinLaw(
  title('slurmd in a namespace of its own'),
  async (): Promise<JoinBench> => {
    const lab = await openLab('lawd')
    const machines = labMachines(lab)
    let slot = 0
    return {
      join: machines.handler,
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
