import { trial } from './trial.ts'

/**
 * npm run sim -- --seed 7          one seed, with its trail
 * npm run sim -- --seeds 1..500    many
 */
const words = process.argv.slice(2)
const value = (name: string): string | undefined => words[words.indexOf(name) + 1 || words.length]
const [from, to] = (value('--seeds') ?? `${value('--seed') ?? 1}..${value('--seed') ?? 1}`)
  .split('..')
  .map(Number)
if (from === undefined || to === undefined || !(from <= to)) {
  process.stderr.write('usage: npm run sim -- --seed N | --seeds A..B\n')
  process.exit(2)
}
let failed = 0
let leases = 0
let crashes = 0
let events = 0
for (let seed = from; seed <= to; seed++) {
  const result = await trial({ seed })
  leases += result.leases
  crashes += result.crashes
  events += result.events
  if (result.violations.length === 0 && from !== to) continue
  if (result.violations.length > 0) failed++
  for (const line of result.trail) process.stdout.write(`  ${line}\n`)
  for (const sentence of result.violations) process.stdout.write(`seed ${seed}: ${sentence}\n`)
  process.stdout.write(
    `seed ${seed}: ${result.events} events, ${result.leases} leases, ${result.crashes} crashes; again with: npm run sim -- --seed ${seed}\n`,
  )
}
process.stdout.write(
  `${to - from + 1 - failed} seeds held, ${failed} failed; ${leases} leases, ${crashes} crashes, ${events} events\n`,
)
process.exitCode = failed > 0 ? 1 : 0
