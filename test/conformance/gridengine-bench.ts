import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { gridengineJoin, gridengineJoinConfig } from '../../adapters/gridengine/join.ts'
import type { JoinUnit } from '../../adapters/join.ts'
import {
  type GridengineLab,
  type GridengineLabOptions,
  gridengineLab,
} from '../../deploy/labs/gridengine/lab.ts'
import type { LabMachine } from '../../deploy/labs/namespaces.ts'
import { until } from './batch-system.ts'

/** Why the real programs are not run here. With SUBLET_REAL=1 they must run: a missing one then fails. */
export const gridengineSkip = process.env.SUBLET_REAL === '1' ? undefined : 'only with SUBLET_REAL=1'

export const title = (what: string): string =>
  gridengineSkip === undefined ? what : `${what} (${gridengineSkip})`

/** Long enough to be seen, short enough for a law of twenty cases. */
export const EPILOG_MS = 600

export const PATIENCE_MS = 20_000

const exec = localExecutor({ clock: systemClock })
export const never = new AbortController().signal

export async function openLab(
  runId: string,
  more: Partial<GridengineLabOptions> = {},
): Promise<GridengineLab> {
  if (process.getuid?.() !== 0)
    throw new SubletError('needs-root', 'The GridEngine lab makes network namespaces')
  for (const program of ['sge_qmaster', 'sge_execd', 'qconf'])
    if (!existsSync(`/usr/lib/gridengine/${program}`))
      throw new SubletError('exec-missing', `${program} is not installed`)
  const dir = mkdtempSync('/tmp/sublet-lab-')
  const lab = gridengineLab({
    dir,
    runId,
    exec,
    clock: systemClock,
    epilogSeconds: EPILOG_MS / 1000,
    ...more,
  })
  await lab.up(never)
  return lab
}

export async function closeLab(lab: GridengineLab): Promise<void> {
  await lab.down()
  rmSync(lab.dir, { recursive: true })
  const left = lab.leftovers()
  if (left.processes + left.netns + left.mounts + left.cgroups > 0)
    throw new Error(`the lab left something behind: ${JSON.stringify(left)}`)
}

const slotOf = (name: string): number => Number(name.slice(1))

/** Machines of the lab, by name, and the join handler that starts sge_execd in them. */
export function labMachines(lab: GridengineLab, bin = lab.bin) {
  const machines = new Map<string, LabMachine>()
  const unit = (name: string): JoinUnit => ({
    unitId: `unit-${name}`,
    leaseId: 'lease-law',
    name,
    vector: { cpu: 2, memoryMiB: 1000 },
    facts: { machine: name },
  })
  const handler = gridengineJoin(gridengineJoinConfig.parse({ root: lab.root, bin }), ({ machine = '' }) => {
    const found = machines.get(machine)
    if (found === undefined) throw new SubletError('machine-unreachable', `The machine ${machine} is gone`)
    return found.exec
  })
  const boot = async (name: string): Promise<void> => {
    machines.set(name, await lab.machine(slotOf(name), never))
  }
  const kill = async (name: string): Promise<void> => {
    const machine = machines.get(name)
    machines.delete(name)
    await machine?.kill()
  }
  /** At once, with the loop that starts it anew, and nothing else of the machine. */
  const killDaemon = async (name: string): Promise<void> => {
    const script = `for each in /proc/[0-9]*; do
      { read -r comm <"$each/comm"; } 2>/dev/null || continue
      case "$comm" in sge_execd|sublet-execd) kill -KILL "\${each#/proc/}" ;; esac
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

/** Hosts of the admin's own: one that works, and one that the queue has so that it is never without. */
const ADMINS = ['static1', 'head']

/** No jobs, no hosts but the admin's own. */
export async function clearLab(lab: GridengineLab): Promise<void> {
  const shell = (line: string): Promise<string> => lab.shell(line, never)
  await shell("qdel -f -u '*' >/dev/null 2>&1 || true")
  const hosts = (await shell('qconf -sel')).split('\n').filter((name) => !ADMINS.includes(name))
  for (const name of hosts)
    await shell(`qconf -dattr hostgroup hostlist ${name} @sublet; qconf -purge queue slots dyn@${name}; true`)
  await until(
    'no job is there',
    PATIENCE_MS,
    () => shell("qdel -f -u '*' >/dev/null 2>&1; qstat -u '*'"),
    (seen) => seen === '',
  )
  for (const name of hosts)
    await until(
      `the host ${name} is forgotten`,
      PATIENCE_MS,
      () => shell(`qconf -dh ${name}; qconf -de ${name}; qconf -sel`),
      (seen) => !seen.split('\n').includes(name),
    )
}
