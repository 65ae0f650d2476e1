import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { some } from '../../controllers/sentence.ts'
import { addTo } from './coverage.ts'
import { type Outcome, runAll } from './crew.ts'
import { shrink, wordsOf } from './shrink.ts'
import { printPlanted } from './table.ts'
import type { TrialOptions } from './trial.ts'

const USAGE = `npm run sim -- --seed 7            one seed, with its last messages
npm run sim -- --seeds 1..500      many
npm run sim -- --fresh 200         so many that nobody chose
npm run sim -- --planted           which planted faults are found, and after how many seeds

  --small                          one actor of each role instead of a federation
  --workers N                      processes; as many as there are processors
  --without lose,double            faults that do not happen
  --restores N                     times that stores are set back to older copies; in four seeds of five there is none
  --sites N --brokers N --managers N --jobs N --leases N --storm MS
  --shrink SECONDS                 how long a smaller run is looked for that fails in the same way (60)
  --coverage                       every pair of the machines' tables, and every fault
`

const { values } = parseArgs({
  options: {
    ...{ seed: { type: 'string' }, seeds: { type: 'string' }, fresh: { type: 'string' } },
    ...{ small: { type: 'boolean' }, planted: { type: 'boolean' }, coverage: { type: 'boolean' } },
    ...{ workers: { type: 'string' }, without: { type: 'string' }, shrink: { type: 'string' } },
    ...{ sites: { type: 'string' }, brokers: { type: 'string' }, managers: { type: 'string' } },
    ...{ jobs: { type: 'string' }, leases: { type: 'string' }, storm: { type: 'string' } },
    restores: { type: 'string' },
    help: { type: 'boolean' },
  } as const,
})

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const count = (text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) usage()
  return Number(text)
}

function usage(): never {
  process.stderr.write(`usage:\n${USAGE}`)
  process.exit(2)
}

function seeds(): number[] {
  if (values.fresh !== undefined)
    return Array.from({ length: count(values.fresh)! }, () => randomInt(1_000_000, 2 ** 47))
  const [from, to] = (values.seeds ?? `${values.seed ?? 1}..${values.seed ?? 1}`).split('..').map(count)
  if (from === undefined || to === undefined || from > to) usage()
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

function optionsOf(seed: number): TrialOptions {
  const numbers = {
    ...{ sites: count(values.sites), brokers: count(values.brokers), managers: count(values.managers) },
    ...{ jobs: count(values.jobs), leases: count(values.leases), stormMs: count(values.storm) },
    restores: count(values.restores),
  }
  const without = values.without?.split(',').filter(Boolean)
  return { seed, size: values.small === true ? 'small' : 'federation', ...numbers, without }
}

if (values.help === true) usage()
else if (values.planted === true) await printPlanted(say)
else await storms()

async function storms(): Promise<void> {
  const chosen = seeds()
  if (values.fresh !== undefined) say(`fresh seeds: ${chosen.join(' ')}`)
  const began = performance.now()
  const pairs = new Map<string, number>()
  const faults = new Map<string, number>()
  const failed: Outcome[] = []
  const sum = { leases: 0, fewest: Number.POSITIVE_INFINITY, fewestIn: 0, crashes: 0, events: 0 }
  const heard = (outcome: Outcome): void => {
    const { result } = outcome
    addTo(pairs, outcome.pairs)
    addTo(faults, result.faults)
    sum.leases += result.leases
    if (result.leases < sum.fewest) Object.assign(sum, { fewest: result.leases, fewestIn: result.seed })
    sum.crashes += result.crashes
    sum.events += result.events
    if (result.violations.length > 0) failed.push(outcome)
    if (chosen.length === 1) for (const line of result.trail) say(`  ${line}`)
    if (chosen.length === 1 || result.violations.length > 0) tell(outcome)
  }
  await runAll(chosen.map(optionsOf), count(values.workers) ?? availableParallelism(), heard)
  const seconds = (performance.now() - began) / 1_000
  for (const outcome of failed.slice(0, 3)) await explain(outcome)
  if (values.coverage === true || chosen.length >= 20) cover(pairs, faults)
  const rate = `${Math.round((chosen.length / seconds) * 60)} seeds a minute, ${Math.round(sum.events / seconds)} events a second`
  say(
    `${some(chosen.length - failed.length, 'seed')} held, ${failed.length} failed; ${sum.leases} leases (${sum.fewest} or more each, so few in seed ${sum.fewestIn}), ${sum.crashes} crashes, ${sum.events} events; ${rate}`,
  )
  if (failed.length > 0) say(`failed: ${failed.map(({ options }) => options.seed).join(' ')}`)
  process.exitCode = failed.length > 0 ? 1 : 0
}

function tell({ options, result }: Outcome): void {
  for (const sentence of result.violations.slice(0, 10)) say(`seed ${options.seed}: ${sentence}`)
  say(
    `seed ${options.seed}: ${result.events} steps, ${result.leases} leases, ${result.crashes} crashes; again with: npm run sim -- ${wordsOf(options)}`,
  )
}

async function explain({ options, result }: Outcome): Promise<void> {
  const began = performance.now()
  const maxMs = 1_000 * (count(values.shrink) ?? 60)
  const small = await shrink(options, result, maxMs, () => performance.now() - began)
  say(
    `seed ${options.seed}, shrunk in ${small.tries} tries: fails at step ${small.result.events}, ${small.result.elapsedMs} ms after it began`,
  )
  for (const line of small.result.trail.slice(-30)) say(`  ${line}`)
  if (small.result.story.length > 0) say("what the ledgers say of it, by each one's clock:")
  for (const line of small.result.story) say(`  ${line}`)
  for (const sentence of small.result.violations.slice(0, 10)) say(`seed ${options.seed}: ${sentence}`)
  say(`the smallest run that fails in the same way: npm run sim -- ${wordsOf(small.options)}`)
}

function cover(pairs: ReadonlyMap<string, number>, faults: ReadonlyMap<string, number>): void {
  const never = [...pairs].filter(([, taken]) => taken === 0).map(([pair]) => pair)
  if (values.coverage === true)
    for (const [pair, taken] of pairs) say(`${String(taken).padStart(9)}  ${pair}`)
  say(`${pairs.size - never.length} of ${pairs.size} transitions were taken; never:`)
  for (const pair of never) say(`  ${pair}`)
  say(`faults: ${[...faults].map(([fault, times]) => `${fault} ${times}`).join(', ')}`)
}
