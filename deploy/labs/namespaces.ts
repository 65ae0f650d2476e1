import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { deadline, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor } from '../../adapters/executor.ts'
import { type Journal, journal } from './journal.ts'
import { childrenOf, isAlive, netnsName, netnsOf, processesOf, RUN_VARIABLE } from './leftovers.ts'
import { restAfter } from './rest.ts'

/**
 * The ground that a lab of real programs stands on: a network of its own, and machines that are not more
 * than an address, a host name and processes of their own.
 *
 *   network namespace sublet-RUN ── br0 HEAD/24 ──┬── sublet-RUN-n1 ── n1
 *     the machine `head`                          └── sublet-RUN-n2 ── n2
 *
 * Everything runs in pid namespaces whose first process is in the journal of the lab's folder: ending it
 * ends all. Needs root. Nothing in it can be reached from outside, and it reaches nothing.
 */
export interface LabGround {
  /** The network namespace that holds the bridge `br0`; machines plug in there. */
  readonly netns: string
  readonly notes: Journal
  /** Makes the network and the machine `head`. */
  up(signal: AbortSignal): Promise<void>
  machine(name: string, address: string, signal: AbortSignal): Promise<LabMachine>
  /** The command, to be run inside the namespaces of this machine. */
  inside(machine: string, argv: readonly [string, ...string[]]): readonly [string, ...string[]]
  on(machine: string): Executor
  /** Runs a command on the host itself; anything but exit 0 is an error. */
  run(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<string>
  /** Starts something that stays, and resolves to its pid. Its output goes to `log/WHAT.out`. */
  keep(what: string, argv: readonly [string, ...string[]], signal: AbortSignal): Promise<number>
  end(pids: readonly number[]): Promise<void>
  until(what: string, holds: () => Promise<boolean> | boolean, signal?: AbortSignal): Promise<void>
}

export interface LabMachine {
  readonly name: string
  readonly address: string
  readonly exec: Executor
  /** As if its power were cut. */
  kill(): Promise<void>
}

export interface LabGroundOptions {
  /** The lab's folder, with `log` and `ready` in it. Seen by every machine. */
  readonly dir: string
  /** 1 to 8 lower-case letters and digits, unique on this machine. */
  readonly runId: string
  /** Runs commands on this machine, as root. */
  readonly exec: Executor
  readonly clock: Clock
  /** The address of `head`, in a /24 network. */
  readonly headAddress: string
  /** Becomes /etc/hosts of every machine. */
  readonly hostsFile: string
  /** Environment of everything in the lab. */
  readonly env: Readonly<Record<string, string>>
}

const UP_MS: Millis = 20_000
const GONE_MS: Millis = 5_000
const POLL_MS: Millis = 20

/** The first process of a pid namespace: it keeps the namespace and collects the ended. */
const INIT = 'while :; do sleep 3600; done'

const BOOT = `set -e
hostname "$1"; mount -t tmpfs -o size=64m,mode=755 tmpfs /run; mkdir /run/lock; mount --bind "$2" /etc/hosts
: >"$3"
${INIT}`

const OWN_NAMESPACES = [
  ...['--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ...['--propagation', 'slave'],
] as const

export function labGround(options: LabGroundOptions): LabGround {
  const { dir, runId, exec, clock, hostsFile } = options
  if (!/^[a-z0-9]{1,8}$/.test(runId)) throw new Error(`a run id has 1 to 8 letters and digits: ${runId}`)
  const netns = netnsName(runId)
  const notes = journal(dir)
  const env = { ...options.env, [RUN_VARIABLE]: runId }
  /** Pids, as seen from here, of the first process of each machine. */
  const inits = new Map<string, number>()

  const run = async (argv: readonly [string, ...string[]], signal: AbortSignal): Promise<string> => {
    const done = await exec.run(argv, { signal, env })
    if (done.exitCode === 0) return done.stdout
    throw new SubletError(
      'exec-failed',
      `lab: “${argv.join(' ')}” ended with ${done.exitCode}: ${done.stderr}`,
    )
  }

  const wait = async (
    what: string,
    holds: () => Promise<boolean> | boolean,
    ms: Millis,
    signal?: AbortSignal,
  ): Promise<void> => {
    const late = () => new SubletError('exec-timeout', `lab: ${what} took more than ${ms} ms`)
    const limit = deadline(clock, ms, late, signal)
    try {
      for (let began = clock.monotonic(); !(await holds()); began = clock.monotonic())
        await sleep(clock, restAfter(clock.monotonic() - began, POLL_MS), limit.signal)
    } finally {
      limit.done()
    }
  }

  /** `nsenter` and `unshare` leave what they start as their only child. */
  const keep = async (
    what: string,
    argv: readonly [string, ...string[]],
    signal: AbortSignal,
  ): Promise<number> => {
    notes.write({ kind: 'process', what })
    const log = openSync(join(dir, 'log', `${what}.out`), 'a')
    const [program, ...rest] = argv
    const child = spawn(program, rest, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    })
    closeSync(log)
    child.unref()
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    failed.catch(() => undefined)
    const hasChild = (): boolean => childrenOf(child.pid ?? 0).length > 0
    await Promise.race([failed, wait(`start of ${what}`, hasChild, UP_MS, signal)])
    const pid = childrenOf(child.pid ?? 0)[0] ?? 0
    notes.write({ kind: 'process', what, pid })
    return pid
  }

  const inside = (machine: string, argv: readonly [string, ...string[]]): readonly [string, ...string[]] => {
    const init = inits.get(machine)
    if (init === undefined)
      throw new SubletError('machine-unreachable', `lab: the machine ${machine} does not run`)
    return ['nsenter', `--target=${init}`, '--net', '--mount', '--uts', '--ipc', '--pid', '--', ...argv]
  }

  const on = (machine: string): Executor => ({
    name: `lab ${machine}`,
    run: async (argv, more) => exec.run(inside(machine, argv), { ...more, env: { ...env, ...more.env } }),
    close: async () => undefined,
  })

  const end = async (pids: readonly number[]): Promise<void> => {
    for (const pid of pids) endProcess(pid)
    await wait('the end of processes', () => pids.every((pid) => pid === 0 || !isAlive(pid)), GONE_MS)
  }

  /** A host name, /run, /etc/hosts and processes of its own, in a network namespace that is there. */
  const boot = async (machine: string, inNetns: string, signal: AbortSignal): Promise<void> => {
    const ready = join(dir, 'ready', machine)
    const shell = ['sh', '-c', BOOT, 'sh', machine, hostsFile, ready]
    const argv = [`--net=/run/netns/${inNetns}`, 'unshare', ...OWN_NAMESPACES, ...shell]
    inits.set(machine, await keep(machine, ['nsenter', ...argv], signal))
    const exists = async () => (await exec.run(['test', '-e', ready], { signal })).exitCode === 0
    await wait(`boot of ${machine}`, exists, UP_MS, signal)
  }

  const ip = (words: string, signal: AbortSignal): Promise<string> => run(['ip', ...words.split(' ')], signal)

  return {
    netns,
    notes,
    run,
    keep,
    inside,
    on,
    end,
    until: (what, holds, signal) => wait(what, holds, UP_MS, signal),

    async up(signal) {
      notes.write({ kind: 'netns', name: netns })
      await ip(`netns add ${netns}`, signal)
      await ip(`-n ${netns} link set lo up`, signal)
      await ip(`-n ${netns} link add br0 type bridge`, signal)
      await ip(`-n ${netns} addr add ${options.headAddress}/24 dev br0`, signal)
      await ip(`-n ${netns} link set br0 up`, signal)
      await boot('head', netns, signal)
    },

    async machine(name, address, signal) {
      const own = netnsName(runId, name)
      notes.write({ kind: 'netns', name: own })
      await ip(`netns add ${own}`, signal)
      await ip(`-n ${netns} link add v-${name} type veth peer name eth0 netns ${own}`, signal)
      await ip(`-n ${netns} link set v-${name} master br0 up`, signal)
      await ip(`-n ${own} link set lo up`, signal)
      await ip(`-n ${own} addr add ${address}/24 dev eth0`, signal)
      await ip(`-n ${own} link set eth0 up`, signal)
      await boot(name, own, signal)
      return {
        name,
        address,
        exec: on(name),
        async kill() {
          await end([inits.get(name) ?? 0])
          inits.delete(name)
          if (netnsOf(runId).includes(own)) await ip(`netns del ${own}`, new AbortController().signal)
        },
      }
    },
  }
}

/** Ends what the run in this folder made, also if its process was cut off at any point. May be repeated. */
export async function sweep(
  dir: string,
  deps: { readonly exec: Executor; readonly clock: Clock },
): Promise<void> {
  const notes = journal(dir)
  const runId = notes.lines().find((line) => line.kind === 'run')?.runId
  if (runId === undefined) return
  const limit = deadline(deps.clock, GONE_MS, () => {
    const left = processesOf(runId).join(', ')
    return new SubletError(
      'machine-teardown',
      `lab ${runId} in ${dir} could not be ended; pids left: ${left}`,
    )
  })
  try {
    // A process may start another while the list is made: again until there is none.
    for (let pids = processesOf(runId); pids.length > 0; pids = processesOf(runId)) {
      for (const pid of pids) endProcess(pid)
      await sleep(deps.clock, POLL_MS, limit.signal)
    }
    for (const name of netnsOf(runId)) {
      const done = await deps.exec.run(['ip', 'netns', 'del', name], { signal: limit.signal })
      if (done.exitCode !== 0)
        throw new SubletError('machine-teardown', `lab ${runId}: ip netns del ${name}: ${done.stderr.trim()}`)
    }
    notes.write({ kind: 'ended' })
  } finally {
    limit.done()
  }
}

function endProcess(pid: number): void {
  if (pid === 0) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
