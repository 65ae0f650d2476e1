import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Clock, deadline, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'

/**
 * The control groups of one machine. Every process of it is in them, so that they also tell, without
 * asking anybody, what is left of it.
 *
 *            limits of cpu and memory        holding together, freezing, killing
 *   v2       cpu.max, memory.max             cgroup.procs, cgroup.freeze, cgroup.kill
 *   v1       cpu.cfs_quota_us, memory.…      tasks of the freezer: FROZEN, KILL to each, THAWED
 *   hybrid   v1                              v2
 */
export interface Layout {
  readonly holding: { readonly version: 1 | 2; readonly mount: string }
  readonly cpu: { readonly version: 1 | 2; readonly mount: string }
  readonly memory: { readonly version: 1 | 2; readonly mount: string }
}

/** From the text of /proc/mounts; sentences about what is missing if there is no way. */
export function readLayout(mounts: string): Layout | readonly string[] {
  const found = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, mount = '', type = '', options = '']) => ({ mount, type, options: options.split(',') }))
  const two = found.find(({ type }) => type === 'cgroup2')?.mount
  const place = (controller: string): Layout['cpu'] | undefined => {
    const one = found.find(({ type, options }) => type === 'cgroup' && options.includes(controller))?.mount
    if (one !== undefined) return { version: 1, mount: one }
    return two === undefined ? undefined : { version: 2, mount: two }
  }
  const holding = two === undefined ? place('freezer') : ({ version: 2, mount: two } as const)
  const [cpu, memory] = [place('cpu'), place('memory')]
  if (holding !== undefined && cpu !== undefined && memory !== undefined) return { holding, cpu, memory }
  return Object.entries({ 'cgroup2 or the v1 freezer': holding, cpu, memory })
    .filter(([, there]) => there === undefined)
    .map(([what]) => `No control group for ${what} is mounted below /sys/fs/cgroup.`)
}

const CPU_PERIOD_US = 100_000
const STEP_MS: Millis = 5

export interface Process {
  readonly pid: number
  readonly comm: string
  readonly state: string
}

export class Cgroups {
  readonly #layout: Layout
  readonly #group: string
  readonly #clock: Clock

  constructor(layout: Layout, group: string, clock: Clock) {
    this.#layout = layout
    this.#group = group
    this.#clock = clock
  }

