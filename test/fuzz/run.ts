import { fuzz } from './fuzz.ts'

/** npm run fuzz -- --count 100000 --seed 1 */
const words = process.argv.slice(2)
const value = (name: string, otherwise: number): number => {
  const at = words.indexOf(name)
  return at < 0 ? otherwise : Number(words[at + 1])
}
const count = value('--count', 100_000)
const seed = value('--seed', 1)
if (!Number.isInteger(count) || count < 1 || !Number.isInteger(seed)) {
  process.stderr.write('usage: npm run fuzz -- --count N --seed N\n')
  process.exit(2)
}
const tally = await fuzz(count, seed)
for (const line of tally.lines()) process.stdout.write(`${line}\n`)
for (const fault of tally.faults) process.stdout.write(`FAULT ${fault}\n`)
process.stdout.write(
  `${tally.total} messages: ${tally.acceptedWrongly} accepted wrongly, ${tally.crashes} crashes; again with: npm run fuzz -- --count ${count} --seed ${seed}\n`,
)
process.exitCode = tally.acceptedWrongly + tally.crashes > 0 ? 1 : 0
