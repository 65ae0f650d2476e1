import { expect, test } from 'vitest'
import { absurdity, Combinations } from './combinations.ts'
import { trial } from './trial.ts'

const SEEDS = 15

test(`the states of a lease at the three actors fit together in ${SEEDS} runs`, {
  timeout: 60_000,
}, async () => {
  const combinations = new Combinations()
  for (let seed = 1; seed <= SEEDS; seed++)
    await trial({ seed, watch: (running) => combinations.look(running) })
  const absurd = [...combinations.seen].flatMap(([name, combination]) => {
    const why = absurdity(combination)
    return why === undefined ? [] : [`${name}: ${why}`]
  })
  console.info(`${combinations.seen.size} combinations of ticket/lease, broker and site were reached`)
  expect(absurd).toEqual([])
  expect(combinations.seen.size).toBeGreaterThan(40)
})
