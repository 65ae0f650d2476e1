import { readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../../actors/runtime/random.ts'

const CGROUP_ROOT = '/sys/fs/cgroup'

const folders = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name))

/** Two runs at once on one host have names of their own: six letters and digits at most. */
export const machinePrefix = (runId: string): string => `m${runId.slice(0, 5)}`

/** The machines of one run as the kernel knows them: by their control groups, whoever else thinks what. */
export class MachineGroups {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** A group in each hierarchy for each machine. The empty group of a site is no machine. */
  all(): string[] {
    return this.#sites().flatMap(folders)
  }

  /** Machines that have a process, by the name of their group, which is their mark. */
  running(): Map<string, number[]> {
    const pids = new Map<string, number[]>()
    for (const group of this.all()) {
      const mark = group.split('/').at(-1)!
      const found = readPids(join(group, 'cgroup.procs'))
      if (found.length > 0) pids.set(mark, found)
    }
    return pids
  }

  /** kill -9 of all processes of one machine at once; false if there is none. */
  cutPowerOfOne(random: Random): boolean {
    const machines = [...this.running()].sort(([a], [b]) => (a < b ? -1 : 1))
    const [, pids] = machines[random.int(Math.max(1, machines.length))] ?? []
    for (const pid of pids ?? []) kill(pid)
    return pids !== undefined
  }

  /** Removes what is empty. A group with a process in it is left, and counted as an orphan. */
  removeEmpty(): void {
    for (const group of [...this.all(), ...this.#sites()])
      if (readPids(join(group, 'cgroup.procs')).length === 0 && folders(group).length === 0) rmdirSync(group)
  }

  /** In whichever hierarchies this machine has. */
  #sites(): string[] {
    const tops = [CGROUP_ROOT, ...folders(CGROUP_ROOT)]
    return tops.flatMap(folders).filter((path) => path.split('/').at(-1)!.startsWith(`${this.#prefix}-`))
  }
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
