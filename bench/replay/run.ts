import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { measure } from '../../deploy/replay/measure.ts'
import { type ReplayOptions, replay } from '../../deploy/replay/replay.ts'
import { SCHEDULERS, type SchedulerKind } from '../../deploy/replay/scheduler.ts'
import { markdownTable } from '../table.ts'
import { machineLine } from '../this-machine.ts'
import { contestants } from './contestants.ts'
import { type Course, coursesIn, MEMORY_MIB, option, traceOf } from './courses.ts'
import { duels } from './dominance.ts'
import { frontier, type Outcome } from './frontier.ts'

/**
 * npm run bench:replay -- --traces FOLDER        each trace × scheduler × policy × setting (or the variable TRACES)
 *                         --only kth --jobs 3000 --scheduler easy --policies 'defaults|slurm' --no-results
 *
 *   trace ──▶ always on ──────────────────────────┐
 *         └─▶ GROC and its rivals, setting by setting ─▶ measure ─▶ results/replay-NAME.json, .svg (the frontier), tables
 *
 * Without traces a synthetic workload is taken. Each policy runs in a process of its own, so that its memory and its time are its
 * own. Results are kept row by row, for whole traces take hours.
 */
const MINUTE = 60_000
const RESULTS = new URL('../results/', import.meta.url)
/** A replay that takes longer is given up. */
const ONE_MS_MAX = 3 * 3_600_000
const OUTPUT_BYTES_MAX = 64 * 2 ** 20

const folder = option('traces') ?? process.env.TRACES
const limit = Number(option('jobs') ?? Number.POSITIVE_INFINITY)
const wantedKind = option('scheduler')
const wanted = new RegExp(option('policies') ?? '')

const ALWAYS_ON = 'always on'

/** One policy: what `--one NAME` prints. */
async function one(name: string, course: Course, scheduler: SchedulerKind): Promise<Outcome> {
  const { cpus, units } = course
  const { jobs } = await traceOf(course, folder, limit)
  const options: Omit<ReplayOptions, 'policy'> = {
    ...{ units, unit: { cpus, memoryMiB: MEMORY_MIB }, scheduler, seed: '1' },
    bootMs: { least: MINUTE, most: 2 * MINUTE },
  }
  const policy = contestants({ cpus, max: units }, scheduler).find((contestant) => contestant.name === name)
  if (policy === undefined && name !== ALWAYS_ON) throw new Error(`no policy is named “${name}”`)
  const always = replay(jobs, { ...options, policy: undefined })
  const begun = process.cpuUsage()
  const replayed = policy === undefined ? always : replay(jobs, { ...options, policy: policy.make() })
  const cpuS = process.cpuUsage(begun).user / 1e6
  const memoryMiB = Math.round(process.resourceUsage().maxRSS / 1024)
  return { policy: name, cpuS, memoryMiB, measured: measure(replayed, always) }
}

const ownProcess = (name: string, { name: course }: Course, scheduler: SchedulerKind): Outcome =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [
        ...[fileURLToPath(import.meta.url), '--one', name, '--only', course, '--scheduler', scheduler],
        ...(folder === undefined ? [] : ['--traces', folder]),
        ...(Number.isFinite(limit) ? ['--jobs', `${limit}`] : []),
      ],
      { encoding: 'utf8', timeout: ONE_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX },
    ),
  ) as Outcome

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
      'MiB',
    ],
  ]
  const rows = outcomes.map(({ policy, cpuS, memoryMiB, measured: m }) => [
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
    `${memoryMiB}`,
  ])
  return markdownTable(head, rows)
}

/** Which setting of GROC is no worse than each of a rival's, and what it would take where there is none. */
function duelsOf(outcomes: readonly Outcome[]): string {
  const found = duels(outcomes)
  if (found.length === 0) return ''
  const figures = ({ measured: m }: Outcome): string =>
    `${seconds(m.added.meanMs)} s, ${m.nodeHoursPaid.toFixed(0)} h, ${m.boots}`
  const rows = found.map(({ rival, groc, isBeaten, worst }) => [
    ...[rival.policy, figures(rival), groc.policy, figures(groc)],
    isBeaten ? 'no worse, and better in one' : `worse by ${(100 * worst).toFixed(1)} % in one`,
  ])
  const beaten = found.filter(({ isBeaten }) => isBeaten).length
  return `\n\n## Setting against setting\n\nOf ${found.length} settings of rivals, ${beaten} are matched by a setting of GROC that is no worse in added wait, node-hours and boots, and better in one.\n\n${markdownTable(['rival', 'added, paid, boots', 'nearest setting of GROC', 'added, paid, boots', 'it is'], rows)}`
}

function keep(course: Course, scheduler: SchedulerKind, outcomes: readonly Outcome[]): string {
  const [{ measured }] = outcomes as readonly [Outcome]
  const title = `${course.name}: the first ${measured.jobs} jobs, ${course.units} nodes of ${course.cpus} cpus, ${scheduler}`
  const about = { title, machine: machineLine(), at: new Date().toISOString() }
  const text = `# ${title}\n\n${tableOf(outcomes)}${duelsOf(outcomes)}\n\n${about.machine}; ${about.at}.\n`
  if (process.argv.includes('--no-results')) return text
  const file = (extension: string): URL => new URL(`replay-${course.name}-${scheduler}.${extension}`, RESULTS)
  writeFileSync(file('json'), `${JSON.stringify({ ...about, outcomes }, undefined, 1)}\n`)
  writeFileSync(file('svg'), frontier(title, about.machine, outcomes))
  writeFileSync(file('md'), text)
  return text
}

const named = option('one')
const courses = coursesIn(folder, option('only'))
const kinds = SCHEDULERS.filter((kind) => wantedKind === undefined || kind === wantedKind)
if (named !== undefined) {
  const [course] = courses
  const [kind] = kinds
  process.stdout.write(JSON.stringify(await one(named, course!, kind!)))
} else {
  mkdirSync(RESULTS, { recursive: true })
  for (const course of courses)
    for (const scheduler of kinds) {
      const outcomes: Outcome[] = []
      let text = ''
      const names = contestants({ cpus: course.cpus, max: course.units }, scheduler)
        .map(({ name }) => name)
        .filter((name) => wanted.test(name))
      for (const name of [ALWAYS_ON, ...names]) {
        const outcome = ownProcess(name, course, scheduler)
        outcomes.push(outcome)
        process.stderr.write(
          `${course.name} ${scheduler} ${name}: ${outcome.cpuS.toFixed(1)} s of processor, ${outcome.memoryMiB} MiB\n`,
        )
        text = keep(course, scheduler, outcomes)
      }
      process.stdout.write(`${text}\n`)
    }
}
