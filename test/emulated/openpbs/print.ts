import { execVnode, type PbsJob, type PbsNode, type PbsServer } from './server.ts'

type Printed = string | number | readonly string[] | { readonly [key: string]: Printed | undefined }

/** As OpenPBS prints it: tabs, one blank after a comma in a list, nothing for what is not set. */
export function json(value: Printed, depth = 0): string {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((each) => JSON.stringify(each)).join(', ')}]`
  const tabs = '\t'.repeat(depth + 1)
  const lines = Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) => `${tabs}${JSON.stringify(key)}:\t${json(each as Printed, depth + 1)}`)
  return `{\n${lines.join(',\n')}${lines.length > 0 ? '\n' : ''}${'\t'.repeat(depth)}}`
}

/** `Sat Nov 21 20:14:02 2026`, in universal time. */
function ctime(at: number | undefined): string | undefined {
  if (at === undefined) return undefined
  const [, week, day, month, year, hour] =
    /^(\w+), (\d+) (\w+) (\d+) ([\d:]+) GMT$/.exec(new Date(at).toUTCString()) ?? []
  return `${week} ${month} ${String(Number(day)).padStart(2)} ${hour} ${year}`
}

const number = (text: string | undefined): Printed | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : text

export const header = ({ clock, name }: PbsServer): Record<string, Printed> => ({
  timestamp: Math.floor(clock.now() / 1000),
  pbs_version: '23.06.06',
  pbs_server: name,
})

const SUBSTATES: Readonly<Record<string, number>> = { Q: 10, H: 20, W: 30, R: 42, E: 51, F: 92 }

export function jobRecord(job: PbsJob, server: PbsServer): Printed {
  const tasks = job.array?.indexes === undefined ? [] : server.tasksOf(job.id)
  const count = (letter: string): number => tasks.filter((task) => task.letter === letter).length
  const begun = tasks.some((task) => task.letter !== 'Q')
  return {
    Job_Name: job.name,
    Job_Owner: `${job.user}@${server.name}`,
    job_state: begun ? 'B' : job.letter,
    queue: 'workq',
    server: server.name,
    Checkpoint: 'u',
    ctime: ctime(job.submittedAt),
    depend: job.depend || undefined,
    exec_host: job.vnodes.map(({ name }, at) => `${name}/${at}`).join('+') || undefined,
    exec_vnode: execVnode(job) || undefined,
    Execution_Time: job.letter === 'W' ? ctime(job.executionTime) : undefined,
    Hold_Types: job.array?.index !== undefined && job.letter === 'R' ? undefined : job.holds,
    mtime: ctime(job.mtime),
    Priority: 0,
    qtime: ctime(job.submittedAt),
    Rerunable: job.rerunable ? 'True' : 'False',
    Resource_List: {
      ...Object.fromEntries(Object.entries(job.resources).map(([key, value]) => [key, number(value)])),
      place: job.place,
    },
    stime: ctime(job.startedAt),
    obittime: ctime(job.endedAt),
    substate: begun ? 70 : SUBSTATES[job.letter],
    Variable_List: { PBS_O_HOME: `/home/${job.user}`, PBS_O_LOGNAME: job.user, PBS_O_QUEUE: 'workq' },
    euser: job.user,
    egroup: job.user,
    comment: (begun ? 'Job Array Began at Sat Nov 21 at 20:15' : job.comment) || undefined,
    run_count: job.runs || undefined,
    Exit_status: job.exitStatus,
    Submit_arguments: job.submitArgs,
    array: job.array?.indexes === undefined ? undefined : 'True',
    array_id: job.array?.index === undefined ? undefined : job.id.replace(/\[\d+\]/, '[]'),
    array_index: job.array?.index,
    array_state_count:
      job.array?.indexes === undefined
        ? undefined
        : `Queued:${count('Q')} Running:${count('R')} Exiting:${count('E')} Expired:${count('F')} `,
    array_indices_submitted: job.array?.indexes,
    max_run_subjobs: job.array?.runMax,
    project: '_pbs_project_default',
    Submit_Host: server.name,
  }
}

/** `pbs_rstat -F`, as its source prints it. */
export const reservationsIn = ({ reservations, name: server }: PbsServer): string =>
  [...reservations]
    .map(([id, { nodes, start, end }]) =>
      [
        `Resv ID: ${id}`,
        ...['Reserve_Name = NULL', `Reserve_Owner = root@${server}`, 'reserve_state = RESV_CONFIRMED'],
        ...['reserve_type = 2', `reserve_start = ${padded(start)}`, `reserve_end = ${padded(end)}`],
        ...[`reserve_duration = ${(end - start) / 1000}`, `queue = ${id.split('.')[0]}`],
        ...['Resource_List.ncpus = 1', `resv_nodes = ${nodes.map((node) => `(${node}:ncpus=1)`).join('+')}`],
        ...[`server = ${server}`, `ctime = ${padded(start)}`, '', ''],
      ].join('\n'),
    )
    .join('')

/** `%a %b %d %H:%M:%S %Y`, the day with a nought. */
const padded = (at: number): string => (ctime(at) ?? '').replace(/ {2}(\d) /, ' 0$1 ')

export function stateOf(node: PbsNode): string {
  const words: string[] = []
  if (node.isUnknown) words.push('state-unknown')
  if (node.isDown) words.push('down')
  if (node.isOffline) words.push('offline')
  if (node.isBusy) words.push('busy')
  const used = [...node.taken.values()].reduce((sum, cpus) => sum + cpus, 0)
  if (used > 0 && used >= Number(node.resources.ncpus ?? 0)) words.push('job-busy')
  return words.length === 0 ? 'free' : words.join(',')
}

export function nodeRecord(node: PbsNode, server: PbsServer): Printed {
  const reserved = [...server.reservations]
    .filter(([, { nodes }]) => nodes.includes(node.name))
    .map(([id]) => id)
  const used = [...node.taken.values()].reduce((sum, cpus) => sum + cpus, 0)
  return {
    Mom: node.name,
    Port: 15002,
    pbs_version: node.isUnknown ? 'unavailable' : '23.06.06',
    ntype: 'PBS',
    state: stateOf(node),
    pcpus: node.isUnknown ? undefined : Number(node.resources.ncpus ?? 0),
    jobs: node.taken.size === 0 ? undefined : [...node.taken.keys()],
    resources_available: {
      ...(node.isUnknown ? {} : { arch: 'linux', mem: '4194304kb' }),
      host: node.name,
      ...Object.fromEntries(Object.entries(node.resources).map(([key, value]) => [key, number(value)])),
      vnode: node.name,
    },
    resources_assigned: used > 0 ? { ncpus: used } : {},
    comment: node.comment || undefined,
    resv_enable: 'True',
    resv: reserved.length === 0 ? undefined : reserved,
    sharing: 'default_shared',
  }
}
