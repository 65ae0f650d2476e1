import { existsSync, readFileSync } from 'node:fs'

/** One line of Slurm's own log of ended jobs (jobcomp/filetxt): an observer outside Sublet. */
export interface JobRecord {
  readonly jobId: string
  /** `11_3` for a task of an array, else the job id. */
  readonly name: string
  /** COMPLETED, FAILED, CANCELLED, NODE_FAIL, REQUEUED, ... A job that was requeued has several lines. */
  readonly state: string
  readonly nodes: string
  readonly submittedAt: number
  /** Undefined if it never started. */
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  readonly exitCode: string
}

/** The lab's daemons run with TZ=UTC. */
function instant(text: string | undefined): number | undefined {
  const at = Date.parse(`${text ?? ''}Z`)
  return Number.isNaN(at) ? undefined : at
}

export function parseJobRecords(text: string): readonly JobRecord[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('JobId='))
    .map((line) => {
      // The name comes from the user and may hold anything; what follows JobState does not.
      const fields = Object.fromEntries(
        `JobId=${line.slice(6, line.indexOf(' '))} ${line.slice(line.lastIndexOf(' JobState=') + 1)}`
          .split(' ')
          .map((field) => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]),
      )
      const { JobId = '', ArrayJobId, ArrayTaskId } = fields
      return {
        jobId: JobId,
        name: ArrayJobId && ArrayTaskId ? `${ArrayJobId}_${ArrayTaskId}` : JobId,
        state: fields.JobState ?? '',
        nodes: fields.NodeList === '(null)' ? '' : (fields.NodeList ?? ''),
        submittedAt: instant(fields.SubmitTime) ?? 0,
        startedAt: instant(fields.StartTime),
        endedAt: instant(fields.EndTime),
        exitCode: fields.ExitCode ?? '',
      }
    })
}

export const readJobRecords = (file: string): readonly JobRecord[] =>
  existsSync(file) ? parseJobRecords(readFileSync(file, 'utf8')) : []
