import { z } from 'zod'
import { SubletError } from '../../actors/runtime/errors.ts'
import { readInSlices } from '../batch/slices.ts'
import { cutJson } from './cut-json.ts'
import { gresOf } from './gres.ts'
import { countTasks, expandHosts } from './hostlist.ts'
import { LAUNCH_FAILED } from './reasons.ts'
import { instantOf, type JobRecord, type NodeRecord, type Records, type Turn, walltimeOf } from './records.ts'

/**
 * `squeue --json` and `sinfo --json` of Slurm 22.05, whose schema calls itself openapi/v0.0.38. Later
 * schemas wrap numbers and rename states, so that reading them as this one would show wrong demand.
 */
const SCHEMA = 'openapi/v0.0.38'

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
const count = z
  .number()
  .nullish()
  .transform((value) => value ?? 0)

const job = z.object({
  job_id: z.number(),
  array_job_id: count,
  array_task_id: z.number().nullish(),
  array_task_string: text,
  array_max_tasks: count,
  het_job_id: count,
  het_job_offset: count,
  job_state: z.string().min(1),
  state_reason: text,
  state_description: text,
  account: text,
  user_name: text,
  user_id: count,
  partition: text,
  node_count: count,
  max_nodes: count,
  cpus: count,
  tasks: count,
  memory_per_node: count,
  memory_per_cpu: count,
  tres_per_node: text,
  tres_per_job: text,
  tres_per_task: text,
  tres_per_socket: text,
  cpus_per_tres: text,
  memory_per_tres: text,
  sockets_per_node: count,
  features: text,
  shared: text,
  time_limit: z.number().nullish(),
  submit_time: count,
  eligible_time: count,
  start_time: count,
  end_time: count,
  nodes: text,
  required_nodes: text,
  resv_name: text,
  requeue: z.boolean(),
  restart_cnt: count,
})

const node = z.object({
  name: z.string().min(1),
  state: z.string().min(1),
  state_flags: z.array(z.string()).nullish(),
  features: text,
  comment: text,
  reason: text,
  partitions: z.array(z.string()).nullish(),
  cpus: z.number(),
  alloc_cpus: z.number(),
  real_memory: count,
  alloc_memory: count,
  gres: text,
  gres_used: text,
})

const envelope = z.object({
  meta: z.object({ plugin: z.object({ type: z.string() }) }),
  errors: z.array(z.unknown()).optional(),
})

/** Throws if it speaks another schema, or says that something failed. */
const checked =
  (source: string) =>
  (around: unknown): void => {
    const read = envelope.safeParse(around)
    const schema = read.data?.meta.plugin.type ?? 'none'
    if (schema !== SCHEMA)
      throw new SubletError(
        'middleware-schema',
        `${source} speaks the schema “${schema}”; only ${SCHEMA} is known`,
      )
    const [first] = read.data?.errors ?? []
    if (first !== undefined)
      throw new SubletError('middleware-garbage', `${source} reports an error: ${JSON.stringify(first)}`)
  }

const readAll = <S extends z.ZodType, R>(
  source: string,
  pieces: Iterable<string>,
  shape: S,
  make: (read: z.output<S>) => R,
  turn: Turn,
): Promise<Records<R>> =>
  readInSlices(
    source,
    pieces,
    (piece) => {
      const read = shape.safeParse(parsed(piece))
      if (read.success) return make(read.data)
      const { path, message } = read.error.issues[0] ?? { path: [], message: 'unreadable' }
      throw new SubletError('middleware-garbage', `${path.join('.')}: ${message}`)
    },
    { ...turn, nameOf: nameIn },
  )

function parsed(piece: string): unknown {
  try {
    return JSON.parse(piece)
  } catch (error) {
    // With some of the text around it, over lines.
    const words = error instanceof Error ? error.message.replaceAll(/\s+/g, ' ').slice(0, 120) : ''
    throw new SubletError('middleware-garbage', `it is no JSON: ${words}`)
  }
}

