import type { Instant } from '../../actors/runtime/clock.ts'
import { garbage, type JobRecord } from '../pbs/records.ts'
import { walltimeMs } from '../pbs/sizes.ts'
import { hostsOf } from './hosts.ts'
import { demandOf } from './parse-demand.ts'
import { inside, readPiece, words, wordsOf } from './parse-xml.ts'
import { jobVerdict, waitsFor } from './states.ts'

export interface Reading {
  readonly scheduler: 'pbs_sched' | 'maui' | 'moab'
  readonly cpusOfMachine: number | undefined
}

/** The array itself, beside its tasks: `7[].srv`. */
const isWholeArray = (id: string): boolean => id.includes('[]')

const instant = (seconds: string): Instant | undefined =>
  /^\d+$/.test(seconds) && seconds !== '0' ? Number(seconds) * 1000 : undefined

/** One `<Job>` of `qstat -x -t`; undefined for an array as a whole, whose tasks are listed one by one. */
export function jobOf(piece: string, { scheduler, cpusOfMachine }: Reading): JobRecord | undefined {
  const job = readPiece(piece)
  const id = words(job, 'Job_Id')
  if (!/^\d+(\[\d*\])?\./.test(id)) throw garbage(`its id is “${id.slice(0, 40)}”`)
  if (isWholeArray(id)) return undefined

  const resources = wordsOf(inside(job, 'Resource_List'))
  const hosts = hostsOf(words(job, 'exec_host'))
  const depend = words(job, 'depend')
  const comment = words(job, 'comment')
  const holds = words(job, 'Hold_Types')
  const letter = words(job, 'job_state')
  if (letter === '') throw garbage(`job ${id} has no state`)
  const verdict = jobVerdict({ letter, holds, depend, comment, hasHosts: hosts.length > 0 })
  const cannotStart =
    scheduler === 'pbs_sched' && resources.procs !== undefined && verdict.state === 'pending'
  const submittedAt = instant(words(job, 'qtime')) ?? instant(words(job, 'ctime'))
  if (submittedAt === undefined) throw garbage(`job ${id} was submitted at no time`)
  return {
    id,
    verdict: cannotStart ? { state: 'held', heldBy: 'impossible' } : verdict,
    reason: reasonOf({ letter, holds, depend, comment, cannotStart }),
    user: words(job, 'euser') || (words(job, 'Job_Owner').split('@')[0] ?? ''),
    group: words(job, 'egroup'),
    project: '',
    account: words(job, 'Account_Name'),
    queue: words(job, 'queue'),
    demand: demandOf(resources, cpusOfMachine),
    walltimeMs: walltimeMs(resources.walltime),
    submittedAt,
    notBefore: letter === 'W' ? instant(words(job, 'Execution_Time')) : undefined,
    startedAt: instant(words(job, 'start_time')),
    endedAt: instant(words(job, 'comp_time')) ?? (letter === 'C' ? instant(words(job, 'mtime')) : undefined),
    hosts,
    rerunable: words(job, 'Rerunable') !== 'False',
    starts: Number(words(job, 'start_count') || 0),
    hasProcess: !/^0*$/.test(words(job, 'session_id')),
    hasSucceeded: words(job, 'exit_status') === '0',
  }
}

function reasonOf(said: {
  readonly letter: string
  readonly holds: string
  readonly depend: string
  readonly comment: string
  readonly cannotStart: boolean
}): string {
  if (said.letter === 'H' && waitsFor(said.depend)) return `depend=${said.depend}`
  if (said.letter === 'H') return said.comment || `Hold_Types=${said.holds}`
  if (said.letter === 'W') return said.comment || 'Execution_Time'
  return said.comment || (said.cannotStart ? 'pbs_sched cannot start procs=' : '')
}
