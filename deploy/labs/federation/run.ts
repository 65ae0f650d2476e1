import { systemClock as clock, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import { inOneLine } from '../../../actors/runtime/errors.ts'
import { seededRandom } from '../../../actors/runtime/random.ts'
import { historyOf } from '../../reports/job-history.ts'
import { countJobs, countLeases, type JobHistory } from '../../reports/report.ts'
import { endOnInterrupt } from '../on-interrupt.ts'
import { Federation } from './federation.ts'
import { compareMarks } from './marks.ts'
import { type Place, ROLES } from './site-texts.ts'

/**
 * npm -s run lab:federation -- [--kills N] [--seed N] [--json] [--keep]
 *
 * Three processes over HTTP under a steady stream of jobs. Each is killed (signal 9) `--kills` times (100), at
 * random moments, also while others are away. Then everything has to end, and is counted from outside.
 */
const words = process.argv.slice(2)
const has = (word: string): boolean => words.includes(word)
const numberOf = (word: string, otherwise: number): number =>
  has(word) ? Number(words[words.indexOf(word) + 1]) : otherwise
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const seed = numberOf('--seed', 1)
const kills = numberOf('--kills', 100)

/** So long a process lives, from when it answers. */
const UP_MS: readonly [Millis, Millis] = [500, 4_000]
const DOWN_MS_MAX: Millis = 400
/** So many are down, or starting, at once. */
const DOWN_MAX = 2
/** So many jobs wait or run at most: the stream goes on as long as the kills do. */
const OPEN_MAX = 12
/** Waves of jobs, with so long a calm that the pool is given back. */
const WAVE_JOBS = 20
const CALM_MS: Millis = 6_000
const SETTLE_MS: Millis = 180_000

const random = seededRandom(seed)
const lab = new Federation({ clock, poolMax: 4, termSeconds: 60 })
const isInterrupted = endOnInterrupt(lab, has('--keep'), say)
const problems: string[] = []
const counts: Record<Place, number> = { broker: 0, site: 0, manager: 0 }
let killing = true
let down = 0
let worstUpMs: Millis = 0

async function stream(): Promise<void> {
  const chance = random.child('jobs')
  while (killing) {
    const open = (await lab.records()).filter(({ state }) => state !== 'ended').length
    if (open < OPEN_MAX) await lab.submit(Math.round(5 + 15 * chance.next()) / 10)
    const isCalm = lab.jobs.length % WAVE_JOBS === 0
    await sleep(clock, (isCalm ? CALM_MS : 100) + chance.int(400), lab.signal)
  }
}

async function killAgain(place: Place): Promise<void> {
  const chance = random.child(place)
  const process = lab.processes[place]
  while (counts[place] < kills) {
    await sleep(clock, UP_MS[0] + chance.int(UP_MS[1] - UP_MS[0]), lab.signal)
    while (down >= DOWN_MAX) await sleep(clock, 20, lab.signal)
    down += 1
    await process.kill()
    counts[place] += 1
    await sleep(clock, chance.int(DOWN_MS_MAX), lab.signal)
    const startedAt = clock.monotonic()
    process.start()
    // One in five is killed again while it starts.
    if (chance.next() < 0.2 && counts[place] < kills) {
      await sleep(clock, chance.int(1_000), lab.signal)
      await process.kill()
      counts[place] += 1
      process.start()
    }
    await process.up()
    worstUpMs = Math.max(worstUpMs, clock.monotonic() - startedAt)
    down -= 1
    if (place === 'broker' && counts.broker % 10 < 2)
      say(
        `${counts.broker} + ${counts.site} + ${counts.manager} kills, ${lab.jobs.length} jobs, ${await endedJobs()} of them ended`,
      )
  }
}

const endedJobs = async (): Promise<number> =>
  (await lab.records()).filter(({ state }) => state === 'ended').length

let result: object = {}
const startedAt = clock.monotonic()
try {
  await lab.up()
  say(`three processes run in ${lab.dir}`)
  const streaming = stream()
  const killingAt = clock.monotonic()
  try {
    await Promise.all(ROLES.map(killAgain))
  } finally {
    killing = false
    await streaming
  }
  const killSeconds = Math.round((clock.monotonic() - killingAt) / 1000)
  const endedDuringKills = await endedJobs()
  await lab.until('the end of all jobs', SETTLE_MS, async () =>
    (await lab.records()).every(({ state }) => state === 'ended'),
  )
  await lab.until('an empty pool', SETTLE_MS, async () => (await lab.machines()).length === 0)
  await lab.release()
  const verdicts = await lab.verdicts()
  const histories: readonly JobHistory[] = (await lab.records()).map(historyOf)
  const leftovers = [...lab.leftovers(), ...(await lab.machines()).map(({ unitId }) => unitId)]
  const jobs = countJobs(lab.jobs, histories, lab.trails())
  const [manager, site] = [await lab.entries('manager'), await lab.entries('site')]
  const sightings = lab.sightings.all()
  const disagreements = compareMarks(sightings, site)
  const faults = verdicts.flatMap(({ actor, faults }) =>
    faults.map(({ seq, sentence }) => `${actor} ${seq}: ${sentence}`),
  )
  result = {
    ...{ seed, kills: counts, killSeconds, seconds: Math.round((clock.monotonic() - startedAt) / 1000) },
    ...{
      worstUpMs: Math.round(worstUpMs),
      jobs: { ...jobs, endedDuringKills },
      leases: countLeases(manager),
    },
    units: {
      assigned: site.filter(({ kind }) => kind === 'unit assigned').length,
      seenOutside: sightings.length,
      disagreements: disagreements.length,
      looks: lab.sightings.counts,
    },
    ledgers: { lines: verdicts.reduce((sum, { entries }) => sum + entries, 0), faults: faults.length },
    ...{ doubleHolds: lab.doubles.size, leftovers: leftovers.length, peak: lab.peak },
  }
  if (jobs.completed !== jobs.submitted) problems.push('not every job completed')
  const doubt = lab.sightings.doubt()
  if (doubt !== undefined) problems.push(doubt)
  if (jobs.lost > 0 || jobs.runTwice > 0) problems.push('jobs were lost or run twice')
  if (kills >= 10 && endedDuringKills === 0) problems.push('no job ended while processes were killed')
  problems.push(...faults, ...disagreements, ...[...lab.doubles].map((name) => `${name} was there twice`))
  for (const left of leftovers) problems.push(`left over: ${left}`)
} catch (error) {
  problems.push(inOneLine(error))
} finally {
  if (!isInterrupted()) await lab.down(has('--keep') || problems.length > 0)
}
process.stdout.write(has('--json') ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`)
for (const problem of problems) say(`error: ${problem}`)
if (problems.length > 0) say(`what was written is in ${lab.dir}`)
process.exitCode = problems.length > 0 ? 1 : 0
