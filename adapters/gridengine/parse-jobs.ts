import type { Instant } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import {
  cut,
  cutAt,
  type Element,
  type Memory,
  parseElement,
  type Records,
  readEach,
  readPieces,
} from './parse-xml.ts'
import type { JobDetail, JobRow } from './records.ts'
import { leastOf } from './sizes.ts'

/** All jobs with what they ask for, and each slot of those that run. */
export const JOBS_ARGS = ['-u', '*', '-s', 'prs', '-r', '-g', 't', '-xml'] as const

/** The commands run in UTC and print no zone: `2026-11-21T20:06:54`. */
function instantOf(text: string): Instant | undefined {
  const at = text === '' ? Number.NaN : Date.parse(`${text}Z`)
  return Number.isNaN(at) ? undefined : at
}

const whole = (text: string, what: string): number => {
  if (/^\d+$/.test(text)) return Number(text)
  throw new SubletError('middleware-garbage', `${what} is “${text.slice(0, 40)}”`)
}

function jobOf(row: Element): JobRow {
  const id = row.get('JB_job_number')
  const word = row.get('state')
  if (!/^\d+$/.test(id)) throw new SubletError('middleware-garbage', `its number is “${id.slice(0, 40)}”`)
  if (word === '') throw new SubletError('middleware-garbage', `job ${id} has no state`)
  const [asked] = row.all('requested_pe')
  const [granted] = row.all('granted_pe')
  return {
    id,
    tasks: row.get('tasks'),
    word,
    user: row.get('JB_owner'),
    queueInstance: row.get('queue_name'),
    isMaster: row.get('master') !== 'SLAVE',
    slots: whole(row.get('slots') || '1', 'slots'),
    submittedAt: instantOf(row.get('JB_submission_time')),
    startedAt: instantOf(row.get('JAT_start_time')),
    environment:
      asked === undefined ? undefined : { name: asked.attributes.name ?? '', slots: leastOf(asked.text) },
    grantedSlots: granted === undefined ? undefined : whole(granted.text, 'granted_pe'),
    requests: new Map(row.all('hard_request').map((each) => [each.attributes.name ?? '', each.text])),
    queues: row.all('hard_req_queue').map((each) => each.text),
  }
}

const LIST = { source: 'qstat -xml', root: 'job_info', piece: 'job_list' } as const
/** The priority changes with every round of the scheduler. */
const UNREAD = /<(JAT_prio|JB_name|full_job_name|binding)>[^<]*<\/\1>\s*/g

export const parseJobs = (
  printed: string,
  signal?: AbortSignal,
  memory?: Memory<JobRow>,
): Promise<Records<JobRow>> => readPieces(printed, { ...LIST, unread: UNREAD }, jobOf, signal, memory)

/** Only the numbers and the array tasks: what a filter of `qstat -s` lets through. */
export async function parseIds(printed: string, signal?: AbortSignal): Promise<readonly string[]> {
  const tagged = (text: string, name: string): string =>
    new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? ''
  const { records } = await readEach(
    'qstat -s',
    cut(printed, { ...LIST, source: 'qstat -s' }),
    (text) => `${tagged(text, 'JB_job_number')}.${tagged(text, 'tasks')}`,
    signal,
  )
  return records
}

/** A job's environment may be megabytes, and holds whatever bytes its user has put there. */
const OF_USERS = ['JB_env_list', 'JB_job_args', 'JB_context', 'JB_mail_list', 'JB_job_name'] as const

function withoutUsersWords(text: string): string {
  let left = text
  for (const name of OF_USERS) {
    const from = left.indexOf(`<${name}>`)
    const end = `</${name}>`
    const to = from < 0 ? -1 : left.indexOf(end, from)
    if (to >= 0) left = left.slice(0, from) + left.slice(to + end.length)
  }
  return left
}

const secondsOf = (text: string): Instant => (/^\d+$/.test(text) ? Number(text) * 1000 : 0)

function detailOf(job: Element): Omit<JobDetail, 'messages'> {
  const id = job.get('JB_job_number')
  const restart = job.get('JB_restart')
  const notBefore = secondsOf(job.get('JB_execution_time'))
  const reservation = job.get('JB_ar')
  const tasks = job
    .all('JB_ja_tasks')
    .flatMap((list) => [...list.all('ulong_sublist'), ...list.all('element')])
  const errors = tasks
    .flatMap((task) => task.all('JAT_message_list'))
    .flatMap((list) => [...list.all('ulong_sublist'), ...list.all('element')])
    .map((message) => message.get('QIM_message'))
  return {
    id,
    submittedAt: secondsOf(job.get('JB_submission_time')),
    notBefore: notBefore > 0 ? notBefore : undefined,
    rerun: restart === '1' ? 'yes' : restart === '2' ? 'no' : 'queue',
    reserves: job.get('JB_reserve') === 'true',
    reservation: /^[1-9]\d*$/.test(reservation) ? reservation : undefined,
    tasksAtOnce: Number(job.get('JB_ja_task_concurrency')) || 0,
    // With the time and the node's pids before it.
    error: (errors[0] ?? '').replace(/^.*?\]: (?:error: )?/, '').slice(0, 200),
  }
}

/** The scheduler's words by the number of the job. */
function messagesOf(printed: string): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, string[]>()
  const from = printed.indexOf('<SME_message_list>')
  const to = printed.indexOf('</SME_message_list>', from)
  if (from < 0 || to < 0) return words
  // Each begins with the numbers of the jobs that it is about.
  for (const part of printed.slice(from, to).split('<MES_job_number_list>').slice(1)) {
    const message = /<MES_message>([^<]*)</.exec(part)?.[1] ?? ''
    const said = message.replaceAll('&quot;', '"').replaceAll('&apos;', "'").replaceAll('&amp;', '&')
    for (const [, id = ''] of part.matchAll(/<ULNG_value>(\d+)</g))
      words.set(id, [...(words.get(id) ?? []), said])
  }
  return words
}

/** `qstat -j 1,2,3 -xml`; jobs that are gone are left out of it. */
export async function parseDetails(printed: string, signal?: AbortSignal): Promise<Records<JobDetail>> {
  if (/<unknown_jobs\b/.test(printed)) return { records: [], warnings: [] }
  const source = 'qstat -j -xml'
  const pieces = cutAt(printed, /<element>\s*<JB_job_number>/g, {
    source,
    root: 'detailed_job_info',
    end: '</djob_info>',
  })
  const messages = messagesOf(printed)
  const read = await readEach(
    source,
    pieces.map(withoutUsersWords),
    (text) => detailOf(parseElement(text)),
    signal,
  )
  return {
    records: read.records.map((each) => ({ ...each, messages: messages.get(each.id) ?? [] })),
    warnings: read.warnings,
  }
}
