import type { TorqueJob, TorqueNode, Version } from './model.ts'

const tag = (name: string, value: string | number | undefined): string =>
  value === undefined || value === '' ? '' : `<${name}>${escaped(String(value))}</${name}>`
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const seconds = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : Math.floor(ms / 1000)

export function stateOf(node: TorqueNode): string {
  const words: string[] = []
  if (node.isDown) words.push('down')
  if (node.isOffline || node.isNewborn) words.push('offline')
  if (node.isBusy) words.push('busy')
  if (node.slots.size >= node.np && !node.isForgetful) words.push('job-exclusive')
  if (node.isNewborn) words.push('MOM-list-not-sent')
  return words.length === 0 ? 'free' : words.join(',')
}

/** `0-1` for slots that follow each other. */
function ranges(slots: readonly number[]): string {
  const parts: [number, number][] = []
  for (const slot of slots) {
    const last = parts.at(-1)
    if (last !== undefined && last[1] === slot - 1) last[1] = slot
    else parts.push([slot, slot])
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}

function jobsOn(node: TorqueNode, version: Version): string {
  if (version === '4.2.10') return [...node.slots].map(([slot, id]) => `${slot}/${id}`).join(',')
  const ids = [...new Set(node.slots.values())]
  return ids
    .map((id) => `${ranges([...node.slots].filter(([, on]) => on === id).map(([slot]) => slot))}/${id}`)
    .join(',')
}

export const execHost = (job: TorqueJob, version: Version): string =>
  job.hosts
    .map(({ name, slots }) =>
      version === '4.2.10' ? slots.map((slot) => `${name}/${slot}`).join('+') : `${name}/${ranges(slots)}`,
    )
    .join('+')

export function statusOf(node: TorqueNode, version: Version): string {
  if (node.rectime === undefined) return ''
  const words = [
    'opsys=linux',
    `uname=Linux ${node.name} 6.1.0-emulated #1 SMP x86_64`,
    'sessions=? 0',
    'nsessions=0',
    'nusers=0',
    'idletime=159624',
    'totmem=8388608kb',
    'availmem=8000000kb',
    'physmem=4194304kb',
    `ncpus=${node.np}`,
    'loadave=0.00',
    'gres=',
    'netload=4824',
    'state=free',
    'varattr= ',
    'cpuclock=Fixed',
    `version=${version}`,
    `rectime=${seconds(node.rectime)}`,
    'jobs=',
  ]
  return (version === '4.2.10' ? words.reverse() : words).join(',')
}

export const nodeXml = (node: TorqueNode, version: Version): string =>
  `<Node>${[
    tag('name', node.name),
    tag('state', stateOf(node)),
    version === '4.2.10' ? '' : tag('power_state', 'Running'),
    tag('np', node.np),
    tag('properties', node.properties.join(',')),
    tag('ntype', 'cluster'),
    tag('jobs', jobsOn(node, version)),
    tag('status', statusOf(node, version)),
    tag('note', node.note),
    tag('mom_service_port', 15002),
    tag('mom_manager_port', 15003),
  ].join('')}</Node>`

/** `pbsnodes -a` */
export const nodeText = (node: TorqueNode, version: Version): string =>
  [
    node.name,
    ...[
      ['state', stateOf(node)],
      ['power_state', version === '4.2.10' ? '' : 'Running'],
      ['np', String(node.np)],
      ['properties', node.properties.join(',')],
      ['ntype', 'cluster'],
      ['jobs', jobsOn(node, version)],
      ['status', statusOf(node, version)],
      ['note', node.note],
      ['mom_service_port', '15002'],
      ['mom_manager_port', '15003'],
    ]
      .filter(([, value]) => value !== '')
      .map(([key, value]) => `     ${key} = ${value}`),
    '\n',
  ].join('\n')

const SUBSTATES: Readonly<Record<string, number>> = { Q: 10, H: 20, W: 30, R: 42, E: 50, C: 59 }

export function jobXml(job: TorqueJob, version: Version, server: string): string {
  const isArray = job.array?.request !== undefined
  const resources = Object.entries(job.resources)
    .map(([key, value]) => tag(key, value))
    .join('')
  return `<Job>${[
    tag('Job_Id', job.id),
    tag('Job_Name', job.name),
    tag('Job_Owner', `${job.user}@${server}`),
    tag('job_state', job.letter),
    tag('queue', job.queue),
    tag('server', server),
    tag('Checkpoint', 'u'),
    tag('ctime', seconds(job.submittedAt)),
    tag('depend', job.depend),
    tag('Error_Path', `${server}:/home/${job.user}/${job.name}.e`),
    tag('exec_host', execHost(job, version)),
    version === '4.2.10' && job.hosts.length > 0 ? tag('exec_port', '15003') : '',
    tag('Execution_Time', seconds(job.letter === 'W' || job.letter === 'C' ? job.executionTime : undefined)),
    tag('Hold_Types', job.array?.index !== undefined && job.holds === 'n' ? '' : job.holds),
    tag('Join_Path', 'n'),
    tag('Keep_Files', 'n'),
    tag('Mail_Points', 'a'),
    tag('mtime', seconds(job.mtime)),
    tag('Output_Path', `${server}:/home/${job.user}/${job.name}.o`),
    tag('Priority', 0),
    isArray ? '' : tag('qtime', seconds(job.submittedAt)),
    tag('Rerunable', job.rerunable ? 'True' : 'False'),
    `<Resource_List>${resources}</Resource_List>`,
    job.letter === 'R' || job.letter === 'C' ? tag('session_id', job.session || undefined) : '',
    tag('substate', job.depend.startsWith('after') && job.letter === 'H' ? 22 : SUBSTATES[job.letter]),
    tag('Variable_List', `PBS_O_QUEUE=batch,PBS_O_HOME=/home/${job.user},PBS_O_LOGNAME=${job.user}`),
    tag('euser', job.user),
    tag('egroup', job.user),
    tag('queue_type', 'E'),
    tag('comment', job.comment),
    job.letter === 'H' || job.letter === 'W' ? '' : tag('etime', seconds(job.submittedAt)),
    tag('exit_status', job.exitStatus),
    tag('submit_args', job.submitArgs),
    tag('job_array_id', job.array?.index),
    tag('job_array_request', job.array?.request),
    tag('start_time', seconds(job.startedAt)),
    tag('start_count', job.starts || undefined),
    tag('fault_tolerant', 'False'),
    tag('comp_time', seconds(job.endedAt)),
    tag('job_radix', 0),
    tag('submit_host', server),
    tag('init_work_dir', `/home/${job.user}`),
    version === '4.2.10' ? '' : tag('request_version', 1),
  ].join('')}</Job>`
}

/** `qstat`, a table; nothing at all without jobs. */
export function table(jobs: readonly TorqueJob[]): string {
  if (jobs.length === 0) return ''
  const row = (id: string, name: string, user: string, time: string, letter: string, queue: string): string =>
    `${id.padEnd(25)} ${name.padEnd(16)} ${user.padEnd(15)} ${time.padStart(8)} ${letter} ${queue.padEnd(15)}`
  return [
    'Job ID                    Name             User            Time Use S Queue',
    '------------------------- ---------------- --------------- -------- - -----',
    ...jobs.map((job) => row(job.id, job.name, job.user, '0', job.letter, job.queue)),
    '',
  ].join('\n')
}
