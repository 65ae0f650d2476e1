import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, deadline, type Millis, sleep } from '../actors/runtime/clock.ts'
import { SubletError } from '../actors/runtime/errors.ts'
import type { Executor } from '../adapters/executor.ts'
import type { LabMachine } from '../deploy/labs/namespaces.ts'
import { slotAddress, slotName } from '../deploy/labs/slurm/conf.ts'
import { type SlurmLab, slurmLab } from '../deploy/labs/slurm/lab.ts'
import { Observer } from '../deploy/labs/slurm/observer.ts'

const SLOT = 1
const NODE = slotName(SLOT)
const PARTITION = 'cloud'
const POLL_MS: Millis = 100

/**
 * What Slurm brings along for the same purpose: a partition of a CLOUD node that power saving resumes
 * when a job waits, in a cluster of its own. In its favour the machine has booted long before and only
 * waits for its power button, a pipe, so that a resume costs no more than the start of slurmd.
 *
 *   slurmctld ── ResumeProgram ──“on”──▶ pipe ──▶ the machine starts slurmd
 *             └─ SuspendProgram ─“off”─▶ pipe ──▶ the machine kills slurmd
 *
 * slurmd is a child of the machine, not of ResumeProgram: from there it would inherit slurmctld's blocked
 * signals and outlive its next TERM.
 */
const CONF = [
  'SlurmctldParameters=idle_on_node_suspend,power_save_interval=1,power_save_min_interval=1',
  'SuspendTime=1',
  'SuspendTimeout=3',
  'ResumeTimeout=60',
  'SuspendRate=0',
  'ResumeRate=0',
  'SuspendExcNodes=static1',
  // Or a node that is powered down is not shown.
  'PrivateData=cloud',
  `NodeName=${NODE} NodeAddr=${slotAddress(SLOT)} CPUs=2 RealMemory=900 Feature=cloud State=CLOUD`,
  `PartitionName=${PARTITION} Nodes=${NODE} MaxTime=INFINITE State=UP`,
]

const programText = (dir: string, word: 'on' | 'off'): string => `#!/bin/sh
echo "$(date +%s%3N) ${word} $1" >>${dir}/log/power.log
for name in $(SLURM_CONF=${dir}/slurm.conf scontrol show hostnames "$1"); do echo ${word} >"${dir}/power/$name"; done
`

/**
 * Runs in the machine. The pipe is open for both, so that it has no end while nobody writes. `-b` reports a
 * boot, without which Slurm takes no resume for done. It reports whole seconds of uptime: one second, when
 * the clock ticks between start and registration, lies before the request, and Slurm would then wait for
 * a boot that has been; so it is started anew, at once, until it reports none.
 */
const buttonText = (pipe: string): string => `#!/bin/sh
exec 3<>${pipe}
on() {
  : >/run/slurmd.log
  slurmd -b -N ${NODE} -L /run/slurmd.log 3>&- </dev/null >>/run/slurmd.out 2>&1
  for i in $(seq 250); do grep -q Uptime= /run/slurmd.log && return; sleep 0.02; done
}
off() { [ -s /run/slurmd.pid ] && kill -KILL "$(cat /run/slurmd.pid)"; rm -f /run/slurmd.pid; }
while read -r word <&3; do
  case $word in
    on) for try in 1 2 3 4 5; do on; grep -q 'Uptime=0 ' /run/slurmd.log && break; off; done ;;
    off) off ;;
  esac
done
`

export class PowerSaving {
  readonly lab: SlurmLab
  readonly dir: string
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #stop = new AbortController()
  #machine: LabMachine | undefined

