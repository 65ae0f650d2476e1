import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Clock, deadline, type Millis, sleep } from '../actors/runtime/clock.ts'
import { SubletError } from '../actors/runtime/errors.ts'
import { systemRandom } from '../actors/runtime/random.ts'
import { type BatchUser, batchUser, type Submission } from '../adapters/embedded/batch-client.ts'
import { batchSocketIn, endBatchServer, spawnBatchServer } from '../adapters/embedded/batch-server.ts'
import { makeFolder } from '../adapters/make-folder.ts'
import { EXIT, print, printJson, tell, whenNobodyReads } from './commands/terminal.ts'
import { ledgersOf } from './control/control.ts'
import { chart } from './reports/chart.ts'
import { historyOf } from './reports/job-history.ts'
import { entriesOf, type NamedLedger, openLedgers, verifyAll } from './reports/ledgers.ts'
import { type Recorder, recorder } from './reports/recorder.ts'
import { isSound, type RunReport, readTrails, reportOf, showReport } from './reports/report.ts'
import { leaveScreen, type View, view } from './reports/view.ts'
import { type Running, run } from './running.ts'
import { loadConfig } from './settings/settings-file.ts'
import { onInterrupt } from './signals.ts'
import { guardFolder } from './upkeep/folder-guard.ts'
import { makeNamedFolder } from './upkeep/make-folder.ts'
import { inspected } from './upkeep/work-folder.ts'

/**
 * A site of its own, with real jobs:
 *
 *   DIR/b          the embedded batch system, a process of its own: the guest's middleware
 *   DIR/site.yaml  the configuration        DIR/s   Sublet's work folder, with the machines
 *   DIR/observer   outside Sublet: each job writes its id and attempt into a file of its own
 *
 *   wave 1 ──▶ the pool grows ──▶ idle: it shrinks to its minimum ──▶ wave 2, wider ──▶ shrinks again
 */
export interface DemoOptions {
  readonly json?: true
  readonly once?: true
  readonly dir?: string
  readonly keep?: true
}

const POOL_MIN = 1
const POOL_MAX = 6
const STORY_MS_MAX: Millis = 180_000
const LOOK_MS: Millis = 50
/** A pool that is idle stays as it is for so long before the next wave comes. */
const REST_MS: Millis = 500

