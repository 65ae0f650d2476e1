import type { Vector } from '../../actors/leases/resources.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { readInSlices } from '../batch/slices.ts'
import { gresOf } from './gres.ts'
import { countTasks, expandHosts } from './hostlist.ts'
import { instantOf, type JobRecord, type NodeRecord, type Records, type Turn, walltimeOf } from './records.ts'

/**
 * The text forms, for installations without Slurm's JSON plugin. Only fields that users cannot fill with
 * words of their own are asked for: a job's name may say `State=RUNNING`, and so may its account where no
 * slurmdbd looks at it. Times are seconds since the epoch (SLURM_TIME_FORMAT=%s), so that no time zone matters.
 * The last one may hold our separator: `Feature` is made of names that nodes have, and of & and |.
 */
const FIELDS = [
  'JobArrayID',
  'State',
  'Reason',
  'UserName',
  'Partition',
  'NumNodes',
  'NumCPUs',
  'NumTasks',
  'MinMemory',
  'TimeLimit',
  'SubmitTime',
  'EligibleTime',
  'StartTime',
  'EndTime',
  'NodeList',
  'ReqNodes',
  'Requeue',
  'RestartCnt',
  'Reservation',
  'OverSubscribe',
  'tres-per-node',
  'tres-per-job',
  'tres-per-task',
  'tres-per-socket',
  'Feature',
] as const
type Field = (typeof FIELDS)[number]

export const TEXT_ENV = { SLURM_TIME_FORMAT: '%s', SLURM_BITSTR_LEN: '0', LC_ALL: 'C' } as const
/** A suffix instead of a width: with a width Slurm would cut long values. */
export const JOBS_TEXT_ARGS = [
  '-h',
  '-a',
  '-t',
  'all',
  '-O',
  FIELDS.map((field) => `${field}:|`).join(','),
] as const
export const NODES_TEXT_ARGS = ['-a', '-d', '-o', 'show', 'node'] as const

const NOTHING = new Set(['', 'N/A', 'NONE', 'None', 'Unknown', '(null)', 'n/a'])
const orEmpty = (value: string): string => (NOTHING.has(value) ? '' : value)

/** Slurm's NO_VAL, which some fields print as it is. */
const NO_VALUE = '4294967294'

function wholeNumber(value: string, field: string): number {
  if (NOTHING.has(value) || value === NO_VALUE) return 0
  if (!/^\d+$/.test(value)) throw new SubletError('middleware-garbage', `${field} is “${value.slice(0, 40)}”`)
  return Number(value)
}

const MIB: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 ** 2 }

/** `0`, `512M`, `2.50G`, `400Mc` (per cpu). 22.05 prints memory per cpu without the `c`: then it is taken for the node's. */
function memoryMiB(value: string): { perNode: number; perCpu: number } {
  if (NOTHING.has(value)) return { perNode: 0, perCpu: 0 }
  const [, amount, unit = 'M', by] = /^(\d+(?:\.\d+)?)([KMGT])?([cn])?$/.exec(value) ?? []
  if (amount === undefined)
    throw new SubletError('middleware-garbage', `MinMemory is “${value.slice(0, 40)}”`)
  const mib = Math.ceil(Number(amount) * (MIB[unit] ?? 1))
  return by === 'c' ? { perNode: 0, perCpu: mib } : { perNode: mib, perCpu: 0 }
}

/** `10:00`, `1:30:00`, `2-12:00:00`; undefined for no limit. */
function walltime(value: string): Millis | undefined {
  if (NOTHING.has(value) || /^(UNLIMITED|NOT_SET|Partition_Limit|INVALID)$/i.test(value)) return undefined
  const [, days = '0', hours = '0', minutes, seconds] =
    /^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)$/.exec(value) ?? []
  if (minutes === undefined)
    throw new SubletError('middleware-garbage', `TimeLimit is “${value.slice(0, 40)}”`)
  return walltimeOf(Number(days) * 1440 + Number(hours) * 60 + Number(minutes) + Number(seconds) / 60)
}

