import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { absurdity, Combinations, PRODUCT, wordOf } from './combinations.ts'
import { Trial, type TrialOptions } from './trial.ts'

/** Nobody has forgotten anything: what an older store says of a lease fits to nothing. */
const RUNS: readonly TrialOptions[] = [
  ...Array.from({ length: 10 }, (_, i): TrialOptions => ({ seed: i + 1, restores: 0 })),
  { seed: 7, size: 'federation', managers: 10, restores: 0 },
]

/** Each line is a combination that may be, and after two spaces why it comes to be. */
const LISTED = new Map(
  readFileSync(new URL('./combinations.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line): [string, string] => {
      const [word = '', ...reason] = line.split(/ {2,}/)
      return [word, reason.join(' ')]
    }),
)

test(`the states of a lease at the three actors fit together in ${RUNS.length} runs`, {
  timeout: 600_000,
}, async () => {
  const combinations = new Combinations()
  for (const options of RUNS) {
    const trial = new Trial(options)
    combinations.watch(trial)
    await trial.run()
  }
  const seen = [...combinations.seen.values()]
  const reached = new Set(seen.map(wordOf))
  console.info(
    `${reached.size} of ${PRODUCT} combinations of ticket/lease, broker and site were reached, ${LISTED.size} are listed`,
  )
  const absurd = seen.flatMap((combination) => {
    const why = absurdity(combination)
    return why === undefined ? [] : [`${wordOf(combination)} in seed ${combination.seed}: ${why}`]
  })
  expect(absurd).toEqual([])
  const unlisted = seen.filter((combination) => !LISTED.has(wordOf(combination)))
  expect(
    unlisted.map((combination) => `${wordOf(combination)} in seed ${combination.seed}`),
    'a line in combinations.txt says why such a combination comes to be',
  ).toEqual([])
  expect(reached.size).toBeGreaterThan(40)
})

test('each listed combination has its reason', () => {
  expect([...LISTED].filter(([, reason]) => reason.length < 10)).toEqual([])
})
