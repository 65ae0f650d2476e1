import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sleep, systemClock } from '../../../actors/runtime/clock.ts'
import { inOneLine } from '../../../actors/runtime/errors.ts'
import { type Random, seededRandom } from '../../../actors/runtime/random.ts'
import { isSound, showReport } from '../../reports/report.ts'
import { endOnInterrupt } from '../on-interrupt.ts'
import { countOrphans, SlurmSite } from './slurm-site.ts'

/**
 * npm -s run lab:kills -- [--seed N] [--random N] [--boundaries-max N] [--json] [--keep]
 *
 * Kills, on a real Slurm under a steady stream of jobs:
 *
 *   1  Sublet, once at every kind of commit, effect and handler boundary that comes up
 *   2  Sublet, slurmctld or a machine, `--random` times (50) at random moments
 *   3  slurmctld with the loss of its state (a cold start) under running jobs
 *
 * Then everything has to end, and is counted from outside.
 */
const words = process.argv.slice(2)
const has = (word: string): boolean => words.includes(word)
const numberOf = (word: string, otherwise: number): number =>
  has(word) ? Number(words[words.indexOf(word) + 1]) : otherwise
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const seed = numberOf('--seed', 1)
const kills = numberOf('--random', 50)
const boundariesMax = numberOf('--boundaries-max', 500)
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The boundaries are all seen when none has been new for so long. */
const NOTHING_NEW_MS = 40_000
/**
 * Slurm writes its state down within five seconds. Killed earlier it forgets what it just did, and runs a
 * job again that has ended: that is its own doing, with or without Sublet, so it is killed when its last
 * word on any job is older, under jobs that run.
 */
const SLURM_SAVES_MS = 7_000
const LONG_JOB_SECONDS = 25
const STREAM_MS = 700

const random: Random = seededRandom(seed)
const clock = systemClock
const site = new SlurmSite({
  clock,
  max: 4,
  termSeconds: 20,
  epilogSeconds: 1,
  say,
})
const isInterrupted = endOnInterrupt(site, has('--keep'), say)
const labels = join(site.dir, 'labels')
const seenLabels = (): string[] =>
  existsSync(labels) ? readFileSync(labels, 'utf8').trim().split('\n').filter(Boolean) : []
const counts = { sublet: 0, slurmctld: 0, machine: 0, boundaries: 0 }
const problems: string[] = []

let streaming = false
let paused = false

/** Jobs of one to three seconds come in bursts with pauses between, so that the pool grows and shrinks. */
async function stream(): Promise<void> {
  for (let i = 0; streaming; i++) {
    const burst = Math.floor(i / 12) % 2 === 0
    if (burst && !paused) {
      await site.jobs.small(1, 1 + random.int(3), 1 + random.int(2), site.signal)
      if (random.next() < 0.1) await site.jobs.wide(1, site.signal)
    }
    await sleep(clock, STREAM_MS, site.signal)
  }
}

async function keepAlive(): Promise<void> {
  while (streaming) {
    if (!site.sublet.alive) {
      counts.boundaries += 1
      await sleep(clock, 100 + random.int(900), site.signal)
      if (streaming && !site.sublet.alive) site.sublet.start()
    }
    await sleep(clock, 50, site.signal)
  }
}

async function whileStreaming(work: () => Promise<void>): Promise<void> {
  streaming = true
  const streams = [stream(), keepAlive()]
  try {
    await work()
  } finally {
    streaming = false
    await Promise.all(streams)
  }
}

async function boundaries(): Promise<void> {
  let newest = clock.now()
  let count = seenLabels().length
  while (clock.now() - newest < NOTHING_NEW_MS && count < boundariesMax) {
    await sleep(clock, 200, site.signal)
    const now = seenLabels().length
    if (now > count) newest = clock.now()
    count = now
  }
}

async function killOne(): Promise<void> {
  const dice = random.next()
  if (dice < 0.5) {
    counts.sublet += 1
    await site.sublet.kill()
    await sleep(clock, random.int(3_000), site.signal)
    await site.sublet.up()
  } else if (dice < 0.85) {
    if (site.machines.cutPowerOfOne(random)) counts.machine += 1
  } else {
    counts.slurmctld += 1
    await killSlurmctld()
  }
}

