import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { growingPauses } from '../batch/pauses.ts'
import { type Commands, complaint } from './commands.ts'
import type { Reader } from './reader.ts'
import { LAUNCH_FAILED } from './reasons.ts'
import type { JobRecord } from './records.ts'

/**
 * Putting jobs back into the queue.
 *
 *   running ──requeue──▶ completing ──(epilog)──▶ pending, not before now + 2 min ──letStart──▶ pending
 *
 * Slurm makes every requeued job wait two minutes (seen with 22.05.8). It must wait a little: a node on
 * which the job was just killed takes a start within the same second for the killed one and ends the job
 * for good (“Job credential revoked”). Some seconds are enough.
 */
export interface Requeuer {
  /** `told`: what is done once Slurm was told, before what was put back is waited for. */
  all(
    jobIds: readonly string[],
    signal: AbortSignal,
    told: (jobIds: readonly string[]) => Promise<void>,
  ): Promise<readonly { id: string; reason: string }[]>
  /** Jobs that run or complete on the node. */
  boundTo(node: string, signal: AbortSignal): Promise<readonly JobRecord[]>
  /** Shortens the wait of those that were requeued. */
  letStart(jobIds: readonly string[], signal: AbortSignal): Promise<void>
}

/** How long a job may take to come back into the queue; with a longer epilog it keeps Slurm's own wait. */
const COME_BACK_MS: Millis = 5_000
/** Between two looks at all jobs, at first. */
const ASK_AGAIN_MS: Millis = 60
const ASK_AGAIN_MS_MAX: Millis = 500
const AT_ONCE = 4
export const START_IN_SECONDS = 3
/** A begin time further off than this is Slurm's own wait. */
const OWN_WAIT_MS: Millis = 10_000

/** What Slurm says of a job that meanwhile started, ended or waits for want of nodes; the time is set, or means nothing. */
const NOTHING_TO_START =
  /no longer pending|configuration not available|completing or completed|Invalid job id/i

/** It waits already; released without a node in the partition it is let go, and complained of all the same. */
const NOTHING_TO_REQUEUE = /is pending execution|configuration not available/i

export function requeuer(commands: Commands, reader: Reader, clock: Clock): Requeuer {
  const inTurns = async (ids: readonly string[], act: (id: string) => Promise<void>): Promise<void> => {
    for (let at = 0; at < ids.length; at += AT_ONCE) await Promise.all(ids.slice(at, at + AT_ONCE).map(act))
  }

  const letStart = async (jobIds: readonly string[], signal: AbortSignal): Promise<void> => {
    const end = clock.monotonic() + COME_BACK_MS
    const pauses = growingPauses(clock, ASK_AGAIN_MS, ASK_AGAIN_MS_MAX)
    let left = new Set(jobIds)
    while (left.size > 0) {
      const jobs = (await reader.jobs(signal)).records.filter((job) => left.has(job.id))
      const waiting = jobs.filter((job) => job.state === 'PENDING')
      await inTurns(
        waiting.filter((job) => job.eligibleAt > clock.now() + OWN_WAIT_MS).map((job) => job.id),
        async (id) => {
          const done = await commands.run(
            'scontrol',
            ['update', `JobId=${id}`, `StartTime=now+${START_IN_SECONDS}`],
            signal,
          )
          if (done.exitCode !== 0 && !NOTHING_TO_START.test(done.stderr))
            throw new SubletError(
              'middleware-refused',
              `Requeued job ${id} keeps a later begin time: ${complaint(done)}`,
            )
        },
      )
      left = new Set(jobs.filter((job) => /^(COMPLETING|REQUEUED)$/.test(job.state)).map((job) => job.id))
      if (clock.monotonic() > end) return
      if (left.size > 0) await pauses.next(signal)
    }
  }

  return {
    letStart,
    boundTo: async (node, signal) =>
      (await reader.jobs(signal)).records.filter(
        (job) => job.state !== 'PENDING' && job.nodeNames.includes(node),
      ),
    async all(jobIds, signal, told) {
      const refused: { id: string; reason: string }[] = []
      const isHeld = new Set(
        (await reader.jobs(signal)).records
          .filter((job) => job.reason === LAUNCH_FAILED)
          .map((job) => job.id),
      )
      await inTurns(jobIds, async (id) => {
        // Slurm has put it back already, and holds it there.
        const verb = isHeld.has(id) ? 'release' : 'requeue'
        const done = await commands.run('scontrol', [verb, id], signal)
        if (done.exitCode !== 0 && !NOTHING_TO_REQUEUE.test(done.stderr))
          refused.push({ id, reason: complaint(done) })
      })
      const names = new Set(refused.map(({ id }) => id))
      const back = jobIds.filter((id) => !names.has(id))
      if (back.length > 0) await told(back)
      await letStart(back, signal)
      return refused
    },
  }
}
