import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Millis } from '../../../actors/runtime/clock.ts'
import { deadline, sleep } from '../../../actors/runtime/clock.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import type { Executor } from '../../../adapters/executor.ts'
import {
  epilogText,
  HEAD_ADDRESS,
  hostsText,
  STATIC_ADDRESS,
  slotAddress,
  slotName,
  slurmConfText,
} from './conf.ts'
import { type JobRecord, readJobRecords } from './job-records.ts'
import { journal } from './journal.ts'
import {
  childrenOf,
  isAlive,
  type Leftovers,
  leftoversOf,
  netnsName,
  netnsOf,
  processesOf,
  RUN_VARIABLE,
} from './leftovers.ts'

/**
 * A Slurm cluster of its own in network namespaces, started and ended by one call each. Needs root and
 * Debian's munge, slurmctld, slurmd, slurm-client and iproute2. Nothing in it can be reached from
 * outside, and it reaches nothing.
 *
 *   network namespace sublet-RUN ── br0 10.88.0.1/24 ──┬── static1 10.88.0.11  (the admin's own node)
 *     munged, slurmctld (host name head)               └── n1..n60 10.88.0.101..  (who brings machines)
 *
 * Everything runs in pid namespaces whose first process is in the journal: ending it ends all.
 */
export interface SlurmLabOptions {
  /** An empty folder of the caller's, short enough for socket names. Seen by every machine. */
  readonly dir: string
  /** 1 to 8 lower-case letters and digits, unique on this machine. */
  readonly runId: string
  /** Runs commands on this machine, as root. */
  readonly exec: Executor
  readonly clock: Clock
  readonly epilogSeconds?: number
  /** After so long without a word from a slurmd its node is down. */
  readonly slurmdTimeoutSeconds?: number
  /** More lines for slurm.conf, such as `PrivateData=jobs`. */
  readonly extraConf?: readonly string[]
}

export interface SubmitOptions {
  /** Options of sbatch, such as `--nodes=2`. */
  readonly args?: readonly string[]
  /** Submits as this user instead of root. */
  readonly uid?: number
}

/** A machine that is not more than a network, a host name and processes of its own. */
export interface LabMachine {
  readonly name: string
  readonly address: string
  readonly exec: Executor
  /** As if its power were cut. */
  kill(): Promise<void>
}

export interface SlurmLab {
  readonly runId: string
  readonly dir: string
  readonly confFile: string
  readonly hostsFile: string
  /** The network namespace that holds the bridge `br0`; machines plug in there. */
  readonly netns: string
  readonly bridge: 'br0'
  readonly partition: 'dyn'
  readonly feature: 'dynf'
  /** What changes on this machine's disk when a job comes or ends, for a batch system that may watch it. */
  readonly watchPaths: readonly string[]
  /** Runs commands where the controller runs, with SLURM_CONF set. */
  readonly onHead: Executor
  /** What to put before a command so that it runs there, for a process that has only the words. */
  throughHead(): readonly string[]
  up(signal: AbortSignal): Promise<void>
  /** Returns the job's id. Output goes to `jobs/<id>.out` in the lab's folder. */
  submit(script: string, options: SubmitOptions, signal: AbortSignal): Promise<string>
  killController(signal: AbortSignal): Promise<void>
  /** `cold`: without the saved state, as after the loss of its disk: all jobs and dynamic nodes are forgotten. */
  startController(options: { readonly cold?: boolean }, signal: AbortSignal): Promise<void>
  setEpilogSeconds(seconds: number): void
  jobRecords(): readonly JobRecord[]
  /** A bare machine with the name and address of this slot, for tests of the batch system alone. */
  machine(slot: number, signal: AbortSignal): Promise<LabMachine>
  /** Ends everything; the folder stays. May be repeated. */
  down(): Promise<void>
  leftovers(): Leftovers
}

const UP_MS: Millis = 20_000
const GONE_MS: Millis = 5_000
const POLL_MS: Millis = 20

/** The first process of a pid namespace: it keeps the namespace and collects the ended. */
const INIT = 'while :; do sleep 3600; done'