function jobOf(line: string): JobRecord {
  const values = line.split('|')
  if (values.length < FIELDS.length + 1)
    throw new SubletError('middleware-garbage', `it has ${values.length - 1} fields, not ${FIELDS.length}`)
  const get = (field: Field): string => (values[FIELDS.indexOf(field)] ?? '').trim()
  const gres = (field: Field): Vector => gresOf(orEmpty(get(field)))
  const number = (field: Field): number => wholeNumber(get(field), field)
  const id = get('JobArrayID')
  if (!/^\d/.test(id)) throw new SubletError('middleware-garbage', `its id is “${id.slice(0, 40)}”`)
  const [, arrayId = '', arrayTasks = '', limit = '0'] = /^(\d+)_\[([^%\]]*)(?:%(\d+))?\]$/.exec(id) ?? []
  const memory = memoryMiB(get('MinMemory'))
  const starts = number('StartTime')
  const ends = number('EndTime')
  return {
    id,
    arrayId: arrayId === '' && id.includes('_') ? id.slice(0, id.indexOf('_')) : arrayId,
    arrayTasks: countTasks(arrayTasks),
    arrayLimit: Number(limit),
    state: get('State'),
    reason: get('Reason'),
    user: get('UserName'),
    account: '',
    partitions: get('Partition').split(','),
    nodes: Math.max(1, number('NumNodes')),
    nodesMax: 0,
    cpus: Math.max(1, number('NumCPUs')),
    tasks: Math.max(1, number('NumTasks')),
    memoryMiBPerNode: memory.perNode,
    memoryMiBPerCpu: memory.perCpu,
    gres: {
      perNode: gres('tres-per-node'),
      perJob: gres('tres-per-job'),
      perTask: gres('tres-per-task'),
      perSocket: gres('tres-per-socket'),
    },
    cpusPerGres: {},
    memoryMiBPerGres: {},
    sockets: 1,
    constraint: orEmpty(
      values
        .slice(FIELDS.length - 1, -1)
        .join('|')
        .trim(),
    ),
    exclusive: /^(?:NO|USER|MCS)$/.test(get('OverSubscribe')),
    walltimeMs: walltime(get('TimeLimit')),
    submittedAt: instantOf(number('SubmitTime')),
    eligibleAt: instantOf(number('EligibleTime')),
    startsAt: starts > 0 ? instantOf(starts) : undefined,
    endsAt: ends > 0 ? instantOf(ends) : undefined,
    nodeNames: expandHosts(orEmpty(get('NodeList'))),
    requiredNodes: orEmpty(get('ReqNodes')),
    reservation: orEmpty(get('Reservation')),
    requeueable: get('Requeue') === '1',
    restarts: number('RestartCnt'),
  }
}

async function readLines<R>(
  what: string,
  lines: Iterable<string>,
  make: (line: string) => R | undefined,
  turn: Turn,
): Promise<Records<R>> {
  const nameOf = (line: string): string => /(?:^| )NodeName=(\S+)/.exec(line)?.[1] ?? ''
  const read = await readInSlices(what, lines, make, { ...turn, nameOf })
  // Where it is the one line that there is, too.
  if (read.records.length === 0 && read.warnings[0] !== undefined)
    throw new SubletError('middleware-garbage', `${what} printed nothing readable. ${read.warnings[0]}`)
  return read
}

/** One by one: all at once are ten thousand. */
function* linesOf(printed: string): Generator<string> {
  for (let from = 0; from < printed.length; ) {
    const next = printed.indexOf('\n', from)
    const to = next < 0 ? printed.length : next
    const line = printed.slice(from, to)
    if (line.trim() !== '') yield line
    from = to + 1
  }
}

export const parseJobsText = (printed: string, turn: Turn): Promise<Records<JobRecord>> =>
  readLines('squeue -O', linesOf(printed), jobOf, turn)

function nodeOf(line: string): NodeRecord {
  // Reason and Comment may hold anything, also `State=`; they come last, in this order, each only if set.
  const free = line.search(/ (?:Reason|Comment)=/)
  const head = free < 0 ? line : line.slice(0, free)
  const tail = free < 0 ? '' : line.slice(free)
  const field = (key: string): string => orEmpty(new RegExp(`(?:^| )${key}=(\\S*)`).exec(head)?.[1] ?? '')
  const name = field('NodeName')
  const state = field('State')
  if (name === '' || state === '') throw new SubletError('middleware-garbage', 'it names no node or no state')
  // A mark such as `*` (does not answer) or `~` (powered down) is written out as a flag in this form.
  const states = state
    .replace(/[*~#!%$@^-]+$/, '')
    .toLowerCase()
    .split('+')
  const [, reason = '', comment = tail.startsWith(' Comment=') ? tail.slice(9) : ''] =
    /^ Reason=(.*?)(?: \[[^\]]*@[^\]]*\])?(?: Comment=(.*))?$/.exec(tail) ?? []
  return {
    name,
    states,
    features: field('AvailableFeatures')
      .split(',')
      .filter((feature) => feature !== ''),
    comment: orEmpty(comment.trim()),
    reason: orEmpty(reason.trim()),
    partitions: field('Partitions')
      .split(',')
      .filter((partition) => partition !== ''),
    cpus: wholeNumber(field('CPUTot'), 'CPUTot'),
    cpusInUse: wholeNumber(field('CPUAlloc'), 'CPUAlloc'),
    memoryMiB: wholeNumber(field('RealMemory'), 'RealMemory'),
    memoryMiBInUse: wholeNumber(field('AllocMem'), 'AllocMem'),
    gres: gresOf(field('Gres')),
    gresInUse: gresOf(field('GresUsed')),
  }
}

export const parseNodesText = (printed: string, turn: Turn): Promise<Records<NodeRecord>> =>
  readLines(
    'scontrol show node',
    linesOf(printed),
    (line) => (line.startsWith('No nodes in the system') ? undefined : nodeOf(line)),
    turn,
  )

/** `Key = value` lines of `scontrol show config`. */
export function parseConfig(printed: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const line of linesOf(printed)) {
    const [, key, value] = /^(\w+(?:\[\d+\])?)\s*= ?(.*)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) found.set(key, value.trim())
  }
  return found
}

/** `Key=value` words of one `-o` line. */
export function parseWords(line: string): ReadonlyMap<string, string> {
  return new Map(
    line
      .trim()
      .split(' ')
      .map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  )
}
