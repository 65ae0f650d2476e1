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
    for (const change of changes()) {
      const options = change(best.options)
      if (options === undefined) continue
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

/** Makes options smaller; undefined if they are that small already. */
type Change = (options: TrialOptions) => TrialOptions | undefined

function* changes(): Generator<Change> {
  for (const key of ['managers', 'sites', 'brokers'] as const)
    for (const part of [4, 2, 1.1]) yield (options) => fewer(options, key, part)
  for (const leases of [20, 60])
    yield (options) => (leases < (options.leases ?? 200) ? { ...options, leases } : undefined)
  for (const stormMs of [60_000, 120_000])
    yield (options) => (stormMs < (options.stormMs ?? 240_000) ? { ...options, stormMs } : undefined)
  for (const fault of Object.keys(CALM))
    yield ({ without = [], ...options }) =>
      without.includes(fault) ? undefined : { ...options, without: [...without, fault] }
  for (const jobs of [0, 3])
    yield (options) => (jobs < (options.jobs ?? 20) ? { ...options, jobs } : undefined)
}

function fewer(
  options: TrialOptions,
  key: 'managers' | 'sites' | 'brokers',
  part: number,
): TrialOptions | undefined {
  if (options.size !== 'federation') return undefined
  const count = options[key] ?? FEDERATION[key]
  const fewest = key === 'sites' ? (options.brokers ?? FEDERATION.brokers) : 1
  const left = Math.max(fewest, Math.floor(count / part))
  return left < count ? { ...options, [key]: left } : undefined
}

/** The words after `npm run sim --` that repeat a run. */
export function wordsOf(options: TrialOptions): string {
  const { seed, size, sites, brokers, managers, jobs, leases, stormMs, restores, without = [] } = options
  const words = [`--seed ${seed}`, size === 'small' ? '--small' : '']
  const numbers = { sites, brokers, managers, jobs, leases, storm: stormMs, restores }
  for (const [name, value] of Object.entries(numbers))
    if (value !== undefined) words.push(`--${name} ${value}`)
  if (without.length > 0) words.push(`--without ${without.join(',')}`)
  return words.filter(Boolean).join(' ')
}
