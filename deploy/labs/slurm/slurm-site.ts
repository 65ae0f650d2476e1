import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, deadline, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../../actors/runtime/commit.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import { localExecutor } from '../../../adapters/exec/local.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { entriesOf, openLedgers, verifyAll } from '../../ledgers.ts'
import { type RunReport, readTrails, reportOf } from '../../report.ts'
import { Jobs } from './jobs.ts'
import { historiesOf } from './histories.ts'
import { RUN_VARIABLE } from './leftovers.ts'
import { type SlurmLab, slurmLab } from './lab.ts'
import { machineStories } from './machine-stories.ts'
import { Observer } from './observer.ts'
import { siteText } from './site-text.ts'
import { SubletProcess } from './sublet-process.ts'

export interface SlurmSiteOptions {
  readonly clock: Clock
  /** What this Node runs as Sublet; the configuration's file is put behind it. */
  readonly entry: readonly string[]
  readonly max: number
  readonly termSeconds: number
  readonly epilogSeconds: number
  /** Progress, a line each. */
  readonly say: (line: string) => void
}

const POLL_MS: Millis = 100
const ADMIN_REASON = 'disk swap, ask Jo'

/** What is left of a run, counted from outside. */
export interface Orphans {
  readonly processes: number
  readonly netns: number
  readonly mounts: number
  readonly cgroups: number
  readonly interfaces: number
  readonly nodes: number
}

/**
 * A Slurm cluster without nodes and a Sublet of its own process that feeds it. Everything is watched
 * from outside of both.
 */
export class SlurmSite {
  readonly lab: SlurmLab
  readonly sublet: SubletProcess
  readonly jobs: Jobs
  readonly observer: Observer
  readonly dir: string
  readonly workDir: string
  readonly exec: Executor
  readonly clock: Clock
  peak = 0
  /** Sentences about a node that two machines claim, seen at any poll. */
  readonly doubleHolds: string[] = []
  readonly #say: (line: string) => void
  readonly #stop = new AbortController()
  #sampling: Promise<void> = Promise.resolve()

