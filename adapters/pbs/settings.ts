import type { Millis } from '../../actors/runtime/clock.ts'
import { type Attributes, type RunLimit, runLimits } from './limits.ts'
import { memoryMiB, walltimeMs } from './sizes.ts'

export interface QueueSettings {
  readonly isStarted: boolean
  /** Sends its jobs on to other queues, and runs none. */
  readonly isRoute: boolean
  readonly defaultWalltimeMs: Millis | undefined
  readonly defaultMemoryMiB: number
  readonly limits: readonly RunLimit[]
  readonly isTransit: boolean
  /** `resources_max.nodect` and `resources_max.ncpus`: a job that asks for more is refused at its submission. */
  readonly nodesMax: number
  readonly cpusMax: number
}

export interface ServerSettings {
  readonly scheduling: boolean
  readonly queryOtherJobs: boolean
  readonly managers: readonly string[]
  readonly operators: readonly string[]
  readonly defaultQueue: string
  /** A node that is silent for longer is down at the server's next round. */
  readonly nodeCheckMs: Millis
  readonly keepCompletedMs: Millis | undefined
  readonly defaultWalltimeMs: Millis | undefined
  readonly limits: readonly RunLimit[]
  readonly nodesMax: number
  readonly cpusMax: number
  /** `resources_available.nodect`: lets jobs wait for more nodes than there are records. */
  readonly nodesPromised: number
  readonly queues: ReadonlyMap<string, QueueSettings>
}

/** What Torque's server uses where nothing is set. */
const NODE_CHECK_SECONDS = 600

const none: Attributes = new Map()
const first = (from: Attributes, key: string): string | undefined => from.get(key)?.[0]
const isTrue = (from: Attributes, key: string, otherwise: boolean): boolean => {
  const value = first(from, key)
  return value === undefined ? otherwise : /^true$/i.test(value)
}
const limit = (from: Attributes, key: string): number => {
  const value = Number(first(from, key) ?? 0)
  return value > 0 ? value : Number.POSITIVE_INFINITY
}

/** `qmgr -c 'print server'`: the same form in every PBS. */
export function parseSettings(printed: string): ServerSettings {
  const server = new Map<string, string[]>()
  const queues = new Map<string, Map<string, string[]>>()
  for (const line of printed.split('\n')) {
    const [, made] = /^create queue (\S+)/.exec(line) ?? []
    if (made !== undefined) queues.set(made, new Map())
    const [, what, of = '', key = '', sign, value = ''] =
      /^set (server|queue) ?(?:(?<=queue )(\S+) )?([\w.]+) (\+?=) ?(.*)$/.exec(line) ?? []
    const into = what === 'server' ? server : queues.get(of)
    if (into === undefined) continue
    into.set(key, sign === '+=' ? [...(into.get(key) ?? []), value.trim()] : [value.trim()])
  }
  const seconds = (key: string): number | undefined => {
    const value = Number(first(server, key))
    return Number.isFinite(value) ? value : undefined
  }
  const keep = seconds('keep_completed')
  return {
    scheduling: isTrue(server, 'scheduling', false),
    queryOtherJobs: isTrue(server, 'query_other_jobs', false),
    managers: server.get('managers') ?? [],
    operators: server.get('operators') ?? [],
    defaultQueue: first(server, 'default_queue') ?? '',
    nodeCheckMs: (seconds('node_check_rate') ?? NODE_CHECK_SECONDS) * 1000,
    keepCompletedMs: keep === undefined ? undefined : keep * 1000,
    defaultWalltimeMs: walltimeMs(first(server, 'resources_default.walltime')),
    limits: runLimits(server),
    nodesMax: limit(server, 'resources_max.nodect'),
    cpusMax: limit(server, 'resources_max.ncpus'),
    nodesPromised: Number(first(server, 'resources_available.nodect') ?? 0),
    queues: new Map([...queues].map(([name, from]) => [name, queueOf(from)])),
  }
}

const queueOf = (from: Attributes = none): QueueSettings => ({
  isStarted: isTrue(from, 'started', false),
  isRoute: /^route/i.test(first(from, 'queue_type') ?? ''),
  defaultWalltimeMs: walltimeMs(first(from, 'resources_default.walltime')),
  defaultMemoryMiB: memoryMiB(first(from, 'resources_default.mem')),
  limits: runLimits(from),
  isTransit: isTrue(from, 'is_transit', false),
  nodesMax: limit(from, 'resources_max.nodect'),
  cpusMax: limit(from, 'resources_max.ncpus'),
})

/** `name = value` lines of `qstat -B -f`, whose long values go on after a line end and a tab. */
export const parseServer = (printed: string): ReadonlyMap<string, string> =>
  new Map(
    printed
      .replaceAll('\n\t', '')
      .split('\n')
      .flatMap((line) => {
        const [, key, value] = /^\s+([\w.]+) = (.*)$/.exec(line) ?? []
        return key === undefined || value === undefined ? [] : [[key, value.trim()] as const]
      }),
  )

/** `Transit:0 Queued:3 Held:1 …`: how many jobs have not ended. */
export const liveIn = (stateCount: string): number =>
  [...stateCount.matchAll(/(Transit|Queued|Held|Waiting|Running|Exiting|Begun):(\d+)/g)].reduce(
    (sum, [, , count]) => sum + Number(count),
    0,
  )
