import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, deadline, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../../actors/runtime/commit.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import { localExecutor } from '../../../adapters/exec/local.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { chart, type Sample, type Wave } from '../../reports/chart.ts'
import { entriesOf, openLedgers, verifyAll } from '../../reports/ledgers.ts'
import { type RunReport, readTrails, reportOf } from '../../reports/report.ts'
import { RUN_VARIABLE } from '../leftovers.ts'
import { SubletProcess } from '../sublet-process.ts'
import { historiesOf } from './histories.ts'
import { Jobs } from './jobs.ts'
import { type SlurmLab, slurmLab } from './lab.ts'
import { MachineGroups, machinePrefix } from './machine-groups.ts'
import { machineStories } from './machine-stories.ts'
import { Observer } from './observer.ts'
import { siteText } from './site-text.ts'

export interface SlurmSiteOptions {
  readonly clock: Clock
  readonly max: number
  readonly termSeconds: number
  readonly epilogSeconds: number
  /** Progress, a line each. */
  readonly say: (line: string) => void
  /** False: no samples for a chart, and Slurm is asked nothing on the side. A run that times things wants that. */
  readonly sampled?: boolean
  /** Public keys, one a line, of users who go from machine to machine. */
  readonly userKeys?: string
  /** Added to Sublet’s environment, and that of the commands that it runs. */
  readonly subletEnv?: Readonly<Record<string, string>>
}

const POLL_MS: Millis = 100
const SAMPLE_MS: Millis = 250
const ADMIN_REASON = 'disk swap, ask Jo'

/** What is left of a run, counted from outside by its marks alone. */
export interface Orphans {
  /** Machines that still have a process. */
  readonly machines: number
  readonly cgroups: number
  readonly interfaces: number
  readonly mounts: number
  readonly nodes: number
}

export const countOrphans = (orphans: Orphans): number =>
  Object.values(orphans).reduce((sum, count) => sum + count, 0)

/**
 * A Slurm cluster without nodes and a Sublet of its own process that feeds it. Both are watched from
 * outside: by what sinfo and squeue say, by what the jobs write down, by /proc and /sys/fs/cgroup.
 */
export class SlurmSite {
  readonly lab: SlurmLab
  readonly sublet: SubletProcess
  readonly jobs: Jobs
  readonly machines: MachineGroups
  readonly observer: Observer
  readonly dir: string
  readonly config: string
  readonly exec: Executor
  readonly clock: Clock
  readonly samples: Sample[] = []
  readonly waves: Wave[] = []
  /** Sentences about two machines that claimed one name, at any look. */
  readonly doubleHolds = new Set<string>()
  readonly #options: SlurmSiteOptions
  readonly #workDir: string
  readonly #stop = new AbortController()
  #sampling: Promise<void> = Promise.resolve()

