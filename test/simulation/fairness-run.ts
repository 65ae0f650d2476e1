import { firstCome } from '../../controllers/brokers/first-come.ts'
import { priority } from '../../controllers/brokers/priority.ts'
import { weightedShare } from '../../controllers/brokers/weighted-share.ts'
import type { BrokerPolicy } from '../../controllers/controller.ts'
import { span } from '../../controllers/sentence.ts'
import { type FairnessOutcome, fairness, UNITS } from './fairness.ts'
import { CLASSES, SHARES, weightOf } from './fairness-shares.ts'

/**
 * npm run sim:fairness                     a week under each of three policies
 * npm run sim:fairness -- --hours 24 --seed 7 --policy weighted-share
 */
const words = process.argv.slice(2)
const said = (option: string): string | undefined => words[words.indexOf(option) + 1 || words.length]
const hours = Number(said('--hours') ?? 168)
const seed = Number(said('--seed') ?? 1)
const only = said('--policy')
if (!(hours > 4) || !Number.isInteger(seed)) {
  process.stderr.write(
    'usage: npm run sim:fairness -- [--hours N] [--seed N] [--policy NAME], more than 4 hours\n',
  )
  process.exit(2)
}
const policies: readonly [string, BrokerPolicy, ((guest: string) => number | undefined)?][] = [
  ['weighted-share', weightedShare(SHARES), (guest) => SHARES.guests[guest]?.max],
  ['first-come', firstCome],
  ['priority', priority(CLASSES)],
]
const columns = [
  'guest',
  'weight',
  'min',
  'max',
  'unit-hours',
  'share',
  'of weight',
  'least',
  'wait p50',
  'wait p99',
]

function table({ guests }: FairnessOutcome): string {
  const all = guests.reduce((sum, { unitHours }) => sum + unitHours, 0)
  const rows = guests.map(({ name, unitHours, waitsMs, leastUnits }) => {
    const { weight, min, max } = SHARES.guests[name]!
    const share = unitHours / all
    const off = (share / weightOf(name) - 1) * 100
    const at = (part: number): string => span(waitsMs[Math.floor((waitsMs.length - 1) * part)] ?? 0)
    return [
      ...[name, weight, min, max ?? '-', Math.round(unitHours), `${(share * 100).toFixed(1)} %`],
      ...[`${off >= 0 ? '+' : ''}${off.toFixed(1)} %`, leastUnits, at(0.5), at(0.99)],
    ].map(String)
  })
  const widths = columns.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  return [columns, ...rows]
    .map(
      (row) =>
        `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`,
    )
    .join('\n')
}

let failed = false
for (const [name, policy, maxOf] of policies.filter(([name]) => name === (only ?? name))) {
  const outcome = await fairness(policy, { hours, seed, ...(maxOf && { maxOf }) })
  const { leases, rounds, idleUnitMs, violations } = outcome
  process.stdout.write(
    `${name}: seed ${seed}, ${hours} h of ${UNITS} units, ${leases} leases, ${rounds} rounds\n${table(outcome)}\n`,
  )
  process.stdout.write(
    `  idle ${Math.round(idleUnitMs / 1000)} unit-seconds; waiting requests that could have started: ${violations.length}\n`,
  )
  for (const sentence of violations.slice(0, 5)) process.stdout.write(`  ${sentence}\n`)
  failed ||= violations.length > 0
}
process.exitCode = failed ? 1 : 0
