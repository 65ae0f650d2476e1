import type { JobRecord } from '../../adapters/embedded/batch-records.ts'
import type { JobHistory } from './report.ts'

/** A job of the embedded batch system as the report counts it. */
export function historyOf({ id, submittedAt, state, attempts, startedAt, parts }: JobRecord): JobHistory {
  const last = attempts.at(-1)
  const past = attempts.map(({ startedAt, endedAt, nodes, outcome }) => ({
    startedAt,
    endedAt,
    nodes,
    requeued: outcome === 'requeued',
  }))
  const isUnderWay = state === 'running' || state === 'completing'
  const present = {
    startedAt: startedAt ?? submittedAt,
    endedAt: undefined,
    nodes: parts.map(({ node }) => node),
    requeued: false,
  }
  return {
    id,
    submittedAt,
    state: state === 'pending' ? 'waiting' : isUnderWay ? 'running' : endOf(last),
    attempts: isUnderWay ? [...past, present] : past,
  }
}

/** A command that failed by itself has an exit code of its own. */
function endOf(last: JobRecord['attempts'][number] | undefined): JobHistory['state'] {
  switch (last?.outcome) {
    case 'finished':
      return 'finished'
    case 'failed':
      return last.exitCode === null ? 'killed' : 'failed'
    case 'timeout':
      return 'failed'
    case 'requeued':
    case 'cancelled':
    case undefined:
      return 'cancelled'
  }
}