export function slurmLab(options: SlurmLabOptions): SlurmLab {
  const { dir, runId, exec, clock } = options
  if (!/^[a-z0-9]{1,8}$/.test(runId)) throw new Error(`a run id has 1 to 8 letters and digits: ${runId}`)
  const netns = netnsName(runId)
  const confFile = join(dir, 'slurm.conf')
  const hostsFile = join(dir, 'hosts')
  const notes = journal(dir)
  const env = { SLURM_CONF: confFile, TZ: 'UTC', LC_ALL: 'C', [RUN_VARIABLE]: runId }
  /** Pids, as seen from here, of the first process of each namespace and of the controller. */
  const inits = new Map<string, number>()
  let controllerPid: number | undefined

  const run = async (argv: readonly [string, ...string[]], signal: AbortSignal): Promise<string> => {
    const done = await exec.run(argv, { signal, env })
    if (done.exitCode === 0) return done.stdout
    throw new SubletError(
      'exec-failed',
      `lab: “${argv.join(' ')}” ended with ${done.exitCode}: ${done.stderr}`,
    )
  }

  const until = async (
    what: string,
    holds: () => Promise<boolean> | boolean,
    ms: Millis,
    signal?: AbortSignal,
  ) => {
    const late = () => new SubletError('exec-timeout', `lab: ${what} took more than ${ms} ms`)
    const limit = deadline(clock, ms, late, signal)
    try {
      while (!(await holds())) await sleep(clock, POLL_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  /** Starts something that stays. Resolves to the pid of its only child, which `nsenter` and `unshare` leave it. */
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
    await Promise.race([
      failed,
      until(`start of ${what}`, () => childrenOf(child.pid ?? 0).length > 0, UP_MS, signal),
    ])
    const pid = childrenOf(child.pid ?? 0)[0] ?? 0
    notes.write({ kind: 'process', what, pid })
    return pid
  }

  /** Inside the namespaces of the machine with this name. */
  const inside = (machine: string, argv: readonly [string, ...string[]]): readonly [string, ...string[]] => {
    const init = inits.get(machine)
    if (init === undefined)
      throw new SubletError('machine-unreachable', `lab: the machine ${machine} does not run`)
    return ['nsenter', `--target=${init}`, '--net', '--mount', '--uts', '--ipc', '--pid', '--', ...argv]
  }

  const executorOf = (machine: string): Executor => ({
    name: `lab ${machine}`,
    run: async (argv, more) => exec.run(inside(machine, argv), { ...more, env: { ...env, ...more.env } }),
    close: async () => undefined,
  })

  /** A host name, /run, /etc/hosts and processes of its own, in a network namespace that is there. */
  const boot = async (machine: string, inNetns: string, signal: AbortSignal): Promise<void> => {
    const ready = join(dir, 'ready', machine)
    const script = `set -e
hostname "$1"; mount -t tmpfs -o size=64m,mode=755 tmpfs /run; mkdir /run/lock; mount --bind "$2" /etc/hosts
: >"$3"
${INIT}`
    const init = await keep(
      machine,
      [
        'nsenter',
        `--net=/run/netns/${inNetns}`,
        'unshare',
        '--mount',
        '--uts',
        '--ipc',
        '--pid',
        '--fork',
        '--kill-child',
        '--mount-proc',
        '--propagation',
        'slave',
        'sh',
        '-c',
        script,
        'sh',
        machine,
        hostsFile,
        ready,
      ],
      signal,
    )
    inits.set(machine, init)
    const exists = async () => (await exec.run(['test', '-e', ready], { signal })).exitCode === 0
    await until(`boot of ${machine}`, exists, UP_MS, signal)
  }

  const makeMachine = async (name: string, address: string, signal: AbortSignal): Promise<LabMachine> => {
    const own = netnsName(runId, name)
    notes.write({ kind: 'netns', name: own })
    await run(['ip', 'netns', 'add', own], signal)
    await run(
      ['ip', '-n', netns, 'link', 'add', `v-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', own],
      signal,
    )
    await run(['ip', '-n', netns, 'link', 'set', `v-${name}`, 'master', 'br0', 'up'], signal)
    await run(['ip', '-n', own, 'link', 'set', 'lo', 'up'], signal)
    await run(['ip', '-n', own, 'addr', 'add', `${address}/24`, 'dev', 'eth0'], signal)
    await run(['ip', '-n', own, 'link', 'set', 'eth0', 'up'], signal)
    await boot(name, own, signal)
    return {
      name,
      address,
      exec: executorOf(name),
      async kill() {
        await end([inits.get(name) ?? 0])
        inits.delete(name)
        const forever = new AbortController().signal
        if (netnsOf(runId).includes(own)) await run(['ip', 'netns', 'del', own], forever)
      },
    }
  }

  const end = async (pids: readonly number[]): Promise<void> => {
    for (const pid of pids) endProcess(pid)
    await until('the end of processes', () => pids.every((pid) => pid === 0 || !isAlive(pid)), GONE_MS)
  }

  const lab: SlurmLab = {
    runId,
    dir,
    confFile,
    hostsFile,
    netns,
    bridge: 'br0',
    partition: 'dyn',
    feature: 'dynf',
    watchPaths: [
      ...Array.from({ length: 10 }, (_, at) => join(dir, 'state', `hash.${at}`)),
      join(dir, 'log', 'jobcomp.txt'),
    ],
    onHead: executorOf('head'),
    throughHead: () => inside('head', ['env']),

    async up(signal) {
      for (const folder of ['munge', 'state', 'log', 'jobs', 'ready']) mkdirSync(join(dir, folder))
      chmodSync(dir, 0o755)
      chmodSync(join(dir, 'munge'), 0o711)
      chmodSync(join(dir, 'jobs'), 0o1777)
      notes.write({ kind: 'run', runId })
      writeFileSync(join(dir, 'munge', 'key'), randomBytes(128), { mode: 0o600 })
      writeFileSync(hostsFile, hostsText())
      writeFileSync(
        confFile,
        slurmConfText({
          dir,
          slurmdTimeoutSeconds: options.slurmdTimeoutSeconds ?? 10,
          extraConf: options.extraConf ?? [],
        }),
      )
      writeFileSync(join(dir, 'epilog.sh'), epilogText(dir), { mode: 0o755 })
      lab.setEpilogSeconds(options.epilogSeconds ?? 0)

      notes.write({ kind: 'netns', name: netns })
      await run(['ip', 'netns', 'add', netns], signal)
      await run(['ip', '-n', netns, 'link', 'set', 'lo', 'up'], signal)
      await run(['ip', '-n', netns, 'link', 'add', 'br0', 'type', 'bridge'], signal)
      await run(['ip', '-n', netns, 'addr', 'add', `${HEAD_ADDRESS}/24`, 'dev', 'br0'], signal)
      await run(['ip', '-n', netns, 'link', 'set', 'br0', 'up'], signal)
      await boot('head', netns, signal)

      const at = (name: string): string => join(dir, 'munge', name)
      await keep(
        'munged',
        inside('head', [
          'munged',
          '--foreground',
          `--key-file=${at('key')}`,
          `--socket=${at('s')}`,
          `--pid-file=${at('pid')}`,
          `--log-file=${at('log')}`,
          `--seed-file=${at('seed')}`,
        ]),
        signal,
      )
      const mungeAnswers = async () =>
        (await lab.onHead.run(['munge', `--socket=${at('s')}`, '--no-input'], { signal })).exitCode === 0
      await until('the start of munged', mungeAnswers, UP_MS, signal)
      await lab.startController({ cold: true }, signal)

      const own = await makeMachine('static1', STATIC_ADDRESS, signal)
      await run(inside(own.name, ['sh', '-c', 'slurmd -N static1 </dev/null >/run/slurmd.out 2>&1']), signal)
      const isIdle = async () =>
        (await lab.onHead.run(['sinfo', '-h', '-n', 'static1', '-o', '%t'], { signal })).stdout.trim() ===
        'idle'
      await until('the registration of static1', isIdle, UP_MS, signal)
    },

    async submit(script, { args = [], uid }, signal) {
      const as = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
      const sbatch = [
        'sbatch',
        '--parsable',
        '-D',
        join(dir, 'jobs'),
        '-o',
        join(dir, 'jobs', '%j.out'),
        ...args,
      ]
      const [program = 'sbatch', ...rest] = [...as, ...sbatch]
      const input = script.startsWith('#!') ? script : `#!/bin/sh\n${script}\n`
      const done = await lab.onHead.run([program, ...rest], { signal, input })
      if (done.exitCode !== 0) throw new SubletError('exec-failed', `lab: sbatch: ${done.stderr.trim()}`)
      return done.stdout.trim().split(';')[0] ?? ''
    },

    async killController() {
      if (controllerPid !== undefined) await end([controllerPid])
      controllerPid = undefined
    },

    async startController({ cold = false }, signal) {
      if (controllerPid !== undefined && isAlive(controllerPid)) return
      controllerPid = await keep(
        'slurmctld',
        inside('head', ['slurmctld', '-D', ...(cold ? ['-c'] : [])]),
        signal,
      )
      const answers = async () =>
        (await lab.onHead.run(['scontrol', 'ping'], { signal })).stdout.includes(' UP')
      await until('the start of slurmctld', answers, UP_MS, signal)
    },

    setEpilogSeconds: (seconds) => writeFileSync(join(dir, 'epilog-seconds'), `${seconds}\n`),
    jobRecords: () => readJobRecords(join(dir, 'log', 'jobcomp.txt')),
    machine: (slot, signal) => makeMachine(slotName(slot), slotAddress(slot), signal),
    down: () => sweep(dir, { exec, clock }),
    leftovers: () => leftoversOf(runId, dir),
  }
  return lab
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
