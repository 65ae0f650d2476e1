import type { Millis } from '../actors/runtime/clock.ts'
import { type Distribution, distributionOf, reactionOf, type Sample } from './sample.ts'
import type { Step } from './steps.ts'
import { markdownTable } from './table.ts'
import type { MachineFacts } from './this-machine.ts'

export interface Contestant {
  readonly name: string
  readonly samples: readonly Sample[]
  readonly steps: readonly Step[]
}

export interface ReactionRun {
  readonly date: string
  readonly command: string
  readonly machine: MachineFacts
  /** Load of the last minute: when the run began, and the most of all samples. */
  readonly load: { readonly before: number; readonly most: number }
  readonly sublet: Contestant
  readonly rival: Contestant
}

const GOAL_P50_MS: Millis = 1_500
const GOAL_P90_MS: Millis = 3_000
const GOAL_RATIO = 10

const seconds = (ms: Millis): string => (ms / 1000).toFixed(2)

const timesOf = ({ samples }: Contestant): Distribution => distributionOf(samples.map(reactionOf))

export function ratioOf({ sublet, rival }: ReactionRun): number {
  return timesOf(rival).p50 / timesOf(sublet).p50
}

/** One sentence for each part of the goal. */
export function goals(run: ReactionRun): readonly string[] {
  const { p50, p90 } = timesOf(run.sublet)
  const goal = (isMet: boolean, text: string): string => `${isMet ? 'met' : 'MISSED'}: ${text}`
  const found = [
    goal(p50 < GOAL_P50_MS, `p50 ${seconds(p50)} s, goal under ${seconds(GOAL_P50_MS)} s`),
    goal(p90 < GOAL_P90_MS, `p90 ${seconds(p90)} s, goal under ${seconds(GOAL_P90_MS)} s`),
  ]
  const ratio = ratioOf(run)
  if (run.rival.samples.length > 0)
    found.push(
      goal(ratio >= GOAL_RATIO, `${ratio.toFixed(1)} times as fast by the medians, goal ${GOAL_RATIO}`),
    )
  return found
}

/** Seconds; for a terminal and, being Markdown too, for the results. */
export function table(run: ReactionRun): string {
  const contestants = [run.sublet, run.rival].filter(({ samples }) => samples.length > 0)
  const rows = contestants.map((each) => {
    const { min, p50, p90, max } = timesOf(each)
    return [each.name, String(each.samples.length), ...[min, p50, p90, max].map(seconds)]
  })
  return markdownTable(['submit → job runs, seconds', 'samples', 'min', 'p50', 'p90', 'max'], rows)
}

export function stepsTable({ steps }: Contestant): string {
  const rows = steps.map(({ what, p50, max }) => [what, String(p50), String(max)])
  return markdownTable(['step, milliseconds', 'p50', 'max'], rows)
}

export const resultsText = (run: ReactionRun): string => `# Reaction

From sbatch on an empty pool to the first line of the job on a machine that came for it.

${table(run)}

${goals(run)
  .map((line) => `- ${line}`)
  .join('\n')}

## Where and when

- ${run.date}, \`${run.command}\`
- ${run.machine.cores} cores, ${run.machine.memory} of memory, ${run.machine.kernel}
- Node ${run.machine.node}, ${run.machine.slurm}
- load of the last minute before the run ${run.load.before.toFixed(2)}, at most ${run.load.most.toFixed(2)} during it; everything runs on this one machine

## All samples

In seconds, in the order they were taken; a sample of the one, then a sample of the other.

${[run.sublet, run.rival].map(({ name, samples }) => `- ${name}: ${samples.map((each) => seconds(reactionOf(each))).join(', ')}`).join('\n')}

## Where the time goes

${[run.sublet, run.rival].map((each) => `${each.name}:\n\n${stepsTable(each)}`).join('\n\n')}

Each step ends with what is named; the medians of the steps need not add up to the median of the whole.

## To repeat

As root on Debian 12 with munge, slurmctld, slurmd, slurm-client, iproute2 and openssh-server:
\`npm run bench:reaction\`, some 13 minutes; \`-- --samples 20 --rival-samples 0\` leaves the rival out.
What is measured, and beside what: ../README.md.
`
