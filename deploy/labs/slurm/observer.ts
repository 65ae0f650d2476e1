import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Instant } from '../../../actors/runtime/clock.ts'

/** One run of a job, as the job itself wrote it down. */
export interface Run {
  readonly attempt: number
  readonly host: string
  readonly startedAt: Instant
  readonly endedAt: Instant | undefined
}

const SLURM_JOB = `id=$SLURM_JOB_ID
[ -n "$SLURM_ARRAY_JOB_ID" ] && id="\${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
attempt=\${SLURM_RESTART_COUNT:-0}`

/**
 * Watches jobs from outside Sublet and outside Slurm: each job appends a line to a file of its own when
 * it begins and when it is done (see report.ts), with the milliseconds and the host behind it.
 *
 *   ID ATTEMPT begun MILLISECONDS HOST          ID ATTEMPT done MILLISECONDS HOST
 */
export class Observer {
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
    mkdirSync(dir, { recursive: true, mode: 0o777 })
  }

  /** A script that notes its start, does the work and notes its end. `who` sets $id and $attempt. */
  script(work: string, who: string = SLURM_JOB): string {
    return `#!/bin/bash
${who}
note() { echo "$id $attempt $1 $(date +%s%3N) $(hostname)" >>"${this.dir}/$id"; }
note begun
${work}
status=$?
[ $status = 0 ] && note done
exit $status
`
  }

  runs(jobId: string): Run[] {
    const file = join(this.dir, jobId)
    if (!existsSync(file)) return []
    const lines = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
    const done = new Map(
      lines.filter((line) => line[2] === 'done').map((line) => [Number(line[1]), Number(line[3])]),
    )
    return lines
      .filter((line) => line[2] === 'begun')
      .map(([, attempt, , at, host = '']) => ({
        attempt: Number(attempt),
        host,
        startedAt: Number(at),
        endedAt: done.get(Number(attempt)),
      }))
  }

  /** When any job last noted anything. */
  quietSince(): Instant {
    return Math.max(0, ...readdirSync(this.dir).map((id) => statSync(join(this.dir, id)).mtimeMs))
  }

  isDone(jobId: string): boolean {
    return this.runs(jobId).some((run) => run.endedAt !== undefined)
  }
}
