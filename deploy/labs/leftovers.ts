import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Everything of a run that can be seen from outside it. All zero after a good `down`. */
export interface Leftovers {
  readonly processes: number
  readonly netns: number
  readonly mounts: number
  readonly cgroups: number
}

/** In the environment of every process of the lab; children, daemons and jobs inherit it. */
export const RUN_VARIABLE = 'SUBLET_LAB'

export const netnsName = (runId: string, machine?: string): string =>
  machine === undefined ? `sublet-${runId}` : `sublet-${runId}-${machine}`

/** A file below /proc that may vanish, or be another user's, between the listing and the reading. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

/** A process that has ended but whose parent has not yet asked for its status counts as gone. */
export function isAlive(pid: number): boolean {
  const stat = readIfThere(`/proc/${pid}/stat`)
  if (stat === '') return false
  const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
  return state !== 'Z' && state !== 'X'
}

/** Direct children, first-born first. */
export const childrenOf = (pid: number): readonly number[] =>
  readIfThere(`/proc/${pid}/task/${pid}/children`)
    .split(' ')
    .filter((text) => text !== '')
    .map(Number)

export function processesOf(runId: string): readonly number[] {
  const mark = `${RUN_VARIABLE}=${runId}`
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && isAlive(pid))
    .filter((pid) => readIfThere(`/proc/${pid}/environ`).split('\0').includes(mark))
}

export function netnsOf(runId: string): readonly string[] {
  if (!existsSync('/run/netns')) return []
  const head = netnsName(runId)
  return readdirSync('/run/netns').filter((name) => name === head || name.startsWith(`${head}-`))
}

/** Mount points of this mount namespace that lie in the run's folder or carry its name. */
export function mountsOf(runId: string, dir: string): readonly string[] {
  return readIfThere('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter(
      (path) => path === dir || path.startsWith(`${dir}/`) || path.split('/').includes(netnsName(runId)),
    )
    .filter((path) => !path.startsWith('/run/netns/'))
}

function cgroupsOf(runId: string): readonly string[] {
  const found: string[] = []
  const walk = (folder: string, depth: number): void => {
    if (depth > 4) return
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue
      const path = join(folder, entry.name)
      if (entry.name.includes(netnsName(runId))) found.push(path)
      else walk(path, depth + 1)
    }
  }
  if (existsSync('/sys/fs/cgroup')) walk('/sys/fs/cgroup', 0)
  return found
}

export const leftoversOf = (runId: string, dir: string): Leftovers => ({
  processes: processesOf(runId).length,
  netns: netnsOf(runId).length,
  mounts: mountsOf(runId, dir).length,
  cgroups: cgroupsOf(runId).length,
})
