import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import type { Executor } from '../../adapters/executor.ts'
import type { JoinUnit } from '../../adapters/join.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmHead } from '../../adapters/slurm/head.ts'
import { slurmJoin, slurmJoinConfig } from '../../adapters/slurm/join.ts'
import type { LabMachine } from '../../deploy/labs/namespaces.ts'
import { type SlurmLab, slurmLab } from '../../deploy/labs/slurm/lab.ts'
import { until } from './batch-system.ts'

/** Why the real programs are not run here. With SUBLET_REAL=1 they must run: a missing one then fails. */
export const slurmSkip = process.env.SUBLET_REAL === '1' ? undefined : 'only with SUBLET_REAL=1'

/** Long enough to be seen, short enough for a law of twenty cases. */
export const EPILOG_MS = 300

export const exec = localExecutor({ clock: systemClock })
export const never = new AbortController().signal

export interface MoreOfLab {
  /** With slurmdbd. */
  readonly accounts?: boolean
  /** Words before the head's munged and slurmctld. */
  readonly daemonsThrough?: readonly string[]
  readonly slurmdTimeoutSeconds?: number
  /** Puts more files beside slurm.conf. */
  readonly prepare?: (dir: string) => void
}

export async function openLab(
  runId: string,
  extraConf: readonly string[] = [],
  { accounts = false, daemonsThrough = [], prepare, ...more }: MoreOfLab = {},
): Promise<SlurmLab> {
  if (process.getuid?.() !== 0) throw new SubletError('needs-root', 'The Slurm lab makes network namespaces')
  for (const program of ['slurmctld', 'slurmd', 'munged', ...(accounts ? ['slurmdbd', 'mariadbd'] : [])])
    if (!existsSync(`/usr/sbin/${program}`))
      throw new SubletError('exec-missing', `${program} is not installed`)
  const dir = mkdtempSync('/tmp/sublet-lab-')
  prepare?.(dir)
  const lab = slurmLab({
    dir,
    runId,
    exec,
    clock: systemClock,
    epilogSeconds: EPILOG_MS / 1000,
    extraConf,
    ...{ accounts, daemonsThrough, ...more },
  })
  try {
    await lab.up(never)
  } catch (error) {
    await lab.down()
    throw error
  }
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
export function labMachines(
  lab: SlurmLab,
  settings: Readonly<Record<string, unknown>> = {},
  /** What reaches the head that machines are compared with. */
  onHead: Executor = lab.onHead,
) {
  const machines = new Map<string, LabMachine>()
  const unit = (name: string): JoinUnit => ({
    unitId: `unit-${name}`,
    leaseId: 'lease-law',
    name,
    vector: { cpu: 2, memoryMiB: 1000 },
    facts: { machine: name, address: `10.88.0.${100 + slotOf(name)}` },
  })
  const batch = slurmConfig.parse({ confFile: lab.confFile, partition: lab.partition })
  const handler = slurmJoin(
    slurmJoinConfig.parse({ confFile: lab.confFile, logFile: `${lab.dir}/log/%n.log`, ...settings }),
    ({ machine = '' }) => {
      const found = machines.get(machine)
      if (found === undefined) throw new SubletError('machine-unreachable', `The machine ${machine} is gone`)
      return found.exec
    },
    { head: slurmHead(batch, onHead, { clock: systemClock }), clock: systemClock },
  )
  const boot = async (name: string): Promise<void> => {
    machines.set(name, await lab.machine(slotOf(name), never))
  }
  const kill = async (name: string): Promise<void> => {
    const machine = machines.get(name)
    machines.delete(name)
    await machine?.kill()
  }
  /** At once, and nothing else of the machine. */
  const killDaemon = async (name: string): Promise<void> => {
    const script = `for each in /proc/[0-9]*; do
      { read -r comm <"$each/comm"; } 2>/dev/null && [ "$comm" = slurmd ] && kill -KILL "\${each#/proc/}"
    done; true`
    await machines.get(name)?.exec.run(['sh', '-c', script], { signal: never })
  }
  return {
    unit,
    handler,
    boot,
    kill,
    killDaemon,
    start: async (name: string) => {
      await boot(name)
      await handler.join(unit(name), never)
    },
    killAll: async () => {
      await Promise.all([...machines.keys()].map(kill))
    },
  }
}

export type LabMachines = ReturnType<typeof labMachines>

export const shell = async (lab: SlurmLab, line: string): Promise<string> => {
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

/** The join handler's settings for nodes whose records `expect` makes. */
export const FIXED = {
  nodes: 'fixed',
  conf: 'NodeAddr={address} CPUs={cpu} RealMemory={memoryMiB} Feature={feature},{mark} State=FUTURE',
} as const

/** How names of the lab are listed: `n1`… as in the hosts file, in a partition of their own, beside that of dynamic nodes. */
export const LISTED_NAMES = 'n[1-3]'
export const LISTED_PARTITION = 'listed'

/** As slurmd finds it: one that is to take a FUTURE record has to be just like it. */
export interface Hardware {
  readonly cpus: number
  /** For a line of slurm.conf. */
  readonly words: string
}

export async function hardwareHere(): Promise<Hardware> {
  const { stdout } = await exec.run(['slurmd', '-C'], { signal: never })
  const words = /CPUs=\d+ .*ThreadsPerCore=\d+/.exec(stdout)?.[0]
  if (words === undefined) throw new Error(`slurmd -C printed “${stdout}”`)
  return { words, cpus: Number(/^CPUs=(\d+)/.exec(words)?.[1]) }
}

export const listedConf = (kind: 'FUTURE' | 'CLOUD', { words }: Hardware): readonly string[] => [
  `NodeName=${LISTED_NAMES} ${words} RealMemory=1000 Feature=rack1 State=${kind}`,
  `PartitionName=${LISTED_PARTITION} Nodes=${LISTED_NAMES} DefaultTime=60 MaxTime=INFINITE State=UP`,
  ...(kind === 'FUTURE'
    ? []
    : [
        ...['PrivateData=cloud', 'SuspendProgram=/bin/true', 'ResumeProgram=/bin/true', 'SuspendTime=3600'],
        ...[
          'SuspendTimeout=1',
          `SuspendExcParts=${LISTED_PARTITION}`,
          'SlurmctldParameters=power_save_interval=1',
        ],
      ]),
]

/** As an admin prepares CLOUD names for us, so that Slurm gives no job to one of them by itself. */
export const parkNames = (lab: SlurmLab, names = LISTED_NAMES): Promise<string> =>
  shell(lab, `scontrol update NodeName=${names} State=DRAIN Reason="sublet: no machine"`)

/** No jobs, and all names as they were at first. */
export async function clearNames(
  lab: SlurmLab,
  kind: 'FUTURE' | 'CLOUD',
  names: readonly string[],
  patienceMs: number,
): Promise<void> {
  await shell(lab, 'scancel --user=root')
  const all = (): Promise<string> => shell(lab, 'scontrol -F -o show node')
  const seen = await all()
  const used = names.filter(
    (name) => !/State=(FUTURE|IDLE.CLOUD.DRAIN.POWERED_DOWN) /.test(lineOf(seen, name)),
  )
  for (const name of used) await shell(lab, `scontrol update nodename=${name} state=down reason=clear`)
  await until(
    'no job holds a node',
    patienceMs,
    () => shell(lab, 'squeue -h -a -o %i'),
    (jobs) => jobs === '',
  )
  if (kind === 'FUTURE') {
    for (const name of names)
      await shell(
        lab,
        `scontrol update NodeName=${name} Comment= AvailableFeatures=rack1 ActiveFeatures=rack1 State=FUTURE`,
      )
    return
  }
  for (const name of used) await shell(lab, `scontrol update NodeName=${name} State=POWER_DOWN`)
  await until('all are powered down', patienceMs, all, (now) =>
    names.every((name) => lineOf(now, name).includes('POWERED_DOWN')),
  )
  for (const name of names)
    await shell(
      lab,
      `scontrol update NodeName=${name} Comment= NodeAddr=${name} NodeHostname=${name} State=IDLE`,
    )
  await parkNames(lab)
}

export const lineOf = (printed: string, name: string): string =>
  printed.split('\n').find((line) => line.startsWith(`NodeName=${name} `)) ?? ''

export const PATIENCE_MS = 15_000

export const title = (what: string): string => (slurmSkip === undefined ? what : `${what} (${slurmSkip})`)
