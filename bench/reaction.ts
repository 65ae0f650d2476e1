import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Millis, sleep, systemClock } from '../actors/runtime/clock.ts'
import type { LedgerEntry } from '../actors/runtime/commit.ts'
import { inOneLine, SubletError } from '../actors/runtime/errors.ts'
import { seededRandom } from '../actors/runtime/random.ts'
import { localExecutor } from '../adapters/exec/local.ts'
import type { Leftovers } from '../deploy/labs/leftovers.ts'
import { endOnInterrupt } from '../deploy/labs/on-interrupt.ts'
import type { Run } from '../deploy/labs/slurm/observer.ts'
import { SlurmSite } from '../deploy/labs/slurm/slurm-site.ts'
import { entriesOf, openLedgers, verifyAll } from '../deploy/reports/ledgers.ts'
import { PowerSaving } from './power-saving.ts'
import { goals, type ReactionRun, resultsText, stepsTable, table } from './reaction-text.ts'
import { phasesOf, reactionOf, type Sample } from './sample.ts'
import { powerLog, powerSavingSteps, type SubletEvidence, slurmLog, subletSteps } from './steps.ts'
import { loadNow, thisMachine } from './this-machine.ts'

/**
 * npm run bench:reaction -- [--samples 20] [--rival-samples 20] [--seed 1] [--no-results] [--keep]
 *
 * How long a job waits that is submitted while there is no machine, by Sublet and by Slurm's own power
 * saving, each in a Slurm cluster of its own, in turns:
 *
 *   empty ──a random while──▶ sbatch ────────────────────▶ the job's first line ──▶ empty again
 *                             └─────── the sample ───────┘
 *
 * Needs root and Debian's packages (.ci/packages). The figures go to bench/results/reaction.md.
 */
const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: '20' },
    'rival-samples': { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    'no-results': { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
})

/** Longer than any period that Sublet or Slurm has on the way: the phase in all of them is random. */
const SUBLET_PHASE_MS: Millis = 5_000
/** Power saving waits for a round that comes every 30 s. */
const RIVAL_PHASE_MS: Millis = 30_000
const EMPTY_MS: Millis = 90_000
const START_MS: Millis = 120_000

const clock = systemClock
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

function countOf(option: 'samples' | 'rival-samples', least: number): number {
  const count = Number(values[option])
  if (Number.isInteger(count) && count >= least && count <= 1000) return count
  say(`error: --${option} wants a number from ${least} to 1000, not “${values[option]}”`)
  process.exit(2)
}
const wanted = { sublet: countOf('samples', 1), rival: countOf('rival-samples', 0) }
if (process.getuid?.() !== 0) {
  say('error: the bench makes network namespaces and machines: run it as root')
  process.exit(2)
}

/** One who answers a job with a machine. */
interface Answerer {
  readonly name: string
  readonly signal: AbortSignal
  isEmpty(): Promise<boolean>
  submit(): Promise<string>
  runs(jobId: string): readonly Run[]
  until(what: string, holds: () => Promise<boolean> | boolean, withinMs: Millis): Promise<void>
}

const random = seededRandom(`reaction ${values.seed}`)
const phases = {
  sublet: phasesOf(random.child('sublet'), wanted.sublet, SUBLET_PHASE_MS),
  rival: phasesOf(random.child('rival'), wanted.rival, RIVAL_PHASE_MS),
}

async function sampleOf(answerer: Answerer, phaseMs: Millis): Promise<Sample> {
  await answerer.until(`an empty pool (${answerer.name})`, () => answerer.isEmpty(), EMPTY_MS)
  await sleep(clock, phaseMs, answerer.signal)
  if (!(await answerer.isEmpty()))
    throw new SubletError('exec-failed', `${answerer.name}: the pool is no longer empty, though nobody asked`)
  const submittedAt = clock.now()
  const jobId = await answerer.submit()
  await answerer.until(
    `the start of job ${jobId} (${answerer.name})`,
    () => answerer.runs(jobId).length > 0,
    START_MS,
  )
  const [first] = answerer.runs(jobId)
  if (first === undefined) throw new Error(`job ${jobId} ran and left no note`)
  return { jobId, submittedAt, startedAt: first.startedAt, host: first.host }
}

const site = new SlurmSite({
  ...{ clock, say, max: 2, termSeconds: 600, epilogSeconds: 0 },
  // Nothing is to run beside what is measured.
  sampled: false,
})
const rivalLab = new PowerSaving({ exec: localExecutor({ clock }), clock })
const both = {
  async down(keep: boolean): Promise<void> {
    try {
      await site.down(keep)
    } finally {
      await rivalLab.down(keep)
    }
  },
}
const isInterrupted = endOnInterrupt(both, values.keep, say)

