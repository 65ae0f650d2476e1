import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { grocConfig } from '../../controllers/guests/groc/config.ts'
import { grocPolicy } from '../../deploy/replay/groc-policy.ts'
import { lublin } from '../../deploy/replay/lublin.ts'
import { measure } from '../../deploy/replay/measure.ts'
import { type Policy, type ReplayOptions, replay } from '../../deploy/replay/replay.ts'
import { SCHEDULERS, type SchedulerKind } from '../../deploy/replay/scheduler.ts'
import { readSwf } from '../../deploy/replay/swf.ts'
import type { Trace } from '../../deploy/replay/trace.ts'
import { markdownTable } from '../table.ts'
import { machineLine } from '../this-machine.ts'
import { frontier, type Outcome } from './frontier.ts'
import { clues, cobald, parallelCluster, type Size, slurmPowerSaving } from './rivals.ts'

/**
 * npm run bench:replay -- --traces FOLDER        each trace × scheduler × policy × setting (or the variable TRACES)
 *                         --only kth --jobs 3000 --scheduler easy --groc-only --policies 'defaults|slurm'
 *
 *   trace ──▶ always on ──────────────────────────┐
 *         └─▶ GROC and its rivals, setting by setting ─▶ measure ─▶ results/replay-NAME.json, .svg (the frontier), a table
 *
 * Without traces a synthetic workload is taken. Sizes of pools: KTH and HPC2N as they were. Results are kept row by row, for whole
 * traces take hours.
 */
interface Course {
  readonly file: string
  readonly units: number
  readonly cpus: number
}

const COURSES: Readonly<Record<string, Course>> = {
  kth: { file: 'KTH-SP2-1996-2.1-cln.swf.gz', units: 100, cpus: 1 },
  hpc2n: { file: 'HPC2N-2002-2.1-cln.swf.gz', units: 240, cpus: 1 },
  curie: { file: 'CEA-Curie-2011-2.1-cln-b1.swf.gz', units: 5832, cpus: 16 },
  wagap: { file: 'alea-wagap-2013.swf.gz', units: 120, cpus: 64 },
}

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? undefined : process.argv[at + 1]
}
const MINUTE = 60_000
const RESULTS = new URL('../results/', import.meta.url)
const MEMORY_MIB = 2 ** 40

const folder = option('traces') ?? process.env.TRACES
const limit = Number(option('jobs') ?? Number.POSITIVE_INFINITY)
const wantedKind = option('scheduler')
const kinds = SCHEDULERS.filter((kind) => wantedKind === undefined || kind === wantedKind)

const wanted = new RegExp(option('policies') ?? '')

function policiesOf({ cpus, max }: Size): readonly (readonly [string, () => Policy])[] {
  const groc = (name: string, over: object): [string, () => Policy] => {
    const config = grocConfig.parse({ type: 'node', unit: { cpus, memoryMiB: MEMORY_MIB }, max, ...over })
    return [`groc, ${name}`, () => grocPolicy(config)]
  }
  const own = [
    groc('defaults', {}),
    groc('idle 1 min', { grow: { wait: '0s' }, shrink: { idle: '1m' } }),
    groc('idle 2 min', { grow: { wait: '0s' }, shrink: { idle: '2m' } }),
    groc('idle 15 min', { grow: { wait: '0s' }, shrink: { idle: '15m' } }),
    groc('idle 30 min', { grow: { wait: '0s' }, shrink: { idle: '30m' } }),
  ]
  if (process.argv.includes('--groc-only')) return own
  const size = { cpus, max }
  const named = (policy: () => Policy): [string, () => Policy] => [policy().name, policy]
  return [
    ...own,
    ...[5, 10, 30].map((idle) => named(() => clues(idle * MINUTE, size))),
    ...[5, 10, 30].map((idle) => named(() => parallelCluster(idle * MINUTE, size))),
    ...[1, 5, 30].map((idle) => named(() => slurmPowerSaving(idle * MINUTE, size))),
    ...[
      { rate: 1 / 30, low: 0.5, high: 0.5 },
      { rate: 0.1, low: 0.8, high: 0.8 },
      { rate: 1, low: 0.5, high: 0.5 },
    ].map((linear) => named(() => cobald(linear, size))),
  ]
}