export async function demo(options: DemoOptions, clock: Clock): Promise<number> {
  const { dir, isOurs } = workIn(options.dir)
  const keep = options.keep === true || !isOurs
  const removeDir = (): void => {
    if (!keep) rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  const chartPath = chartFile(dir, keep, clock)
  const files = { batch: join(dir, 'b'), observer: join(dir, 'observer'), config: join(dir, 'site.yaml') }
  mkdirSync(files.observer)
  writeFileSync(files.config, siteText(batchSocketIn(files.batch)))
  const endGuard = guardFolder(dir, files.batch, !keep)
  try {
    const { socket } = await spawnBatchServer(files.batch, {}, clock)
    const user = batchUser(socket, clock)
    try {
      const warn = options.json && process.stderr.isTTY !== true ? undefined : tell
      const running = await run(loadConfig(files.config).settings, { clock, random: systemRandom(), warn })
      return await play(options, { dir, chartPath, observer: files.observer, running, user, clock })
    } finally {
      await user.close()
      await endBatchServer(files.batch, clock)
    }
  } finally {
    endGuard()
    removeDir()
  }
}

interface Stage {
  readonly dir: string
  readonly chartPath: string
  readonly observer: string
  readonly running: Running
  readonly user: BatchUser
  readonly clock: Clock
}

async function play(options: DemoOptions, stage: Stage): Promise<number> {
  const { running, clock, chartPath } = stage
  const { site } = running
  const kept = recorder(site, clock)
  const shown = options.json
    ? undefined
    : view({ site, clock, startedAt: kept.startedAt, title: 'sublet demo', out: process.stdout })
  let final: number | undefined
  running.beforeEnd(async () => {
    kept.stop()
    await shown?.stop()
  })
  const forget = onInterrupt(
    clock,
    (signal) => {
      shown?.phase(`${signal}: giving everything back ...`)
      running.stop(true, signal)
    },
    () => {
      leaveScreen(process.stdout)
      tell('ended at once; the machines end with their leases')
      process.exit(EXIT.interrupted)
    },
  )
  whenNobodyReads(() => running.stop(true, 'nobody reads any more'))
  let submitted: readonly string[] = []
  let isTold = false
  try {
    submitted = await story(stage, kept, shown)
    final = joined(stage)
    isTold = true
    if (!options.once) {
      shown?.phase('both waves are done')
      // A screen that is drawn anew would wipe the summary away; lines may go on.
      if (process.stdout.isTTY) await shown?.stop()
      tellReport(await reportRun(stage, kept, ledgersOf(site), submitted, final, chartPath))
      tell(
        `the site stays up until Ctrl-C; in another terminal: npm -s run sublet -- status --dir ${site.settings.dir}`,
      )
      await new Promise((end) => running.stopping.addEventListener('abort', end, { once: true }))
    }
  } catch (error) {
    if (!running.stopping.aborted) throw error
  } finally {
    final ??= joined(stage)
    running.stop(true, 'the demo has ended')
    await running.ended
    forget()
  }
  const submittedNow = isTold ? submitted : (await stage.user.jobRecords()).map(({ id }) => id)
  const { ledgers, close } = await openLedgers(site.settings.dir)
  try {
    const report = await reportRun(stage, kept, ledgers, submittedNow, final, chartPath)
    if (options.once || !isTold) tellReport(report)
    else
      tell(
        `everything was given back: ${report.leases.granted} leases granted, ${report.leases.closed} closed, ${report.ledger.verified ? 'the ledgers verify' : 'the ledgers do NOT verify'}`,
      )
    if (!isSound(report)) return EXIT.disproved
    return isTold ? EXIT.done : EXIT.interrupted
  } finally {
    await close()
  }

  function tellReport(report: RunReport): void {
    if (options.json) printJson(report)
    else print(showReport(report))
  }
}

// ── the story ──────────────────────────────────────────────────────────────────────────────────────

async function story(stage: Stage, kept: Recorder, shown: View | undefined): Promise<readonly string[]> {
  const { clock, running } = stage
  const late = (): Error =>
    new SubletError('deadline-missed', `the two waves were not done within ${STORY_MS_MAX / 1000} s`)
  const limit = deadline(clock, STORY_MS_MAX, late, running.stopping)
  try {
    await until(stage, () => joined(stage) >= POOL_MIN, limit.signal)
    const submitted: string[] = []
    for (const [i, jobs] of waves(stage.observer).entries()) {
      const name = `wave ${i + 1}`
      kept.markWave(name)
      shown?.phase(`${name} of 2: ${jobs.reduce((sum, { tasks = 1 }) => sum + tasks, 0)} jobs come at once`)
      submitted.push(...(await Promise.all(jobs.map((job) => submit(stage.user, job)))).flat())
      await until(
        stage,
        async () => (await stage.user.jobRecords()).every(({ state }) => state === 'ended'),
        limit.signal,
      )
      shown?.phase(`${name} of 2: all jobs have ended; the pool goes back to its minimum`)
      await until(stage, () => isAtMinimum(stage), limit.signal)
      await sleep(clock, REST_MS, limit.signal)
    }
    return submitted
  } finally {
    limit.done()
  }
}

/** Array tasks count one by one, under the names that the batch system gives them. */
async function submit(user: BatchUser, job: Submission): Promise<readonly string[]> {
  const id = await user.submit(job)
  const { tasks = 1 } = job
  return tasks === 1 ? [id] : Array.from({ length: tasks }, (_, i) => `${id}_${i}`)
}

async function until(
  stage: Stage,
  holds: () => boolean | Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  while (!(await holds())) await sleep(stage.clock, LOOK_MS, signal)
}

const joined = ({ running }: Stage): number =>
  (running.site.serviceManager?.rows('unit') ?? []).filter(({ state }) => state === 'joined').length

/** Nothing but the minimum is held, here and at the site. */
const isAtMinimum = ({ running }: Stage): boolean =>
  (running.site.authority?.rows('unit') ?? []).filter(({ state }) => state !== 'ended').length === POOL_MIN &&
  (running.site.serviceManager?.rows('unit') ?? []).every(
    ({ state }) => state === 'joined' || state === 'left' || state === 'lost',
  )

function waves(observer: string): readonly (readonly Submission[])[] {
  const job = (seconds: number, more: Partial<Submission> = {}): Submission => ({
    // Written by the job itself, so that nobody can say it ran who did not see it run.
    command: `f='${observer}'/$SUBLET_JOB_ID; echo "$SUBLET_JOB_ID $SUBLET_JOB_ATTEMPT" >>"$f"; sleep ${seconds}; echo "$SUBLET_JOB_ID $SUBLET_JOB_ATTEMPT done" >>"$f"`,
    walltimeMs: 60_000,
    memoryMiBPerNode: 256,
    ...more,
  })
  const whole = { cpusPerNode: 2 }
  const first = [2, 1, 3, 2, 1.5, 2, 1, 3, 2.5, 1, 2, 1.5].map((seconds) => job(seconds, whole))
  const second = [
    ...[3, 2, 3].map((seconds) => job(seconds, whole)),
    job(3, { nodes: 2, ...whole }),
    ...[1, 2].map((seconds) => job(seconds, { requeueable: false })),
    job(3, { tasks: 3, ...whole }),
    job(3, { nodes: 2, ...whole }),
    ...[2, 3, 3, 2, 3, 3].map((seconds) => job(seconds, whole)),
  ]
  return [first, second]
}

// ── what it came to ────────────────────────────────────────────────────────────────────────────────

async function reportRun(
  stage: Stage,
  kept: Recorder,
  ledgers: readonly NamedLedger[],
  submitted: readonly string[],
  final: number,
  chartPath: string,
): Promise<RunReport> {
  const { settings } = stage.running.site
  writeFileSync(
    chartPath,
    chart({ title: 'A queue and the nodes leased for it', samples: kept.samples, waves: kept.waves }),
  )
  const manager = ledgers.find(({ name }) => name === settings.serviceManager?.name)
  return reportOf({
    submitted,
    histories: (await stage.user.jobRecords()).map(historyOf),
    trails: readTrails(stage.observer),
    machines: kept.machines(),
    nodes: { min: POOL_MIN, peak: kept.peak, final },
    managerEntries: manager === undefined ? [] : await entriesOf(manager),
    verdicts: await verifyAll(ledgers),
    chart: chartPath,
  })
}

// ── places ─────────────────────────────────────────────────────────────────────────────────────────

const NEW_FOLDER = 'Name a folder that is new or empty with --dir.'

/** Short, for the sockets in it; new or empty, so that nothing of anybody's is mixed in. */
function workIn(wanted: string | undefined): { readonly dir: string; readonly isOurs: boolean } {
  if (wanted === undefined) return { dir: mkdtempSync(join(tmpdir(), 'sublet-')), isOurs: true }
  const dir = resolve(wanted)
  makeNamedFolder(dir, NEW_FOLDER)
  if (inspected(dir, () => readdirSync(dir)).length > 0)
    throw new SubletError('usage', `${dir} is not empty`, { cure: NEW_FOLDER })
  return { dir, isOurs: false }
}

/** The chart outlives a folder that is removed. */
function chartFile(dir: string, keep: boolean, clock: Clock): string {
  const stamp = new Date(clock.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')
  const charts = keep ? join(dir, 'charts') : resolve('.sublet', 'charts')
  try {
    makeFolder(charts)
    accessSync(charts, constants.W_OK)
    return join(charts, `demo-${stamp}.svg`)
  } catch (error) {
    // A folder in which the user may not write, as that of a checkout that root installed.
    if (!(error instanceof Error && 'syscall' in error)) throw error
    return join(mkdtempSync(join(tmpdir(), 'sublet-chart-')), `demo-${stamp}.svg`)
  }
}

/** Lengths of time are those of a rack in a hurry: everything that takes minutes takes seconds here. */
const siteText = (socket: string): string => `# The site of a demo run.
name: demo
dir: s
skewMax: 500ms
site:
  name: site
  hosts:
    - { name: host-a, cpu: 6, memoryMiB: 3072 }
    - { name: host-b, cpu: 6, memoryMiB: 3072 }
  types:
    vm.small: { cpu: 2, memoryMiB: 1024, image: plain, units: ${POOL_MAX} }
  machines: { kind: process, bootMs: [200, 600] }
  probe:
    - { run: [test, -w, /tmp], timeout: 2s }
  terms: { max: 1h, grace: 20s, recallable: true, notice: 2s }
  names: { prefix: vm, slots: 24 }
  timing: { setup: 20s, probe: 10s, modify: 5s, teardown: 15s, probeEvery: 5s, sweepEvery: 5s, backoff: 1s, retry: 1s, answer: 60s }
broker: { name: broker, batch: 50ms, quarantine: 10s, answer: 60s }
serviceManager: { name: manager, leaveBudget: 2s, join: 20s, leave: 10s, ask: 10s, retry: 1s, poll: 1s, lookTimeout: 5s, quarantine: 10s, answer: 60s }
guests:
  - name: batch
    batch: { kind: embedded, socket: ${JSON.stringify(socket)} }
    join: { kind: embedded }
    controller:
      kind: groc
      type: vm.small
      unit: { cpus: 2, memoryMiB: 1024 }
      min: ${POOL_MIN}
      max: ${POOL_MAX}
      step: 4
      grow: { wait: 0s, run: 2s }
      shrink: { idle: 2s }
      term: 15s
      retry: { first: 1s, most: 10s }
      settle: 0s
      missing: 10s
      every: 1s
`