  constructor(options: SlurmSiteOptions) {
    const { clock, epilogSeconds, subletEnv = {} } = options
    this.#options = options
    this.clock = clock
    this.dir = mkdtempSync(join(tmpdir(), 'grid-'))
    // munge wants its socket to be reachable by all.
    chmodSync(this.dir, 0o755)
    const runId = this.dir
      .slice(-6)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]/g, '0')
    process.env[RUN_VARIABLE] = runId
    this.exec = localExecutor({ clock })
    this.machines = new MachineGroups(machinePrefix(runId))
    const labDir = join(this.dir, 'lab')
    mkdirSync(labDir)
    this.lab = slurmLab({ dir: labDir, runId, exec: this.exec, clock, epilogSeconds })
    this.#workDir = join(this.dir, 'w')
    this.config = join(this.dir, 'site.yaml')
    this.observer = new Observer(join(labDir, 'notes'))
    this.jobs = new Jobs(this.lab, this.observer, () => clock.now())
    this.sublet = new SubletProcess(this.#workDir, join(this.dir, 'sublet.out'), clock, subletEnv)
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Slurm, the admin's drained node, then Sublet, which is started by these words of Node and the configuration. */
  async up(entry: readonly string[]): Promise<void> {
    const { max, termSeconds, say, sampled = true, userKeys } = this.#options
    await this.lab.up(this.signal)
    await this.#onHead(['scontrol', 'update', 'nodename=static1', 'state=drain', `reason=${ADMIN_REASON}`])
    const privateKeyFile = join(this.dir, 'guest-key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', privateKeyFile])
    const ownKey = readFileSync(`${privateKeyFile}.pub`, 'utf8').trim()
    const publicKey = [ownKey, ...(userKeys === undefined ? [] : [userKeys])].join('\n')
    writeFileSync(
      this.config,
      siteText({ lab: this.lab, dir: this.#workDir, privateKeyFile, publicKey, max, termSeconds }),
    )
    if (sampled) this.#sampling = this.#sample()
    this.runSublet(entry)
    say('slurmctld is up; the partition has no node')
  }

  runSublet(entry: readonly string[]): void {
    this.sublet.run([...entry, this.config])
  }

  markWave(name: string): void {
    this.waves.push({ name, at: this.clock.now() })
  }

  get peak(): number {
    return Math.max(0, ...this.samples.map((sample) => sample.joined + sample.leaving))
  }

  /** Whether the admin's drain is as the admin left it. */
  async adminsDrainStands(): Promise<boolean> {
    const text = await this.#onHead(['scontrol', '-o', 'show', 'node', 'static1'])
    return text.includes('DRAIN') && text.includes(ADMIN_REASON)
  }

  /** Nodes that the partition has, with their state. */
  async nodes(): Promise<{ readonly name: string; readonly state: string }[]> {
    const text = await this.#onHead(['sinfo', '-h', '-N', '-p', this.lab.partition, '-o', '%N %T'])
    const found = new Map<string, string>()
    for (const line of text.split('\n')) {
      const [name = '', state = ''] = line.split(' ')
      if (/^n\d+$/.test(name)) found.set(name, state)
    }
    return [...found].map(([name, state]) => ({ name, state }))
  }

  async until(what: string, holds: () => Promise<boolean> | boolean, withinMs: Millis): Promise<void> {
    const late = (): Error =>
      new SubletError('deadline-missed', `${what} did not come within ${withinMs / 1000} s`)
    const limit = deadline(this.clock, withinMs, late, this.signal)
    try {
      while (!(await holds())) await sleep(this.clock, POLL_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  /** Slurm has no job left that could still run. */
  async queueIsEmpty(): Promise<boolean> {
    return (await this.#onHead(['squeue', '-h', '-t', 'PD,R,CG,CF', '-o', '%i'])).trim() === ''
  }

  async poolIsEmpty(): Promise<boolean> {
    return (await this.nodes()).length === 0
  }

  allDone(ids: readonly string[]): boolean {
    return ids.every((id) => this.observer.isDone(id))
  }

  /** The admin lets a held job go. Without a node in the partition Slurm does so and complains all the same. */
  async release(id: string): Promise<void> {
    const done = await this.lab.onHead.run(['scontrol', 'release', id], { signal: this.signal })
    if (done.exitCode !== 0 && !done.stderr.includes('not available now'))
      throw new SubletError('exec-failed', `lab: scontrol release ${id}: ${done.stderr.trim()}`)
  }

  /** After Sublet has stopped. */
  async report(chartFile: string): Promise<RunReport> {
    const { ledgers, close } = await openLedgers(this.#workDir)
    try {
      const entries: Record<string, LedgerEntry[]> = {}
      for (const ledger of ledgers) entries[ledger.name] = await entriesOf(ledger)
      const manager = entries['service-manager'] ?? []
      writeFileSync(chartFile, chart({ title: 'Slurm lab', samples: this.samples, waves: this.waves }))
      return reportOf({
        submitted: this.jobs.all.map((job) => job.id),
        histories: historiesOf(this.jobs.all, this.lab.jobRecords(), this.observer),
        trails: readTrails(this.observer.dir),
        machines: machineStories(manager, entries.rack ?? [], 'n'),
        nodes: { min: 0, peak: this.peak, final: (await this.nodes()).length },
        managerEntries: manager,
        verdicts: await verifyAll(ledgers),
        chart: chartFile,
      })
    } finally {
      await close()
    }
  }

  async orphans(): Promise<Orphans> {
    const links = await this.exec.run(['ip', '-n', this.lab.netns, '-o', 'link'], { signal: this.signal })
    return {
      machines: this.machines.running().size,
      cgroups: this.machines.all().length,
      interfaces: links.stdout.split('\n').filter((line) => line.includes(machinePrefix(this.lab.runId)))
        .length,
      mounts: this.lab.leftovers().mounts,
      nodes: (await this.nodes()).length,
    }
  }

  /** Ends everything, whatever state it is in; may be repeated. */
  async down(keep: boolean): Promise<void> {
    this.#stop.abort(new SubletError('not-running', 'the lab ends'))
    await this.#sampling
    await this.sublet.kill()
    await this.lab.down()
    this.machines.removeEmpty()
    if (!keep) rmSync(this.dir, { recursive: true, force: true })
  }

  async #onHead(argv: readonly [string, ...string[]]): Promise<string> {
    const done = await this.lab.onHead.run(argv, { signal: this.signal })
    if (done.exitCode !== 0)
      throw new SubletError('exec-failed', `lab: ${argv.join(' ')}: ${done.stderr.trim()}`)
    return done.stdout
  }

  /** Looks all the time: the chart, and whether two machines that run ever bear one name. */
  async #sample(): Promise<void> {
    while (!this.signal.aborted) {
      try {
        this.#noticeDoubleHolds()
        this.samples.push(await this.#look())
        await sleep(this.clock, SAMPLE_MS, this.signal)
      } catch (error) {
        // slurmctld may be away: the kill tests see to that. The next look comes in a moment.
        if (!(error instanceof SubletError)) throw error
        if (!this.signal.aborted) await sleep(this.clock, SAMPLE_MS)
      }
    }
  }

  async #look(): Promise<Sample> {
    const [nodes, queue] = await Promise.all([
      this.nodes(),
      this.#onHead(['squeue', '-h', '-r', '-p', this.lab.partition, '-t', 'PD,R,CG,CF', '-o', '%t']),
    ])
    const states = queue.split('\n').filter(Boolean)
    const leaving = nodes.filter(({ state }) => state.startsWith('drain')).length
    return {
      at: this.clock.now(),
      waiting: states.filter((state) => state === 'PD').length,
      running: states.filter((state) => state !== 'PD').length,
      joined: nodes.length - leaving,
      coming: Math.max(0, this.machines.running().size - nodes.length),
      leaving,
    }
  }

  /** The host name of a machine is in its first process's environment or its address; its address is on one interface only. */
  #noticeDoubleHolds(): void {
    const byName = new Map<string, string>()
    for (const [mark, pids] of this.machines.running()) {
      const name = hostNameOf(pids[0] ?? 0)
      // A machine that is being made still bears the name of this host.
      if (name === undefined || !/^n\d+$/.test(name)) continue
      const other = byName.get(name)
      if (other !== undefined) this.doubleHolds.add(`${name} is run by ${other} and by ${mark}`)
      byName.set(name, mark)
    }
  }
}

/** As the process itself sees it; undefined if it has ended meanwhile. */
function hostNameOf(pid: number): string | undefined {
  try {
    return execFileSync('nsenter', [`--target=${pid}`, '--uts', 'hostname'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .toString()
      .trim()
  } catch {
    return undefined
  }
}
