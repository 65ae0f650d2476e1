import { existsSync, readFileSync } from 'node:fs'

/** One end of one job, by a middleware's own record. */
export interface AccountedEnd {
  readonly jobId: string
  readonly ok: boolean
}

/** Of jobs that were submitted, what the middleware's own record says. */
export interface Accounts {
  readonly submitted: number
  /** Recorded once, and that it ended well. */
  readonly once: number
  readonly failed: readonly string[]
  /** Not recorded at all. */
  readonly lost: readonly string[]
  /** Recorded more than once, whatever became of it. */
  readonly twice: readonly string[]
}

export function accountsOf(submitted: readonly string[], ends: readonly AccountedEnd[]): Accounts {
  const found = new Map<string, AccountedEnd[]>(submitted.map((id) => [id, []]))
  for (const end of ends) found.get(end.jobId)?.push(end)
  const where = (holds: (ends: readonly AccountedEnd[]) => boolean): string[] =>
    [...found].filter(([, ends]) => holds(ends)).map(([id]) => id)
  return {
    submitted: submitted.length,
    once: where((ends) => ends.length === 1 && ends[0]!.ok).length,
    failed: where((ends) => ends.length === 1 && !ends[0]!.ok),
    lost: where((ends) => ends.length === 0),
    twice: where((ends) => ends.length > 1),
  }
}

/**
 * GridEngine's accounting file (what `qacct` reads): a line for each time that a job was run, of fields between
 * colons: queue, host, group, owner, name, number, account, priority, submitted, started, ended, failed, exit status.
 */
export function parseGridengineEnds(text: string): readonly AccountedEnd[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'))
    .filter((fields) => fields.length > 12)
    .map((fields) => ({ jobId: fields[5]!, ok: fields[11] === '0' && fields[12] === '0' }))
}

export const readGridengineEnds = (file: string): readonly AccountedEnd[] =>
  existsSync(file) ? parseGridengineEnds(readFileSync(file, 'utf8')) : []
