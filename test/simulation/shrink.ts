import { CALM } from './faults.ts'
import { FEDERATION } from './plan.ts'
import { type TrialOptions, type TrialResult, trial } from './trial.ts'

export interface Shrunk {
  readonly options: TrialOptions
  readonly result: TrialResult
  readonly tries: number
}

/**
 * Looks for a smaller run of the same seed that breaks in the same way: without one fault after another, with
 * fewer actors, fewer jobs, a shorter storm. Ends when nothing more can go, or after `maxMs` of real time.
 */
export async function shrink(
  failing: TrialOptions,
  result: TrialResult,
  maxMs: number,
  elapsedMs: () => number,
): Promise<Shrunk> {
  let best: Shrunk = { options: failing, result, tries: 0 }
  const how = gist(result)
  for (let smaller = true; smaller; ) {
    smaller = false
    for (const options of candidates(best.options)) {
      if (elapsedMs() > maxMs) return best
      const tried = await trial(options)
      best = { ...best, tries: best.tries + 1 }
      if (tried.violations.length === 0 || gist(tried) !== how) continue
      best = { ...best, options, result: tried }
      smaller = true
    }
  }
  return best
}

/** What is wrong, without the ids and figures of this run. */
const gist = ({ violations }: TrialResult): string =>
  (violations[0] ?? '')
    .replace(/[a-z]+-[0-9a-z]{12}/g, 'ID')
    .replace(/\d+/g, '0')
    .slice(0, 60)

function* candidates(options: TrialOptions): Generator<TrialOptions> {
  if (options.size === 'federation')
    for (const key of ['managers', 'sites', 'brokers'] as const) {
      const count = options[key] ?? FEDERATION[key]
      const fewest = key === 'sites' ? Math.min(3, options.brokers ?? FEDERATION.brokers) : 1
      for (const fewer of new Set([Math.ceil(count / 4), Math.ceil(count / 2), count - 1]))
        if (fewer >= fewest && fewer < count) yield { ...options, [key]: fewer }
    }
  for (const leases of [20, 60]) if (leases < (options.leases ?? 200)) yield { ...options, leases }
  for (const stormMs of [60_000, 120_000])
    if (stormMs < (options.stormMs ?? 240_000)) yield { ...options, stormMs }
  const gone = options.without ?? []
  for (const fault of Object.keys(CALM))
    if (!gone.includes(fault)) yield { ...options, without: [...gone, fault] }
  for (const jobs of [0, 3]) if (jobs < (options.jobs ?? 20)) yield { ...options, jobs }
}

/** The words after `npm run sim --` that repeat a run. */
export function wordsOf(options: TrialOptions): string {
  const { seed, size, sites, brokers, managers, jobs, leases, stormMs, without = [] } = options
  const words = [`--seed ${seed}`, size === 'small' ? '--small' : '']
  const numbers = { sites, brokers, managers, jobs, leases, storm: stormMs }
  for (const [name, value] of Object.entries(numbers))
    if (value !== undefined) words.push(`--${name} ${value}`)
  if (without.length > 0) words.push(`--without ${without.join(',')}`)
  return words.filter(Boolean).join(' ')
}