async function killSlurmctld(): Promise<void> {
  paused = true
  const others = site.jobs.all.map((job) => job.id)
  const long = [
    await site.jobs.small(1, LONG_JOB_SECONDS, 1, site.signal),
    await site.jobs.small(1, LONG_JOB_SECONDS, 2, site.signal),
  ]
  const isQuiet = (): boolean =>
    site.allDone(others) &&
    long.every((id) => site.observer.runs(id).length > 0) &&
    site.observer.quietSince() + SLURM_SAVES_MS < clock.now()
  await site.until('quiet around slurmctld', isQuiet, 180_000)
  await site.lab.killController(site.signal)
  await sleep(clock, random.int(3_000), site.signal)
  await site.lab.startController({}, site.signal)
  paused = false
}

async function randomKills(): Promise<void> {
  for (let done = 0; done < kills; done = counts.sublet + counts.slurmctld + counts.machine) {
    await sleep(clock, 300 + random.int(2_500), site.signal)
    await killOne()
    if (done % 10 === 9) say(`${done + 1} kills`)
  }
}

/** Runs without new jobs until everything is done and the pool is empty. */
async function settle(what: string): Promise<void> {
  await site.sublet.up()
  await site.until(`the end of all jobs after ${what}`, () => site.queueIsEmpty(), 300_000)
  await site.until(`an empty pool after ${what}`, () => site.poolIsEmpty(), 90_000)
}

try {
  await site.up([here('../start-and-crash.ts'), labels])
  await whileStreaming(boundaries)
  say(
    `killed at ${seenLabels().length} kinds of boundary in ${counts.boundaries} lives; ${site.jobs.all.length} jobs so far`,
  )
  await site.sublet.kill()
  site.runSublet([here('../../cli.ts'), 'start', '--config'])
  await settle('the kills at boundaries')
  await whileStreaming(randomKills)
  say(`random kills: ${JSON.stringify(counts)}`)
  await settle('the random kills')
  // A cold start forgets it with everything else.
  if (!(await site.adminsDrainStands())) problems.push('the drain of the admin was changed')
  const jobs = site.jobs.all.length
  await coldStart()
  site.jobs.all.splice(jobs)
  await site.sublet.release()
  const orphans = await site.orphans()
  if (countOrphans(orphans) > 0) problems.push(`orphans: ${JSON.stringify(orphans)}`)
  const report = await site.report(join(site.dir, 'chart.svg'))
  if (!isSound(report)) problems.push('jobs were lost or run twice, or a ledger does not verify')
  for (const hold of site.doubleHolds) problems.push(hold)
  const result = {
    seed,
    kills: { ...counts, kinds: seenLabels().length },
    orphans,
    doubleHolds: site.doubleHolds.size,
    ...report,
  }
  process.stdout.write(
    has('--json')
      ? `${JSON.stringify(result)}\n`
      : `${JSON.stringify(result.kills)} doubleHolds ${result.doubleHolds} orphans ${JSON.stringify(orphans)}\n${showReport(report)}\n`,
  )
} catch (error) {
  problems.push(inOneLine(error))
} finally {
  if (!isInterrupted()) await site.down(has('--keep') || problems.length > 0)
}
for (const problem of problems) say(`error: ${problem}`)
if (problems.length > 0) say(`what was written is in ${site.dir}`)
process.exitCode = problems.length > 0 ? 1 : 0

/** Slurm forgets its jobs and our nodes: the machines have to end, with what runs on them, before their slots are used again. */
async function coldStart(): Promise<void> {
  for (let i = 0; i < 3; i++) await site.jobs.small(2, 60, 2, site.signal)
  const ids = site.jobs.all.slice(-3).map((job) => job.id)
  await site.until('three running jobs', () => ids.every((id) => site.observer.runs(id).length > 0), 60_000)
  await site.lab.killController(site.signal)
  await site.lab.startController({ cold: true }, site.signal)
  await site.until(
    'the end of the forgotten machines',
    async () => (await site.orphans()).machines === 0,
    120_000,
  )
  say('cold start: the machines that Slurm forgot have ended')
}
