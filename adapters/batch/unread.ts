import { inOneLine } from '../../actors/runtime/errors.ts'

/** Where batch systems print whose record it is. */
const ID =
  /^\s*"([^"\\]{1,80})":|<(?:Job_Id|JB_job_number|name)>([^<]{1,80})<|^(\d[^|\s]{0,80})\||^NodeName=(\S{1,80})|^<host name='([^']{1,80})'|\n {6}"(?:job_id|name)": "?([^",\n]{1,80})/

const idOf = (record: unknown): string | undefined => {
  if (typeof record !== 'string') return undefined
  return ID.exec(record)
    ?.slice(1)
    .find((id) => id !== undefined)
}

/**
 * The sentence for a record that could not be read, whatever went wrong: what one user writes costs that user's job, and
 * not the look at all others.
 */
export function unreadWarning(source: string, at: number, record: unknown, error: unknown): string {
  const id = idOf(record)
  const whose = id === undefined ? '' : ` (${id})`
  return `Record ${at} of ${source} could not be read: ${inOneLine(error)}${whose}`
}
