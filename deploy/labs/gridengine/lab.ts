import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../actors/runtime/clock.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { isAlive, type Leftovers, leftoversOf } from '../leftovers.ts'
import { type LabGround, type LabMachine, labGround, sweep } from '../namespaces.ts'
import {
  bootstrapText,
  COMPLEXES,
  configurationText,
  environmentText,
  epilogText,
  HEAD_ADDRESS,
  hostGroupText,
  hostsText,
  hostText,
  queueText,
  STATIC_ADDRESS,
  schedulerText,
  slotAddress,
  slotName,
} from './conf.ts'

/**
 * A GridEngine cell of its own in network namespaces, started and ended by one call each. Needs root and
 * Debian's gridengine-master, gridengine-exec and iproute2. Nothing in it can be reached from outside.
 *
 *   network namespace sublet-RUN ── br0 10.89.0.1/24 ──┬── static1 10.89.0.11  (the admin's own host)
 *     sge_qmaster (host name head)                     └── g1..g60 10.89.0.101..  (who brings machines)
 *
 * The cell lies in the lab's folder, which every machine sees. The queue `dyn` has the host group
 * `@sublet`, which is empty, and the head as a host without slots or daemon; `static.q` has static1.
 */
export interface GridengineLabOptions {
  /** An empty folder of the caller's. Seen by every machine. */
  readonly dir: string
  /** 1 to 8 lower-case letters and digits, unique on this machine. */
  readonly runId: string
  /** Runs commands on this machine, as root. */
  readonly exec: Executor
  readonly clock: Clock
  readonly epilogSeconds?: number
  /** More lines of the global configuration, and of the scheduler's. */
  readonly configuration?: Readonly<Record<string, string>>
  readonly scheduler?: Readonly<Record<string, string>>
  /**
   * A ground that it shares with other middleware, with `gridengineEnv` in its environment. Whoever made it
   * has brought it up, and ends it; the admin has no host there but the head.
   */
  readonly ground?: LabGround
}

export interface GridengineLab {
  readonly dir: string
  /** SGE_ROOT. */
  readonly root: string
  /** Where the programs are. */
  readonly bin: string
  readonly queue: 'dyn'
  readonly hostGroup: '@sublet'
  /** Runs commands where qmaster runs, with SGE_ROOT and SGE_CELL set. */
  readonly onHead: Executor
  /** What to put before a command so that it runs there, for a process that has only the words. */
  throughHead(): readonly string[]
  up(signal: AbortSignal): Promise<void>
  /** A command line on the head; anything but exit 0 is an error. */
  shell(line: string, signal: AbortSignal): Promise<string>
  /** Returns the job's id. */
  submit(script: string, args: readonly string[], signal: AbortSignal): Promise<string>
  killMaster(): Promise<void>
  startMaster(signal: AbortSignal): Promise<void>
  setEpilogSeconds(seconds: number): void
  /** A bare machine with the name and address of this slot. */
  machine(slot: number, signal: AbortSignal): Promise<LabMachine>
  /** Ends everything; the folder stays. May be repeated. */
  down(): Promise<void>
  leftovers(): Leftovers
}

const BIN = '/usr/lib/gridengine'

const rootIn = (dir: string): string => join(dir, 'root')

/** Environment of everything that speaks to the cell in this folder. */
export const gridengineEnv = (dir: string): Readonly<Record<string, string>> => ({
  SGE_ROOT: rootIn(dir),
  SGE_CELL: 'default',
  SGE_ARCH: 'lx-amd64',
  SGE_SINGLE_LINE: '1',
  SGE_ND: '1',
  TZ: 'UTC',
  LC_ALL: 'C',
  PATH: `${BIN}:/usr/sbin:/usr/bin:/sbin:/bin`,
})

