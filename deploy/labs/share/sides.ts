import { join } from 'node:path'
import type { Clock, Instant } from '../../../actors/runtime/clock.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import { hostText } from '../gridengine/conf.ts'
import { type GridengineLab, gridengineLab } from '../gridengine/lab.ts'
import type { LabGround } from '../namespaces.ts'
import { type SlurmLab, type SlurmLabOptions, slurmLab } from '../slurm/lab.ts'
import { Observer } from '../slurm/observer.ts'
import { type AccountedEnd, readGridengineEnds } from './accounting.ts'
import type { NotedJob } from './figures.ts'
import type { SideName } from './outside.ts'

/** One of the two that share the machines: a real middleware, its jobs, and what it writes down of them. */
export interface Side {
  readonly name: SideName
  up(signal: AbortSignal): Promise<void>
  /** A job that takes a whole machine for so long. */
  submit(seconds: number, signal: AbortSignal): Promise<NotedJob>
  /** Its jobs, in order, with what they noted until now. */
  jobs(): readonly NotedJob[]
  ends(): readonly AccountedEnd[]
  /** Takes the machine for good, as a cluster without Sublet has it. */
  addFixed(machine: string, signal: AbortSignal): Promise<void>
  /** Forgets it; its power has been cut. */
  removeFixed(machine: string, signal: AbortSignal): Promise<void>
}

/** Of this run's two middleware, the options that are the same. */
export type SideOptions = Pick<SlurmLabOptions, 'runId' | 'exec'> & {
  readonly dir: string
  readonly clock: Clock
  readonly ground: LabGround
  /** Each job writes into a file there. */
  readonly notes: string
}

/** A job's submissions as they are made, and its runs from its own notes. */
class Submissions {
  readonly #observer: Observer
  readonly #made: { readonly id: string; readonly at: Instant }[] = []

  constructor(observer: Observer) {
    this.#observer = observer
  }

  add(id: string, at: Instant): NotedJob {
    this.#made.push({ id, at })
    return { id, at, runs: [] }
  }

  all(): readonly NotedJob[] {
    return this.#made.map(({ id, at }) => ({ id, at, runs: this.#observer.runs(id) }))
  }
}

export function slurmSide(options: SideOptions): Side & { readonly lab: SlurmLab } {
  const { clock, ground, dir, notes } = options
  const lab = slurmLab(options)
  const observer = new Observer(notes)
  const submissions = new Submissions(observer)
  const shell = async (line: string, signal: AbortSignal): Promise<string> => {
    const done = await lab.onHead.run(['sh', '-c', line], { signal })
    if (done.exitCode !== 0) throw new SubletError('exec-failed', `lab: ${line}: ${done.stderr.trim()}`)
    return done.stdout.trim()
  }
  return {
    name: 'slurm',
    lab,
    up: (signal) => lab.up(signal),
    async submit(seconds, signal) {
      const at = clock.now()
      const args = ['-p', lab.partition, '-n1', '-c2', '-t', '1']
      return submissions.add(await lab.submit(observer.script(`sleep ${seconds}`), { args }, signal), at)
    },
    jobs: () => submissions.all(),
    ends: () => lab.jobRecords().map(({ jobId, state }) => ({ jobId, ok: state === 'COMPLETED' })),
    async addFixed(machine, signal) {
      const conf = `CPUs=2 RealMemory=900 Feature=${lab.feature}`
      const slurmd = ['slurmd', '-Z', '-N', machine, '--conf', conf]
      const words = ['sh', '-c', '"$@" </dev/null >/run/slurmd.out 2>&1', 'sh', ...slurmd]
      await ground.run(ground.inside(machine, ['env', `SLURM_CONF=${lab.confFile}`, ...words]), signal)
      const isIdle = async () => (await shell(`sinfo -h -n ${machine} -o %t`, signal)) === 'idle'
      await ground.until(`the registration of ${machine}`, isIdle, signal)
    },
    async removeFixed(machine, signal) {
      await shell(`scontrol update nodename=${machine} state=down reason=over`, signal)
      const isGone = async () =>
        (await lab.onHead.run(['scontrol', 'delete', `nodename=${machine}`], { signal })).exitCode === 0
      await ground.until(`the end of ${machine} in ${dir}`, isGone, signal)
    },
  }
}

/** Sets what tells a GridEngine job from others, for its notes. */
const GRIDENGINE_JOB = `id=$JOB_ID
attempt=\${RESTARTED:-0}`

export function gridengineSide(options: SideOptions): Side & { readonly lab: GridengineLab } {
  const { clock, ground, dir, notes } = options
  const lab = gridengineLab(options)
  const observer = new Observer(notes)
  const submissions = new Submissions(observer)
  return {
    name: 'gridengine',
    lab,
    up: (signal) => lab.up(signal),
    async submit(seconds, signal) {
      const at = clock.now()
      const args = ['-q', lab.queue, '-pe', 'smp', '2', '-l', 'h_rt=60', '-r', 'y']
      const script = observer.script(`sleep ${seconds}`, GRIDENGINE_JOB)
      return submissions.add(await lab.submit(script, args, signal), at)
    },
    jobs: () => submissions.all(),
    ends: () => readGridengineEnds(join(lab.root, 'default', 'common', 'accounting')),
    async addFixed(machine, signal) {
      const file = join(dir, `host-${machine}`)
      await lab.shell(
        [
          `cat >${file} <<'END'\n${hostText(machine, 'NONE')}END`,
          `qconf -Ae ${file}`,
          `qconf -rattr queue slots '[${machine}=2]' ${lab.queue}`,
          `qconf -aattr hostgroup hostlist ${machine} ${lab.hostGroup}`,
          `qconf -ah ${machine}`,
        ].join('\n'),
        signal,
      )
      await ground.keep(`execd-${machine}`, ground.inside(machine, ['sge_execd']), signal)
      const isHeard = async () =>
        new RegExp(`^${machine} +lx-amd64`, 'm').test(await lab.shell('qhost', signal))
      await ground.until(`the registration of ${machine}`, isHeard, signal)
    },
    async removeFixed(machine, signal) {
      await lab.shell(
        `qconf -dattr hostgroup hostlist ${machine} ${lab.hostGroup}; qconf -purge queue slots ${lab.queue}@${machine}; true`,
        signal,
      )
      const isGone = async () =>
        !(await lab.shell(`qconf -dh ${machine}; qconf -de ${machine}; qconf -sel`, signal))
          .split('\n')
          .includes(machine)
      await ground.until(`the end of ${machine} in ${dir}`, isGone, signal)
    },
  }
}
