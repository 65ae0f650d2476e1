import type { Instant, Millis } from '../actors/runtime/clock.ts'
import type { LedgerEntry } from '../actors/runtime/commit.ts'
import { percentile } from '../deploy/reports/report.ts'
import type { Sample } from './sample.ts'

/** A line of a daemon's log with its instant. */
export interface LogLine {
  readonly at: Instant
  readonly text: string
}

/** Slurm's daemons write `[2026-11-21T22:56:02.138] text`; the lab's run with TZ=UTC. */
export function slurmLog(text: string): readonly LogLine[] {
  return text.split('\n').flatMap((line) => {
    const [, at, rest] = /^\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\] (.*)$/.exec(line) ?? []
    return at === undefined || rest === undefined ? [] : [{ at: Date.parse(`${at}Z`), text: rest }]
  })
}

/** The two programs of power saving write `1795302183368 on n1`. */
export const powerLog = (text: string): readonly LogLine[] =>
  text.split('\n').flatMap((line) => {
    const [, at, rest] = /^(\d+) (.*)$/.exec(line) ?? []
    return at === undefined || rest === undefined ? [] : [{ at: Number(at), text: rest }]
  })

/** Where the time between two milestones goes, and how much of it, the median over the samples. */
export interface Step {
  readonly what: string
  readonly p50: Millis
  readonly max: Millis
}

/** What one sample passed through, in order; the instant is undefined if nobody wrote it down. */
type Milestones = readonly (readonly [what: string, at: Instant | undefined])[]

/** What the samples came through, from the logs of those who did it. Slurm's and Sublet's clock is one. */
export interface SubletEvidence {
  readonly manager: readonly LedgerEntry[]
  readonly broker: readonly LedgerEntry[]
  readonly site: readonly LedgerEntry[]
  readonly controller: readonly LogLine[]
  /** slurmd's log of the machine with this name. */
  readonly daemon: (host: string) => readonly LogLine[]
}

export function subletSteps(samples: readonly Sample[], evidence: SubletEvidence): readonly Step[] {
  return stepsOf(samples, (sample) => {
    const entry = (entries: readonly LedgerEntry[], kind: string): Instant | undefined =>
      entries.find((each) => each.at >= sample.submittedAt && each.kind === kind)?.at
    const said = (lines: readonly LogLine[], words: RegExp): Instant | undefined =>
      firstSaid(sample, lines, words)
    const { manager, broker, site, controller, daemon } = evidence
    return [
      ['sbatch: Slurm has the job', said(controller, submission(sample))],
      ['noticed, looked at, decided: a lease is asked for', entry(manager, 'requested')],
      ['the broker grants the ticket', entry(broker, 'ticket granted')],
      ['redeemed: the site assigns a machine', entry(site, 'unit assigned')],
      ['the machine boots until its sshd greets', entry(site, 'unit probing')],
      ['its probe passes', entry(site, 'unit active')],
      ['login by ssh, slurmd starts', said(daemon(sample.host), /^slurmd started on/)],
      ['registered, seen, let in', said(controller, new RegExp(`node ${sample.host} state set to IDLE`))],
      ['Slurm’s next scheduling round', said(controller, start(sample))],
    ]
  })
}

export interface PowerSavingEvidence {
  readonly controller: readonly LogLine[]
  readonly power: readonly LogLine[]
}

export function powerSavingSteps(
  samples: readonly Sample[],
  { controller, power }: PowerSavingEvidence,
): readonly Step[] {
  return stepsOf(samples, (sample) => {
    const said = (lines: readonly LogLine[], words: RegExp): Instant | undefined =>
      firstSaid(sample, lines, words)
    return [
      ['sbatch: Slurm has the job', said(controller, submission(sample))],
      ['Slurm’s next scheduling round', said(controller, start(sample))],
      ['ResumeProgram runs', said(power, /^on /)],
      ['slurmd starts and has registered', said(controller, /^Node \S+ now responding/)],
      [
        'until Slurm looks after jobs that are being configured',
        said(controller, new RegExp(`Configuration for JobId=${sample.jobId} complete`)),
      ],
    ]
  })
}

const submission = ({ jobId }: Sample): RegExp => new RegExp(`_slurm_rpc_submit_batch_job: JobId=${jobId} `)
const start = ({ jobId }: Sample): RegExp => new RegExp(`(Started|Allocate) JobId=${jobId} `)

const firstSaid = (sample: Sample, lines: readonly LogLine[], words: RegExp): Instant | undefined =>
  lines.find(({ at, text }) => at >= sample.submittedAt && words.test(text))?.at

/** A milestone that is out of order or missing lends its time to the next one. */
function stepsOf(samples: readonly Sample[], milestonesOf: (sample: Sample) => Milestones): readonly Step[] {
  const spans = new Map<string, Millis[]>()
  for (const sample of samples) {
    let before = sample.submittedAt
    for (const [what, at] of [...milestonesOf(sample), ['the job’s first line', sample.startedAt] as const]) {
      const found = spans.get(what) ?? []
      spans.set(what, found)
      if (at === undefined) continue
      const now = Math.min(Math.max(at, before), sample.startedAt)
      found.push(now - before)
      before = now
    }
  }
  return [...spans].map(([what, times]) => ({ what, p50: percentile(times, 0.5), max: percentile(times, 1) }))
}
