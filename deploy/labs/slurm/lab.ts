import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../actors/runtime/clock.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { isAlive, type Leftovers, leftoversOf } from '../leftovers.ts'
import { type LabGround, type LabMachine, labGround, sweep } from '../namespaces.ts'
import { accountsConf, startAccounts } from './accounts.ts'
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
  /** With slurmdbd, accounts and preemption; needs Debian's slurmdbd and mariadb-server-core, too. */
  readonly accounts?: boolean
  /** Words before the head's munged and slurmctld, such as `env FAKETIME=+600s …`. */
  readonly daemonsThrough?: readonly string[]
  /**
   * A ground that it shares with other middleware, with `slurmEnv` in its environment and the names of
   * `hostsText` in its hosts file. Whoever made it has brought it up, and ends it; the admin has no node there.
   */
  readonly ground?: LabGround
}

export interface SubmitOptions {
  /** Options of sbatch, such as `--nodes=2`. */
  readonly args?: readonly string[]
  /** Submits as this user instead of root. */
  readonly uid?: number
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

const confFileIn = (dir: string): string => join(dir, 'slurm.conf')

/** Environment of everything that speaks to the Slurm in this folder. */
export const slurmEnv = (dir: string): Readonly<Record<string, string>> => ({
  SLURM_CONF: confFileIn(dir),
  TZ: 'UTC',
  LC_ALL: 'C',
})

export function slurmLab(options: SlurmLabOptions): SlurmLab {
  const { dir, runId, exec, clock, daemonsThrough = [] } = options
  const confFile = confFileIn(dir)
  const hostsFile = join(dir, 'hosts')
  const ground =
    options.ground ??
    labGround({ dir, runId, exec, clock, headAddress: HEAD_ADDRESS, hostsFile, env: slurmEnv(dir) })
  const { run, keep, inside } = ground
  const daemon = (program: string, ...words: readonly string[]): readonly [string, ...string[]] => {
    const [first = program, ...rest] = [...daemonsThrough, program, ...words]
    return inside('head', [first, ...rest])
  }
  let controllerPid: number | undefined

  const lab: SlurmLab = {
    runId,
    dir,
    confFile,
    hostsFile,
    netns: ground.netns,
    bridge: 'br0',
    partition: 'dyn',
    feature: 'dynf',
    watchPaths: [
      ...Array.from({ length: 10 }, (_, at) => join(dir, 'state', `hash.${at}`)),
      join(dir, 'log', 'jobcomp.txt'),
    ],
    onHead: ground.on('head'),
    // What is faked for Sublet itself, such as its clock, is not for the head.
    throughHead: () => inside('head', ['env', '-u', 'LD_PRELOAD']),

    async up(signal) {
      for (const folder of ['munge', 'state', 'log', 'jobs', 'ready']) mkdirSync(join(dir, folder))
      chmodSync(dir, 0o755)
      chmodSync(join(dir, 'munge'), 0o711)
      chmodSync(join(dir, 'jobs'), 0o1777)
      if (options.ground === undefined) ground.notes.write({ kind: 'run', runId })
      writeFileSync(join(dir, 'munge', 'key'), randomBytes(128), { mode: 0o600 })
      writeFileSync(hostsFile, hostsText())
      writeFileSync(
        confFile,
        slurmConfText({
          dir,
          slurmdTimeoutSeconds: options.slurmdTimeoutSeconds ?? 10,
          extraConf: [...(options.accounts ? accountsConf(dir) : []), ...(options.extraConf ?? [])],
        }),
      )
      writeFileSync(join(dir, 'epilog.sh'), epilogText(dir), { mode: 0o755 })
      lab.setEpilogSeconds(options.epilogSeconds ?? 0)

      if (options.ground === undefined) await ground.up(signal)

      const at = (name: string): string => join(dir, 'munge', name)
      await keep(
        'munged',
        daemon(
          'munged',
          '--foreground',
          `--key-file=${at('key')}`,
          `--socket=${at('s')}`,
          `--pid-file=${at('pid')}`,
          `--log-file=${at('log')}`,
          `--seed-file=${at('seed')}`,
        ),
        signal,
      )
      const mungeAnswers = async () =>
        (await lab.onHead.run(['munge', `--socket=${at('s')}`, '--no-input'], { signal })).exitCode === 0
      await ground.until('the start of munged', mungeAnswers, signal)
      if (options.accounts) await startAccounts(dir, ground, signal)
      await lab.startController({ cold: true }, signal)
      if (options.ground !== undefined) return

      const own = await ground.machine('static1', STATIC_ADDRESS, signal)
      await run(inside(own.name, ['sh', '-c', 'slurmd -N static1 </dev/null >/run/slurmd.out 2>&1']), signal)
      const isIdle = async () =>
        (await lab.onHead.run(['sinfo', '-h', '-n', 'static1', '-o', '%t'], { signal })).stdout.trim() ===
        'idle'
      await ground.until('the registration of static1', isIdle, signal)
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
      if (controllerPid !== undefined) await ground.end([controllerPid])
      controllerPid = undefined
    },

    async startController({ cold = false }, signal) {
      if (controllerPid !== undefined && isAlive(controllerPid)) return
      controllerPid = await keep('slurmctld', daemon('slurmctld', '-D', ...(cold ? ['-c'] : [])), signal)
      const answers = async () =>
        (await lab.onHead.run(['scontrol', 'ping'], { signal })).stdout.includes(' UP')
      await ground.until('the start of slurmctld', answers, signal)
    },

    setEpilogSeconds: (seconds) => writeFileSync(join(dir, 'epilog-seconds'), `${seconds}\n`),
    jobRecords: () => readJobRecords(join(dir, 'log', 'jobcomp.txt')),
    machine: (slot, signal) => ground.machine(slotName(slot), slotAddress(slot), signal),
    down: () => sweep(dir, { exec, clock }),
    leftovers: () => leftoversOf(runId, dir),
  }
  return lab
}
