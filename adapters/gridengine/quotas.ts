import { fits } from './glob.ts'
import { readPieces } from './parse-xml.ts'
import type { JobRow } from './records.ts'

/** A rule of a resource quota set that is in use, as qquota tells it: `users nobody queues dyn slots=1/1`. */
export interface Quota {
  readonly rule: string
  readonly users: readonly string[]
  readonly queues: readonly string[]
  readonly limit: number
  readonly used: number
}

/** Rules on slots that hold for users and queues; those of hosts, projects or environments the scheduler tells of. */
export async function parseQuotas(printed: string, signal?: AbortSignal): Promise<readonly Quota[]> {
  const pieces = { source: 'qquota -xml', root: 'qquota_result', piece: 'qquota_rule' }
  const { records } = await readPieces(
    printed,
    pieces,
    (rule): readonly Quota[] => {
      const texts = (name: string): readonly string[] => rule.all(name).map(({ text }) => text)
      if (['hosts', 'projects', 'pes'].some((name) => texts(name).some((text) => text !== '*'))) return []
      return rule
        .all('limit')
        .filter(({ attributes }) => attributes.resource === 'slots')
        .map(({ attributes }) => ({
          rule: rule.attributes.name ?? '',
          users: texts('users'),
          queues: texts('queues'),
          limit: Number(attributes.limit) || 0,
          used: Number(attributes.value) || 0,
        }))
    },
    signal,
  )
  return records.flat()
}

/** The rule that leaves the job no room, also while the queue has no host for the scheduler to try. */
export const quotaAgainst = (row: JobRow, queue: string, quotas: readonly Quota[]): Quota | undefined =>
  quotas.find(
    ({ users, queues, limit, used }) =>
      users.some((user) => fits(user, row.user)) &&
      (queues.length === 0 || queues.some((pattern) => fits(pattern, queue))) &&
      used + (row.environment?.slots ?? 1) > limit,
  )
