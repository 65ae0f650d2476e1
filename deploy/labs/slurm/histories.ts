import type { JobHistory } from '../../reports/report.ts'
import type { JobRecord } from './job-records.ts'
import type { Submitted } from './jobs.ts'
import type { Observer } from './observer.ts'

/**
 * Slurm's own record of each job (jobcomp) with the instants of the job's own notes, which have
 * milliseconds where Slurm's have seconds.
 */
export function historiesOf(
  jobs: readonly Submitted[],
  records: readonly JobRecord[],
  observer: Observer,
): JobHistory[] {
  return jobs.map(({ id, at }) => {
    const own = records.filter((record) => record.name === id)
    const runs = observer.runs(id)
    const attempts = runs.map((run, i) => ({
      startedAt: run.startedAt,
      endedAt: run.endedAt,
      nodes: [run.host],
      requeued: i < runs.length - 1,
    }))
    return { id, submittedAt: at, state: stateOf(own.at(-1)?.state, runs.length), attempts }
  })
}

function stateOf(state: string | undefined, runs: number): JobHistory['state'] {
  switch (state) {
    case 'COMPLETED':
      return 'finished'
    case 'FAILED':
    case 'TIMEOUT':
      return 'failed'
    case 'CANCELLED':
      return 'cancelled'
    case undefined:
    case 'REQUEUED':
      return runs > 0 ? 'running' : 'waiting'
    default:
      return 'killed'
  }
}
