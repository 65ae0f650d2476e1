import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Job } from '../batch-system.ts'
import type { AccountedJob } from './records.ts'

/**
 * Jobs that are over. GridEngine forgets them: its list of finished jobs says neither when they ended nor
 * where they ran. So they come from the accounting file, which is written some seconds late, and until
 * then from what the look before has seen of them.
 */
export interface Ended {
  /** Those that ended within the last minutes, of this queue. */
  among(live: readonly Job[], accounted: readonly AccountedJob[], now: Instant): readonly Job[]
}

const KEEP_MS: Millis = 5 * 60_000

export function endedJobs(queue: string): Ended {
  let before: ReadonlyMap<string, Job> = new Map()
  const vanished = new Map<string, Job>()

  return {
    among(live, accounted, now) {
      const isLive = new Set(live.map(({ id }) => id))
      for (const [id, job] of before)
        if (!isLive.has(id) && job.nodeNames.length > 0) vanished.set(id, { ...over(job), endedAt: now })
      before = new Map(live.map((job) => [job.id, job]))
      for (const [id, job] of vanished)
        if (isLive.has(id) || (job.endedAt ?? 0) < now - KEEP_MS) vanished.delete(id)

      const found = new Map<string, Job>()
      for (const row of accounted) {
        const id = row.task === '' ? row.id : `${row.id}.${row.task}`
        if (isLive.has(id) || row.endedAt < now - KEEP_MS || row.queue !== queue) continue
        const seen = vanished.get(id) ?? found.get(id)
        const nodeNames = [...new Set([...(seen?.nodeNames ?? []), row.host])]
        found.set(id, {
          ...(seen ?? fromAccount(row, id)),
          startedAt: row.startedAt,
          endedAt: row.endedAt,
          nodeNames,
        })
      }
      for (const [id, job] of vanished) if (!found.has(id)) found.set(id, job)
      return [...found.values()]
    },
  }
}

function over({ heldBy: _held, notBefore: _notBefore, ...job }: Job): Job {
  return { ...job, state: 'ended', vendorReason: '' }
}

const fromAccount = (row: AccountedJob, id: string): Job => ({
  id,
  state: 'ended',
  vendorReason: '',
  user: row.user,
  queue: row.queue,
  nodes: 1,
  cpusPerNode: row.slots,
  memoryMiBPerNode: 0,
  walltimeMs: undefined,
  submittedAt: row.submittedAt,
  startedAt: row.startedAt,
  endedAt: row.endedAt,
  nodeNames: [row.host],
  requeueable: false,
  restarts: 0,
  tasks: 1,
})