/** Tells all that there are after each one. */
function outcomesOf(
  trace: Trace,
  { units, cpus }: Course,
  scheduler: SchedulerKind,
  tell: (outcomes: readonly Outcome[]) => void,
): readonly Outcome[] {
  const jobs = trace.jobs.slice(0, limit)
  const options: Omit<ReplayOptions, 'policy'> = {
    ...{ units, unit: { cpus, memoryMiB: MEMORY_MIB }, scheduler, seed: '1' },
    bootMs: { least: MINUTE, most: 2 * MINUTE },
  }
  const timed = (policy: Policy | undefined) => {
    const begun = process.cpuUsage()
    const replayed = replay(jobs, { ...options, policy })
    return { replayed, cpuS: process.cpuUsage(begun).user / 1e6 }
  }
  const always = timed(undefined)
  const outcomes: Outcome[] = [
    { policy: 'always on', cpuS: always.cpuS, measured: measure(always.replayed, always.replayed) },
  ]
  for (const [name, policy] of policiesOf({ cpus, max: units })) {
    if (!wanted.test(name)) continue
    const { replayed, cpuS } = timed(policy())
    outcomes.push({ policy: name, cpuS, measured: measure(replayed, always.replayed) })
    process.stderr.write(`${trace.name} ${scheduler} ${name}: ${cpuS.toFixed(1)} s of processor\n`)
    tell(outcomes)
  }
  return outcomes
}

const seconds = (ms: number): string => (ms / 1000).toFixed(0)

function tableOf(outcomes: readonly Outcome[]): string {
  const head = [
    ...['policy', 'wait, mean s', 'added, mean', 'median', '90 of 100', '99 of 100', 'slowdown', 'paid h'],
    ...[
      'paid/worked',
      'boots',
      'taken while wanted',
      'oscillations',
      'cut',
      'never started',
      'decisions',
      'cpu s',
    ],
  ]
  const rows = outcomes.map(({ policy, cpuS, measured: m }) => [
    ...[
      policy,
      seconds(m.wait.meanMs),
      seconds(m.added.meanMs),
      seconds(m.added.p50Ms),
      seconds(m.added.p90Ms),
    ],
    ...[
      seconds(m.added.p99Ms),
      m.meanSlowdown.toFixed(2),
      m.nodeHoursPaid.toFixed(0),
      m.paidPerWorked.toFixed(3),
    ],
    ...[m.boots, m.takenWhileWanted, m.oscillations, m.cut, m.neverStarted, m.decisions].map(String),
    cpuS.toFixed(1),
  ])
  return markdownTable(head, rows)
}

const synthetic = { file: '', units: 64, cpus: 1 }
const only = option('only')
const courses =
  folder === undefined
    ? [['lublin', synthetic] as const]
    : Object.entries(COURSES).filter(
        ([name, { file }]) => (only === undefined || name === only) && existsSync(join(folder, file)),
      )
mkdirSync(RESULTS, { recursive: true })
for (const [name, course] of courses) {
  const trace =
    folder === undefined
      ? lublin({ jobs: Math.min(limit, 3000), seed: '1', processors: 64, from: Date.UTC(2026, 0, 5) })
      : await readSwf(join(folder, course.file))
  for (const scheduler of kinds) {
    const about = (outcomes: readonly Outcome[]) => ({
      title: `${trace.name}: the first ${outcomes[0]!.measured.jobs} jobs, ${course.units} nodes of ${course.cpus} cpus, ${scheduler}`,
      ...{ machine: machineLine(), at: new Date().toISOString() },
      memoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    })
    const keep = (outcomes: readonly Outcome[]): void => {
      if (process.argv.includes('--no-results')) return
      const file = (extension: string): URL => new URL(`replay-${name}-${scheduler}.${extension}`, RESULTS)
      const { title, machine, at, memoryMiB } = about(outcomes)
      writeFileSync(
        file('json'),
        `${JSON.stringify({ title, machine, at, memoryMiB, outcomes }, undefined, 1)}\n`,
      )
      writeFileSync(file('svg'), frontier(title, machine, outcomes))
      writeFileSync(
        file('md'),
        `# ${title}\n\n${tableOf(outcomes)}\n\n${machine}; ${at}; ${memoryMiB} MiB of memory at most.\n`,
      )
    }
    const outcomes = outcomesOf(trace, course, scheduler, keep)
    const { title, machine, memoryMiB } = about(outcomes)
    process.stdout.write(`${title}\n\n${tableOf(outcomes)}\n\n${machine}; ${memoryMiB} MiB at most\n\n`)
  }
}
