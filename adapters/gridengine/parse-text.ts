import { SubletError } from '../../actors/runtime/errors.ts'
import type { AccountedJob, Complex, Environment } from './records.ts'

/** `name value` rows of qconf; SGE_SINGLE_LINE keeps each in one line, and what is wrapped all the same is joined. */
export function parseObject(printed: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const line of printed.replaceAll(/\\\n\s*/g, '').split('\n')) {
    const [, name, value] = /^(\w\S*)\s+(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) found.set(name, value.trim())
  }
  return found
}

/** What `name=value,name=value` of a host's `complex_values` says. */
export function parseValues(text: string): ReadonlyMap<string, string> {
  const parts = text === 'NONE' ? [] : text.split(',')
  return new Map(
    parts
      .filter((part) => part.includes('='))
      .map((part) => [part.slice(0, part.indexOf('=')).trim(), part.slice(part.indexOf('=') + 1).trim()]),
  )
}

export const parseList = (text: string): readonly string[] =>
  text.split(/[\s,]+/).filter((word) => word !== '' && word !== 'NONE')

export function parseComplexes(printed: string): ReadonlyMap<string, Complex> {
  const rows = printed.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const found = rows.map((line): readonly [string, Complex] => {
    const [name = '', , type = '', relation = '', , consumable = '', byDefault = ''] = line
      .trim()
      .split(/\s+/)
    if (consumable !== 'NO' && consumable !== 'YES' && consumable !== 'JOB')
      throw new SubletError('middleware-garbage', `a row of “qconf -sc” is “${line.slice(0, 80)}”`)
    return [name, { name, type, relation, consumable, byDefault }]
  })
  return new Map(found)
}

export function parseEnvironment(printed: string): Environment {
  const values = parseObject(printed)
  const name = values.get('pe_name')
  const rule = values.get('allocation_rule')
  if (name === undefined || rule === undefined)
    throw new SubletError('middleware-garbage', '“qconf -sp” shows no parallel environment')
  return { name, rule, slots: Number(values.get('slots') ?? 0) || 0 }
}

/** Of a job that was put back into the queue: it is not over. */
const RESCHEDULED = new Set(['24', '25'])

/** Rows of the accounting file; the first may be cut off, and one that is broken tells nothing. */
export function parseAccounting(printed: string): readonly AccountedJob[] {
  const jobs: AccountedJob[] = []
  for (const line of printed.split('\n')) {
    const fields = line.split(':')
    const seconds = (at: number): number => (Number(fields[at]) || 0) * 1000
    const id = fields[5] ?? ''
    if (fields.length < 36 || !/^\d+$/.test(id) || RESCHEDULED.has(fields[11] ?? '')) continue
    if (seconds(10) === 0) continue
    jobs.push({
      id,
      task: fields[35] === '0' ? '' : (fields[35] ?? ''),
      user: fields[3] ?? '',
      queue: fields[0] ?? '',
      host: fields[1] ?? '',
      slots: Number(fields[34]) || 1,
      submittedAt: seconds(8),
      startedAt: seconds(9),
      endedAt: seconds(10),
    })
  }
  return jobs
}
