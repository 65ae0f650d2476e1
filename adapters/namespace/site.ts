import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor, Finished } from '../executor.ts'
import { Cgroups, readLayout, unlessAbsent } from './cgroups.ts'
import type { NamespaceMachinesConfig } from './config.ts'
import { groupName, type Mark, readMark } from './names.ts'

export interface NamespaceDeps {
  /** Runs as root on the host the machines are on: this one. */
  readonly exec: Executor
  readonly clock: Clock
  /** A word without spaces that was never used before, for each attempt and each order. */
  readonly nonce: () => string
  /** What is mounted where, as /proc/mounts tells it; for tests of hosts that have only v1 or v2. */
  readonly mounts?: () => Promise<string>
}

/** Where the machines of one site are: its folder, its control groups, its network. */
export interface Site {
  readonly config: NamespaceMachinesConfig
  readonly exec: Executor
  readonly clock: Clock
  readonly nonce: () => string
  readonly mounts: () => Promise<string>
  /** Names of processes that count as work, as the kernel cuts them. */
  readonly busy: ReadonlySet<string>
  /** The network namespace as a path; empty for Sublet's own. */
  readonly netns: string
  /** Goes before a command that is to run in the site's network. */
  readonly inNetns: readonly string[]
  folder(mark: Mark): string
  cgroups(): Promise<Cgroups>
  run(
    argv: readonly string[],
    signal: AbortSignal,
    timeoutMs: Millis,
    env?: Readonly<Record<string, string>>,
  ): Promise<Finished>
  /** Of every machine that has a folder or a control group. */
  marks(): Promise<readonly Mark[]>
  markOf(unitId: string): Promise<Mark>
}

/** The kernel keeps so much of a process's name. */
const COMM_CHARS = 15

export function openSite(config: NamespaceMachinesConfig, deps: NamespaceDeps): Site {
  const { exec, clock, nonce, mounts = () => readFile('/proc/mounts', 'utf8') } = deps
  const units = join(config.dir, 'units')
  const { netns: named = '' } = config
  const netns = named === '' || named.startsWith('/') ? named : `/run/netns/${named}`

  let opened: Cgroups | undefined
  async function cgroups(): Promise<Cgroups> {
    if (opened !== undefined) return opened
    const layout = readLayout(await mounts())
    if (!('holding' in layout)) throw new SubletError('unsupported-platform', layout.join(' '))
    opened = new Cgroups(layout, groupName(config.namePrefix, config.dir), clock)
    return opened
  }

  async function marks(): Promise<readonly Mark[]> {
    const folders = (await unlessAbsent(readdir(units))) ?? []
    return [...new Set([...folders, ...(await (await cgroups()).marks())])]
  }

  return {
    config,
    exec,
    clock,
    nonce,
    mounts,
    busy: new Set(config.busyProcesses.map((name) => name.slice(0, COMM_CHARS))),
    netns,
    inNetns: netns === '' ? [] : ['nsenter', `--net=${netns}`],
    folder: (mark) => join(units, mark),
    cgroups,
    run([program = '', ...rest], signal, timeoutMs, env = {}) {
      return exec.run([program, ...rest], { signal, timeoutMs, env })
    },
    marks,
    async markOf(unitId) {
      const mark = (await marks()).find((mark) => readMark(mark)?.unitId === unitId)
      if (mark === undefined)
        throw new SubletError('unknown-id', `There is no machine ${unitId} on this host`)
      return mark
    },
  }
}