export function gridengineLab(options: GridengineLabOptions): GridengineLab {
  const { dir, runId, exec, clock } = options
  const root = rootIn(dir)
  const common = join(root, 'default', 'common')
  const hostsFile = join(dir, 'hosts')
  const ground =
    options.ground ??
    labGround({ dir, runId, exec, clock, headAddress: HEAD_ADDRESS, hostsFile, env: gridengineEnv(dir) })
  const { keep, inside } = ground
  const onHead = ground.on('head')
  let masterPid: number | undefined

  /** An object of qconf, from a text. */
  const object = async (option: string, text: string, signal: AbortSignal): Promise<void> => {
    const file = join(dir, 'object')
    writeFileSync(file, text)
    await lab.shell(`qconf ${option} ${file}`, signal)
  }

  const makeCell = async (signal: AbortSignal): Promise<void> => {
    for (const folder of [
      'root',
      'root/default',
      'root/default/common',
      'spooldb',
      'qmaster',
      'qmaster/job_scripts',
    ])
      mkdirSync(join(dir, folder))
    for (const name of ['bin', 'lib', 'util', 'utilbin'])
      symlinkSync(join('/var/lib/gridengine', name), join(root, name))
    writeFileSync(join(common, 'bootstrap'), bootstrapText(dir))
    writeFileSync(join(common, 'act_qmaster'), 'head\n')
    const configuration = join(dir, 'configuration')
    writeFileSync(configuration, configurationText(dir, options.configuration))
    const resources = '/usr/share/gridengine/util/resources'
    await lab.shell(
      [
        `spoolinit berkeleydb libspoolb ${dir}/spooldb init`,
        `spooldefaults configuration ${configuration}`,
        `spooldefaults complexes ${resources}/centry`,
        `spooldefaults usersets ${resources}/usersets`,
        'spooldefaults managers root',
      ].join(' && '),
      signal,
    )
  }

  const makeObjects = async (signal: AbortSignal): Promise<void> => {
    const complexes = join(dir, 'complexes')
    await lab.shell(
      `qconf -sc | grep -v '^#' >${complexes} && printf '%s\\n' ${COMPLEXES.map((each) => `'${each}'`).join(' ')} >>${complexes} && qconf -Mc ${complexes}`,
      signal,
    )
    await object('-Msconf', schedulerText(options.scheduler), signal)
    for (const [name, rule] of [
      ['smp', '$pe_slots'],
      ['one', '1'],
      ['two', '2'],
      ['fill', '$fill_up'],
      ['round', '$round_robin'],
    ] as const)
      await object('-Ap', environmentText(name, rule), signal)
    await object('-Ahgrp', hostGroupText('@sublet', 'NONE'), signal)
    await lab.shell(`qconf -as head${options.ground === undefined ? ' && qconf -ah static1' : ''}`, signal)
    // GridEngine refuses jobs that name a queue in which there is no host at all.
    await object('-Ae', hostText('head', 'NONE'), signal)
    const pe_list = 'smp one two fill round'
    await object(
      '-Aq',
      queueText('dyn', 'head @sublet', { pe_list, rerun: 'TRUE', slots: '1,[head=0]' }),
      signal,
    )
  }

  const lab: GridengineLab = {
    dir,
    root,
    bin: BIN,
    queue: 'dyn',
    hostGroup: '@sublet',
    onHead,
    throughHead: () => inside('head', ['env']),

    async up(signal) {
      for (const folder of ['log', 'ready']) mkdirSync(join(dir, folder))
      chmodSync(dir, 0o755)
      if (options.ground === undefined) ground.notes.write({ kind: 'run', runId })
      writeFileSync(hostsFile, hostsText())
      writeFileSync(join(dir, 'epilog.sh'), epilogText(dir), { mode: 0o755 })
      lab.setEpilogSeconds(options.epilogSeconds ?? 0)
      if (options.ground === undefined) await ground.up(signal)
      await makeCell(signal)
      await lab.startMaster(signal)
      await makeObjects(signal)
      if (options.ground !== undefined) return

      await ground.machine('static1', STATIC_ADDRESS, signal)
      await keep('execd-static1', inside('static1', ['sge_execd']), signal)
      const isHeard = async () => /^static1 +lx-amd64/m.test((await onHead.run(['qhost'], { signal })).stdout)
      await ground.until('the registration of static1', isHeard, signal)
      await object('-Aq', queueText('static.q', 'static1', { slots: '2' }), signal)
    },

    async shell(line, signal) {
      const done = await onHead.run(['bash', '-c', line], { signal })
      if (done.exitCode !== 0)
        throw new SubletError(
          'exec-failed',
          `lab: “${line}” ended with ${done.exitCode}: ${done.stderr}${done.stdout}`,
        )
      return done.stdout.trim()
    },

    async submit(script, args, signal) {
      const [program, ...words] = [
        'qsub',
        '-terse',
        '-o',
        '/dev/null',
        '-e',
        '/dev/null',
        '-wd',
        '/tmp',
        ...args,
      ]
      const done = await onHead.run([program ?? 'qsub', ...words], { signal, input: `${script}\n` })
      if (done.exitCode !== 0) throw new SubletError('exec-failed', `lab: qsub: ${done.stderr}${done.stdout}`)
      return done.stdout.trim().split('.')[0] ?? ''
    },

    async killMaster() {
      if (masterPid !== undefined) await ground.end([masterPid])
      masterPid = undefined
    },

    async startMaster(signal) {
      if (masterPid !== undefined && isAlive(masterPid)) return
      masterPid = await keep('qmaster', inside('head', ['sge_qmaster']), signal)
      const answers = async () => (await onHead.run(['qconf', '-sss'], { signal })).exitCode === 0
      await ground.until('the start of sge_qmaster', answers, signal)
    },

    setEpilogSeconds: (seconds) => writeFileSync(join(dir, 'epilog-seconds'), `${seconds}\n`),
    machine: (slot, signal) => ground.machine(slotName(slot), slotAddress(slot), signal),
    down: () => sweep(dir, { exec, clock }),
    leftovers: () => leftoversOf(runId, dir),
  }
  return lab
}