  constructor({ exec, clock }: { readonly exec: Executor; readonly clock: Clock }) {
    this.#clock = clock
    this.dir = mkdtempSync(join(tmpdir(), 'grid-'))
    chmodSync(this.dir, 0o755)
    const runId = this.dir
      .slice(-6)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]/g, '0')
    const labDir = join(this.dir, 'lab')
    mkdirSync(labDir)
    const extraConf = [...CONF, `ResumeProgram=${labDir}/resume.sh`, `SuspendProgram=${labDir}/suspend.sh`]
    this.lab = slurmLab({ dir: labDir, runId, exec, clock, epilogSeconds: 0, extraConf })
    this.#observer = new Observer(join(labDir, 'notes'))
    mkdirSync(join(labDir, 'power'))
    execFileSync('mkfifo', [join(labDir, 'power', NODE)])
    writeFileSync(join(labDir, 'resume.sh'), programText(labDir, 'on'), { mode: 0o755 })
    writeFileSync(join(labDir, 'suspend.sh'), programText(labDir, 'off'), { mode: 0o755 })
    writeFileSync(join(labDir, 'button.sh'), buttonText(join(labDir, 'power', NODE)), { mode: 0o755 })
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  async up(): Promise<void> {
    await this.lab.up(this.signal)
    this.#machine = await this.lab.machine(SLOT, this.signal)
    const button = ['sh', '-c', `setsid -f ${this.lab.dir}/button.sh </dev/null >/dev/null 2>&1`] as const
    await this.#run(this.#machine.exec, button)
  }

  /** Resolves to the job's id. */
  submit(work: string): Promise<string> {
    const args = ['-p', PARTITION, '-t', '5', '-N1', '-n1', '-c2']
    return this.lab.submit(this.#observer.script(work), { args }, this.signal)
  }

  runs(jobId: string): ReturnType<Observer['runs']> {
    return this.#observer.runs(jobId)
  }

  /** No job is left, Slurm says that the node is powered down, and no slurmd runs there. */
  async isEmpty(): Promise<boolean> {
    const onHead = (...argv: [string, ...string[]]) => this.#run(this.lab.onHead, argv)
    if ((await onHead('squeue', '-h', '-o', '%i')).trim() !== '') return false
    const state = /\bState=(\S+)/.exec(await onHead('scontrol', '-o', 'show', 'node', NODE))?.[1] ?? ''
    if (!/^IDLE\+CLOUD\+POWERED_DOWN$/.test(state)) return false
    return (await this.#slurmds()) === 0
  }

  /** What slurmctld and the two programs wrote down, each line with its instant. */
  log(): { readonly controller: string; readonly power: string } {
    const read = (name: string): string => readFileSync(join(this.lab.dir, 'log', name), 'utf8')
    return { controller: read('slurmctld.log'), power: read('power.log') }
  }

  async until(what: string, holds: () => Promise<boolean> | boolean, withinMs: Millis): Promise<void> {
    const late = (): Error =>
      new SubletError('deadline-missed', `${what} did not come within ${withinMs / 1000} s`)
    const limit = deadline(this.#clock, withinMs, late, this.signal)
    try {
      while (!(await holds())) await sleep(this.#clock, POLL_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  async down(keep: boolean): Promise<void> {
    this.#stop.abort(new SubletError('not-running', 'the lab ends'))
    await this.lab.down()
    if (!keep) rmSync(this.dir, { recursive: true, force: true })
  }

  async #slurmds(): Promise<number> {
    if (this.#machine === undefined) return 0
    const comms = await this.#run(this.#machine.exec, ['sh', '-c', 'cat /proc/[0-9]*/stat 2>/dev/null || :'])
    // A process that has ended and was not yet collected is none.
    return comms.split('\n').filter((line) => /\(slurmd\) [^ZX]/.test(line)).length
  }

  async #run(exec: Executor, argv: readonly [string, ...string[]]): Promise<string> {
    const done = await exec.run(argv, { signal: this.signal })
    if (done.exitCode === 0) return done.stdout
    throw new SubletError('exec-failed', `lab: ${argv.join(' ')}: ${done.stderr.trim()}`)
  }
}
