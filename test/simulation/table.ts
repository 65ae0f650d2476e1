import { PLANTED } from './planted.ts'
import type { Plants } from './plants.ts'
import { trial } from './trial.ts'

/** Seeds within which each planted fault has to be found. */
export const PLANTED_SEEDS = 25

export interface Finding {
  readonly fault: string
  /** How many seeds it took; undefined if none found it. */
  readonly seeds: number | undefined
  /** What was said of it. */
  readonly sentence: string
}

/** Runs one seed after the other until one finds the fault; `first` before all others. */
export async function find(
  fault: string,
  plants: Plants,
  { most = PLANTED_SEEDS, first = 1 }: { readonly most?: number; readonly first?: number | undefined } = {},
): Promise<Finding> {
  const others = Array.from({ length: most }, (_, i) => i + 1).filter((seed) => seed !== first)
  for (const seed of [first, ...others]) {
    const { violations } = await trial({ seed, plants, restores: plants.restores ?? 0 })
    if (violations.length > 0) return { fault, seeds: seed, sentence: violations[0]!.slice(0, 120) }
  }
  return { fault, seeds: undefined, sentence: 'not found' }
}

/** The table of the planted faults, line by line as they are found. */
export async function printPlanted(say: (line: string) => void): Promise<void> {
  let missed = 0
  say('seeds  planted fault, and how it was found')
  for (const [fault, plants] of Object.entries(PLANTED)) {
    const { seeds, sentence } = await find(fault, plants)
    if (seeds === undefined) missed++
    say(`${String(seeds ?? '-').padStart(5)}  ${fault}\n       ${sentence.split('\n')[0]}`)
  }
  say(`${Object.keys(PLANTED).length - missed} of ${Object.keys(PLANTED).length} planted faults were found`)
  process.exitCode = missed > 0 ? 1 : 0
}