  /** The machine's folder in each hierarchy, each once. */
  paths(mark: string): readonly string[] {
    const { holding, cpu, memory } = this.#layout
    return [...new Set([holding, cpu, memory].map(({ mount }) => join(mount, this.#group, mark)))]
  }

  #path(of: keyof Layout, mark: string, file: string): string {
    return join(this.#layout[of].mount, this.#group, mark, file)
  }

  async make(
    mark: string,
    limits: { readonly cpus: number | undefined; readonly memoryMiB: number | undefined },
  ): Promise<void> {
    const { cpu, memory } = this.#layout
    for (const path of this.paths(mark)) await mkdir(dirname(path), { recursive: true })
    for (const [controller, { version, mount }] of Object.entries({ cpu, memory }))
      if (version === 2)
        for (const above of [mount, join(mount, this.#group)])
          await writeFile(join(above, 'cgroup.subtree_control'), `+${controller}`)
    for (const path of this.paths(mark)) await mkdir(path, { recursive: true })
    if (limits.cpus !== undefined) {
      const quota = limits.cpus * CPU_PERIOD_US
      if (cpu.version === 2) await writeFile(this.#path('cpu', mark, 'cpu.max'), `${quota} ${CPU_PERIOD_US}`)
      else {
        await writeFile(this.#path('cpu', mark, 'cpu.cfs_period_us'), String(CPU_PERIOD_US))
        await writeFile(this.#path('cpu', mark, 'cpu.cfs_quota_us'), String(quota))
      }
    }
    if (limits.memoryMiB !== undefined) {
      const file = memory.version === 2 ? 'memory.max' : 'memory.limit_in_bytes'
      await writeFile(this.#path('memory', mark, file), String(limits.memoryMiB * 1024 * 1024))
    }
  }

  /** Marks of all machines that have a group, in any hierarchy. */
  async marks(): Promise<readonly string[]> {
    const { holding, cpu, memory } = this.#layout
    const mounts = [...new Set([holding, cpu, memory].map(({ mount }) => mount))]
    const lists = await Promise.all(
      mounts.map(async (mount) =>
        ((await unlessAbsent(readdir(join(mount, this.#group), { withFileTypes: true }))) ?? [])
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => name),
      ),
    )
    return [...new Set(lists.flat())]
  }

  /** The living processes of the machine; a zombie has ended, whoever is late to reap it. */
  async processes(mark: string): Promise<readonly Process[]> {
    const lists = await Promise.all(this.paths(mark).map((path) => pidsBelow(path)))
    const pids = new Set(lists.flat())
    const all = await Promise.all([...pids].map((pid) => processOf(pid)))
    return all.filter(
      (process) => process !== undefined && !'ZX'.includes(process.state),
    ) as readonly Process[]
  }

  /** True once nothing in the group runs any more, false if it did not come to that in time. */
  async freeze(mark: string, withinMs: Millis, signal: AbortSignal): Promise<boolean> {
    if (this.#layout.holding.version === 2) await writeFile(this.#path('holding', mark, 'cgroup.freeze'), '1')
    else await writeFile(this.#path('holding', mark, 'freezer.state'), 'FROZEN')
    const until = this.#clock.monotonic() + withinMs
    while (!(await this.isFrozen(mark))) {
      if (this.#clock.monotonic() > until) return false
      await sleep(this.#clock, STEP_MS, signal)
    }
    return true
  }

  async isFrozen(mark: string): Promise<boolean> {
    if (this.#layout.holding.version === 2)
      return /^frozen 1$/m.test(
        (await unlessAbsent(readFile(this.#path('holding', mark, 'cgroup.events'), 'utf8'))) ?? '',
      )
    return (
      (await unlessAbsent(readFile(this.#path('holding', mark, 'freezer.state'), 'utf8')))?.trim() ===
      'FROZEN'
    )
  }

  /** The file that holds the machine still, and the word that lets it go on. */
  thawing(mark: string): { readonly file: string; readonly word: string } {
    return this.#layout.holding.version === 2
      ? { file: this.#path('holding', mark, 'cgroup.freeze'), word: '0' }
      : { file: this.#path('holding', mark, 'freezer.state'), word: 'THAWED' }
  }

  async thaw(mark: string): Promise<void> {
    const { file, word } = this.thawing(mark)
    await writeFile(file, word)
  }

  /** Kills everything in the groups and removes them; rejects with the names of what would not end. */
  async end(mark: string, withinMs: Millis, signal: AbortSignal): Promise<void> {
    const limit = deadline(this.#clock, withinMs, () => new Error('time is over'), signal)
    try {
      await this.#empty(mark, limit.signal)
      for (const path of this.paths(mark)) await this.#remove(path, mark, limit.signal)
    } catch (error) {
      signal.throwIfAborted()
      const left = (await this.processes(mark)).map(
        ({ pid, comm, state }) => `${comm} (${pid}, state ${state})`,
      )
      throw new SubletError(
        'machine-teardown',
        left.length === 0
          ? `The control groups of ${mark} cannot be removed`
          : `Of ${mark} there still run after ${period(withinMs)}: ${left.join(', ')}`,
        { cause: error },
      )
    } finally {
      limit.done()
    }
  }

  async #empty(mark: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const left = await this.processes(mark)
      if (left.length === 0) return
      await this.#kill(mark, left)
      await sleep(this.#clock, STEP_MS, signal)
    }
  }

  async #kill(mark: string, left: readonly Process[]): Promise<void> {
    const byKernel = this.#layout.holding.version === 2
    const held = byKernel ? new Set(await pidsBelow(this.#path('holding', mark, ''))) : new Set<number>()
    if (byKernel) await unlessAbsent(writeFile(this.#path('holding', mark, 'cgroup.kill'), '1'))
    // On v2 these are only what a crash caught on its way from one hierarchy to the next.
    for (const { pid } of left) if (!held.has(pid)) killUnlessEnded(pid)
    // The v1 freezer delivers the signal only when it lets go.
    if (!byKernel) await unlessAbsent(this.thaw(mark))
  }

  /** A group may have gained a last process, or its zombies may not be reaped yet: then once more. */
  async #remove(path: string, mark: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#removeBelow(path)
        return
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
        await this.#kill(mark, await this.processes(mark))
        await sleep(this.#clock, STEP_MS, signal)
      }
    }
  }

  async #removeBelow(path: string): Promise<void> {
    const entries = (await unlessAbsent(readdir(path, { withFileTypes: true }))) ?? []
    for (const entry of entries) if (entry.isDirectory()) await this.#removeBelow(join(path, entry.name))
    await unlessAbsent(rmdir(path))
  }
}

/** ENOENT, ENODEV and ESRCH are how a file system of processes says that something has ended. */
const ABSENT = new Set(['ENOENT', 'ENODEV', 'ESRCH'])

export async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (ABSENT.has((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/** A guest that sees its control groups may have made groups below ours. */
async function pidsBelow(path: string): Promise<readonly number[]> {
  const here = (await unlessAbsent(readFile(join(path, 'cgroup.procs'), 'utf8'))) ?? ''
  const entries = (await unlessAbsent(readdir(path, { withFileTypes: true }))) ?? []
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => pidsBelow(join(path, entry.name))),
  )
  return [
    ...here
      .split('\n')
      .filter((line) => line !== '')
      .map(Number),
    ...below.flat(),
  ]
}

export async function processOf(
  pid: number,
): Promise<(Process & { readonly startTicks: string }) | undefined> {
  const stat = await unlessAbsent(readFile(`/proc/${pid}/stat`, 'utf8'))
  if (stat === undefined) return undefined
  // The name stands in parentheses and may itself hold some.
  const close = stat.lastIndexOf(')')
  const fields = stat.slice(close + 2).split(' ')
  return {
    pid,
    comm: stat.slice(stat.indexOf('(') + 1, close),
    state: fields[0] ?? '',
    startTicks: fields[19] ?? '',
  }
}

function killUnlessEnded(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