function nameIn(piece: string): string {
  try {
    return z.object({ name: z.string() }).safeParse(JSON.parse(piece)).data?.name ?? ''
  } catch {
    return /^ {6}"name": "([^"\\]*)"/m.exec(piece)?.[1] ?? ''
  }
}

function jobId(read: z.output<typeof job>): string {
  if (read.het_job_id > 0) return `${read.het_job_id}+${read.het_job_offset}`
  if (read.array_job_id === 0) return String(read.job_id)
  if (typeof read.array_task_id === 'number') return `${read.array_job_id}_${read.array_task_id}`
  if (read.array_task_string === '') return String(read.job_id)
  return `${read.array_job_id}_[${read.array_task_string}]`
}

/** The words for what Slurm itself holds, and why a node is not to be had, stand in the description only. */
const reasonOf = ({ state_reason: word, state_description: words }: z.output<typeof job>): string =>
  words === LAUNCH_FAILED || words.startsWith('ReqNodeNotAvail') ? words : word

/** `shared`: nobody, or only its own user, may come onto its nodes. */
const EXCLUSIVE = new Set(['none', 'user', 'mcs'])

const listed = (names: string): readonly string[] => names.split(',').filter((each) => each !== '')

export function parseJobsJson(printed: string, turn: Turn): Promise<Records<JobRecord>> {
  const source = 'squeue --json'
  return readAll(source, cutJson(source, printed, 'jobs', checked(source)), job, jobOf, turn)
}

const jobOf = (read: z.output<typeof job>): JobRecord => ({
  id: jobId(read),
  arrayId: read.array_job_id > 0 ? String(read.array_job_id) : '',
  // The text may end in the limit: `4-9%3`.
  arrayTasks: countTasks(read.array_task_string.split('%')[0] ?? ''),
  arrayLimit: read.array_max_tasks,
  state: read.job_state,
  reason: reasonOf(read),
  user: read.user_name === '' ? `uid ${read.user_id}` : read.user_name,
  account: read.account,
  partitions: listed(read.partition),
  nodes: Math.max(1, read.node_count),
  nodesMax: read.max_nodes,
  cpus: Math.max(1, read.cpus),
  tasks: Math.max(1, read.tasks),
  memoryMiBPerNode: read.memory_per_node,
  memoryMiBPerCpu: read.memory_per_cpu,
  gres: {
    perNode: gresOf(read.tres_per_node),
    perJob: gresOf(read.tres_per_job),
    perTask: gresOf(read.tres_per_task),
    perSocket: gresOf(read.tres_per_socket),
  },
  cpusPerGres: gresOf(read.cpus_per_tres),
  memoryMiBPerGres: gresOf(read.memory_per_tres),
  sockets: Math.max(1, read.sockets_per_node),
  constraint: read.features,
  exclusive: EXCLUSIVE.has(read.shared),
  walltimeMs: walltimeOf(read.time_limit ?? undefined),
  submittedAt: instantOf(read.submit_time),
  eligibleAt: instantOf(read.eligible_time),
  startsAt: read.start_time > 0 ? instantOf(read.start_time) : undefined,
  endsAt: read.end_time > 0 ? instantOf(read.end_time) : undefined,
  nodeNames: expandHosts(read.nodes),
  requiredNodes: read.required_nodes,
  reservation: read.resv_name,
  requeueable: read.requeue,
  restarts: read.restart_cnt,
})

export function parseNodesJson(printed: string, turn: Turn): Promise<Records<NodeRecord>> {
  const source = 'sinfo --json'
  return readAll(source, cutJson(source, printed, 'nodes', checked(source)), node, nodeOf, turn)
}

const nodeOf = (read: z.output<typeof node>): NodeRecord => ({
  name: read.name,
  states: [read.state, ...(read.state_flags ?? [])].map((word) => word.toLowerCase()),
  features: listed(read.features),
  comment: read.comment,
  reason: read.reason,
  partitions: read.partitions ?? [],
  cpus: read.cpus,
  cpusInUse: read.alloc_cpus,
  memoryMiB: read.real_memory,
  memoryMiBInUse: read.alloc_memory,
  gres: gresOf(read.gres),
  gresInUse: gresOf(read.gres_used),
})
