import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { some, span } from '../../controllers/sentence.ts'
import type { LedgerVerdict } from './ledgers.ts'

/**
 * What a run came to, counted from three sources that know nothing of each other:
 *
 *   the jobs themselves     a file each, a line when its command begins and one when it is done
 *   the middleware          its own record of each job: submitted, started, ended, where, how
 *   Sublet's ledgers        leases, machines
 */
export interface RunReport {
  readonly jobs: JobCounts
  readonly nodes: { readonly min: number; readonly peak: number; readonly final: number }
  readonly leases: LeaseCounts
  readonly waitMs: { readonly p50: Millis; readonly p90: Millis; readonly max: Millis }
  readonly reactionMs: { readonly p50: Millis; readonly p90: Millis }
  readonly ledger: {
    readonly entries: number
    readonly verified: boolean
    /** Tickets that sites accepted, and how many of them are traced to what was signed for them. */
    readonly accepted: number
    readonly traced: number
  }
  readonly chart: string
}

export interface JobCounts {
  readonly submitted: number
  /** The middleware says it finished, and the job itself says that it came to its end. */
  readonly completed: number
  /** By itself (an exit code of its own, its time limit) or cancelled by its user. */
  readonly failed: number
  /** How often a job was put back into the queue. */
  readonly requeued: number
  /** Starts that a job itself knows of, that it did not bring to an end, and that were requeued or killed. */
  readonly killedByUs: number
  /** Jobs that began again after they were done, or twice in one attempt. */
  readonly runTwice: number
  /**
   * Jobs that neither finished, nor failed by themselves, nor are in the queue: unknown to the middleware,
   * finished only by its word, or killed and not requeued.
   */
  readonly lost: number
}

export interface LeaseCounts {
  /** With a ticket. */
  readonly granted: number
  readonly closed: number
  /** Refused by the broker, or ended by the site before one machine was ready. */
  readonly failed: number
}

// ── what the jobs say ──────────────────────────────────────────────────────────────────────────────

export type Mark = 'begun' | 'done'

/** In order, as one job wrote them. */
export type Trail = readonly { readonly jobId: string; readonly attempt: number; readonly mark: Mark }[]

/** Each file in the folder is one job's: lines of `ID ATTEMPT` when it begins and `ID ATTEMPT done` at its end. */
export function readTrails(folder: string): ReadonlyMap<string, Trail> {
  const trails = new Map<string, Trail>()
  for (const file of existsSync(folder) ? readdirSync(folder) : [])
    for (const mark of parseTrail(readFileSync(join(folder, file), 'utf8')))
      trails.set(mark.jobId, [...(trails.get(mark.jobId) ?? []), mark])
  return trails
}

export const parseTrail = (text: string): Trail =>
  text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([jobId, attempt, word]) =>
      jobId === undefined || attempt === undefined
        ? []
        : [
            {
              jobId,
              attempt: Number(attempt),
              mark: word === 'done' ? ('done' as const) : ('begun' as const),
            },
          ],
    )

// ── what the middleware says ───────────────────────────────────────────────────────────────────────

/** One job in the middleware's own record. */
export interface JobHistory {
  readonly id: string
  readonly submittedAt: Instant
  /** `killed`: ended, not by itself and not by its user. */
  readonly state: 'waiting' | 'running' | 'finished' | 'failed' | 'cancelled' | 'killed'
  /** In order. */
  readonly attempts: readonly JobAttempt[]
}

export interface JobAttempt {
  readonly startedAt: Instant
  readonly endedAt: Instant | undefined
  readonly nodes: readonly string[]
  readonly requeued: boolean
}

export function countJobs(
  submitted: readonly string[],
  histories: readonly JobHistory[],
  trails: ReadonlyMap<string, Trail>,
): JobCounts {
  const known = new Map(histories.map((history) => [history.id, history]))
  const counts = { completed: 0, failed: 0, requeued: 0, killedByUs: 0, runTwice: 0, lost: 0 }
  for (const id of submitted) {
    const history = known.get(id)
    const trail = trails.get(id) ?? []
    const isDone = trail.some(({ mark }) => mark === 'done')
    if (history?.state === 'finished' && isDone) counts.completed += 1
    if (history?.state === 'failed' || history?.state === 'cancelled') counts.failed += 1
    if (history === undefined || history.state === 'killed' || (history.state === 'finished' && !isDone))
      counts.lost += 1
    counts.requeued += history?.attempts.filter(({ requeued }) => requeued).length ?? 0
    if (history !== undefined) counts.killedByUs += cutShort(history, trail)
    if (ranTwice(trail)) counts.runTwice += 1
  }
  return { submitted: submitted.length, ...counts }
}

/** Starts without an end of the job's own; the last one counts only if nobody but us can have ended it. */
function cutShort({ state, attempts }: JobHistory, trail: Trail): number {
  const open = new Set<number>()
  for (const { attempt, mark } of trail) mark === 'begun' ? open.add(attempt) : open.delete(attempt)
  const byOthers = state === 'failed' || state === 'cancelled' || state === 'running' ? 1 : 0
  const interrupted = attempts.filter(({ requeued }) => requeued).length + (state === 'killed' ? 1 : 0)
  return Math.min(interrupted, Math.max(0, open.size - byOthers))
}

function ranTwice(trail: Trail): boolean {
  let isDone = false
  const begun = new Set<number>()
  for (const { attempt, mark } of trail) {
    if (mark === 'done') isDone = true
    else if (isDone || begun.has(attempt)) return true
    else begun.add(attempt)
  }
  return false
}

// ── how long it took ───────────────────────────────────────────────────────────────────────────────

