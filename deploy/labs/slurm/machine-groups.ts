import { readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../../actors/runtime/random.ts'

const CGROUP_ROOT = '/sys/fs/cgroup'
/** As the lab's site calls its groups; see site-text.ts. */
export const MACHINE_PREFIX = 'sublt'

const folders = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name))

/** Groups of the lab's sites, in whichever hierarchies this machine has. */
function siteGroups(): string[] {
  const tops = [CGROUP_ROOT, ...folders(CGROUP_ROOT)]
  return tops.flatMap(folders).filter((path) => path.split('/').at(-1)!.startsWith(`${MACHINE_PREFIX}-`))
}

/** A group in each hierarchy for each machine. The empty group of a site is no machine. */
export const machineGroups = (): string[] => siteGroups().flatMap(folders)

/** Machines that have a process, by the name of their group, which is their mark. */
export function machinesThatRun(): Map<string, number[]> {
  const pids = new Map<string, number[]>()
  for (const group of machineGroups()) {
    const mark = group.split('/').at(-1)!
    const found = readPids(join(group, 'cgroup.procs'))
    if (found.length > 0) pids.set(mark, found)
  }
  return pids
}

/** kill -9 of all processes of one machine at once; false if there is none. */
export function cutPowerOfOne(random: Random): boolean {
  const machines = [...machinesThatRun()].sort(([a], [b]) => (a < b ? -1 : 1))
  const [, pids] = machines[random.int(Math.max(1, machines.length))] ?? []
  for (const pid of pids ?? []) kill(pid)
  return pids !== undefined
}

/** Empty groups of sites that have ended. A group with a process in it is left, and counted as an orphan. */
export function removeEmptyGroups(): void {
  for (const group of [...machineGroups(), ...siteGroups()])
    if (readPids(join(group, 'cgroup.procs')).length === 0 && folders(group).length === 0) rmdirSync(group)
}

/** A group may vanish between the listing and the reading. */
function readPids(file: string): number[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number)
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code === 'ENOENT' ||
      (error as NodeJS.ErrnoException).code === 'ENODEV'
    )
      return []
    throw error
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
