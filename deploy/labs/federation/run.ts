import { systemClock as clock, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import { inOneLine } from '../../../actors/runtime/errors.ts'
import { seededRandom } from '../../../actors/runtime/random.ts'
import { historyOf } from '../../job-history.ts'
import { countJobs, type JobHistory } from '../../report.ts'
import { endOnInterrupt } from '../on-interrupt.ts'
import { Federation } from './federation.ts'
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

const UP_MS_MAX: Millis = 800
const DOWN_MS_MAX: Millis = 400
/** So many jobs wait or run at most: the stream goes on as long as the kills do. */
const OPEN_MAX = 8
const SETTLE_MS: Millis = 180_000

const random = seededRandom(seed)
const lab = new Federation({ clock, poolMax: 4, termSeconds: 15 })
const isInterrupted = endOnInterrupt(lab, has('--keep'), say)
const problems: string[] = []
const counts: Record<Place, number> = { broker: 0, site: 0, manager: 0 }
let killing = true

async function stream(): Promise<void> {
  const chance = random.child('jobs')
  while (killing) {
    const open = (await lab.records()).filter(({ state }) => state !== 'ended').length
    if (open < OPEN_MAX) await lab.submit(Math.round(5 + 15 * chance.next()) / 10)
    await sleep(clock, 200 + chance.int(400), lab.signal)
  }
}

async function killAgain(place: Place): Promise<void> {
  const chance = random.child(place)
  const process = lab.processes[place]
  while (counts[place] < kills) {
    await sleep(clock, chance.int(UP_MS_MAX), lab.signal)
    await process.kill()
    counts[place] += 1
    await sleep(clock, chance.int(DOWN_MS_MAX), lab.signal)
    // One in five is killed again while it starts.
    process.start()
    if (chance.next() < 0.8) await process.up()
    if (counts[place] % 20 === 0)
      say(`${counts.broker} + ${counts.site} + ${counts.manager} kills, ${lab.jobs.length} jobs`)
  }
  await process.up()
}

let result: object = {}
const startedAt = clock.monotonic()
try {
  await lab.up()
  say(`three processes run in ${lab.dir}`)
  const streaming = stream()
  try {
    await Promise.all(ROLES.map(killAgain))
  } finally {
    killing = false
    await streaming
  }
  await lab.until('the end of all jobs', SETTLE_MS, async () =>
    (await lab.records()).every(({ state }) => state === 'ended'),
  )
  await lab.until('an empty pool', SETTLE_MS, async () => (await lab.machines()).length === 0)
  await lab.release()
  const verdicts = await lab.verdicts()
  const histories: readonly JobHistory[] = (await lab.records()).map(historyOf)
  const leftovers = [...lab.leftovers(), ...(await lab.machines()).map(({ unitId }) => unitId)]
  const jobs = countJobs(lab.jobs, histories, lab.trails())
  const faults = verdicts.flatMap(({ actor, faults }) =>
    faults.map(({ seq, sentence }) => `${actor} ${seq}: ${sentence}`),
  )
  result = {
    ...{ seed, kills: counts, seconds: Math.round((clock.monotonic() - startedAt) / 1000), jobs },
    ledgers: { lines: verdicts.reduce((sum, { entries }) => sum + entries, 0), faults: faults.length },
    ...{ doubleHolds: lab.doubles.size, leftovers: leftovers.length, peak: lab.peak },
  }
  if (jobs.completed !== jobs.submitted) problems.push('not every job completed')
  if (jobs.lost > 0 || jobs.runTwice > 0) problems.push('jobs were lost or run twice')
  problems.push(...faults, ...[...lab.doubles].map((name) => `${name} was there twice`))
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