/** One leased machine, from its assignment until nothing was left of it. */
export interface MachineStory {
  readonly unitId: string
  readonly name: string
  readonly leaseId: string
  /** When its lease was asked for. */
  readonly requestedAt: Instant
  readonly assignedAt: Instant
  readonly endedAt: Instant | undefined
}

/** From submission to the first start, over all jobs that started. */
export const waitsOf = (histories: readonly JobHistory[]): readonly Millis[] =>
  histories.flatMap(({ submittedAt, attempts }) =>
    attempts[0] === undefined ? [] : [Math.max(0, attempts[0].startedAt - submittedAt)],
  )

/**
 * How long the site took to answer a need with a machine: for each leased machine the first job that
 * started on it, if that job was submitted before the machine's lease was asked for (the others found a
 * machine that was there); from the job's submission to that start. Both instants come from the
 * middleware's own record; Sublet's clock only says which machine bore the name then. A job on several
 * machines counts once, and a job that was requeued does not count.
 */
export function reactionsOf(
  histories: readonly JobHistory[],
  machines: readonly MachineStory[],
): readonly Millis[] {
  const starts = histories
    .flatMap((job) => job.attempts.map((attempt, i) => ({ job, attempt, isFirst: i === 0 })))
    .toSorted((a, b) => a.attempt.startedAt - b.attempt.startedAt)
  const reactions = new Map<string, Millis>()
  for (const { name, requestedAt, assignedAt, endedAt = Number.POSITIVE_INFINITY } of machines) {
    const first = starts.find(
      ({ attempt: { nodes, startedAt } }) =>
        nodes.includes(name) && startedAt >= assignedAt && startedAt <= endedAt,
    )
    if (first?.isFirst && first.job.submittedAt <= requestedAt)
      reactions.set(first.job.id, Math.max(0, first.attempt.startedAt - first.job.submittedAt))
  }
  return [...reactions.values()]
}

/** The smallest value that at least this share of the values does not exceed; 0 if there is none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
}

// ── what the ledgers say ───────────────────────────────────────────────────────────────────────────

/** From the service manager's ledger. */
export function countLeases(entries: readonly LedgerEntry[]): LeaseCounts {
  const subjects = (kind: string): ReadonlySet<string> =>
    new Set(entries.filter((entry) => entry.kind === kind).map(({ subject }) => subject))
  const [granted, closed, refused] = [subjects('ticketed'), subjects('lease closed'), subjects('refused')]
  const [active, leaving] = [subjects('active'), subjects('leaving')]
  const inVain = [...closed].filter((id) => granted.has(id) && !active.has(id) && !leaving.has(id))
  return { granted: granted.size, closed: closed.size, failed: new Set([...refused, ...inVain]).size }
}

// ── together ───────────────────────────────────────────────────────────────────────────────────────

export interface RunEvidence {
  readonly submitted: readonly string[]
  readonly histories: readonly JobHistory[]
  readonly trails: ReadonlyMap<string, Trail>
  readonly machines: readonly MachineStory[]
  readonly nodes: RunReport['nodes']
  readonly managerEntries: readonly LedgerEntry[]
  readonly verdicts: readonly LedgerVerdict[]
  readonly chart: string
}

export function reportOf(evidence: RunEvidence): RunReport {
  const waits = waitsOf(evidence.histories)
  const reactions = reactionsOf(evidence.histories, evidence.machines)
  return {
    jobs: countJobs(evidence.submitted, evidence.histories, evidence.trails),
    nodes: evidence.nodes,
    leases: countLeases(evidence.managerEntries),
    waitMs: { p50: percentile(waits, 0.5), p90: percentile(waits, 0.9), max: percentile(waits, 1) },
    reactionMs: { p50: percentile(reactions, 0.5), p90: percentile(reactions, 0.9) },
    ledger: {
      entries: evidence.verdicts.reduce((sum, { entries }) => sum + entries, 0),
      verified: evidence.verdicts.length > 0 && evidence.verdicts.every(({ faults }) => faults.length === 0),
      accepted: evidence.verdicts.reduce((sum, { traces }) => sum + (traces?.accepted ?? 0), 0),
      traced: evidence.verdicts.reduce((sum, { traces }) => sum + (traces?.traced ?? 0), 0),
    },
    chart: evidence.chart,
  }
}

/** Whether the run keeps what Sublet promises. */
export const isSound = ({ jobs, ledger }: RunReport): boolean =>
  jobs.lost === 0 && jobs.runTwice === 0 && ledger.verified

export function showReport(report: RunReport): string {
  const { jobs, nodes, leases, waitMs, reactionMs, ledger } = report
  const incidents = [
    `${jobs.failed} failed`,
    `${jobs.requeued} requeued`,
    `${jobs.killedByUs} killed by us`,
    `${jobs.runTwice} run twice`,
    `${jobs.lost} lost`,
  ]
  return [
    `jobs      ${jobs.completed} of ${jobs.submitted} completed; ${incidents.join(', ')}`,
    `waiting   half started within ${span(waitMs.p50)}, nine of ten within ${span(waitMs.p90)}, the last after ${span(waitMs.max)}`,
    `reaction  submitted → started on a machine leased for it: ${span(reactionMs.p50)} (p50), ${span(reactionMs.p90)} (p90)`,
    `nodes     at least ${nodes.min}, at most ${nodes.peak}, ${nodes.final} at the end`,
    `leases    ${leases.granted} granted, ${leases.closed} closed, ${leases.failed} failed`,
    `ledgers   ${some(ledger.entries, 'line')}, ${ledger.verified ? 'verified: no unit was ever held twice' : 'NOT verified'}; traced ${ledger.traced} of ${some(ledger.accepted, 'grant')}`,
    `chart     ${report.chart}`,
  ].join('\n')
}