  constructor(options: SlurmSiteOptions) {
    const { clock, entry, max, termSeconds, epilogSeconds, say } = options
    this.clock = clock
    this.#say = say
    this.dir = mkdtempSync(join(tmpdir(), 'grid-'))
    // munge wants its socket to be reachable by all.
    chmodSync(this.dir, 0o755)
    const runId = this.dir.slice(-6).toLowerCase().replaceAll(/[^a-z0-9]/g, '0')
    process.env[RUN_VARIABLE] = runId
    this.exec = localExecutor({ clock })
    const labDir = join(this.dir, 'lab')
    mkdirSync(labDir)
    this.lab = slurmLab({ dir: labDir, runId, exec: this.exec, clock, epilogSeconds })
    this.workDir = join(this.dir, 'w')
    const key = join(this.dir, 'guest-key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    this.observer = new Observer(join(labDir, 'notes'))
    this.jobs = new Jobs(this.lab, this.observer, () => clock.now())
    const config = join(this.dir, 'site.yaml')
    this.sublet = new SubletProcess([...entry, config], this.workDir, join(this.dir, 'sublet.out'), clock)
    this.#text = () =>
      writeFileSync(
        config,
        siteText({
          lab: this.lab,
          dir: this.workDir,
          privateKeyFile: key,
          publicKey: readFileSync(`${key}.pub`, 'utf8').trim(),
          max,
          termSeconds,
        }),
      )
  }

  readonly #text: () => void

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Slurm, the admin's drained node, then Sublet. */
  async up(): Promise<void> {
    await this.lab.up(this.signal)
    await this.#onHead(['scontrol', 'update', 'nodename=static1', 'state=drain', `reason=${ADMIN_REASON}`])
    this.#text()
    await this.sublet.up()
    this.#sampling = this.#sample()
    this.#say('slurmctld and Sublet are up; the partition has no node')
  }

  /** Whether the admin's drain is as the admin left it. */
  async adminsDrainStands(): Promise<boolean> {
    const text = await this.#onHead(['scontrol', '-o', 'show', 'node', 'static1'])
    return text.includes('DRAIN') && text.includes(ADMIN_REASON)
  }

  /** Nodes that the partition has, by name. */
  async nodes(): Promise<string[]> {
    const text = await this.#onHead(['sinfo', '-h', '-N', '-p', this.lab.partition, '-o', '%N'])
    return [...new Set(text.split('\n').filter((name) => /^n\d+$/.test(name)))]
  }

  async until(what: string, holds: () => Promise<boolean> | boolean, withinMs: Millis): Promise<void> {
    const late = (): Error => new SubletError('deadline-missed', `${what} did not come within ${withinMs / 1000} s`)
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

  allDone(ids: readonly string[]): boolean {
    return ids.every((id) => this.observer.isDone(id))
  }

  /** The admin lets a held job go. Without a node in the partition Slurm does so and complains all the same. */
  async release(id: string): Promise<void> {
    const done = await this.lab.onHead.run(['scontrol', 'release', id], { signal: this.signal })
    if (done.exitCode !== 0 && !done.stderr.includes('not available now'))
      throw new SubletError('exec-failed', `lab: scontrol release ${id}: ${done.stderr.trim()}`)
  }

  async verdictsAndEntries() {
    const { ledgers, close } = await openLedgers(this.workDir)
    try {
      const entries: Record<string, LedgerEntry[]> = {}
      for (const ledger of ledgers) entries[ledger.name] = await entriesOf(ledger)
      return { verdicts: await verifyAll(ledgers), entries }
    } finally {
      await close()
    }
  }

  /** After Sublet has stopped. */
  async report(final: number, chart: string): Promise<RunReport> {
    const { verdicts, entries } = await this.verdictsAndEntries()
    const manager = entries['service-manager'] ?? []
    return reportOf({
      submitted: this.jobs.all.map((job) => job.id),
      histories: historiesOf(this.jobs.all, this.lab.jobRecords(), this.observer),
      trails: readTrails(this.observer.dir),
      machines: machineStories(manager, entries.rack ?? [], 'n'),
      nodes: { min: 0, peak: this.peak, final },
      managerEntries: manager,
      verdicts,
      chart,
    })
  }

  /** What belongs to machines of this run and is still there, by its marks alone. */
  async orphans(): Promise<Orphans> {
    const { processes, netns, mounts, cgroups } = this.lab.leftovers()
    const links = await this.exec.run(['ip', '-n', this.lab.netns, '-o', 'link'], { signal: this.signal })
    const interfaces = links.stdout.split('\n').filter((line) => line.includes('sublt')).length
    return { processes, netns, mounts, cgroups: cgroups + machineCgroups(), interfaces, nodes: (await this.nodes()).length }
  }

  /** Ends everything, whatever state it is in; may be repeated. */
  async down(keep: boolean): Promise<void> {
    this.#stop.abort(new Error('the lab ends'))
    await this.#sampling
    await this.sublet.kill()
    await this.lab.down()
    removeMachineCgroups()
    if (!keep) rmSync(this.dir, { recursive: true, force: true })
  }

  async #onHead(argv: readonly [string, ...string[]]): Promise<string> {
    const done = await this.lab.onHead.run(argv, { signal: this.signal })
    if (done.exitCode !== 0) throw new SubletError('exec-failed', `lab: ${argv.join(' ')}: ${done.stderr.trim()}`)
    return done.stdout
  }

  /** Looks at the partition from outside all the time. */
  async #sample(): Promise<void> {
    while (!this.signal.aborted) {
      try {
        const nodes = await this.nodes()
        this.peak = Math.max(this.peak, nodes.length)
        await sleep(this.clock, 250, this.signal)
      } catch (error) {
        // slurmctld may be down for a while: the kill tests see to that.
        if (!(error instanceof SubletError) && !this.signal.aborted) throw error
        if (!this.signal.aborted) await sleep(this.clock, 250)
      }
    }
  }
}

const CGROUP_ROOT = '/sys/fs/cgroup'
const ours = (name: string): boolean => name.startsWith('sublt-')

/** Machines' groups, whichever version of cgroups holds them. */
function machineGroups(): string[] {
  const controllers = readdirSync(CGROUP_ROOT, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const tops = [CGROUP_ROOT, ...controllers.map((entry) => join(CGROUP_ROOT, entry.name))]
  return tops.flatMap((top) =>
    readdirSync(top, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && ours(entry.name))
      .map((entry) => join(top, entry.name)),
  )
}

const childGroups = (group: string): string[] =>
  readdirSync(group, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(group, entry.name))

/** Groups of single machines; the empty group of the site above them is no machine. */
const machineCgroups = (): number => machineGroups().flatMap(childGroups).length

function removeMachineCgroups(): void {
  for (const group of machineGroups()) {
    for (const child of childGroups(group)) rmdirQuietly(child)
    rmdirQuietly(group)
  }
}

function rmdirQuietly(path: string): void {
  try {
    execFileSync('rmdir', [path], { stdio: 'ignore' })
  } catch {
    // Another run's machines may live in it; the count that follows says so.
  }
}
