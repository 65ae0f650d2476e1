import { SubletError } from '../../actors/runtime/errors.ts'
import { type Commands, complaint } from './commands.ts'
import type { JobRow } from './records.ts'

/**
 * Putting jobs back into the queue. qmod ends with 0 also when it did nothing: what it says of each job
 * is what counts.
 *
 *   Pushed rescheduling of job 17 on host g2      its processes are ended there, and it waits as Rq
 *   The job 18 is not restartable                 -r n, or a queue with `rerun FALSE`
 *   The job 18 is running in queue dyn where jobs are not rerunable.
 *   invalid queue or job "19"                     it is gone, or waits already
 *
 * `qmod -f -rj` would start also those again that may not be: it is never used.
 */
export interface Requeuer {
  all(jobIds: readonly string[], signal: AbortSignal): Promise<readonly { id: string; reason: string }[]>
  /**
   * Of a host that is gone: those that may run again are put back, those of which qmod says that they may not are
   * deleted for good. Any other answer is `node-busy`: a busy qmaster or a missing right is no reason to end a job.
   */
  lost(rows: readonly JobRow[], signal: AbortSignal): Promise<void>
}

const PUT_BACK =
  /pushed rescheduling of|rescheduling of .* on host|already (?:been )?rescheduled|is not running|not in running state/i
const NOT_AGAIN = /not restartable|not re-?runn?able|already in deleted state/i
/** It is gone, or waits already. */
const NOT_THERE = /invalid (?:queue or )?job/i
const CLEARED = /cleared error state/i

/** `17`, `17.3` or `17.4-9:1`: qmod knows all three. */
const isId = (id: string): boolean => /^\d+(?:\.[\d,:-]+)?$/.test(id)

export function requeuer(commands: Commands): Requeuer {
  const one = async (id: string, signal: AbortSignal): Promise<string | undefined> => {
    if (!isId(id)) return `“${id}” is not the number of a job`
    const done = await commands.run('qmod', ['-rj', id], signal)
    const said = `${done.stdout}\n${done.stderr}`
    if (PUT_BACK.test(said)) return undefined
    // It waits already: in error it is let go, otherwise there is nothing to do.
    const cleared = await commands.run('qmod', ['-cj', id], signal)
    if (CLEARED.test(`${cleared.stdout}\n${cleared.stderr}`)) return undefined
    return complaint(done)
  }

  return {
    async all(jobIds, signal) {
      const refused: { id: string; reason: string }[] = []
      for (const id of jobIds) {
        const reason = await one(id, signal)
        if (reason !== undefined) refused.push({ id, reason })
      }
      return refused
    },
    async lost(rows, signal) {
      const ids = [...new Set(rows.map((row) => (row.tasks === '' ? row.id : `${row.id}.${row.tasks}`)))]
      const refused: string[] = []
      for (const id of ids) {
        const reason = await one(id, signal)
        if (reason === undefined || NOT_THERE.test(reason)) continue
        // Its daemon does not answer: without -f qmaster would wait for it for ever.
        if (NOT_AGAIN.test(reason))
          await commands.run('qdel', ['-f', id.split('.')[0] ?? id, ...taskOf(id)], signal)
        else refused.push(`${id} (${reason})`)
      }
      if (refused.length > 0)
        throw new SubletError('node-busy', `GridEngine does not put back ${refused.join(', ')}`)
    },
  }
}

const taskOf = (id: string): readonly string[] => {
  const task = id.split('.')[1]
  return task === undefined ? [] : ['-t', task]
}