const subletAnswers: Answerer = {
  name: 'Sublet',
  signal: site.signal,
  isEmpty: async () => (await site.queueIsEmpty()) && (await site.poolIsEmpty()),
  submit: () => site.jobs.submit(1, 'small', 'true', ['-N1', '-n1', '-c2'], site.signal),
  runs: (jobId) => site.observer.runs(jobId),
  until: (what, holds, withinMs) => site.until(what, holds, withinMs),
}
const powerSavingAnswers: Answerer = {
  name: 'Slurm’s power saving',
  signal: rivalLab.signal,
  isEmpty: () => rivalLab.isEmpty(),
  submit: () => rivalLab.submit('true'),
  runs: (jobId) => rivalLab.runs(jobId),
  until: (what, holds, withinMs) => rivalLab.until(what, holds, withinMs),
}

async function evidence(): Promise<SubletEvidence> {
  const { ledgers, close } = await openLedgers(join(site.dir, 'w'))
  try {
    const faults = (await verifyAll(ledgers)).flatMap((verdict) => verdict.faults)
    if (faults.length > 0) problems.push(`a ledger does not verify: ${JSON.stringify(faults[0])}`)
    const entries: Record<string, LedgerEntry[]> = {}
    for (const ledger of ledgers) entries[ledger.name] = await entriesOf(ledger)
    const log = (name: string) => slurmLog(readFileSync(join(site.lab.dir, 'log', name), 'utf8'))
    return {
      manager: entries['service-manager'] ?? [],
      broker: entries.broker ?? [],
      site: entries.rack ?? [],
      controller: log('slurmctld.log'),
      daemon: (host) => log(`${host}.log`),
    }
  } finally {
    await close()
  }
}

function report(run: ReactionRun): void {
  const text = [
    table(run),
    ...[run.sublet, run.rival]
      .filter(({ samples }) => samples.length > 0)
      .map((each) => `${each.name}\n${stepsTable(each)}`),
    goals(run).join('\n'),
  ]
  process.stdout.write(`${text.join('\n\n')}\n`)
  if (values['no-results']) return
  const file = here('./results/reaction.md')
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, resultsText(run))
}

const problems: string[] = []
const load = { before: loadNow(), most: 0 }
const taken: { sublet: Sample[]; rival: Sample[] } = { sublet: [], rival: [] }
try {
  await site.up([here('../deploy/cli.ts'), 'start', '--config'])
  await site.sublet.up()
  if (wanted.rival > 0) await rivalLab.up()
  for (let round = 0; round < Math.max(wanted.sublet, wanted.rival); round++)
    for (const [who, answerer] of [
      ['sublet', subletAnswers],
      ['rival', powerSavingAnswers],
    ] as const) {
      const phaseMs = phases[who][round]
      if (phaseMs === undefined) continue
      const sample = await sampleOf(answerer, phaseMs)
      taken[who].push(sample)
      load.most = Math.max(load.most, loadNow())
      say(`${answerer.name}, job ${sample.jobId}: ${(reactionOf(sample) / 1000).toFixed(2)} s`)
    }
  await site.sublet.release()
  const { power, controller } = wanted.rival > 0 ? rivalLab.log() : { power: '', controller: '' }
  report({
    date: new Date(clock.now()).toISOString().slice(0, 10),
    command: `npm run bench:reaction -- --samples ${wanted.sublet} --rival-samples ${wanted.rival} --seed ${values.seed}`,
    machine: thisMachine(),
    load,
    sublet: {
      name: subletAnswers.name,
      samples: taken.sublet,
      steps: subletSteps(taken.sublet, await evidence()),
    },
    rival: {
      name: powerSavingAnswers.name,
      samples: taken.rival,
      steps: powerSavingSteps(taken.rival, { controller: slurmLog(controller), power: powerLog(power) }),
    },
  })
} catch (error) {
  problems.push(inOneLine(error))
} finally {
  if (!isInterrupted()) await both.down(values.keep)
}
if (!isInterrupted()) {
  for (const [what, lab] of [
    ['Sublet’s lab', site.lab],
    ['the rival’s lab', rivalLab.lab],
  ] as const) {
    const left: Leftovers = lab.leftovers()
    if (Object.values(left).some((count) => count > 0))
      problems.push(`${what} left behind: ${JSON.stringify(left)}`)
  }
  for (const problem of problems) say(`error: ${problem}`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
