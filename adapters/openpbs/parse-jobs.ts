import type { Vector } from '../../actors/leases/resources.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import { garbage, type JobRecord } from '../pbs/records.ts'
import { amount, walltimeMs } from '../pbs/sizes.ts'
import { type JsonObject, objectOf, readPiece, wordOf } from './parse-json.ts'
import { demandOf } from './parse-select.ts'
import { jobVerdict, waitsFor } from './states.ts'

/** `Sat Nov 21 20:14:02 2026`: the commands are run with universal time. */
export function instantOf(text: string): Instant | undefined {
  if (text === '') return undefined
  const at = Date.parse(`${text} UTC`)
  if (Number.isNaN(at)) throw garbage(`a time is “${text.slice(0, 40)}”`)
  return at
}

/** `(vm01:ncpus=2)+(vm02:ncpus=2)`, `(vm01:ncpus=1+vm02:ncpus=1)`: each node once. */
export const vnodesOf = (execVnode: string): readonly string[] => [
  ...new Set([...execVnode.matchAll(/[(+]([^:()+]+)/g)].map(([, name = '']) => name)),
]

/** One job of `qstat -t -f -F json`; undefined for an array as a whole, whose tasks are listed one by one. */
export function jobOf(piece: string, cpusOfMachine: number | undefined): JobRecord | undefined {
  const [id, job] = readPiece(piece)
  if (!/^\d+(\[\d*\])?(\.|$)/.test(id)) throw garbage(`its id is “${id.slice(0, 40)}”`)
  if (id.includes('[]')) return undefined

  const resources = objectOf(job.Resource_List)
  const hosts = vnodesOf(wordOf(job, 'exec_vnode'))
  const letter = wordOf(job, 'job_state')
  if (letter === '') throw garbage(`job ${id} has no state`)
  const said = {
    ...{ letter, holds: wordOf(job, 'Hold_Types'), depend: wordOf(job, 'depend') },
    comment: wordOf(job, 'comment'),
  }
  const verdict = jobVerdict({ ...said, hasHosts: hosts.length > 0 })
  const submittedAt = instantOf(wordOf(job, 'qtime')) ?? instantOf(wordOf(job, 'ctime'))
  if (submittedAt === undefined) throw garbage(`job ${id} was submitted at no time`)
  const select = wordOf(resources, 'select') || `1:ncpus=${wordOf(resources, 'ncpus') || '1'}`
  return {
    id,
    verdict,
    reason: reasonOf(said),
    user: wordOf(job, 'euser') || (wordOf(job, 'Job_Owner').split('@')[0] ?? ''),
    group: wordOf(job, 'egroup'),
    project: wordOf(job, 'project'),
    account: wordOf(job, 'Account_Name'),
    queue: wordOf(job, 'queue'),
    demand: demandOf(select, wordOf(resources, 'place'), cpusOfMachine),
    walltimeMs: walltimeMs(wordOf(resources, 'walltime')),
    submittedAt,
    notBefore: letter === 'W' ? instantOf(wordOf(job, 'Execution_Time')) : undefined,
    startedAt: instantOf(wordOf(job, 'stime')),
    endedAt:
      verdict.state === 'ended'
        ? (instantOf(wordOf(job, 'obittime')) ?? instantOf(wordOf(job, 'mtime')))
        : undefined,
    hosts,
    rerunable: wordOf(job, 'Rerunable') !== 'False',
    starts: Number(wordOf(job, 'run_count') || 0),
    ...arrayOf(id, job),
    hasSucceeded: wordOf(job, 'Exit_status') === '0',
    amounts: amountsOf(resources),
  }
}

/** `5[].opsrv` of `5[4].opsrv`. */
export const arrayIdOf = (id: string): string => id.replace(/\[\d+\]/, '[]')

const runMaxOf = (job: JsonObject): number | undefined => {
  const text = wordOf(job, 'max_run_subjobs')
  return /^[1-9]\d*$/.test(text) ? Number(text) : undefined
}

function arrayOf(id: string, job: JsonObject): Pick<JobRecord, 'array'> {
  const runMax = runMaxOf(job)
  return runMax === undefined || !id.includes('[') ? {} : { array: { id: arrayIdOf(id), runMax } }
}

/** Of the record of an array as a whole, how many of its tasks may run at once (`qsub -J 1-100%5`). */
export function arrayLimitOf(piece: string): JobRecord['array'] {
  // Nearly all records are of jobs.
  if (!/^\s*"\d+\[\]/.test(piece)) return undefined
  const [id, job] = readPiece(piece)
  const runMax = runMaxOf(job)
  return runMax === undefined ? undefined : { id, runMax }
}

const amountsOf = (resources: JsonObject): Vector =>
  Object.fromEntries(
    Object.keys(resources).flatMap((key) => {
      const found = amount(wordOf(resources, key))
      return found === undefined ? [] : [[key, found] as const]
    }),
  )

function reasonOf(said: {
  readonly letter: string
  readonly holds: string
  readonly depend: string
  readonly comment: string
}): string {
  if (said.letter === 'H' && waitsFor(said.depend)) return `depend=${said.depend}`
  if (said.letter === 'H') return said.comment || `Hold_Types=${said.holds}`
  return said.comment || (said.letter === 'W' ? 'Execution_Time' : '')
}
